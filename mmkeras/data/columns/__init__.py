"""What the columns of somebody's table hold: their kinds, the part each plays, and what to beware of."""

from mmkeras.data.columns.kinds import Kind, kind_of_column

__all__ = ["Kind", "kind_of_column"]
