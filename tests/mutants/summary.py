"""Counts what was caught: runs/mutants.json (schema: mmkeras/schemas/mutants.schema.json), and its tables."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from rich.table import Table
from rich.text import Text

from mmkeras.core.console import Console
from tests.mutants.account import Settings
from tests.mutants.intervals import clopper_pearson

__all__ = ["BARS", "STATIC", "show", "summarise"]

STATIC = ("int8", "int8-full")
"""Precisions with calibrated ranges; their outputs differ from Keras, so that faults are harder to tell."""
BARS = {"int8": (0.95, 0.99), "other": (0.99, 1.0)}
"""Share of mutants to catch: bar and goal."""
_REFUSED = (1, 0)
"""Honest exports of 30 refused at most: bar and goal."""


def summarise(
    settings: Settings,
    mutants: Sequence[Mapping[str, Any]],
    honest: Sequence[Mapping[str, Any]],
    machine: Mapping[str, Any],
) -> dict[str, Any]:
    """Return the content of runs/mutants.json.

    Args:
        settings: what was asked for.
        mutants: `Mutant.to_json` of each.
        honest: results of the honest exports.
        machine: where it ran.
    """
    real = [mutant for mutant in mutants if not mutant["equivalent"]]
    static = [mutant for mutant in real if mutant["precision"] in STATIC]
    other = [mutant for mutant in real if mutant["precision"] not in STATIC]
    refused = [each for each in honest if each["refused"] or each["selftest"]]
    return {
        "schema_version": 1,
        "settings": {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in asdict(settings).items()
            if name != "work"
        },
        "int8": {**_counted(static), "bar": BARS["int8"][0], "goal": BARS["int8"][1]},
        "other": {**_counted(other), "bar": BARS["other"][0], "goal": BARS["other"][1]},
        "kinds": {
            name: {
                precision: _counted([m for m in real if (m["kind"], m["precision"]) == (name, precision)])
                for precision in dict.fromkeys(m["precision"] for m in real if m["kind"] == name)
            }
            for name in dict.fromkeys(m["kind"] for m in mutants)
        },
        "equivalent": len(mutants) - len(real),
        "survivors": [mutant for mutant in real if not caught(mutant)],
        "honest": {
            "exports": len(honest),
            "refused": len(refused),
            **_interval(len(refused), len(honest)),
            "bar": _REFUSED[0],
            "goal": _REFUSED[1],
            "failed": [{key: each[key] for key in ("name", "refused", "selftest")} for each in refused],
        },
        "mutants": list(mutants),
        "machine": dict(machine),
    }


def caught(mutant: Mapping[str, Any]) -> bool:
    """Return whether the gate or the self-test noticed."""
    return bool(mutant["gate"] == "refused" or mutant["selftest"] == "failed")


def show(results: Mapping[str, Any], console: Console) -> None:
    """Print kinds x precisions, the survivors, and the honest exports."""
    precisions = list(dict.fromkeys(p for row in results["kinds"].values() for p in row))
    table = Table(title="Caught / planted (by the gate, by the self-test)", title_justify="left")
    table.add_column("kind")
    for precision in precisions:
        table.add_column(precision, justify="right")
    for name, row in results["kinds"].items():
        table.add_row(Text(name), *(_cell(row.get(precision)) for precision in precisions))
    console.print(table)
    for name, title in (("int8", "static int8"), ("other", "all other precisions")):
        part = results[name]
        if part["planted"]:
            console.print(
                f"{title}: {part['caught']} of {part['planted']} caught = {part['share']:.2%} "
                f"({part['low']:.2%} to {part['high']:.2%}; bar {part['bar']:.0%}, goal {part['goal']:.0%}); "
                f"by the gate {part['gate']} of {part['asked_gate']}, by the self-test {part['selftest']} of "
                f"{part['asked_selftest']}",
                soft_wrap=True,
                highlight=False,
            )
    console.print(f"equivalent, not counted: {results['equivalent']}", highlight=False)
    for mutant in results["survivors"]:
        console.print(Text(f"survived: {_named(mutant)}"), soft_wrap=True)
    honest = results["honest"]
    if honest["exports"]:
        console.print(
            f"honest exports refused: {honest['refused']} of {honest['exports']} "
            f"({honest['low']:.1%} to {honest['high']:.1%})",
            highlight=False,
        )
    for each in honest["failed"]:
        for file in each["refused"]:
            console.print(
                Text(f"refused: {each['name']} {file['format']} {file['precision']}: {file['reason']}"), soft_wrap=True
            )
        if each["selftest"]:
            console.print(Text(f"refused: {each['name']} by the self-test: {each['selftest']}"), soft_wrap=True)


def _named(mutant: Mapping[str, Any]) -> str:
    name = mutant["kind"] + (f" ({mutant['variant']})" if mutant["variant"] else "")
    harm = []
    if mutant["flips"] is not None:
        harm.append(f"flips {mutant['flips']:.1%} at worst")
    if mutant["drop"] is not None:
        harm.append(f"metric {mutant['drop']:+.2f} points worse at worst")
    if mutant["difference"] is not None:
        harm.append(f"largest difference {mutant['difference']:.2g}")
    return (
        f"{name}, at {mutant['place']}, {mutant['format']} {mutant['precision']}: {', '.join(harm) or 'not measured'}"
    )


def _cell(counted: Mapping[str, Any] | None) -> Text:
    if counted is None:
        return Text("")
    text = f"{counted['caught']}/{counted['planted']} ({counted['gate']}, {counted['selftest']})"
    return Text(text, style="" if counted["caught"] == counted["planted"] else "bold red")


def _counted(mutants: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    mutants = list(mutants)
    hits = sum(map(caught, mutants))
    return {
        "planted": len(mutants),
        "caught": hits,
        "share": hits / len(mutants) if mutants else None,
        **_interval(hits, len(mutants)),
        "gate": sum(mutant["gate"] == "refused" for mutant in mutants),
        "asked_gate": sum(mutant["gate"] != "not asked" for mutant in mutants),
        "selftest": sum(mutant["selftest"] == "failed" for mutant in mutants),
        "asked_selftest": sum(mutant["selftest"] != "not asked" for mutant in mutants),
    }


def _interval(hits: int, tried: int) -> dict[str, float]:
    low, high = clopper_pearson(hits, tried)
    return {"low": low, "high": high}
