"""Programs that export a trained model: ``python -m export RUN_OR_BUNDLE``."""
