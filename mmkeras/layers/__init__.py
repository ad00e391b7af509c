"""Shared parts of branches, fusions and heads: tokens, losses over a batch, random draws, Keras files and settings."""
