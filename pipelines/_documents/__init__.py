"""The parts of the documents pipeline."""
