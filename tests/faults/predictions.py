"""Predicts again and again with one runner of a bundle, for a process that is watched from outside.

python -m tests.faults.predictions saved_models/tiny/1 onnx 10000 done.txt
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from mmkeras.bundle import Bundle
from mmkeras.core.terminal import utf8_program

__all__ = ["main", "runner"]


@utf8_program
def main(arguments: list[str]) -> int:
    """Predict; a byte is added to the last argument's file after each hundred."""
    folder, name, count, done = Path(arguments[0]), arguments[1], int(arguments[2]), Path(arguments[3])
    infer = runner(folder, name)
    inputs = {key: value[:1] for key, value in Bundle.open(folder).golden().inputs.items()}
    with done.open("wb", buffering=0) as progress:
        for number in range(1, count + 1):
            infer(inputs)
            if number % 100 == 0:
                progress.write(b".")
    return 0


def runner(folder: Path, name: str) -> Callable[[dict[str, Any]], Mapping[str, Any]]:
    """Return what runs a batch: an edge runner of the device, the SavedModel, or the Keras model."""
    if name == "saved_model":
        from export.verification.runners import open_saved_model

        return open_saved_model(folder)
    if name == "keras":
        from mmkeras.layers.keras_files import load_model
        from mmkeras.training.run import register_layers

        register_layers()
        model = load_model(folder / "model.keras")
        return lambda inputs: dict(model.predict_on_batch(inputs))
    from mmkeras.runtime import Predictor

    return Predictor(folder, name).runner.infer


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
