"""What branches, fusions and heads share: tokens, waves, statistics of a batch, random draws, Keras' files."""
