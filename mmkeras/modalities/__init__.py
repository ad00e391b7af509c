"""Modalities, one package each.

A package ``mmkeras/modalities/<name>/`` holds

- ``spec.py``: a frozen ``Config`` (the user's options) and a frozen ``Spec`` (for the device: its tensors and its
  host-side preprocessing). numpy only; no TensorFlow, no Keras.
- ``records.py``: encoding into records, and decoding and augmentation in tf.data.
- ``branch.py``: its Keras encoder, ``build(spec, config, width) -> Branch``.

All three, the exporters and the device runtime share the `Spec`.
"""

from mmkeras.modalities._config import NO_FACTS, NO_MODALITIES, Facts, ModalityConfig, camera_of, off_centre, specs_of
from mmkeras.modalities._contract import ModalitySpec, TensorSpec, check_shapes, spec_from_json

__all__ = [
    "NO_FACTS",
    "NO_MODALITIES",
    "Facts",
    "ModalityConfig",
    "ModalitySpec",
    "TensorSpec",
    "camera_of",
    "check_shapes",
    "off_centre",
    "spec_from_json",
    "specs_of",
]
