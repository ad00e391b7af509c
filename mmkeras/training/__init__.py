"""Training: environment, optimizer, Keras fit, checkpoints, TensorBoard, and the run's folder."""
