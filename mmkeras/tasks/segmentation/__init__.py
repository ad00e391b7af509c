"""A class for every pixel, of all classes or of those that a text names."""
