"""A rich console that is safe for text from outside: paths, labels, names, messages of other libraries."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Any

import rich.console
from rich.console import ConsoleOptions, RenderableType
from rich.progress import Task, TextColumn
from rich.segment import Segment
from rich.status import Status
from rich.text import Text

from mmkeras.core.terminal import OutputClosed, discard, plain

__all__ = ["Console", "DescriptionColumn", "print_error"]

_NOTEBOOK_COLUMNS = 115
"""Width of text in a notebook: a kernel has no terminal that would tell it."""


class Console(rich.console.Console):
    """A console that prints text as it is: without markup, emoji codes and control characters.

    Give colours as ``style=`` or as a `rich.text.Text`. A closed pipe raises `OutputClosed`.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"markup": False, "emoji": False, **_in_a_notebook(), **options})

    def render_str(self, text: str, **options: Any) -> Text:
        """Return a string as `Text` without control characters, so that its width is the width that is shown."""
        return super().render_str(plain(text), **options)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """Yield segments without control characters, also those of a `Text` that was built elsewhere."""
        for segment in super().render(renderable, options):
            # A segment with `control` moves the cursor for a progress bar: it is rich's own.
            shown = segment.text if segment.control else plain(segment.text)
            yield segment if shown == segment.text else Segment(shown, segment.style)

    def status(self, status: RenderableType, **options: Any) -> Status:
        """Return a spinner with a text."""
        return _Status(_text(status), console=self, **options)

    def on_broken_pipe(self) -> None:
        """Raise `OutputClosed`; rich would end with status 1, which here means a failed check."""
        self.quiet = True
        discard(self.file)  # type: ignore[arg-type]
        raise OutputClosed


def print_error(error: Exception | str) -> None:
    """Print an error on standard error: its type and its message in red, with paths and commands on one line."""
    text = f"{type(error).__name__}: {error}" if isinstance(error, Exception) else error
    Console(stderr=True).print(text, style="bold red", highlight=False, soft_wrap=True)


def _in_a_notebook() -> dict[str, Any]:
    """Return options for a Jupyter kernel: text, because live displays need ipywidgets and warn without it."""
    if "ipykernel" not in sys.modules:
        return {}
    return {"force_jupyter": False, "force_terminal": False, "width": _NOTEBOOK_COLUMNS}


class _Status(Status):
    """A status whose text is not markup, also after an update."""

    def update(self, status: RenderableType | None = None, **options: Any) -> None:
        super().update(None if status is None else _text(status), **options)


class DescriptionColumn(TextColumn):
    """The description column of a progress bar, without markup."""

    def __init__(self) -> None:
        super().__init__("{task.description}", style="progress.description", markup=False)

    def render(self, task: Task) -> Text:
        """Return the description without control characters."""
        return Text(plain(task.description), style=self.style, justify=self.justify)


def _text(value: RenderableType) -> RenderableType:
    return Text(plain(value)) if isinstance(value, str) else value
