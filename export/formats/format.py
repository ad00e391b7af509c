"""Finds the converters: the modules ``export/to_<target>/<target>_from_<source>.py`` with a `Format` in ``FORMAT``."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Iterable
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

MARGIN = 0.6
"""Share of the limits that a search allows on its own samples: the loss on the test samples differs."""


@dataclass
class Job:
    """The input of the converters, with parts that several of them share and that are made at their first use."""

    source: Source
    """The Keras model and its specs."""
    work: Path
    """Scratch folder of this export, removed at its end."""
    config: ExportConfig = field(default_factory=ExportConfig)
    step: Callable[[str], None] = lambda line: None
    """Called with a line before long steps; for a progress bar."""

    @cached_property
    def static_saved_model(self) -> Path:
        """A SavedModel with static batch 1."""
        folder = self.work / "static_saved_model"
        write_static(self.source, folder)
        return folder

    @cached_property
    def calibration(self) -> Calibration:
        """The samples on which static int8 measures its ranges.

        Raises:
            MmkerasError: there are no samples, or they do not look like the training data.
        """
        return prepare_calibration(self.source, self.config, self.step)

    @property
    def calibration_used(self) -> Calibration | None:
        """The calibration set if a converter has used it, else None."""
        return self.__dict__.get("calibration")

    @cached_property
    def tuning(self) -> tuple[Reference, str]:
        """The Keras model on the samples of `tuning_samples`, and their split.

        Raises:
            ExportError: there are no such samples.
        """
        samples, split = tuning_samples(self.source, min(self.config.samples, self.config.search_samples))
        source = on_samples(self.source, samples)
        return Reference(source, lambda name: self.step(f"Keras on {split} samples, {name}")), split

    def search(self, quantizer: Quantizer, format: str, precision: str, path: Path) -> Costs:
        """Write a file with as many layers in int8 or float16 as the limits allow, and return the measured costs.

        Args:
            quantizer: writes the candidates.
            format: name of the format.
            precision: name of the precision.
            path: the file to write.

        Raises:
            ExportError: there are no samples, or the limits do not hold with a single layer in the small precision.
        """
        reference, split = self.tuning
        gates = gates_of(self.source.task, self.config.max_metric_drop, self.config.max_flips)
        trial = Trial(reference, split, format, precision, tightened(gates, MARGIN))
        keep, costs = Search(quantizer, trial, self.step).run()
        quantizer.write(path, keep)
        return costs


@dataclass(frozen=True)
class Format:
    """One converter."""

    name: str
    """Name on the command line and in the manifest."""
    suffix: str
    """Suffix of its files; empty for a folder."""
    precisions: tuple[str, ...]
    """Precisions that it can write."""
    tolerance: float
    """Largest allowed difference of its float32 file to Keras."""
    convert: Callable[[Job, str, Path], Costs | None]
    """Writes one file in a precision; returns the costs where a search chose the layers that stay in float."""
    ladder: tuple[str, ...] = ("float32",)
    """Its precisions from the smallest and fastest to float32."""
    float32: Callable[[Job], Path] | None = None
    """Writes the float32 file that the other precisions are made from, once in a job."""
    constants: Callable[[Path], list[Constant]] | None = None
    """Reads the constants of a file."""


def formats() -> dict[str, Format]:
    """Return every converter by the name of its format."""
    found = {}
    for package in pkgutil.iter_modules(importlib.import_module("export").__path__, "export."):
        if not package.name.startswith("export.to_"):
            continue
        for module in pkgutil.iter_modules(importlib.import_module(package.name).__path__, f"{package.name}."):
            if "_from_" in module.name:
                # tensorrt_from_onnx has no FORMAT: it is a program for the device, where an engine is built.
                format: Format | None = getattr(importlib.import_module(module.name), "FORMAT", None)
                if format is not None:
                    found[format.name] = format
    return found


def plan(names: Iterable[str], precisions: Iterable[str], *, ladder: bool = False) -> list[tuple[Format, list[str]]]:
    """Return each named format with those of the named precisions that it can write.

    Args:
        names: formats.
        precisions: precisions; for a ladder, an empty list means all.
        ladder: order them from the smallest to float32, which is always its last rung.

    Raises:
        ConfigError: an unknown format or precision, or nothing to write.
    """
    known = formats()
    names, precisions = list(dict.fromkeys(names)), list(dict.fromkeys(precisions))
    every = sorted({p for f in known.values() for p in f.precisions})
    hints = {"tensorrt": "export onnx; the device builds an engine from it: mmkeras build-engine BUNDLE"}
    problems = [
        f"format {name!r} is unknown; {hints.get(name) or nearest(name, known)}" for name in names if name not in known
    ]
    problems += [f"precision {p!r} is unknown; {nearest(p, every)}" for p in precisions if p not in every]
    if problems:
        raise ConfigError("\n".join(problems))
    if ladder:
        wanted = {*(precisions or every), "float32"}
        return [(known[name], [p for p in known[name].ladder if p in wanted]) for name in names]
    chosen = [(known[name], [p for p in precisions if p in known[name].precisions]) for name in names]
    chosen = [(format, found) for format, found in chosen if found]
    if not chosen:
        raise ConfigError(f"None of the formats {names} has any of the precisions {precisions}.")
    return chosen
