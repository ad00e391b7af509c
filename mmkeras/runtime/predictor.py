"""Predictions from raw inputs: preprocessing on the host, one engine, and the task's decoding."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mmkeras.bundle import Bundle, ExportedFile
from mmkeras.core.errors import BundleError, ConfigError, DataError, DependencyError, nearest
from mmkeras.runtime.rows import Reader, answers_for
from mmkeras.runtime.runner import RunnerBase, runners
from mmkeras.runtime.tensorrt.engines import EngineFile, engine_files
from mmkeras.runtime.words import WordInputs, answer_words
from mmkeras.tasks._words import WordTask

__all__ = ["PRECISIONS", "Predictor", "candidates", "choose", "open_runner", "why_not_run"]

PRECISIONS = ("float32", "float16", "int8-weights", "int8-dynamic", "int8", "int8-full")
"""Precisions in order of preference; all others come last."""


def candidates(bundle: Bundle) -> tuple[ExportedFile, ...]:
    """Return every file of a bundle, and the TensorRT engines built from it on this machine."""
    return (*bundle.files, *engine_files(bundle))


def why_not_run(bundle: Bundle, file: ExportedFile) -> str:
    """Return why a file cannot be run on this machine, whether accepted or not; empty if it can."""
    engine = runners().get(file.format)
    if engine is None:
        return "no device runs this format"
    if not isinstance(file, EngineFile) and not bundle.holds(file):
        return "left out when the bundle was packed"
    return str(engine.missing())


def choose(bundle: Bundle, format: str | None = None, precision: str | None = None) -> ExportedFile:
    """Choose the file to run: the requested one, or the best one whose engine is installed.

    The best file has the most exact precision; for one precision LiteRT comes before ONNX Runtime. A rejected file is
    never chosen.

    Args:
        bundle: the opened bundle.
        format: ``tflite``, ``onnx`` or ``tensorrt``; by default any.
        precision: one of `PRECISIONS`; by default any.

    Raises:
        ConfigError: the bundle has no such file; the message lists its files.
        BundleError: the requested file was rejected, or every file was.
        DependencyError: the engine is not installed; the message names the extra.
    """
    engines = runners()
    here = (file for file in candidates(bundle) if isinstance(file, EngineFile) or bundle.holds(file))
    edge = [file for file in here if file.format in engines]
    requested = [f for f in edge if format in (None, f.format) and precision in (None, f.precision)]
    if not requested:
        listing = ", ".join(f"{f.format} {f.precision}" + ("" if f.accepted else " (rejected)") for f in edge)
        wanted = " ".join(part for part in (format, precision) if part) or "edge file"
        formats, precisions = {f.format for f in edge}, {f.precision for f in edge}
        hint = ""
        if format is not None and format not in formats:
            hint = nearest(format, formats) + ". "
        elif precision is not None and precision not in precisions:
            hint = nearest(precision, precisions) + ". "
        raise ConfigError(
            f"{bundle.place} has no {wanted} to run here; {hint}"
            f"It has: {listing or 'no edge files'}. Export missing files with python -m export."
        )
    accepted = [file for file in requested if file.accepted]
    if not accepted:
        reasons = "; ".join(f"{f.format} {f.precision}: {f.reason or 'no reason given'}" for f in requested)
        raise BundleError(f"{bundle.place}: rejected, so it is not run: {reasons}")
    installed = [file for file in accepted if engines[file.format].available()]
    if not installed:
        engine = min((engines[file.format] for file in accepted), key=lambda engine: engine.rank)
        files = ", ".join(f"{file.format} {file.precision}" for file in accepted)
        raise DependencyError(f"{engine.missing().rstrip('.')}. No other engine can run {files} here.")
    order = {precision: rank for rank, precision in enumerate(PRECISIONS)}
    return min(installed, key=lambda f: (order.get(f.precision, len(order)), engines[f.format].rank))


def open_runner(bundle: Bundle, file: ExportedFile, *, threads: int = 1, device: str = "cpu") -> RunnerBase:
    """Check a file's hash, load it and compare its inputs and outputs with the manifest.

    Raises:
        BundleError: the file is altered, cannot be loaded, or has other inputs or outputs than the manifest.
        ConfigError: the engine does not have the device.
        DependencyError: the engine is not installed.
    """
    cls = runners()[file.format]
    path = file.place if isinstance(file, EngineFile) else bundle.load(file.path, file.sha256)
    runner: RunnerBase = cls(path, threads=threads, device=cls.device_for(device))
    runner.activate()
    expected = {tensor.name: tensor for tensor in bundle.inputs}
    given = {tensor.name: tensor for tensor in runner.inputs}
    problems = [
        f"input {name}: expected {expected.get(name, 'none')}, got {given.get(name, 'none')}"
        for name in sorted(expected.keys() | given.keys())
        if expected.get(name) != given.get(name)
    ]
    missing = [tensor.name for tensor in bundle.task.outputs if tensor.name not in runner.outputs]
    problems += [f"output {name}: missing, got {', '.join(runner.outputs)}" for name in missing]
    if problems:
        runner.deactivate()
        raise BundleError(f"{file.path} does not match the manifest: {'; '.join(problems)}. Export it again.")
    return runner


class Predictor:
    """A loaded model that predicts from raw inputs, and a context manager.

    It is safe to use from several threads. Preprocessing runs in parallel, and so does ONNX Runtime on ``cpu`` and
    ``cuda``; LiteRT and TensorRT hold the tensors of a call and run one call at a time. ``threads`` makes one call
    faster. One Predictor per thread runs calls in parallel and takes the engine's memory once per thread.

    Example:
        >>> with Predictor("saved_models/vqa/1") as predictor:
        ...     predictor.predict(image="a.png", text="what shape is it?")["label"]
    """

    def __init__(
        self,
        bundle: Bundle | str | Path,
        format: str | None = None,
        precision: str | None = None,
        *,
        threads: int = 1,
        device: str = "cpu",
        key: str | Path | None = None,
    ) -> None:
        """Open the bundle and load one file.

        Args:
            bundle: an opened bundle, its folder, or a packed bundle (``.mmk``).
            format: see `choose`.
            precision: see `choose`.
            threads: threads of one inference.
            device: ``cpu``; ONNX Runtime also takes ``cuda`` and ``tensorrt``.
            key: file with an Ed25519 public key (PEM) that a packed bundle must be signed with.

        Raises:
            BundleError: no bundle, an altered or incompatible one, or a rejected file.
            ConfigError: the bundle has no such file.
            DependencyError: the engine is not installed.
        """
        self._owned = not isinstance(bundle, Bundle)
        self.bundle = bundle if isinstance(bundle, Bundle) else Bundle.open(bundle, key)
        self.file = choose(self.bundle, format, precision)
        self.runner = open_runner(self.bundle, self.file, threads=threads, device=device)

    @property
    def description(self) -> str:
        """Bundle, file, format, precision and engine, for messages."""
        file = self.file
        return f"{self.bundle.place}: {file.path} ({file.format} {file.precision}, {self.runner.engine})"

    def preprocess(self, values: Mapping[str, Any]) -> dict[str, np.ndarray]:
        """Convert one sample's raw values into model inputs with a batch dimension of 1.

        Args:
            values: raw value by modality; a modality without a value, or with ``None``, is missing.

        Raises:
            ConfigError: an unknown modality.
            DataError: no value for any modality, or a value that cannot be used.
        """
        specs = self.bundle.specs
        for name in values:
            if name not in specs:
                raise ConfigError(f"This model has no modality {name!r}; {nearest(name, specs)}")
        if all(values.get(name) is None for name in specs):
            raise DataError(f"Nothing to predict from: give at least one of {', '.join(specs)}.")
        inputs = {
            name: np.asarray(array)[None]
            for spec in specs.values()
            for name, array in spec.inputs(values.get(spec.name)).items()
        }
        return WordInputs(inputs, values) if isinstance(self.bundle.task, WordTask) else inputs

    def predict(self, rows: Any = None, /, **values: Any) -> Any:
        """Predict for one sample, or for the rows of a table.

        Args:
            rows: a row of the table that the model was trained on (cells by column; a column that it lacks is empty),
                a list of rows, or a DataFrame. Cells that hold paths start from the working folder.
            **values: in place of rows, raw value by modality, such as ``image="a.png", text="what shape is it?"``: a
                path, bytes, a Pillow image, an array, a text, cells by column, as the modality takes them.

        Returns:
            The task's answer, ready for JSON; for classification ``{"label", "confidence", "top"}``. For a list, a list
            of answers; for a DataFrame, a DataFrame of answers with the same index.

        Raises:
            ConfigError, DataError: as for `preprocess`; the message names the row.
        """
        if rows is None:
            return self.answers([self.preprocess(values)])[0]
        if values:
            raise ConfigError(f"predict: expected rows or values by modality, got rows and {', '.join(values)}")
        reader = Reader(self.bundle.specs, self.bundle.manifest.columns)
        return answers_for(rows, lambda row: self.preprocess(reader.row(row)), self.answers)

    def predict_batch(self, samples: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """Predict for several samples in one call; each holds raw values by modality.

        Raises:
            ConfigError, DataError: as for `preprocess`; the message names the sample.
        """
        if isinstance(samples, Mapping):
            raise ConfigError("predict_batch: expected a list of samples, got one; give [sample], or predict(**sample)")
        inputs = []
        for index, sample in enumerate(samples):
            if not isinstance(sample, Mapping):
                got = type(sample).__name__
                raise DataError(f"Sample {index}: expected raw values by modality, such as {{'text': ...}}, got {got}")
            try:
                inputs.append(self.preprocess(sample))
            except (ConfigError, DataError) as error:
                raise type(error)(f"Sample {index}: {error}") from error
        return self.answers(inputs)

    def answers(self, inputs: Sequence[Mapping[str, np.ndarray]]) -> list[dict[str, Any]]:
        """Return the answers to several samples, each from `preprocess`, in one call of the engine."""
        if not inputs:
            return []
        batch = {name: np.concatenate([item[name] for item in inputs]) for name in inputs[0]}
        outputs = self.runner.infer(batch)
        if isinstance(self.bundle.task, WordTask):
            return answer_words(self.bundle.task, self.bundle.specs, inputs, outputs, self.runner.infer)
        return self.bundle.task.decode(outputs)

    def close(self) -> None:
        """Release the engine, and the bundle if this object opened it."""
        self.runner.deactivate()
        if self._owned:
            self.bundle.close()

    def __enter__(self) -> Predictor:
        return self

    def __exit__(self, *problem: object) -> None:
        self.close()
