from __future__ import annotations

import platform
import subprocess
import sys

import pytest

from mmkeras.core.config import TrainConfig
from mmkeras.core.errors import DependencyError, TrainingError
from mmkeras.training import environment


def test_an_old_python_is_told_what_it_needs(monkeypatch):
    monkeypatch.setattr(sys, "version_info", (3, 10, 13))
    with pytest.raises(DependencyError, match=r"Training needs Python >= 3\.11"):
        environment.check_python()


def test_auto_stays_with_float32_and_without_xla_on_a_cpu():
    decided = environment.prepare(TrainConfig())
    assert (decided["precision"], decided["jit_compile"]) == ("float32", False)
    assert any("CPU" in device for device in decided["devices"])


def test_half_precision_is_refused_on_a_cpu():
    with pytest.raises(TrainingError, match="mixed_float16 needs a GPU"):
        environment.prepare(TrainConfig(precision="mixed_float16"))


def test_versions_and_machine_are_recorded():
    versions = environment.package_versions()
    assert versions["python"] == platform.python_version()
    assert {"tensorflow", "keras", "keras-nlp"} <= versions.keys()
    machine = environment.machine()
    assert machine["cores"] >= 1
    assert machine["memory_gib"] >= 1
    assert all(isinstance(name, str) for name in machine["gpus"])
    revision = environment.code_revision().removesuffix("+changes")
    assert revision == "unknown" or len(revision) == 40


def test_the_revision_is_that_of_the_code_and_not_of_what_was_measured(tmp_path, monkeypatch):
    for name in ("mmkeras/training/code.py", "README.md", "README.zh.md", "docs/results.json"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("old")
    author = ("-c", "user.name=a", "-c", "user.email=a@b")
    for command in (("init", "-q"), ("add", "."), (*author, "commit", "-q", "-m", "all")):
        subprocess.run(["git", "-C", tmp_path, *command], check=True)
    monkeypatch.setattr(environment, "__file__", str(tmp_path / "mmkeras" / "training" / "code.py"))
    clean = environment.code_revision()
    assert len(clean) == 40
    (tmp_path / "README.md").write_text("new")
    (tmp_path / "README.zh.md").write_text("new")
    (tmp_path / "docs" / "results.json").write_text("new")
    assert environment.code_revision() == clean
    (tmp_path / "docs" / "other.md").write_text("new")
    assert environment.code_revision() == clean + "+changes"


def test_every_run_of_a_process_is_as_deterministic_and_as_exact_as_it_asks():
    import keras
    import tensorflow as tf
    from tensorflow.python.framework.config import is_op_determinism_enabled

    first = environment.prepare(TrainConfig(deterministic=True, precision="float64"))
    assert (first["precision"], keras.config.floatx()) == ("float64", "float64")
    assert is_op_determinism_enabled()
    environment.prepare(TrainConfig())
    assert (keras.config.dtype_policy().name, keras.config.floatx()) == ("float32", "float32")
    # A time cannot be deterministic: TensorFlow refuses it where all must be.
    assert float(tf.function(tf.timestamp)()) > 0
