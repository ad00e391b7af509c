"""mmkeras."""
