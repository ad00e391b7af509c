"""Parts of the medical pipeline."""
