"""Training: environment, optimizer, Keras fit, checkpoints, TensorBoard, and the run folder they fill."""
