"""A class and a place."""
