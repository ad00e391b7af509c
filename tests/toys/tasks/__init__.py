"""Tasks of toys."""
