from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from mmkeras.core.errors import ConfigError, DataError
from mmkeras.media.text.characters import CODE_POINTS, words
from mmkeras.media.text.vocabulary import MASK, SPECIAL_TOKENS
from mmkeras.modalities.text import records
from mmkeras.modalities.text.spec import Config, Spec
from tests.media.text.strings import FRAGMENTS, LONG, TEXTS, vocabulary

pytestmark = pytest.mark.tfio

SPECS = {lowercase: Spec("text", 48, vocabulary(lowercase), lowercase) for lowercase in (True, False)}
SPEC = SPECS[True]
GRAPHS: dict[Any, Any] = {}
NONCHARACTERS = (*range(0xFDD0, 0xFDF0), *(code for code in range(CODE_POINTS) if code & 0xFFFE == 0xFFFE))
"""What Unicode promises never to give a meaning."""
REPLACED = tf.__version__.startswith("2.16.")
"""There, `tf.strings.unicode_encode` writes U+FFFD for them; no text that means anything holds one."""


def in_graph(spec: Spec, texts: list[str]) -> tuple[dict[str, np.ndarray], list[list[str]]]:
    """Return the graph's tensors and words of all texts in one call."""
    if spec not in GRAPHS:

        @tf.function(input_signature=[tf.TensorSpec([None], tf.string)])
        def graph(raw: tf.Tensor) -> Any:
            return records.decode(spec, raw), records._words(raw, spec.lowercase)

        GRAPHS[spec] = graph
    tensors, split = GRAPHS[spec](tf.constant([text.encode() for text in texts], tf.string))
    decoded = [[word.decode() for word in row] for row in split.to_list()]
    return {name: value.numpy() for name, value in tensors.items()}, decoded


def assert_agree(spec: Spec, texts: list[str]) -> None:
    if REPLACED:
        texts = [text.translate(dict.fromkeys(NONCHARACTERS)) for text in texts]
    tensors, split = in_graph(spec, texts)
    for i, text in enumerate(texts):
        assert words(text, spec.lowercase) == split[i], ascii(text)
        for name, value in spec.preprocess(text).items():
            assert value.tolist() == tensors[name][i].tolist(), (name, ascii(text))


@given(texts=st.lists(TEXTS, max_size=40), lowercase=st.booleans())
@settings(max_examples=60, deadline=None)
def test_host_and_graph_agree_on_any_string(texts: list[str], lowercase: bool) -> None:
    assert_agree(SPECS[lowercase], texts)


@pytest.mark.parametrize("lowercase", [True, False])
def test_host_and_graph_agree_on_the_fragments_and_their_pairs(lowercase: bool) -> None:
    pairs = [a + b for a, b in zip(FRAGMENTS, (*FRAGMENTS[7:], *FRAGMENTS[:7]), strict=True)]
    assert_agree(SPECS[lowercase], ["", *FRAGMENTS, *pairs, LONG])


def test_noncharacters_are_kept_in_words_or_replaced_by_an_older_tensorflow() -> None:
    _, split = in_graph(SPEC, [f"a{chr(code)}b" for code in NONCHARACTERS])
    assert split == [["a\ufffdb" if REPLACED else f"a{chr(code)}b"] for code in NONCHARACTERS]
    assert words("a\uffffb", True) == ["a\uffffb"]


@given(
    tokens=st.sets(st.text("ab#é中\u1112 ", min_size=1, max_size=4), min_size=1, max_size=20),
    texts=st.lists(st.text("abab #é中\u1112", max_size=20), min_size=1, max_size=20),
    lowercase=st.booleans(),
)
@settings(max_examples=60, deadline=None)
def test_host_and_graph_agree_with_any_vocabulary(tokens: set[str], texts: list[str], lowercase: bool) -> None:
    spec = Spec("text", 24, (*SPECIAL_TOKENS, *sorted(tokens | {f"##{t}" for t in list(tokens)[::2]})), lowercase)
    graph = records.decode(spec, tf.constant(texts))["text_token_ids"].numpy()
    for text, row in zip(texts, graph, strict=True):
        assert spec.preprocess(text)["text_token_ids"].tolist() == row.tolist(), text


@pytest.mark.slow
@pytest.mark.parametrize("lowercase", [True, False])
def test_host_and_graph_agree_on_every_code_point(lowercase: bool) -> None:
    codes = [code for code in range(CODE_POINTS) if not 0xD800 <= code < 0xE000]
    for start in range(0, len(codes), 50_000):
        texts = [f"a{chr(code)}b {chr(code)}" for code in codes[start : start + 50_000]]
        assert_agree(SPECS[lowercase], texts)


@given(st.binary(max_size=30))
@settings(max_examples=50, deadline=None)
def test_bytes_that_are_not_utf8_are_left_out(raw: bytes) -> None:
    # The serving endpoint takes bytes from outside; str.decode drops the same ones.
    decoded = records.decode(SPEC, tf.constant(raw))["text_token_ids"].numpy()
    expected = SPEC.preprocess(raw.decode("utf-8", "replace"))["text_token_ids"]
    assert decoded.tolist() == expected.tolist()


def test_shapes_are_static_and_lead_as_the_input_does() -> None:
    for raw, lead in ((tf.constant("a"), []), (tf.constant(["a", "b c"]), [2]), (tf.constant([], tf.string), [0])):
        for value in records.decode(SPEC, raw).values():
            assert value.shape == [*lead, 48]
            assert value.dtype == tf.int32
    stream = tf.data.Dataset.from_tensor_slices(["what is it", ""])
    scalars = stream.map(lambda raw: records.decode(SPEC, raw))
    batches = stream.batch(2).map(lambda raw: records.decode(SPEC, raw))
    assert scalars.element_spec["text_token_ids"].shape == [48]
    assert batches.element_spec["text_token_ids"].shape == [None, 48]
    for one, other in zip(scalars.batch(2), batches, strict=True):
        tf.debugging.assert_equal(one["text_token_ids"], other["text_token_ids"])


def test_survives_saving_and_loading(tmp_path: Path) -> None:
    module = tf.Module()
    module.call = tf.function(lambda raw: records.decode(SPEC, raw), input_signature=[tf.TensorSpec([None], tf.string)])
    tf.saved_model.save(module, str(tmp_path))
    loaded = tf.saved_model.load(str(tmp_path)).call(tf.constant([LONG.encode()]))
    assert loaded["text_token_ids"].numpy()[0].tolist() == SPEC.preprocess(LONG)["text_token_ids"].tolist()


@pytest.mark.parametrize("text", ["What is it?", "  ß \n", "中"])
def test_records_hold_the_text_itself(text: str) -> None:
    assert records.encode(Config(), text) == text.encode()


@pytest.mark.parametrize("value", ["", " \t\u3000", "\u200b\x00", None, b"a", 1.5, "\udc80"])
def test_bad_rows_are_refused(value: object) -> None:
    with pytest.raises(DataError):
        records.encode(SPEC, value)


def test_augment_is_the_identity_by_default() -> None:
    inputs = records.decode(SPEC, tf.constant("what is it"))
    assert records.augment(Config(), SPEC, inputs, tf.constant([1, 2])) is inputs


@pytest.mark.parametrize("batched", [False, True])
def test_masking_is_stateless_and_spares_special_tokens(batched: bool) -> None:
    config = Config(mask_rate=0.5)
    raw = tf.constant(["color " * 30, "is it", ""] if batched else "color " * 30)
    inputs = {**records.decode(SPEC, raw), "other": tf.constant(1)}

    def run(seed: list[int]) -> dict[str, tf.Tensor]:
        return records.augment(config, SPEC, inputs, tf.constant(seed))

    eager, again, other = run([1, 2]), tf.function(run)([1, 2]), run([1, 3])
    ids, masked = inputs["text_token_ids"].numpy(), eager["text_token_ids"].numpy()
    special = np.isin(ids, [SPEC.ids[token] for token in SPECIAL_TOKENS if token != "[UNK]"])
    assert (masked[special] == ids[special]).all()
    changed = masked != ids
    assert (masked[changed] == SPEC.ids[MASK]).all()
    assert 5 < changed.reshape(-1, 48)[0].sum() < 25
    np.testing.assert_array_equal(masked, again["text_token_ids"].numpy())
    assert (masked != other["text_token_ids"].numpy()).any()
    assert eager["other"] is inputs["other"]


def test_masking_inside_tf_data() -> None:
    seeds = tf.data.Dataset.from_tensor_slices([[0, 1], [0, 2]])
    inputs = records.decode(SPEC, tf.constant("what color is the triangle?"))
    stream = seeds.map(lambda seed: records.augment(Config(mask_rate=0.9), SPEC, inputs, seed))
    for seed, element in zip([[0, 1], [0, 2]], stream, strict=True):
        eager = records.augment(Config(mask_rate=0.9), SPEC, inputs, tf.constant(seed))
        tf.debugging.assert_equal(element["text_token_ids"], eager["text_token_ids"])


def test_masking_needs_the_token() -> None:
    spec = Spec("text", 8, ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "a"))
    inputs = records.decode(spec, tf.constant("a"))
    with pytest.raises(ConfigError, match="mask_rate"):
        records.augment(Config(mask_rate=0.1), spec, inputs, tf.constant([0, 0]))
