"""What is left of a model when a sensor is dead, late, turned or blind."""
