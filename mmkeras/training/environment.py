"""The environment of a run: Python, packages, devices, seeds, code revision."""

from __future__ import annotations

import contextlib
import importlib.metadata
import importlib.util
import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

from mmkeras.core.config import TrainConfig
from mmkeras.core.errors import DependencyError, TrainingError
from mmkeras.layers.keras_settings import check_keras, use_keras

__all__ = ["check_python", "code_revision", "machine", "package_versions", "prepare"]

_PACKAGES = (
    "mmkeras",
    "tensorflow",
    "tensorflow-text",
    "keras",
    "keras-nlp",
    "keras-hub",
    "numpy",
    "tokenizers",
    "pillow",
    "tf2onnx",
    "onnx",
    "onnxruntime",
    "ai-edge-litert",
)
_WRITTEN = (":(exclude)README.md", ":(exclude)README.zh.md", ":(exclude)docs/results.json")


def check_python() -> None:
    """Check that Python and the ``train`` extra allow training, before an import fails.

    Raises:
        DependencyError: Python is older than 3.11, or the ``train`` extra is not installed.
    """
    if sys.version_info < (3, 11):
        raise DependencyError(
            f"Training needs Python >= 3.11 (Keras 3.15 does); this is Python {platform.python_version()}. "
            "The device side (mmkeras predict, selftest, benchmark, inspect) runs on 3.10."
        )
    missing = [name for name in ("tensorflow", "keras", "keras_nlp") if importlib.util.find_spec(name) is None]
    if missing:
        raise DependencyError(
            f"Training needs {', '.join(missing)}. Install with: pip install 'mmkeras[train]', or run make setup."
        )


def prepare(config: TrainConfig) -> dict[str, Any]:
    """Set seeds, precision, XLA and determinism; call before a model is built.

    Returns:
        The settings in use: ``precision``, ``jit_compile``, ``deterministic`` and ``devices``.

    Raises:
        ConfigError: Keras is set to another backend than TensorFlow.
        TrainingError: this machine does not have the precision.
    """
    check_keras()
    import keras
    import tensorflow as tf
    from tensorflow.python.framework.config import disable_op_determinism

    # Hides warnings about deprecated internals of TensorFlow, which do not concern the user.
    tf.get_logger().setLevel("ERROR")
    keras.utils.set_random_seed(config.seed)
    # Set in both cases: an earlier run in the same process (a notebook) may have used the other setting.
    if config.deterministic:
        tf.config.experimental.enable_op_determinism()
    else:
        disable_op_determinism()
    gpus = tf.config.list_physical_devices("GPU")
    for gpu in gpus:
        # Several processes may share a GPU (tests, notebooks): allocate memory as it is needed.
        with contextlib.suppress(RuntimeError):  # the process uses the GPU already
            tf.config.experimental.set_memory_growth(gpu, True)
    if config.precision == "auto":
        capability = [tf.config.experimental.get_device_details(g).get("compute_capability", (0, 0)) for g in gpus]
        precision = "mixed_bfloat16" if gpus and min(capability) >= (8, 0) else "float32"
    else:
        precision = config.precision
    if precision == "mixed_float16" and not gpus:
        raise TrainingError("train.precision: mixed_float16 needs a GPU; use float32 or auto on a CPU")
    use_keras(precision)
    jit = {"on": True, "off": False}.get(config.xla, bool(gpus))
    return {
        "precision": precision,
        "jit_compile": jit,
        "deterministic": config.deterministic,
        "devices": [device.name for device in tf.config.list_physical_devices()],
    }


def package_versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that influence a result."""
    versions = {"python": platform.python_version()}
    for name in _PACKAGES:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions


def machine() -> dict[str, Any]:
    """Return a description of this machine: system, processor, cores, memory and GPUs."""
    model = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        names = [line.split(":", 1)[1].strip() for line in info.read_text().splitlines() if "model name" in line]
        model = names[0] if names else model
    return {
        "system": platform.system(),
        "architecture": platform.machine(),
        "cpu": model,
        "cores": os.cpu_count(),
        "memory_gib": _memory_gib(),
        "gpus": _gpus(),
    }


def _memory_gib() -> int:
    try:
        return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30)
    except (AttributeError, OSError, ValueError):  # not on Windows
        return 0


def _gpus() -> list[str]:
    """Return the names of the GPUs without TensorFlow, which would allocate their memory."""
    try:
        command = ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"]
        printed = subprocess.run(command, capture_output=True, text=True, check=True, timeout=30).stdout
    except (OSError, subprocess.SubprocessError):
        return []
    return [line.strip() for line in printed.splitlines() if line.strip()]


def code_revision() -> str:
    """Return the git commit of the checkout, with ``+changes`` if files differ from it, or ``unknown``.

    The README files and docs/results.json do not count: commands write their measurements into them.
    """
    root = Path(__file__).resolve().parents[2]

    def git(*arguments: str) -> str:
        return subprocess.run(
            ["git", "-C", str(root), *arguments], capture_output=True, text=True, check=True, timeout=10
        ).stdout.strip()

    try:
        return git("rev-parse", "HEAD") + ("+changes" if git("status", "--porcelain", "--", ".", *_WRITTEN) else "")
    except (OSError, subprocess.SubprocessError):
        return "unknown"
