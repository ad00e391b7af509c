"""TensorRT: a check of ONNX files for it, building engines, and timing them."""
