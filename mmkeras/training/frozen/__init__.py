"""Computes the outputs of frozen branches once, and trains behind them."""
