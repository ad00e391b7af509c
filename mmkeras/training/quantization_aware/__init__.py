"""Quantization-aware fine-tuning: trains a finished model on the int8 grid of its exports."""
