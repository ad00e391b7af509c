"""Time of a search among 100,000 vectors, beyond the tower that makes the vector of the question.

    python -m tests.bench.search --record

The vectors are drawn like those of a trained tower: 86 % of their square length is in 32 principal axes (84 % and 89 %
in the towers of Flickr8k). Random vectors without any structure, which the search cannot rule out, are printed beside
them. One thread.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Sequence

from mmkeras.core.terminal import utf8_program

__all__ = ["main"]


@utf8_program
def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print; return 0, or 2 where the number cannot be recorded."""
    parser = argparse.ArgumentParser("python -m tests.bench.search", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--entries", type=int, default=100_000, help="vectors (%(default)s)")
    parser.add_argument("--size", type=int, default=512, help="numbers in a vector (%(default)s)")
    parser.add_argument("--queries", type=int, default=200, help="searches (%(default)s)")
    parser.add_argument("--record", action="store_true", help="write the number into docs/results.json")
    given = parser.parse_args(arguments)
    for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[name] = "1"  # before numpy is imported

    from mmkeras.core.console import Console, print_error
    from mmkeras.core.errors import ConfigError, MmkerasError
    from pipelines._stages.results import record

    console = Console()
    try:
        if given.record and (given.entries, given.size) != (100_000, 512):
            raise ConfigError("--record: expected 100,000 vectors of 512 numbers; leave out --entries and --size")
        found = {name: _median(given.entries, given.size, given.queries, name) for name in ("random", "structured")}
        for name, (median, worst, candidates) in found.items():
            console.print(
                f"{name} vectors: median {median:.2f} ms, 95th percentile {worst:.2f} ms; {candidates:.1%} of the "
                "entries compared whole",
                highlight=False,
            )
        if given.record:
            result = record("matching.search_ms", found["structured"][0])
            console.print(f"recorded matching.search_ms: {result.value:.2f} (bar {result.bar:g}, goal {result.goal:g})")
    except MmkerasError as error:
        print_error(error)
        return 2
    return 0


def _median(entries: int, size: int, queries: int, name: str) -> tuple[float, float, float]:
    """Return the median and 95th percentile in ms, and the share of the vectors that were compared whole."""
    import numpy as np

    from mmkeras.runtime.shelf.nearest import Nearest
    from mmkeras.tasks.matching.recall import unit

    rng = np.random.default_rng(0)
    scale = np.ones(size) if name == "random" else 0.97 ** np.arange(size)
    vectors, asked = (unit(rng.normal(size=(count, size)).astype("float32") * scale) for count in (entries, queries))
    nearest = Nearest(vectors)
    for query in asked[:10]:
        nearest.top(query, 5)
    took, shares = [], []
    for query in asked:
        began = time.perf_counter()
        places, _ = nearest.top(query, 5)
        took.append(1000 * (time.perf_counter() - began))
        candidates = nearest.candidates(query, len(places))
        shares.append(1.0 if candidates is None else len(candidates) / entries)
    return float(np.median(took)), float(np.percentile(took, 95)), float(np.mean(shares))


if __name__ == "__main__":
    sys.exit(main())
