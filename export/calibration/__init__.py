"""The samples on which a static int8 file's ranges are measured: chosen from the training data, or a file, audited.

``python -m export.calibration RUN`` shows them. `export.calibration.ranges` audits the ranges themselves.
"""

from export.calibration.calibration import Calibration
from export.calibration.choose import choose_calibration
from export.calibration.files import load_calibration, save_calibration
from export.calibration.prepare import prepare_calibration

__all__ = ["Calibration", "choose_calibration", "load_calibration", "prepare_calibration", "save_calibration"]
