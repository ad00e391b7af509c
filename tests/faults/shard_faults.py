"""Shards that are damaged or deleted, before a training and in the middle of it."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from tests.faults.bench import Bench, check, line_with, message
from tests.faults.stages import launch

__all__ = ["SHARD_FAULTS"]


def _flipped(bench: Bench, accepted: int) -> str:
    """Flip a bit within a record: left out within the budget, else named with its offset."""
    stage = bench.place("training")
    shard = sorted((bench.folder / "data").glob("*/train-*.tfrecord"))[1]
    content = bytearray(shard.read_bytes())
    first = int.from_bytes(content[:8], "little") + 16
    content[first + 40] ^= 4
    shard.write_bytes(content)
    command = (*stage.command, "--data.max_bad_records", str(accepted))
    if not accepted:
        return bench.refused(command, f"damaged at byte {first} of the shard", shard.name)
    output = bench.accepted(command)
    _noted(bench, f"{shard.name}:{first}")
    return line_with(output, f"{shard.name}:{first}")


def _truncated(bench: Bench) -> str:
    stage = bench.place("training")
    shard = sorted((bench.folder / "data").glob("*/train-*.tfrecord"))[1]
    shard.write_bytes(shard.read_bytes()[:-100])
    return bench.refused(stage.command, "expected", shard.name)


def _while_training(bench: Bench, harm: Callable[[Path], None], goes_on: bool) -> str:
    """Harm a shard after the first checkpoint of a run that reads its shards in every pass."""
    stage = bench.place("training")
    shard = sorted((bench.folder / "data").glob("*/train-*.tfrecord"))[2]
    whole = shard.read_bytes()
    command = (*stage.command, "--data.cache", "none", "--train.steps_per_epoch", "300")
    process = launch(bench.folder, command, "log.txt")
    try:
        while process.poll() is None and not list(bench.folder.glob("runs/tiny/*/checkpoints/step-*")):
            time.sleep(0.05)
        harm(shard)
        status = process.wait(timeout=900)
    finally:
        process.kill()
        process.wait()
    output = (bench.folder / "log.txt").read_text("utf-8", errors="replace")
    if goes_on:
        check(status == 0, f"ended with status {status}: {output[-300:]}")
        _noted(bench, f"{shard.name}:")
        return line_with(output, f"{shard.name}:")
    said = message(status, output, "The state after step", shard.name)
    shard.write_bytes(whole)
    bench.accepted(command)
    return said


def _noted(bench: Bench, place: str) -> None:
    """Hold what was left out to run.json and metrics.json."""
    (run,) = bench.folder.glob("runs/tiny/latest/run.json")
    metrics = run.with_name("metrics.json")
    said = [json.loads(path.read_text("utf-8")) for path in (run, metrics)]
    for path, content in ((run, said[0]), (metrics, said[1]["provenance"])):
        noted = content.get("damaged_records", [])
        check(any(place in each for each in noted), f"{path.name} notes {noted}, not {place}")


def _cut(shard: Path) -> None:
    # In place, as a failing disk would do it.
    with shard.open("r+b") as file:
        file.truncate(shard.stat().st_size - 100)


SHARD_FAULTS: dict[str, Callable[[Bench], str]] = {
    "shard truncated": _truncated,
    "shard bit-flipped, within the budget": partial(_flipped, accepted=1),
    "shard bit-flipped, beyond the budget": partial(_flipped, accepted=0),
    "shard deleted during training": partial(_while_training, harm=Path.unlink, goes_on=False),
    "shard truncated during training": partial(_while_training, harm=_cut, goes_on=True),
}
"""Faults of shards, by name."""
