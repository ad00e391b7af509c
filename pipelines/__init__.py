"""Programs: one end-to-end story per file, its shipped configurations in configs/."""
