"""Trains easy-VQA without the faster operations: the same options as ``python -m pipelines.vqa``.

Batch normalization and the dense layers of attention are computed by Keras, also in training.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator, Sequence
from typing import Any

from mmkeras.core.terminal import utf8_program
from mmkeras.training import stage_fit
from pipelines import vqa

__all__ = ["main"]


@utf8_program
def main(arguments: Sequence[str] | None = None) -> int:
    """Run the pipeline; return its exit status."""

    @contextlib.contextmanager
    def unchanged(model: Any) -> Iterator[None]:
        yield

    for name in ("fused_batch_norm", "flat_dense"):
        if not hasattr(stage_fit, name):
            raise AttributeError(f"mmkeras.training.stage_fit has no {name} to leave out")
        setattr(stage_fit, name, unchanged)
    return vqa.main(arguments)


if __name__ == "__main__":
    sys.exit(main())
