"""Readers to fuzz, a module for each family: ``READERS`` lists them. A new one is one entry, or one module."""
