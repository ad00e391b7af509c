"""Programs: one pipeline per file; their shipped configurations are in configs/."""
