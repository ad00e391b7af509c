"""Parts of the matching pipeline."""
