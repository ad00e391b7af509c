"""Converts shards: worker processes check and encode the rows, this process writes them.

Checking takes most of the time (every image is decoded). It needs no TensorFlow, so workers start in a fraction of a
second and stay small. Writing uses TensorFlow's record writer, because CRC-32C is slow in Python, and `Proof` decodes
the records once with the training decoder. Workers are fresh processes: TensorFlow does not survive a fork.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import inspect
from collections import deque
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any

from mmkeras.core.errors import DataError
from mmkeras.core.parallel import WorkerDied, WorkerPool
from mmkeras.data.encode import Encoded, Encoder, kind_of
from mmkeras.data.modules import records_of
from mmkeras.data.quarantine import BadRow
from mmkeras.data.shards import ShardReport, ShardWork, finished, write_shard
from mmkeras.data.sources import Sample
from mmkeras.tasks import TaskSpec

if TYPE_CHECKING:
    from mmkeras.core.console import Console

__all__ = ["Proof", "write_shards"]


class Proof:
    """Runs the training decoder over encoded rows, by the function ``proven`` of the modalities' records.

    Workers check values with Pillow, without TensorFlow. A value that only Pillow can decode would stop a training much
    later, with an error about the shard. Each distinct value is decoded once.
    """

    def __init__(self, modalities: Mapping[str, Any]) -> None:
        self._configs = dict(modalities)
        proven = {name: records_of(kind_of(config)).proven for name, config in modalities.items()}
        # Modules without the function have the protocol's default, a method, which changes nothing.
        self._proven = {name: each for name, each in proven.items() if inspect.isfunction(each)}
        self._replaced: dict[tuple[str, bytes], bytes | None] = {}

    def proven(self, rows: Sequence[Encoded | BadRow]) -> list[Encoded | BadRow]:
        """Return the rows with each value that the training decoder refuses replaced by one that it reads."""
        result = list(rows)
        for name, prove in self._proven.items():
            values = {
                at: (value, (name, hashlib.blake2b(value, digest_size=16).digest()))
                for at, row in enumerate(result)
                if isinstance(row, Encoded) and (value := row.values[name]) is not None
            }
            new = {key: value for value, key in values.values() if key not in self._replaced}
            for key, proven in zip(new, prove(self._configs[name], list(new.values())), strict=True):
                self._replaced[key] = None if proven == new[key] else proven
            for at, (_, key) in values.items():
                row, replaced = result[at], self._replaced[key]
                if replaced is not None and isinstance(row, Encoded):
                    result[at] = dataclasses.replace(row, values={**row.values, name: replaced})
        return result


CHUNK_ROWS = 128
"""Rows in one message to a worker and back."""
FEW_ROWS = 1000
"""Fewer rows than this are converted faster without worker processes."""

_encoder: Encoder | None = None


def write_shards(
    works: Sequence[ShardWork], modalities: Mapping[str, Any], task: TaskSpec, workers: int, console: Console | None
) -> Iterator[ShardReport]:
    """Write every missing shard, and yield all reports, first those of finished shards.

    Raises:
        DataError: a worker process died.
    """
    done = {work.file: report for work in works if (report := finished(work)) is not None}
    missing = [work for work in works if work.file not in done]
    with _progress(console, sum(len(work.samples) for work in works)) as advance:
        for report in done.values():
            advance(report.samples + len(report.bad))
            yield report
        chunks = _encoded(missing, modalities, task, workers)
        proof = Proof(modalities)
        with contextlib.closing(chunks):
            for work in missing:
                yield write_shard(work, _rows_of(work, chunks, proof, advance))


def _rows_of(
    work: ShardWork, chunks: Iterator[list[Encoded | BadRow]], proof: Proof, advance: Callable[[int], None]
) -> Iterator[Encoded | BadRow]:
    for _ in range(0, len(work.samples), CHUNK_ROWS):
        chunk = proof.proven(next(chunks))
        yield from chunk
        advance(len(chunk))


def _encoded(
    works: Sequence[ShardWork], modalities: Mapping[str, Any], task: TaskSpec, workers: int
) -> Generator[list[Encoded | BadRow], None, None]:
    """Encode all rows in order, in chunks; a chunk holds rows of one shard only."""
    chunks = [
        (work.samples[start : start + CHUNK_ROWS], work.split)
        for work in works
        for start in range(0, len(work.samples), CHUNK_ROWS)
    ]
    if workers <= 1 or sum(len(samples) for samples, _ in chunks) < FEW_ROWS:
        encoder = Encoder(modalities, task)
        for samples, split in chunks:
            yield encoder.encode(samples, split)
        return
    waiting: deque[Future[list[Encoded | BadRow]]] = deque()
    try:
        with WorkerPool(min(workers, len(chunks)), _start_worker, (dict(modalities), task)) as pool:
            for samples, split in chunks:
                waiting.append(pool.submit(_encode_in_worker, samples, split))
                if len(waiting) > 3 * workers:  # limits the results in memory
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
    except WorkerDied as error:
        raise DataError(
            f"A worker process died ({error}), perhaps for lack of memory. Finished shards are kept: run the same "
            "command again, with fewer data.workers if it happens again"
        ) from None


def _start_worker(modalities: Mapping[str, Any], task: TaskSpec) -> None:
    global _encoder
    _encoder = Encoder(modalities, task)


def _encode_in_worker(samples: Sequence[Sample], split: str) -> list[Encoded | BadRow]:
    if _encoder is None:
        raise RuntimeError("the worker was not started by _start_worker")
    return _encoder.encode(samples, split)


@contextlib.contextmanager
def _progress(console: Console | None, rows: int) -> Iterator[Callable[[int], None]]:
    """Show a progress bar, and yield the function that advances it by a number of rows; nothing without a console."""
    if console is None:
        yield lambda done: None
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

    from mmkeras.core.console import DescriptionColumn

    columns = (DescriptionColumn(), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console) as bar:
        task = bar.add_task("Converting rows", total=rows)
        yield lambda done: bar.advance(task, done)
