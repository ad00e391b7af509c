"""Quantisation-aware fine-tuning: a trained model learns to answer on the int8 grid that its exports will use."""
