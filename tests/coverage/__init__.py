"""How often intervals hold the truth: python -m tests.coverage."""
