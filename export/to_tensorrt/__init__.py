"""TensorRT: what it will not take, how an engine is built, how fast it is."""
