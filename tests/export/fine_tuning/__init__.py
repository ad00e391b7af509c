"""Tests of the fine-tuning command."""
