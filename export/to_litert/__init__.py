"""LiteRT (TFLite) files: float32, float16 and both kinds of int8."""
