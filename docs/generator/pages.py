"""The pages as Jinja templates: the names that stand between double braces in ``docs/pages/*.md``.

    {{ value("vqa.accuracy") }}            a measured number, from docs/results.json
    {{ interval("vqa.accuracy") }}         with its interval
    {{ numbers("mutants.") }}              a table of the numbers whose names begin so; of all without an argument
    {{ files("vqa") }}                      a table of a pipeline's exported files; of all without an argument
    {{ pipelines() }}                      README's table of pipelines
    {{ components("fusion") }}             a section for each component of a family
    {{ options("mmkeras.core.config", "TrainConfig") }}    a table of a dataclass's fields
    {{ command("predict") }}               the help text of a command; commands() gives all
    {{ notebook("own_table") }}            the cells of a notebook
    {{ names("fusion") }}                  the names of the components of a family
    {{ gates() }}                          a table of the limits of verification; rule("chance_points") is one rule
    {{ include("SECURITY.md") }}           a file of the checkout

An unknown name ends the build.
"""

from __future__ import annotations

import functools
import importlib
import re
from typing import Any

import jinja2

from docs.generator.commands import ROOT, command, commands
from docs.generator.components import sections
from docs.generator.gates import gates
from docs.generator.notebooks import notebook
from docs.generator.options import description, fields_table
from export.verification.gates import RULES
from mmkeras.core.components import names
from pipelines._stages.numbers import NUMBERS
from pipelines._stages.results import read_results
from tests.results.readme import MARKED, PIPELINES, READMES, with_blocks
from tests.results.shown import files_table, interval, numbers_table, value

__all__ = ["render"]


def render(markdown: str, name: str) -> str:
    """Return a page with its generated parts.

    Args:
        markdown: the template.
        name: of the page, for messages.

    Raises:
        ValueError: the template is not valid, or names what does not exist.
    """
    try:
        return _environment().from_string(markdown).render()
    except (jinja2.TemplateError, LookupError, ValueError, OSError, ImportError, AttributeError) as error:
        raise ValueError(f"docs/pages/{name}: {type(error).__name__}: {error}") from error


@functools.cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(undefined=jinja2.StrictUndefined, keep_trailing_newline=True)
    results = read_results()

    def table(prefix: str = "") -> str:
        chosen = [name for name in NUMBERS if name.startswith(prefix)]
        if not chosen:
            raise ValueError(f"no number begins with {prefix!r}")
        return numbers_table(chosen, results)

    environment.globals |= {
        "value": functools.partial(_known, value, results),
        "interval": functools.partial(_known, interval, results),
        "numbers": table,
        "files": lambda *given: files_table(given or [row.files for row in PIPELINES.values() if row.files], results),
        "pipelines": functools.partial(_readme_table, "pipelines"),
        "components": sections,
        "names": lambda family: ", ".join(f"`{name}`" for name in names(family)),
        "gates": gates,
        "rule": lambda name: f"{RULES[name]:g}",
        "options": _options,
        "command": command,
        "commands": commands,
        "notebook": notebook,
        "include": lambda path: (ROOT / path).read_text("utf-8"),
    }
    return environment


def _known(show: Any, results: Any, name: str) -> str:
    if name not in NUMBERS:
        raise LookupError(f"no number is called {name!r}")
    return str(show(name, results))


def _readme_table(name: str) -> str:
    text = with_blocks(READMES["en"].read_text("utf-8"), read_results())
    found = next(match for match in MARKED.finditer(text) if match[1] == name)
    return re.sub(r"<!--.*?-->\n?", "", found[0])


def _options(module: str, kind: str) -> str:
    found = getattr(importlib.import_module(module), kind)
    return f"{description(found)}\n\n{fields_table(found)}"
