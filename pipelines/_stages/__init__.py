"""Code that the pipelines share: stages, the comparison of variants, recorded numbers."""
