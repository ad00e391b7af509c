"""Chooses the golden samples of a bundle, and proves that its self-test notices a broken file."""
