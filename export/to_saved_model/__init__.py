"""SavedModel, which TensorFlow Serving loads as it is."""
