"""``python -m export fine-tune RUN``: tunes a trained model for int8 and measures what its int8 file gained."""
