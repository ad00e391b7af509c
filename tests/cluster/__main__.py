"""One training on one, two and four processes: equal weights, speed, and what a death costs (make cluster).

    python -m tests.cluster                      # about 20 minutes on two cores, most of them waiting for starts
    python -m tests.cluster --only stop

    equality     final weights of easy-VQA's model, two and four workers and two devices against one process, in
                 float64; beside it two workers in float32
    efficiency   samples/s of two workers with a core each / twice those of one process with one core, and what is left
                 of two cores when each has a process of its own
    stop         seconds from a worker's death (killed, or silent) to the end of the other

Every training is a process of `pipelines.vqa`; results go to runs/cluster.json (schema:
mmkeras/schemas/cluster.schema.json).
"""

from __future__ import annotations

import argparse
import os
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from rich.table import Table

from mmkeras.core.console import Console, print_error
from mmkeras.core.errors import ConfigError, MmkerasError, TrainingError
from mmkeras.core.terminal import utf8_program
from mmkeras.storage.files import write_json
from mmkeras.training.cluster.launch import PEER_LOST
from tests.cluster.trained import largest_difference, samples_per_second, start_workers, train

__all__ = ["JUDGED", "figures", "main"]

_PARTS = ("equality", "efficiency", "stop")
_WORLDS = {
    "2 workers": ("--cluster.workers", "2"),
    "4 workers": ("--cluster.workers", "4"),
    "2 mirrored devices": ("--cluster.devices", "2"),
}
JUDGED = "float64"
"""The precision in which runs are held to the bar: a difference that is left in it is no rounding."""
_NAME = "vqa"
"""Of every run, whatever a configuration calls it: its folder is looked for."""
_PATIENCE = 300.0
"""Seconds until the first checkpoint."""
_QUICK = ("--skip_export", "--evaluate.bootstrap", "20", "--evaluate.pictures", "1")


@utf8_program
def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print the tables, write runs/cluster.json; return 0, 1 where a bar is missed, 2 for an error."""
    parser = argparse.ArgumentParser("python -m tests.cluster", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--only", nargs="+", choices=_PARTS, default=list(_PARTS), help="what to measure")
    parser.add_argument("--samples", type=int, default=2048, help="samples of each split (%(default)s)")
    parser.add_argument("--steps", type=int, default=60, help="training steps (%(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="turns of each side of the efficiency (%(default)s)")
    parser.add_argument("--batch", type=int, default=512, help="samples of a worker's batch there (%(default)s)")
    parser.add_argument("--worlds", nargs="+", choices=list(_WORLDS), default=list(_WORLDS), help="what is compared")
    parser.add_argument("--config", action="append", default=[], help="configuration of the vqa pipeline")
    parser.add_argument("--out", type=Path, default=Path("runs/cluster.json"), help="where to write (%(default)s)")
    parser.add_argument("--record", action="store_true", help="write the numbers into docs/results.json")
    given = parser.parse_args(arguments)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    console = Console()
    base = ["pipelines.vqa", *(part for file in given.config for part in ("--config", file)), *_QUICK]
    base += ["--name", _NAME, "--data.limit", str(given.samples), "--train.epochs", "2"]
    results: dict[str, Any] = {"schema_version": 1}
    try:
        _check_record(given)
        with tempfile.TemporaryDirectory() as temporary:
            folder = Path(temporary)
            if "equality" in given.only:
                results["equality"] = _equality(base, given.steps, given.worlds, folder, console)
            if "efficiency" in given.only:
                results["efficiency"] = _efficiency(base, given, folder, console)
            if "stop" in given.only:
                results["stop"] = _stop(base, folder, console)
    except MmkerasError as error:
        print_error(error)
        return 2
    except KeyboardInterrupt:
        return 130
    from mmkeras.training.environment import machine, package_versions

    write_json(given.out, {**results, "machine": {**machine(), "packages": package_versions()}})
    missed = _show(results, console)
    console.print(f"written to {given.out}")
    if given.record:
        from pipelines._stages.results import record

        for name, value in figures(results).items():
            record(name, value)
    return 1 if missed else 0


def figures(results: Mapping[str, Any]) -> dict[str, float]:
    """Return the numbers of docs/results.json that runs/cluster.json gives, by name."""
    worlds = results["equality"]["precisions"][JUDGED].values()
    return {
        "cluster.weights": max(each["largest_relative_difference"] for each in worlds),
        "cluster.efficiency": results["efficiency"]["efficiency"],
        "cluster.stop": max(results["stop"][name] for name in ("killed", "silent")),
    }


def _check_record(given: argparse.Namespace) -> None:
    """Refuse ``--record`` for less than what the numbers stand for."""
    whole = (given.only, given.worlds, given.config) == (list(_PARTS), list(_WORLDS), [])
    if given.record and not (whole and given.steps >= 60 and given.batch == 512):
        raise ConfigError("--record: the numbers stand for the default options; leave the others out")


def _equality(base: list[str], steps: int, worlds: Sequence[str], folder: Path, console: Console) -> dict[str, Any]:
    """Train the same in several ways and compare the weights; in float32, rounding decides at every corner of ReLU6."""

    def run(name: str, precision: str, *options: str) -> Path:
        where = folder / f"{name}-{precision}".replace(" ", "-")
        console.print(f"training: {name}, {precision}", style="dim", highlight=False)
        settings = ["--train.steps_per_epoch", str(steps // 2), "--train.precision", precision, "--runs", str(where)]
        train([*base, *settings, *options], folder / f"{where.name}.log")
        return where / _NAME / "latest"

    result: dict[str, Any] = {"steps": 2 * (steps // 2), "bar": 1e-5, "goal": 1e-6, "precisions": {}}
    for precision, compared in ((JUDGED, list(worlds)), ("float32", [each for each in worlds if each == "2 workers"])):
        if not compared:
            continue
        alone = run("1 process", precision)
        found = {}
        for world in compared:
            difference = largest_difference(alone, run(world, precision, *_WORLDS[world]))
            found[world] = {"largest_relative_difference": difference.relative, "layer": difference.layer}
        result["precisions"][precision] = found
    return result


def _efficiency(base: list[str], given: argparse.Namespace, folder: Path, console: Console) -> dict[str, Any]:
    """Time one process on one core, two workers, and two that know nothing of each other."""
    cores = sorted(os.sched_getaffinity(0))[:2]
    if len(cores) < 2:
        raise TrainingError("efficiency: needs two cores, this process may use one")
    settings = ["--train.steps_per_epoch", str(given.steps // 2), "--cluster.batch", "per_replica"]
    settings += ["--train.batch_size", str(given.batch)]

    def speed(name: str, used: Sequence[int], *options: str) -> float:
        runs = folder / name
        train([*base, *settings, "--runs", str(runs), *options], folder / f"{name}.log", used)
        return samples_per_second(runs / _NAME / "latest")

    sides: dict[str, list[float]] = {"one": [], "two": [], "apart": []}
    for turn in range(given.rounds):
        console.print(f"speed: turn {turn + 1} of {given.rounds}", style="dim", highlight=False)
        sides["one"].append(speed(f"one-{turn}", cores[:1]))
        sides["two"].append(speed(f"two-{turn}", cores, "--cluster.workers", "2", "--cluster.pin", "true"))
        with ThreadPoolExecutor(2) as both:
            alone = [both.submit(speed, f"apart-{turn}-{core}", [core]) for core in cores]
            sides["apart"].append(sum(each.result() for each in alone))
    medians = {name: statistics.median(figures) for name, figures in sides.items()}
    return {
        "efficiency": medians["two"] / (2 * medians["one"]),
        "machine": medians["apart"] / (2 * medians["one"]),
        "samples_per_second": {"1": medians["one"], "2": medians["two"]},
        "measured": {"1": sides["one"], "2": sides["two"], "apart": sides["apart"]},
        "batch_per_worker": given.batch,
        "bar": 0.85,
        "goal": 0.95,
    }


def _stop(base: list[str], folder: Path, console: Console) -> dict[str, Any]:
    """Kill or stop a worker in the middle of an epoch and wait for the other, which nothing else watches."""
    result: dict[str, Any] = {"bar": 60.0, "goal": 15.0}
    for name, number in (("killed", signal.SIGKILL), ("silent", signal.SIGSTOP)):
        console.print(f"death: {name}", style="dim", highlight=False)
        runs = folder / name
        settings = ["--runs", str(runs), "--train.steps_per_epoch", "100000", "--train.checkpoint_steps", "10"]
        logs = [folder / f"{name}-{rank}.log" for rank in range(2)]
        chief, other = workers = start_workers([*base, *settings], logs)
        try:
            deadline = time.monotonic() + _PATIENCE
            while not list(runs.glob(f"{_NAME}/*/checkpoints/step-*")):
                if time.monotonic() > deadline:
                    raise TrainingError(f"no checkpoint within {_PATIENCE:.0f} s:\n{logs[0].read_text()[-2000:]}")
                if any(worker.poll() is not None for worker in workers):
                    raise TrainingError(f"a worker ended before its death:\n{logs[0].read_text()[-2000:]}")
                time.sleep(0.05)
            other.send_signal(number)
            began = time.monotonic()
            status = chief.wait(timeout=300)
            result[name] = time.monotonic() - began
            if status != PEER_LOST:
                raise TrainingError(
                    f"expected status {PEER_LOST} after a death, got {status}:\n{logs[0].read_text()[-2000:]}"
                )
        finally:
            for worker in workers:
                worker.kill()
                worker.wait()
    return result


def _show(results: dict[str, Any], console: Console) -> bool:
    """Print what was measured; return whether a bar was missed."""
    table = Table(title="One training on several processes", title_justify="left")
    for heading in ("what", "measured", "bar", "goal"):
        table.add_column(heading, justify="left" if heading == "what" else "right")
    missed = False
    if equality := results.get("equality"):
        for precision, worlds in equality["precisions"].items():
            for world, found in worlds.items():
                value, judged = found["largest_relative_difference"], precision == JUDGED
                missed |= judged and value > equality["bar"]
                limits = (f"{equality['bar']:g}", f"{equality['goal']:g}") if judged else ("", "")
                what = f"weights after {equality['steps']} steps, {world} / 1 process, {precision}"
                table.add_row(what, f"{value:.1e}", *limits)
    if speed := results.get("efficiency"):
        missed |= speed["efficiency"] < speed["bar"]
        one, two = speed["samples_per_second"]["1"], speed["samples_per_second"]["2"]
        measured = f"{speed['efficiency']:.2f} ({two:.0f} / 2 x {one:.0f} samples/s)"
        table.add_row("efficiency of two workers, a core each", measured, f"{speed['bar']:g}", f"{speed['goal']:g}")
        table.add_row("the same of two processes that know nothing of each other", f"{speed['machine']:.2f}")
    if stop := results.get("stop"):
        for name in ("killed", "silent"):
            missed |= stop[name] > stop["bar"]
            table.add_row(
                f"a worker {name}: the other ends", f"{stop[name]:.1f} s", f"{stop['bar']:g} s", f"{stop['goal']:g} s"
            )
    console.print(table)
    return missed


if __name__ == "__main__":
    sys.exit(main())
