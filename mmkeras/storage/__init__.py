"""Files: atomic writes, reads within limits, hashes, privacy. No TensorFlow."""
