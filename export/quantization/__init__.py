"""Static quantisation: which layers become int8, and what that costs."""
