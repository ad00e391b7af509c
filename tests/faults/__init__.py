"""Faults on purpose: kills, full disks, damaged shards, and whether anything leaks (make faults)."""
