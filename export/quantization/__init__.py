"""Static quantisation: which layers become int8, what that costs, and on which samples their ranges are measured."""
