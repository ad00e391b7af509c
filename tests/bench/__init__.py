"""Speed as ratios: python -m tests.bench (make bench)."""
