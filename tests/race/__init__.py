"""The race against plain PyTorch and Ludwig: python -m tests.race (make race)."""
