"""From somebody's table to a configuration: its columns, what they are taken for, and the file my.toml."""
