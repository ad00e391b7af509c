"""Decodes model inputs as in training, and compares the host's preprocessing with them sample by sample.

Training decodes records in the TensorFlow graph, a device decodes raw values with numpy and Pillow. An export runs its
reference on the inputs of the first, and refuses a model whose specs give other inputs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

import numpy as np

from mmkeras.core.errors import ExportError
from mmkeras.data.modules import records_of
from mmkeras.modalities import ModalitySpec
from mmkeras.runtime.replay import input_difference

__all__ = ["TrainingPath", "check_host"]

_BATCH = 64
_BATCH_BYTES = 4 * 2**20


class TrainingPath:
    """Decodes raw values of one modality as records in training."""

    def __init__(self, spec: ModalitySpec) -> None:
        self._spec = spec
        self._records = records_of(spec.kind)
        size = max(tensor.zeros().nbytes for tensor in spec.tensors)
        self.batch = max(1, min(_BATCH, _BATCH_BYTES // size))
        """Samples that are decoded at a time."""

    def inputs(self, values: Sequence[Any]) -> dict[str, np.ndarray]:
        """Return every tensor of the modality (N, ...) and its presence (N,); zeros where a value is ``None``.

        Raises:
            DataError: a value that a conversion would refuse.
        """
        spec = self._spec
        inputs = {tensor.name: tensor.zeros(len(values)) for tensor in spec.tensors}
        there = np.array([value is not None for value in values])
        rows = np.flatnonzero(there)
        for start in range(0, len(rows), self.batch):
            chosen = rows[start : start + self.batch]
            decoded = self._decode([self._record(values[row]) for row in chosen])
            for tensor in spec.tensors:
                inputs[tensor.name][chosen] = decoded[tensor.name].numpy()
        return {**inputs, spec.present.name: there.astype(np.float32)}

    def _record(self, value: Any) -> bytes:
        # An empty text cannot be a record, but is an input that files are verified on.
        record: bytes = value.encode() if isinstance(value, str) else self._records.encode(self._spec, value)
        return record

    @cached_property
    def _decode(self) -> Callable[[list[bytes]], Any]:
        import tensorflow as tf

        spec, decode = self._spec, self._records.decode
        signature = [tf.TensorSpec((None,), tf.string)]
        graph = tf.function(lambda raw: decode(spec, raw), input_signature=signature, autograph=False)
        return lambda records: graph(tf.constant(records, tf.string))


def check_host(
    spec: ModalitySpec, values: Sequence[Any], keys: Sequence[str], inputs: dict[str, np.ndarray], scenario: str
) -> None:
    """Compare the host's preprocessing of raw values (B,) with their inputs from `TrainingPath.inputs`.

    The keys (B,) of the samples and the name of the scenario are for the message.

    Raises:
        ExportError: a tensor of a sample differs; the message names the largest difference.
        DataError: the host refuses a value.
    """
    worst: tuple[float, str] = (0.0, "")
    differ = 0
    for row, (key, value) in enumerate(zip(keys, values, strict=True)):
        bad = False
        for name, got in spec.inputs(value).items():
            expected = inputs[name][row]
            difference, limit = input_difference(expected, np.asarray(got))
            if not difference <= limit:
                bad = True
                shown = f"{name} of sample {key!r} differs by {difference:.3g}, allowed {limit:.3g}"
                worst = max(worst, (difference, shown))
        differ += bad
    if differ:
        raise ExportError(
            f"Preprocessing on a device would not give the inputs that the model was trained on: in the scenario "
            f"{scenario!r}, {differ} of {len(keys)} samples differ; {worst[1]}. Nothing is exported: `preprocess` in "
            f"modalities/{spec.kind}/spec.py and `decode` in modalities/{spec.kind}/records.py must agree."
        )
