"""Speed as ratios, each measured in one run on one machine: python -m tests.bench (make bench).

    fit_step      a training step through the pipeline / a bare loop over Keras' compiled step with a batch in memory
    predict       mmkeras predict in-process / host preprocessing and the raw interpreter call
    first_answer  process start to the first answer from LiteRT / process start to `import tensorflow` done

Both sides of a ratio take turns, so that a noisy machine disturbs them alike. Medians and interquartile ranges go to
runs/bench.json (schema: mmkeras/schemas/bench.schema.json); ``--record`` writes the ratios into docs/results.json.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from rich.table import Table

from mmkeras.core.command_line import parse
from mmkeras.core.console import Console, print_error
from mmkeras.core.errors import ConfigError, MmkerasError
from mmkeras.core.terminal import utf8_program
from mmkeras.storage.files import write_json
from pipelines.vqa import VqaConfig

__all__ = ["compare", "main"]

_BARS = {"fit_step": (1.05, 1.0), "predict": (1.05, 1.0), "first_answer": (0.5, 0.2)}
_ROUNDS = 9


def compare(ours: Callable[[], float], baseline: Callable[[], float], rounds: int, unit: str) -> dict[str, Any]:
    """Let two measurements take turns.

    Args:
        ours: measures our side once and returns the figure.
        baseline: the same for the other side.
        rounds: turns of each, after one that does not count.
        unit: of the figures.

    Returns:
        ``ratio`` of the medians, and ``median``, ``spread`` (interquartile range) and ``unit`` of each side.
    """
    sides: dict[str, list[float]] = {"ours": [], "baseline": []}
    for turn in range(rounds + 1):
        for name, measure in (("ours", ours), ("baseline", baseline)):
            figure = measure()
            if turn:
                sides[name].append(figure)
    result: dict[str, Any] = {
        "ratio": statistics.median(sides["ours"]) / statistics.median(sides["baseline"]),
        "rounds": rounds,
    }
    for name, figures in sides.items():
        quarters = statistics.quantiles(figures, n=4)
        result[name] = {"median": statistics.median(figures), "spread": quarters[2] - quarters[0], "unit": unit}
    return result


@utf8_program
def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print the table, write runs/bench.json; return 0, or 2 when something could not be measured."""
    parser = argparse.ArgumentParser("python -m tests.bench", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--only", nargs="+", choices=sorted(_BARS), default=list(_BARS), help="ratios to measure")
    parser.add_argument("--rounds", type=int, default=_ROUNDS, help="turns of each side (%(default)s)")
    parser.add_argument("--out", type=Path, default=Path("runs/bench.json"), help="where to write (%(default)s)")
    parser.add_argument("--record", action="store_true", help="write the ratios into docs/results.json")
    given = parser.parse_args(arguments)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    console = Console()
    try:
        if given.record and given.rounds < _ROUNDS:
            raise ConfigError(f"--record: the ratios stand for {_ROUNDS} turns or more; leave out --rounds")
        config, _ = parse(
            VqaConfig,
            [],
            program="bench",
            description="",
            defaults=Path(__file__).resolve().parents[2] / "pipelines" / "configs" / "vqa.toml",
        )
        results = _measure(config, given.only, given.rounds, console)
    except MmkerasError as error:
        print_error(error)
        return 2
    from mmkeras.training.environment import machine, package_versions

    write_json(given.out, {**results, "machine": {**machine(), "packages": package_versions()}})
    _show(results, console)
    console.print(f"written to {given.out}")
    if given.record:
        from pipelines._stages.results import record

        for name, result in results.items():
            record(f"bench.{name}", result["ratio"])
    return 0


def _measure(config: VqaConfig, only: Sequence[str], rounds: int, console: Console) -> dict[str, Any]:
    from mmkeras.data.convert import convert
    from mmkeras.model import build_model, modality_specs, specs_before_data, task_config, task_spec
    from mmkeras.training.environment import prepare
    from mmkeras.training.resolve import resolve
    from mmkeras.training.run import Run

    index = convert(config.data, specs_before_data(config.model), task_config(config.model), console)
    decided = prepare(config.train)
    results = {}
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary, "run")
        folder.mkdir()
        config = resolve(config, index, folder)
        run = Run.create(folder, config, modality_specs(config.model), task_spec(config.model), index, decided)
        model = build_model(config.model)
        if "predict" in only or "first_answer" in only:
            from mmkeras.bundle import Bundle

            bundle = Bundle.open(_export(run, model, temporary, console))
            if "first_answer" in only:
                results["first_answer"] = _first_answer(bundle, rounds)
            if "predict" in only:
                results["predict"] = _predict(bundle, rounds)
        if "fit_step" in only:
            results["fit_step"] = _fit_step(model, run, config, index, rounds)
    return {name: {**results[name], "bar": _BARS[name][0], "goal": _BARS[name][1]} for name in _BARS if name in results}


def _export(run: Any, model: Any, folder: str, console: Console) -> Path:
    """Export the untrained model: what it answers does not matter for how long it takes."""
    from export.run import export_source
    from export.source import source_from_run
    from mmkeras.core.config import ExportConfig

    config = ExportConfig(
        folder=str(Path(folder, "saved_models")), formats=("tflite",), precisions=("float32",), samples=16
    )
    report = export_source(source_from_run(run, config.samples, model), config, console=console)
    return Path(report.folder)


def _fit_step(model: Any, run: Any, config: VqaConfig, index: Any, rounds: int, steps: int = 30) -> dict[str, Any]:
    import keras
    import tensorflow as tf

    from mmkeras.core.modalities import modality_configs
    from mmkeras.data.dataset import train_dataset
    from mmkeras.training.checkpoints import Checkpoints
    from mmkeras.training.compiling import compile_model
    from mmkeras.training.input_clock import InputClock
    from mmkeras.training.interrupts import Interrupts
    from mmkeras.training.progress import TerminalProgress
    from mmkeras.training.stages import stages_of
    from mmkeras.training.tensorboard import Monitor

    (stage,) = stages_of(config, run, index)
    compile_model(model, stage, 10_000, jit_compile=run.provenance["decided"]["jit_compile"])
    configs = modality_configs(config.model)
    size = config.train.batch_size
    data = train_dataset(
        index, run.specs, configs, run.task, batch_size=size, seed=0, modality_dropout=config.train.modality_dropout
    )
    batch = tf.nest.map_structure(lambda t: tf.constant(t.numpy()), next(iter(data)))
    in_memory = iter(tf.data.Dataset.from_tensors(batch).repeat())
    clock = InputClock()
    watched = clock.watch(data)

    class Stamp(keras.callbacks.Callback):
        """When the steps ended, without the first two, which fill the pipeline."""

        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            if batch == 1:
                self.began = time.perf_counter()
            self.ended = time.perf_counter()

    def ours() -> float:
        stamp = Stamp()
        callbacks = [
            Monitor(run.folder, config, clock),
            Checkpoints(run.folder, "val_accuracy", 1),
            TerminalProgress(Console(quiet=True), 1, steps),
            Interrupts(),
            stamp,
        ]
        model.fit(watched, steps_per_epoch=steps + 2, callbacks=callbacks, shuffle=False, verbose=0)
        return (stamp.ended - stamp.began) / steps * 1e3

    def bare() -> float:
        model.make_train_function()
        for _ in range(2):
            model.train_function(in_memory)
        began = time.perf_counter()
        for _ in range(steps):
            logs = model.train_function(in_memory)
        float(next(iter(logs.values())))
        return (time.perf_counter() - began) / steps * 1e3

    return compare(ours, bare, rounds, "ms/step")


def _predict(bundle: Any, rounds: int) -> dict[str, Any]:
    from ai_edge_litert.interpreter import Interpreter

    from mmkeras.runtime.predictor import Predictor

    raw = bundle.golden_raw()
    predictor = Predictor(bundle, format="tflite", precision="float32")
    interpreter = Interpreter(str(bundle.folder / predictor.file.path), num_threads=1)
    signature = interpreter.get_signature_runner()

    def ours() -> float:
        began = time.perf_counter()
        for values in raw * 20:
            predictor.predict(**values)
        return (time.perf_counter() - began) / (20 * len(raw)) * 1e3

    def bare() -> float:
        began = time.perf_counter()
        for values in raw * 20:
            tensors: dict[str, Any] = {}
            for name, spec in bundle.specs.items():
                tensors |= spec.inputs(values[name])
            signature(**{name: value[None] for name, value in tensors.items()})
        return (time.perf_counter() - began) / (20 * len(raw)) * 1e3

    return compare(ours, bare, rounds, "ms/answer")


def _first_answer(bundle: Any, rounds: int) -> dict[str, Any]:
    values = next(iter(bundle.golden_raw()))
    options = [part for name, value in values.items() for part in (f"--{name}", str(value))]

    def seconds(*command: str) -> float:
        began = time.perf_counter()
        subprocess.run([sys.executable, *command], check=True, capture_output=True)
        return time.perf_counter() - began

    return compare(
        lambda: seconds("-m", "mmkeras", "predict", str(bundle.folder), "--format", "tflite", *options),
        lambda: seconds("-c", "import tensorflow"),
        min(rounds, 5),
        "s",
    )


def _show(results: dict[str, Any], console: Console) -> None:
    table = Table("ratio", "ours", "baseline", "value", "bar", "goal", title="Speed, as ratios of medians")
    for name, result in results.items():
        sides = [
            f"{result[side]['median']:.3f} ± {result[side]['spread'] / 2:.3f} {result[side]['unit']}"
            for side in ("ours", "baseline")
        ]
        table.add_row(name, *sides, f"{result['ratio']:.3f}", f"{result['bar']:.2f}", f"{result['goal']:.2f}")
    console.print(table)


if __name__ == "__main__":
    sys.exit(main())
