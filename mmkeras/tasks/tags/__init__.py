"""A tag for each word, and the entities that runs of tags form."""
