"""Holds samples against the training data, input by input, each as what it is: picture, text, mask or measurements."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from export.calibration.checks import Check
from export.calibration.measurements import check_measurements
from export.calibration.pictures import check_pictures
from export.calibration.tokens import check_mask, check_tokens
from export.calibration.traits import mask_of
from mmkeras.modalities import ModalitySpec, TensorSpec

__all__ = ["check_looks"]

LEAST = 2
"""Samples with a modality below which nothing can be said of it."""


def check_looks(
    inputs: Mapping[str, np.ndarray], training: Mapping[str, np.ndarray], specs: Mapping[str, ModalitySpec]
) -> list[Check]:
    """Return what was measured of samples and of the training data; any that did not pass is a reason to refuse.

    A modality is judged by its tensors alone, so that a new one is audited too, and where it is present.

    Args:
        inputs: samples (N, ...) by input name.
        training: training samples as they are (M, ...) by input name.
        specs: modality specs by name.
    """
    checks: list[Check] = []
    for spec in specs.values():
        there, known = (each[spec.present.name] > 0 for each in (inputs, training))
        if there.sum() < LEAST or known.sum() < LEAST:
            continue
        mask = mask_of(spec)
        got_mask = inputs[mask.name][there] if mask else None
        usual_mask = training[mask.name][known] if mask else None
        for tensor in spec.tensors:
            got, usual = inputs[tensor.name][there], training[tensor.name][known]
            if tensor == mask:
                checks += check_mask(tensor.name, got, usual)
            elif _is_picture(tensor):
                checks += check_pictures(tensor.name, got, usual)
            elif tensor.dtype == "int32" and got_mask is not None and usual_mask is not None:
                checks += check_tokens(tensor.name, got, got_mask, usual, usual_mask)
            elif tensor.dtype == "float32":
                checks += check_measurements(tensor.name, got, got_mask, usual, usual_mask)
    return checks


def _is_picture(tensor: TensorSpec) -> bool:
    """Return whether a tensor (..., height, width, channels) holds pictures."""
    return len(tensor.shape) >= 3 and tensor.shape[-1] in (1, 3, 4) and min(tensor.shape[-3:-1]) >= 4
