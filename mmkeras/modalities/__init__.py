"""One room per modality: everything about it in one place.

A room ``mmkeras/modalities/<name>/`` holds

- ``spec.py``: a frozen ``Config`` (what a user chooses) and a frozen ``Spec`` (what a device needs: its tensors and its
  host-side preprocessing). numpy only; no TensorFlow, no Keras.
- ``records.py``: its record features, graph-side decoding and augmentation for tf.data.
- ``branch.py``: its Keras encoder, ``build(spec, config, width) -> Branch``.

`Spec` objects are what all three, the exporters and the device runtime agree on.
"""

from mmkeras.modalities._contract import (
    NO_FACTS,
    NO_MODALITIES,
    Facts,
    ModalityConfig,
    ModalitySpec,
    TensorSpec,
    camera_of,
    check_shapes,
    off_centre,
    spec_from_json,
    specs_of,
)

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
