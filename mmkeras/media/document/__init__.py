"""Pages of documents: words with boxes, their reading order, their shapes, and OCR."""
