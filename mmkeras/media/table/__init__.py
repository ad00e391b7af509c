"""Tables of samples: their rows, and the raw values of a sample in the cells of a row."""
