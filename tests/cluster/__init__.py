"""Training on several processes: python -m tests.cluster (make cluster)."""
