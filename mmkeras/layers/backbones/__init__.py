"""Backbones of branches that read pictures."""
