"""One training on many devices and machines: who takes part, how they join, and what makes their results equal."""
