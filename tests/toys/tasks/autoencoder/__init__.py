"""A picture, drawn again from one vector."""
