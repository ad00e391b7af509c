"""The documentation: pages, notebooks, the recorded numbers, and what makes a site of them (make docs)."""
