"""Recorded drives in the formats of their datasets: tables, radar clouds, boxes. numpy only; files stay on disk."""
