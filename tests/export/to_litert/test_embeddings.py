"""Embeddings of LiteRT files in int8: tables that are looked up, positions that are added."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter
from keras import ops

from export.to_litert.compact import compact
from export.to_litert.embeddings import embeddings, quantize_embeddings
from export.to_litert.litert_from_saved_model import convert_saved_model

WORDS, LENGTH, WIDTH = 100, 12, 32
TABLE = np.random.default_rng(0).normal(size=(WORDS, WIDTH)).astype(np.float32)
POSITIONS = np.random.default_rng(1).normal(size=(1, LENGTH, WIDTH)).astype(np.float32)
GRID = np.arange(300.0, dtype=np.float32).reshape(1, 150, 2)
STEP = float(max(np.abs(TABLE).max(), np.abs(POSITIONS).max())) / 127


def converted(folder: Path) -> bytes:
    """Return a file that looks rows up, adds positions to them, and adds coordinates to something else."""
    module = tf.Module()
    module.table, module.positions = tf.Variable(TABLE), tf.Variable(POSITIONS)

    def call(ids: tf.Tensor, offsets: tf.Tensor) -> dict[str, tf.Tensor]:
        rows = ops.take(module.table, ids, axis=0)
        return {"rows": rows + module.positions, "moved": offsets + GRID}

    ids = tf.TensorSpec((1, LENGTH), tf.int32, name="ids")
    offsets = tf.TensorSpec((1, 150, 2), tf.float32, name="offsets")
    module.call = tf.function(call, input_signature=[ids, offsets], autograph=False)
    tf.saved_model.save(module, str(folder), signatures=module.call)
    return convert_saved_model(folder, "float32")


@pytest.fixture(scope="module")
def content(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return converted(tmp_path_factory.mktemp("embeddings"))


def answer(content: bytes, ids: np.ndarray) -> dict[str, np.ndarray]:
    interpreter = Interpreter(model_content=content)
    run = interpreter.get_signature_runner()
    first = run(ids=ids, offsets=np.ones((1, 150, 2), np.float32))
    again = run(ids=ids, offsets=np.ones((1, 150, 2), np.float32))
    for name, value in first.items():
        np.testing.assert_array_equal(again[name], value)
    return first


def test_tables_and_positions_are_found_and_coordinates_are_not(content: bytes) -> None:
    found = embeddings(content)
    assert {(each.operation, each.weights) for each in found} == {("GATHER", WORDS * WIDTH), ("ADD", LENGTH * WIDTH)}
    assert len({each.name for each in found}) == 2


@pytest.mark.parametrize("operations", [("GATHER",), ("ADD",), ("GATHER", "ADD")])
def test_what_is_chosen_becomes_int8_within_half_a_step(content: bytes, operations: tuple[str, ...]) -> None:
    names = {each.name for each in embeddings(content) if each.operation in operations}
    ids = np.arange(LENGTH, dtype=np.int32)[None]
    smaller = quantize_embeddings(content, names)
    got, expected = answer(smaller, ids), answer(content, ids)
    saved = 3 * (WORDS * WIDTH * ("GATHER" in operations) + LENGTH * WIDTH * ("ADD" in operations))
    # New tensors and operators take a few bytes of it back.
    assert saved - 1000 < len(compact(content)) - len(compact(smaller)) <= saved
    difference = np.abs(got["rows"] - expected["rows"]).max()
    assert 0 < difference <= len(operations) * STEP / 2 + 1e-6
    np.testing.assert_array_equal(got["moved"], expected["moved"])


def test_nothing_chosen_leaves_the_file_as_it_is(content: bytes) -> None:
    assert quantize_embeddings(content, ()) is content


def test_a_table_of_zeros_stays_zero(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(f"{__name__}.TABLE", np.zeros_like(TABLE))
    content = converted(tmp_path)
    names = {each.name for each in embeddings(content) if each.operation == "GATHER"}
    rows = answer(quantize_embeddings(content, names), np.zeros((1, LENGTH), np.int32))["rows"]
    np.testing.assert_array_equal(rows, POSITIONS)
