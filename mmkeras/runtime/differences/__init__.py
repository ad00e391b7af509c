"""``mmkeras diff``: the changes from one bundle to another."""
