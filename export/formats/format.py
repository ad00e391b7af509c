"""Finds the converters: every module ``export/to_<target>/<target>_from_<source>.py``.

Such a module writes one format and ends with ``FORMAT``, a `Format`.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from export.calibration.calibration import Calibration
from export.calibration.prepare import prepare_calibration
from export.quantization.costs import Costs
from export.quantization.layers import Quantizer
from export.quantization.search import Search
from export.quantization.trial import Trial, tuning_samples
from export.source import Source
from export.submodels import on_samples
from export.to_saved_model.endpoints import write_static
from export.verification.constants.constant import Constant
from export.verification.gates import gates_of, tightened
from export.verification.verify import Reference
from mmkeras.core.config import ExportConfig
from mmkeras.core.errors import ConfigError, nearest

__all__ = ["Format", "Job", "formats", "plan"]

TUNING_SAMPLES = 300
"""Samples on which a search tries its candidates, at most."""
MARGIN = 0.6
"""Share of the limits that a search holds on its own samples: on the test samples, which it does not see, the loss is
another one."""


@dataclass
class Job:
    """What a converter works on."""

    source: Source
    """The Keras model and its specs."""
    work: Path
    """Scratch folder of this export, removed in the end."""
    config: ExportConfig = field(default_factory=ExportConfig)
    """What was asked for: calibration and budget among it."""
    step: Callable[[str], None] = lambda line: None
    """Called with a line before long steps; for a progress bar."""

    @cached_property
    def static_saved_model(self) -> Path:
        """A SavedModel with static batch 1, made when first asked for: what batch-1 converters start from."""
        folder = self.work / "static_saved_model"
        write_static(self.source, folder)
        return folder

    @cached_property
    def calibration(self) -> Calibration:
        """The samples on which static int8 measures its ranges, chosen when first asked for.

        Raises:
            MmkerasError: there are none, or they do not look like the data the model was trained on.
        """
        return prepare_calibration(self.source, self.config, self.step)

    @property
    def calibration_used(self) -> Calibration | None:
        """The calibration set, if a converter has asked for it."""
        return self.__dict__.get("calibration")

    @cached_property
    def tuning(self) -> tuple[Reference, str]:
        """The Keras model on samples that are neither trained on nor verified on, and their split.

        Raises:
            ExportError: there are none.
        """
        samples, split = tuning_samples(self.source, min(self.config.samples, TUNING_SAMPLES))
        source = on_samples(self.source, samples)
        return Reference(source, lambda name: self.step(f"Keras on {split} samples, {name}")), split

    def search(self, quantizer: Quantizer, format: str, precision: str, path: Path) -> Costs:
        """Write a file in which as much as the limits allow is int8, or float16.

        Args:
            quantizer: of the format.
            format: its name.
            precision: the precision's name.
            path: the file to write.

        Returns:
            What was measured on the way.

        Raises:
            ExportError: there are no samples, or the limits do not hold with a single layer in the small precision.
        """
        reference, split = self.tuning
        task = self.source.task
        gates = gates_of(task, self.config.max_metric_drop, self.config.max_flips)
        trial = Trial(reference, task, split, format, precision, tightened(gates, MARGIN))
        keep, costs = Search(quantizer, trial, self.step).run()
        quantizer.write(path, keep)
        return costs


@dataclass(frozen=True)
class Format:
    """One converter."""

    name: str
    """Name on the command line and in the manifest."""
    suffix: str
    """Of its files; empty for a folder."""
    precisions: tuple[str, ...]
    """What it can write."""
    tolerance: float
    """Largest difference to Keras that its float32 file may have."""
    convert: Callable[[Job, str, Path], Costs | None]
    """Writes one file; returns what a search for what must stay in float has measured."""
    ladder: tuple[str, ...] = ("float32",)
    """Its precisions from the smallest and fastest to float32."""
    float32: Callable[[Job], Path] | None = None
    """Writes the float32 file that the other precisions are made from, once in a job."""
    constants: Callable[[Path], list[Constant]] | None = None
    """Reads the constants of a file."""


def formats() -> dict[str, Format]:
    """Return every converter by the name of its format."""
    found = {}
    for name in _converters():
        # An engine is built on the device: tensorrt_from_onnx is a program, and no format of an export.
        format: Format | None = getattr(importlib.import_module(name), "FORMAT", None)
        if format is not None:
            found[format.name] = format
    return found


def _converters() -> Iterator[str]:
    """Yield the names of the modules that are named like a converter."""
    for package in pkgutil.iter_modules(importlib.import_module("export").__path__, "export."):
        if package.ispkg and package.name.startswith("export.to_"):
            folder = importlib.import_module(package.name).__path__
            yield from (info.name for info in pkgutil.iter_modules(folder, f"{package.name}.") if "_from_" in info.name)


def plan(names: Iterable[str], precisions: Iterable[str], *, ladder: bool = False) -> list[tuple[Format, list[str]]]:
    """Return what to write: for every asked-for format those of the asked-for precisions that it has.

    Args:
        names: formats.
        precisions: precisions; with a ladder none means all.
        ladder: order them from the smallest to float32, which is always its last rung.

    Raises:
        ConfigError: an unknown format or precision, or nothing to write.
    """
    known = formats()
    names, precisions = list(dict.fromkeys(names)), list(dict.fromkeys(precisions))
    every = sorted({p for f in known.values() for p in f.precisions})
    problems = [f"format {name!r} is unknown; {_hint(name, known)}" for name in names if name not in known]
    problems += [f"precision {p!r} is unknown; {nearest(p, every)}" for p in precisions if p not in every]
    if problems:
        raise ConfigError("\n".join(problems))
    if ladder:
        wanted = {*(precisions or every), "float32"}
        return [(known[name], [p for p in known[name].ladder if p in wanted]) for name in names]
    chosen = [(known[name], [p for p in precisions if p in known[name].precisions]) for name in names]
    chosen = [(format, found) for format, found in chosen if found]
    if not chosen:
        raise ConfigError(f"None of the formats {names} is written in any of the precisions {precisions}.")
    return chosen


def _hint(name: str, known: Iterable[str]) -> str:
    if name == "tensorrt":
        return "export onnx; an engine is built from it on the device that runs it: mmkeras build-engine BUNDLE"
    return nearest(name, known)
