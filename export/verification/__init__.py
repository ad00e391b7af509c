"""Compares exported files with the Keras model: scenarios, samples, gates, results, the proof of the self-test."""
