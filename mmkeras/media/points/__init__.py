"""Point clouds: PCD files, and the radar clouds in them."""
