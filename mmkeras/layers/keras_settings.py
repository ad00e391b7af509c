"""Sets the Keras settings that mmkeras needs: TensorFlow, channels last, and the precision of the run.

They override keras.json, ``KERAS_*`` variables and earlier settings of the program, which are usually meant for other
programs. Another backend cannot be overridden and is refused.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from mmkeras.core.errors import ConfigError

__all__ = ["check_keras", "use_keras"]

_LIMITS = ("KERAS_MAX_EPOCHS", "KERAS_MAX_STEPS_PER_EPOCH")
_KNOWN: dict[str, tuple[Any, ...]] = {
    "floatx": ("float16", "float32", "float64"),
    "image_data_format": ("channels_last", "channels_first"),
}


def check_keras(environment: Mapping[str, str] = os.environ) -> None:
    """Refuse settings with which Keras or mmkeras cannot start; does not import Keras.

    Raises:
        ConfigError: another backend than TensorFlow, a damaged keras.json, or a limit on epochs or steps.
    """
    problems = [
        f"{name} is {environment[name]!r}, which mmkeras does not support. Unset it and use --train.epochs or "
        "--train.steps_per_epoch"
        for name in _LIMITS
        if environment.get(name)
    ]
    keras = sys.modules.get("keras")
    if keras is not None and hasattr(keras, "config"):
        if (backend := keras.config.backend()) != "tensorflow":
            problems.append(
                f"Keras was imported with the backend {backend!r}: mmkeras needs TensorFlow. Start Python with "
                "KERAS_BACKEND=tensorflow"
            )
    else:
        problems += _before_import(environment)
    if problems:
        raise ConfigError("\n".join(problems))


def use_keras(precision: str = "float32") -> None:
    """Set Keras to a precision, a dtype policy such as ``float32`` or ``mixed_bfloat16``.

    Layers read some of these settings when they are called, so the settings stay.

    Raises:
        ConfigError: see `check_keras`.
    """
    check_keras()
    import keras

    keras.config.set_floatx("float64" if precision == "float64" else "float32")
    keras.config.set_dtype_policy(precision)
    keras.config.set_image_data_format("channels_last")
    keras.config.set_epsilon(1e-7)  # losses clip probabilities at it


def _before_import(environment: Mapping[str, str]) -> Iterator[str]:
    """Yield the settings that would make the import of Keras fail or select another backend."""
    home = Path("~").expanduser()
    folder = Path(environment.get("KERAS_HOME") or (home if os.access(home, os.W_OK) else Path("/tmp")) / ".keras")
    path = folder.expanduser() / "keras.json"
    settings: Any = {}
    with contextlib.suppress(OSError, ValueError):  # Keras then uses its defaults, too
        settings = json.loads(path.read_text("utf-8"))
    if not isinstance(settings, dict):
        yield f"{path}: expected a JSON object, got {type(settings).__name__}. Delete it; Keras writes a new one"
        return
    for name, known in _KNOWN.items():
        if (value := settings.get(name, known[0])) not in known:
            yield f"{path}: {name}: expected one of {', '.join(known)}, got {value!r:.60}"
    if not isinstance(value := settings.get("epsilon", 1e-7), float):
        yield f"{path}: epsilon: expected a number such as 1e-07, got {value!r:.60}"
    named = environment.get("KERAS_BACKEND")
    backend = named or settings.get("backend", "tensorflow")
    if backend != "tensorflow":
        where = "KERAS_BACKEND" if named else f"{path}: backend"
        yield f"{where}: mmkeras needs TensorFlow, got {backend!r:.60}. Start with KERAS_BACKEND=tensorflow"
