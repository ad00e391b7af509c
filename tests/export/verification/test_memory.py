"""Verification drops outputs batch by batch: memory does not grow with samples, their outputs and scenarios."""

from __future__ import annotations

import tracemalloc

import keras
import numpy as np
import pytest

from export.verification import verify
from export.verification.passes import keras_infer
from tests.export.verification.masks import mask_model, mask_source

SIZE = (96, 128)


def _copies(model: keras.Model) -> verify.Infer:
    """Run a model and copy its outputs, since the trace does not see the memory of TensorFlow."""
    forward = keras_infer(model)
    return lambda inputs: {name: np.array(value) for name, value in forward(inputs).items()}


def test_memory_does_not_grow_with_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    """Outputs of three scenarios grow by 42 MiB, from a Keras model and again from a file."""
    monkeypatch.setattr(verify, "keras_infer", _copies)
    model, other = mask_model(SIZE), mask_model(SIZE)
    other.set_weights([weight * 1.001 for weight in other.get_weights()])

    infer = _copies(other)

    def peak(samples: int) -> float:
        source = mask_source(samples, SIZE, model)
        tracemalloc.start()
        reference = verify.Reference(source)
        for case in reference.cases:
            assert 0 < reference.measure(case, infer, 1).outputs["mask"].max_abs_diff < 0.1
        found = tracemalloc.get_traced_memory()[1] / 2**20
        tracemalloc.stop()
        return found

    peak(2)  # what is loaded and traced once
    few, many = peak(16), peak(40)
    assert many - few < 12, (few, many)
