"""Walk-forward evaluation: a model is trained on the past of each block of days and answers its days.

The last block is the test split of the run, answered by the run's own model.
"""

from __future__ import annotations

import dataclasses
import datetime
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mmkeras.core.components import Choice, find
from mmkeras.core.console import Console
from mmkeras.core.errors import ConfigError, TrainingError
from mmkeras.data.sources._market import Day, MarketSource
from mmkeras.data.sources._prices import Read
from mmkeras.evaluation.intervals import Bootstrap
from mmkeras.evaluation.predict import predict
from mmkeras.evaluation.samples import Samples
from pipelines._stages.again import asked_for, train_again
from pipelines._stages.by_scene import ANSWERS, read_answers, write_answers

if TYPE_CHECKING:
    from mmkeras.core.config import RunConfig
    from mmkeras.training.run import Run
    from pipelines._stages.contract import Evaluated

__all__ = ["Block", "WalkConfig", "check_walk", "market_source", "scores", "walk_forward"]

_AGREE = 0.01
"""Largest difference of the MCC on the test split between training's and the device's preprocessing."""


@dataclass(frozen=True)
class WalkConfig:
    """Blocks of days before the test split, each answered by a model that is trained on the days before it."""

    starts: tuple[str, ...] = ()
    """First day of each block, which ends where the next one starts, the last one at the test split; empty: none."""
    validation_days: int = 60
    """Calendar days before a block that are its validation split."""


@dataclass(frozen=True)
class Block:
    """Days of the test split of one model, with its answers."""

    start: str
    until: str
    """First day after the block; empty at the end of the data."""
    trained_on: int
    """Labelled days before the validation split."""
    days: list[Day]
    rise: np.ndarray
    """float64 (N,): probability of a rise on each day."""
    labelled: np.ndarray
    """bool (N,)."""
    targets: np.ndarray
    """int32 (N,): encoded, also of days without a label, by the sign of their movement."""
    outputs: dict[str, np.ndarray]
    """Of the model."""


def market_source(config: RunConfig) -> MarketSource | None:
    """Return the source of stock prices of a configuration; None for another one, such as a table."""
    source = find("data.sources", config.data.source.name).Source
    return source(**config.data.source.options) if issubclass(source, MarketSource) else None


def check_walk(config: RunConfig, walk: WalkConfig) -> None:
    """Refuse blocks that are not in order before the test split.

    Raises:
        ConfigError: dates that are not in order, or blocks of a source without dates.
    """
    source = market_source(config)
    if not walk.starts:
        return
    if source is None:
        raise ConfigError(f"walk.starts: the source {config.data.source.name!r} has no dates; leave the blocks out")
    dates = [*walk.starts, source.test_from]
    if not source.test_from or dates != sorted(set(dates)):
        raise ConfigError(f"walk.starts: expected dates in order before the test split, got {', '.join(dates)}")


def walk_forward(done: Evaluated, walk: WalkConfig) -> list[Block]:
    """Train and answer every block in order; the last one is the test split of the run.

    Finished blocks of an interrupted run are not trained again.

    Raises:
        TrainingError: the run's model answers the test split otherwise than it was evaluated.
    """
    source = market_source(done.config)
    if source is None:
        return []
    read = source.loaded()
    ends = [*walk.starts[1:], source.test_from] if walk.starts else []
    blocks = []
    for start, until in zip(walk.starts, ends, strict=True):
        past = datetime.date.fromisoformat(start) - datetime.timedelta(days=walk.validation_days)
        dated = dataclasses.replace(source, validation_from=past.isoformat(), test_from=start, until=until)
        done.console.print(f"block {start} to {until}: training on the days before {dated.validation_from}")
        blocks.append(_block(done, dated, read, done.run.folder / "walk" / start))
    last = _answered(source, read, done.run, done.model)
    _check_equal(done, last)
    return [*blocks, last]


def _block(done: Evaluated, source: MarketSource, read: Read, folder: Path) -> Block:
    from mmkeras.training.run import Run

    if (folder / ANSWERS).is_file():
        return _answered(source, read, Run.open(folder), None, folder / ANSWERS)
    # Statistics and vocabulary of this block's past, not those of the run, which knows later days.
    asked = asked_for(done)
    dates = {name: getattr(source, name) for name in ("validation_from", "test_from", "until")}
    options = {**asked.data.source.options, **dates}
    data = dataclasses.replace(asked.data, source=Choice(asked.data.source.name, options))
    run = train_again(dataclasses.replace(asked, data=data), folder, Console(quiet=True))
    block = _answered(source, read, run, run.model())
    write_answers(folder / ANSWERS, {"both": block.outputs})  # marks the block as finished
    return block


def _answered(source: MarketSource, read: Read, run: Run, model: Any, kept: Path | None = None) -> Block:
    """Answer every day of a source's test split, as a device would."""
    every = source.days(read)
    days = [day for day in every if day.sample.split == "test"]
    targets = np.array([run.task.encode(day.sample.target) for day in days], np.int32)
    if kept is None:
        rows = [
            {
                name: value
                for modality, spec in run.specs.items()
                for name, value in _inputs(spec, day, modality).items()
            }
            for day in days
        ]
        inputs = {name: np.stack([row[name] for row in rows]) for name in rows[0]}
        samples = Samples(inputs, targets, np.ones(len(days), np.float32))
        outputs = predict(model, samples, run.specs, batch_size=256)
    else:
        outputs = read_answers(kept)["both"]
    rise = outputs["probabilities"][:, list(run.task.label_names).index("rise")].astype(np.float64)
    labelled = np.array([day.labelled for day in days])
    trained = sum(day.labelled and day.sample.split == "train" for day in every)
    return Block(source.test_from, source.until, trained, days, rise, labelled, targets, outputs)


def _inputs(spec: Any, day: Day, modality: str) -> dict[str, np.ndarray]:
    found: dict[str, np.ndarray] = spec.inputs(day.sample.values.get(modality))
    return found


def _check_equal(done: Evaluated, block: Block) -> None:
    """Check that the answers on all days are those that were evaluated, on the days of the test split."""
    kept = set(done.samples.keys)
    same = np.array([day.labelled and day.sample.key in kept for day in block.days])
    task = done.run.task
    found = task.score(block.targets[same], {name: value[same] for name, value in block.outputs.items()})["mcc"]
    outputs = predict(done.model, done.samples, done.run.specs, batch_size=256)
    expected = task.score(done.samples.targets, outputs)["mcc"]
    if same.sum() != len(done.samples) or abs(found - expected) > _AGREE:
        raise TrainingError(
            f"walk forward: expected the {len(done.samples)} evaluated samples with MCC {expected:.4f} among the "
            f"days of the test split, got {same.sum()} with {found:.4f}. Convert the data again"
        )


def scores(task: Any, blocks: list[Block], bootstrap: Bootstrap) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Return MCC and accuracy of each block and of all, with intervals by a bootstrap of days."""

    def scored(several: list[Block]) -> dict[str, Any]:
        days = [day for block in several for day, used in zip(block.days, block.labelled, strict=True) if used]
        targets = np.concatenate([block.targets[block.labelled] for block in several])
        outputs = {
            name: np.concatenate([block.outputs[name][block.labelled] for block in several])
            for name in several[0].outputs
        }
        groups = np.unique([day.date for day in days], return_inverse=True)[1]
        draws = bootstrap.score(task, task.evidence(targets, outputs), None, groups, only=("mcc", "accuracy"))
        found = {name: interval.to_json() for name, interval in draws.intervals().items()}
        return {"samples": len(days), "days": int(groups.max()) + 1, **found}

    each = [
        {"start": block.start, "until": block.until, "trained_on": block.trained_on, **scored([block])}
        for block in blocks
    ]
    return each, scored(blocks)
