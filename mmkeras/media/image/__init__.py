"""Pictures: from files, arrays and data URLs to RGB pixels of a model's size."""
