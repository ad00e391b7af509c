"""Text: a sentence or a document, read by a BERT encoder."""
