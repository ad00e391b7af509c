"""The recorded numbers, and README's table of them: python -m tests.results (make readme)."""
