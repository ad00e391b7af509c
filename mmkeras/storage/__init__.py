"""Files: written whole, read within limits, hashed; what of the data may be written. No TensorFlow."""
