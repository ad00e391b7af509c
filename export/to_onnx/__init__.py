"""ONNX files: float32, float16 with float32 islands, and both kinds of int8."""
