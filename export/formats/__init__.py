"""The formats of an export: the contract of a converter, and the search for all converters."""

from export.formats.format import Format, Job, formats, plan

__all__ = ["Format", "Job", "formats", "plan"]
