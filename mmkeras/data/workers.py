"""Converts shards: worker processes check and encode the rows, this process writes them.

Checking takes most of the time (every image is decoded) and needs no TensorFlow: a worker starts in a fraction of a
second and stays small. Writing needs TensorFlow's record writer, because the CRC-32C of a TFRecord is slow in Python,
and the records are decoded once by the training decoder (`proof`); this process imports TensorFlow once, as training
will anyway. Workers are fresh processes: TensorFlow does not survive a fork.
"""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any

from mmkeras.core.errors import DataError
from mmkeras.core.parallel import WorkerDied, WorkerPool
from mmkeras.data.encode import Encoded, Encoder
from mmkeras.data.proof import Proof
from mmkeras.data.quarantine import BadRow
from mmkeras.data.shards import ShardReport, ShardWork, finished, write_shard
from mmkeras.data.sources import Sample
from mmkeras.tasks import TaskSpec

if TYPE_CHECKING:
    from mmkeras.core.console import Console

__all__ = ["write_shards"]


CHUNK_ROWS = 128
"""Rows in one message to a worker and back."""
FEW_ROWS = 1000
"""Fewer rows than this are not worth starting processes."""

_encoder: Encoder | None = None


def write_shards(
    works: Sequence[ShardWork],
    modalities: Mapping[str, Any],
    task: TaskSpec,
    workers: int,
    console: Console | None,
) -> Iterator[ShardReport]:
    """Write every missing shard, and yield all reports, those of finished shards first.

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
    """Encode all rows in order, a chunk at a time; no chunk holds rows of two shards."""
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
                if len(waiting) > 3 * workers:  # workers must not run ahead and fill the memory
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
    except WorkerDied as error:
        raise DataError(
            f"A worker process died ({error}), perhaps for lack of memory. Finished shards are kept: run the same "
            "again, with fewer data.workers if it repeats"
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
    """Show a bar over rows and give the function that moves it on; nothing is shown without a console."""
    if console is None:
        yield lambda done: None
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

    from mmkeras.core.console import DescriptionColumn

    columns = (DescriptionColumn(), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console) as bar:
        task = bar.add_task("Converting rows", total=rows)
        yield lambda done: bar.advance(task, done)
