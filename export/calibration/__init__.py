"""The samples that a static int8 file's ranges are measured on: chosen from the training data, or given and audited.

``python -m export.calibration RUN`` shows them. What a file's activations tell is in `export.calibration.saturation`.
"""

from export.calibration.calibration import Calibration
from export.calibration.choose import choose_calibration
from export.calibration.files import load_calibration, save_calibration
from export.calibration.prepare import prepare_calibration

__all__ = ["Calibration", "choose_calibration", "load_calibration", "prepare_calibration", "save_calibration"]
