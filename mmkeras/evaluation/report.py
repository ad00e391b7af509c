"""The report: one self-contained HTML file, for a screen, a phone or paper."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from mmkeras.core.components import find
from mmkeras.core.errors import DataError
from mmkeras.core.rounding import percent
from mmkeras.core.typed import parse_json
from mmkeras.evaluation.pictures import figure_to_png
from mmkeras.evaluation.words import number, span, span_of_change, step, title
from mmkeras.storage.files import write_bytes, write_text

__all__ = ["render_report", "write_report"]

_TEMPLATE = "report.html.jinja"
_KNOWN = ("ablation", "slices", "calibration", "confusion", "errors", "samples", "degradation", "risk")
_APART = ("name", "packages", "config", "schema_version", "notice")


def render_report(
    metrics: Mapping[str, Any],
    pictures: Mapping[str, bytes],
    export: Mapping[str, Any] | None = None,
    config: str | None = None,
) -> str:
    """Return the report as one HTML page without external links.

    Args:
        metrics: content of ``metrics.json``.
        pictures: PNG bytes by name; ``ablation``, ``slices``, ``calibration``, ``confusion``, ``errors``, ``samples``,
            ``degradation`` and ``risk`` have their own sections, and other pictures follow after them.
        export: content of ``export.json``, if the model was exported.
        config: the configuration as text; by default ``config`` of the provenance.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"title": title, "pretty": _pretty, "size": _size}
    environment.globals |= {
        "number": number,
        "span": span,
        "span_of_change": span_of_change,
        "step": step,
        "percent": percent,
    }
    encoded = {name: "data:image/png;base64," + base64.b64encode(png).decode() for name, png in pictures.items()}
    given = metrics["provenance"]
    return environment.get_template(_TEMPLATE).render(
        metrics=metrics,
        primary=metrics["task"]["metric"],
        pictures=encoded,
        further=[name for name in encoded if name not in _KNOWN],
        provenance=given,
        name=given.get("name", "Model"),
        packages=given.get("packages", {}),
        facts={k: v for k, v in given.items() if k not in _APART},
        fusion_means=_fusion_means(metrics.get("fusions", {})),
        scenario_titles=_scenario_titles(metrics),
        config=given.get("config") if config is None else config,
        export=export,
    )


def _scenario_titles(metrics: Mapping[str, Any]) -> dict[str, str]:
    """Return the titles of the degradation scenarios, which are part of driving."""
    if not {"degradation", "degradation_exported"} & set(metrics):
        return {}
    return {scenario.name: scenario.title for scenario in find("driving", "degradation").SCENARIOS}


def _fusion_means(fusions: Mapping[str, Any]) -> dict[str, dict[str, float | None]]:
    """Return a row of the same metrics for every fusion; a metric that a single-sensor model lacks is None."""
    names = dict.fromkeys(name for entry in fusions.values() for name in entry["mean"])
    seeds = max((len(entry["per_seed"]) for entry in fusions.values()), default=0)
    rows = {}
    for fusion, entry in fusions.items():
        own = len(entry["per_seed"])
        title = fusion if own == seeds else f"{fusion} ({own} seed{'s' if own != 1 else ''})"
        rows[title] = {name: entry["mean"].get(name) for name in names}
    return rows


def write_report(
    folder: Path, figures: Mapping[str, Figure] | None = None, export: Mapping[str, Any] | None = None
) -> Path:
    """Write ``report.html`` from the ``metrics.json`` (and the run's ``config.toml``) in the same folder.

    Args:
        folder: the run's folder.
        figures: pictures, saved as ``pictures/<name>.png``; by default the saved ones are used, so that the report can
            be written again after the export without the model.
        export: content of ``export.json``.

    Returns:
        The path of the report.

    Raises:
        DataError: there is no ``metrics.json``, or no evaluation wrote it.
    """
    from jinja2 import TemplateError

    source, kept, settings = folder / "metrics.json", folder / "pictures", folder / "config.toml"
    if not source.is_file():
        raise DataError(f"Expected metrics.json in {folder}, got none. Evaluate the model before its report.")
    if figures is not None:
        drawn = {_slug(name): figure_to_png(figure) for name, figure in figures.items()}
        for name, png in drawn.items():
            write_bytes(kept / f"{name}.png", png)
        for old in kept.glob("*.png"):
            if old.stem not in drawn:
                old.unlink()
    pictures = {path.stem: path.read_bytes() for path in sorted(kept.glob("*.png"))}
    try:
        metrics = parse_json(source.read_text(encoding="utf-8"))
        config = settings.read_text(encoding="utf-8") if settings.is_file() else None
        page = render_report(metrics, pictures, export=export, config=config)
    except (TemplateError, OSError, ValueError, TypeError, LookupError, AttributeError, ArithmeticError) as error:
        raise DataError(
            f"{source}: no evaluation wrote this ({type(error).__name__}: {error!s:.300}). Evaluate again."
        ) from error
    except RecursionError as error:
        raise DataError(f"{source}: no evaluation wrote this; it is nested too deeply. Evaluate again.") from error
    write_text(folder / "report.html", page)
    return folder / "report.html"


def _slug(name: str) -> str:
    return re.sub(r"[^\w-]+", "_", name).strip("_") or "picture"


def _pretty(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, indent=1, ensure_ascii=False, default=str)


def _size(count: float) -> str:
    return f"{count / 1e6:.1f} MB" if count >= 1e6 else f"{count / 1e3:.1f} kB"
