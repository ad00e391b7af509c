"""What everything stands on: errors, configuration, components by name, the terminal. No TensorFlow."""
