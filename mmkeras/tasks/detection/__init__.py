"""Objects with their box, distance, heading and velocity, from a camera and a radar."""
