"""``python -m export doctor RUN``: what each target makes of a Keras model's layers, before a long training.

Measured, not guessed: the model, trained or not, is really converted, and what comes out is traced back to its layers.
"""
