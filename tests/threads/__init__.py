"""Answers of one Predictor under several threads (make threads)."""
