"""Still RGB images."""
