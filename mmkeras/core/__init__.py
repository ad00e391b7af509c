"""The base of all packages: errors, configuration, components by name, the terminal. No TensorFlow."""
