"""The smallest runtime that loads a LiteRT file is read from it, and named where the file is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from mmkeras.core.errors import BundleError
from mmkeras.runtime.runners.litert_runner import Runner
from mmkeras.storage.litert_file import needed_runtime

pytestmark = pytest.mark.tfio


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    import tensorflow as tf

    dense = tf.keras.Sequential([tf.keras.Input((4,)), tf.keras.layers.Dense(3)])
    folder = tmp_path_factory.mktemp("litert")
    dense.export(str(folder / "saved_model"), verbose=False)
    path = folder / "dense.tflite"
    path.write_bytes(tf.lite.TFLiteConverter.from_saved_model(str(folder / "saved_model")).convert())
    return path


def test_the_version_is_that_of_the_file(file):
    schema = pytest.importorskip("ai_edge_litert.schema_py_generated")
    model = schema.ModelT.InitFromPackedBuf(file.read_bytes(), 0)
    buffer = next(entry.buffer for entry in model.metadata if entry.name == b"min_runtime_version")
    assert needed_runtime(file.read_bytes()) == bytes(model.buffers[buffer].data).rstrip(b"\0").decode()
    assert needed_runtime(file.read_bytes()).count(".") == 2


@pytest.mark.parametrize("content", [b"", b"TFL3", b"\xff" * 64, b"\0" * 64])
def test_a_file_that_does_not_say_gives_nothing(content):
    assert needed_runtime(content) == ""


def test_a_file_that_is_cut_off_anywhere_gives_nothing_wrong(file):
    content, expected = file.read_bytes(), needed_runtime(file.read_bytes())
    for end in range(0, len(content), 7):
        assert needed_runtime(content[:end]) in ("", expected)


def test_a_runtime_that_refuses_a_file_names_the_version_that_it_needs(file, monkeypatch):
    import ai_edge_litert.interpreter as litert

    def refuse(*values: object, **named: object) -> None:
        raise ValueError("Didn't find op for builtin opcode 'FULLY_CONNECTED' version '12'.")

    monkeypatch.setattr(litert, "Interpreter", refuse)
    needed = needed_runtime(file.read_bytes())
    with pytest.raises(BundleError, match=f"needs TensorFlow Lite {needed} or newer; installed is ai"):
        Runner(file).activate()
