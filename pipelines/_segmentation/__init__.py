"""Parts of the segmentation pipeline."""
