"""``python -m export fine-tune RUN``: fine-tunes a trained model for int8 and measures the gain of its int8 file."""
