"""Tasks of a worker process. What they share is made once per process."""

from __future__ import annotations

import functools
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.mutants.account import Settings
from tests.mutants.kind import ModelChange, Variant
from tests.mutants.kinds import variants

if TYPE_CHECKING:
    from export.source import Source
    from mmkeras.core.config import ExportConfig
    from tests.mutants.bench import Bench

__all__ = ["OTHER", "SEEDS", "models_needed", "prepare", "run_export", "run_model", "run_training", "run_variant"]

SEEDS = (1, 2, 3)
"""Seeds of the honest models; each gives several snapshots."""
OTHER = f"seed-{SEEDS[0]}-0"
"""The honest export that serves as another training of the model."""


def prepare() -> None:
    """Prepare a worker process: one thread for every engine, since several processes share the cores."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    for name in ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"):
        os.environ.setdefault(name, "1")
    # The verification gives an engine one thread per core; the results do not depend on it.
    os.cpu_count = lambda: 1


def models_needed(chosen: list[Variant]) -> list[str]:
    """Return the models that variants take files from, without the honest one."""
    named = {v.plant.model for v in chosen if isinstance(v.plant, ModelChange)}
    return sorted(named - {"other"})


def run_training(settings: Settings, seed: int, snapshots: int) -> list[str]:
    """Train another model; return its snapshots."""
    from tests.mutants.models import train_other

    return [
        str(path) for path in train_other(_source(settings), seed, Path(settings.work, "weights"), snapshots=snapshots)
    ]


def run_model(settings: Settings, name: str) -> dict[str, str]:
    """Convert a faulty model; return what could not be converted."""
    from tests.mutants.models import convert_all, load, source_with, special

    source = _source(settings)
    weights = special(source, name, Path(settings.work, "weights"))
    folder = Path(settings.work, "models", name)
    problems = convert_all(source_with(source, load(weights)), folder, _config(settings, ""))
    return {" ".join(key): reason[:300] for key, reason in problems.items()}


def run_export(settings: Settings, name: str) -> dict[str, Any]:
    """Export an honest model and test the bundle.

    Args:
        settings: the settings.
        name: ``subject``, or the name of a snapshot.

    Returns:
        ``bundle``, ``accuracy`` by scenario, ``refused`` files with their reasons, ``selftest`` reasons.
    """
    from export.run import export_source
    from mmkeras.bundle import Bundle
    from mmkeras.core.console import Console
    from mmkeras.core.errors import MmkerasError
    from mmkeras.runtime.selftest import selftest
    from tests.mutants.models import load, source_with
    from tests.mutants.subject import silence

    source = _source(settings)
    if name != "subject":
        source = source_with(source, load(Path(settings.work, "weights", f"{name}.npz")))
    root = Path(settings.work, "exports", name)
    shutil.rmtree(root, ignore_errors=True)
    result: dict[str, Any] = {"name": name, "bundle": "", "refused": [], "selftest": ""}
    try:
        report = export_source(source, _config(settings, str(root)), console=Console(file=silence()))
    except MmkerasError as error:
        return {**result, "refused": [{"format": "bundle", "precision": "bundle", "reason": str(error)[:300]}]}
    result["bundle"] = str(report.folder)
    result["reference"] = report.reference
    result["refused"] = [
        {"format": file.format, "precision": file.precision, "reason": file.reason[:300]}
        for file in report.files
        if not file.accepted
    ]
    found = selftest(Bundle.open(report.folder))
    if not found.passed:
        reasons = [file.reason for file in found.files] + [check.reason for check in found.preprocessing]
        result["selftest"] = "; ".join(filter(None, reasons))[:300] or "failed"
    if name not in ("subject", OTHER):
        shutil.rmtree(root, ignore_errors=True)
    return result


def run_variant(settings: Settings, kind: str, variant: str, place: str) -> list[dict[str, Any]]:
    """Plant one fault; return what became of it in every file."""
    chosen = next(v for v in variants((kind,), settings.subject) if v.variant == variant and v.kind.place == place)
    marker = Path(settings.work, "results", f".running.{os.getpid()}")
    marker.parent.mkdir(parents=True, exist_ok=True)
    marker.write_text(chosen.name, "utf-8")
    try:
        return [mutant.to_json() for mutant in _bench(settings).try_variant(chosen)]
    finally:
        marker.unlink()


def _config(settings: Settings, folder: str) -> ExportConfig:
    from mmkeras.core.config import ExportConfig

    return ExportConfig(
        folder=folder, formats=settings.formats, precisions=settings.precisions, samples=settings.samples
    )


@functools.cache
def _source(settings: Settings) -> Source:
    from tests.mutants.subject import load_subject, train_subject

    run = train_subject(settings.subject, Path(settings.work), rows=settings.rows, epochs=settings.epochs)
    return load_subject(run, settings.samples)


@functools.cache
def _bench(settings: Settings) -> Bench:
    from tests.mutants.bench import Bench

    exports = Path(settings.work, "exports")
    bundle, other = (next((exports / name).glob("*/*/manifest.json")).parent for name in ("subject", OTHER))
    models = Path(settings.work, "models")
    honest = models / "other"
    if not honest.exists():
        aside = models / f".other.{os.getpid()}"
        shutil.copytree(other / "edge", aside)
        shutil.copytree(other, aside / "saved_model", ignore=shutil.ignore_patterns("edge", "golden", "rejected"))
        try:
            aside.rename(honest)
        except OSError:  # the other process was faster
            shutil.rmtree(aside)
    return Bench(_source(settings), bundle, other, models, _config(settings, ""), settings.seed)
