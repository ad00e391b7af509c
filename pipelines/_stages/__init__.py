"""What the pipelines share: their stages, the comparison of variants, the recorded numbers."""
