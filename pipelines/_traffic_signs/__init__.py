"""Parts of the traffic signs pipeline."""
