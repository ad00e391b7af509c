"""Tests of quantisation-aware fine-tuning."""
