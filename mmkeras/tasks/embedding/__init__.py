"""A vector of unit length for every sample."""
