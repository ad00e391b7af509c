"""Chooses the golden samples of a bundle, and proves that its self-test would notice a broken file."""
