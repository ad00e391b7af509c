"""The results for people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.table import Table

from mmkeras.core.console import Console

__all__ = ["show"]


def show(results: Mapping[str, Any], console: Console) -> bool:
    """Print the results; return whether everything was survived and nothing grew."""
    kills, good = results["kills"], True
    table = Table(title="Kill -9 at a random moment, and the same command again", title_justify="left")
    for heading in ("stage", "kills", "identical artefacts", "left half-written"):
        table.add_column(heading, justify="left" if heading == "stage" else "right")
    for name, each in (*kills["kinds"].items(), ("all", kills)):
        table.add_row(name, *(str(each[key]) for key in ("tried", "identical", "left_half_written")))
    good &= kills["tried"] == kills["identical"] and not kills["left_half_written"]
    console.print(table)
    for each in kills["failed"]:
        console.print(f"  {each['repeat']}: {each['different'] or each['left']}", style="red", markup=False)

    table = Table(title="Other faults", title_justify="left")
    for heading in ("fault", "verdict", "what was said"):
        table.add_column(heading)
    for each in results["others"]:
        good &= each["verdict"] != "failed"
        table.add_row(each["fault"], each["verdict"], each["said"])
    if results["others"]:
        console.print(table)

    table = Table(title="Memory and descriptors", title_justify="left")
    for heading in ("process", "steps or predictions", "MiB", "descriptors", "flat"):
        table.add_column(heading)
    for each in results["flat"]["processes"]:
        good &= each["flat"]
        memory = f"{each['rss_start']:.0f} -> {each['rss_end']:.0f}"
        open_files = f"{each['descriptors_start']} -> {each['descriptors_end']}"
        table.add_row(each["what"], str(each["done"]), memory, open_files, "yes" if each["flat"] else "no")
    if results["flat"]["processes"]:
        console.print(table)
    return good
