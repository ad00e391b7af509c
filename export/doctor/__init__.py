"""``python -m export doctor RUN``: how each target converts a Keras model's layers, before a long training.

The model, trained or not, is converted, and the operations in the results are traced back to its layers.
"""
