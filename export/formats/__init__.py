"""The formats of an export: what a converter is, and how it is found."""

from export.formats.format import Format, Job, formats, plan

__all__ = ["Format", "Job", "formats", "plan"]
