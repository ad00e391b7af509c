"""Two towers that say whether a picture and its caption belong together."""
