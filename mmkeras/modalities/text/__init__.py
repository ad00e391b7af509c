"""Text: a sentence or document, read by a BERT encoder."""
