"""``mmkeras diff``: what changed from one bundle to another."""
