"""Generated sets of the pipelines that run on public data: --demo."""
