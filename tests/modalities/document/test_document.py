from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from mmkeras.core.errors import BundleError, ConfigError
from mmkeras.media.text.vocabulary import SPECIAL_TOKENS
from mmkeras.modalities import spec_from_json
from mmkeras.modalities._words import windows_over
from mmkeras.modalities.document import branch, records, resolve
from mmkeras.modalities.document.picture import caption, image
from mmkeras.modalities.document.spec import Config, Spec

WORDS = (*SPECIAL_TOKENS, "total", "date", "##s", "rm", ":", "12", ".", "50", "a", "##b", "x")
SPEC = Spec("page", 20, 4, 3, "page", True, WORDS)
CONFIG = Config(words=20, overlap=4, pieces=3, layers=2, heads=2, hidden=8)
EMPTY = {"width": 9, "height": 9, "words": ["\u0300"], "boxes": [[1, 1, 2, 2]]}
"""A word without a character that the model reads."""


def tensors(spec: Spec, *values: Any) -> dict[str, np.ndarray]:
    made = [spec.preprocess(value) for value in values]
    return {name: np.stack([each[name] for each in made]) for name in made[0]}


@pytest.mark.parametrize("frame", ["page", "words"])
def test_the_graph_reads_records_as_the_host_does(frame: str) -> None:
    spec = Spec("page", 20, 4, 3, frame, True, WORDS)
    values = [*spec.probes(), json.dumps(EMPTY)]
    found = [records.encode(spec, value) for value in values]
    decoded = tf.function(lambda raw: records.decode(spec, raw))(tf.constant(found))
    for given in (values, found):
        for name, expected in tensors(spec, *given).items():
            np.testing.assert_allclose(decoded[name], expected, atol=1e-6)
    one = records.decode(spec, tf.constant(found[0]))
    none = records.decode(spec, tf.constant([], tf.string))
    for tensor in spec.tensors:
        assert (one[tensor.name].shape, none[tensor.name].shape) == (tensor.shape, (0, *tensor.shape))


def test_a_record_is_read_from_a_file(tmp_path: Path) -> None:
    """As a bundle holds it among its golden samples."""
    path = tmp_path / "0000_page.bin"
    path.write_bytes(records.encode(SPEC, EMPTY))
    for name, expected in SPEC.preprocess(EMPTY).items():
        for value in (path, str(path)):
            np.testing.assert_array_equal(SPEC.preprocess(value)[name], expected)


def test_tensors_of_a_page() -> None:
    page = {"width": 100, "height": 100, "words": ["Totals:", "RM12.50"], "boxes": [[0, 0, 50, 10], [60, 0, 100, 10]]}
    made = SPEC.preprocess({**page, "segments": [0, 0]})
    assert made["page_token_ids"][:2].tolist() == [[5, 7, 9], [1, 11, 12]]  # RM12 has no piece, and one is cut
    assert made["page_padding_mask"].sum() == 2
    box, segment = made["page_numbers"][:2, -10:-6], made["page_numbers"][:2, -6:-2]
    np.testing.assert_allclose(box, [[0, 0, 0.5, 0.1], [0.6, 0, 1, 0.1]], atol=1e-6)
    np.testing.assert_allclose(segment, [[0, 0, 1, 0.1]] * 2, atol=1e-6)
    assert made["page_numbers"][:2, -2:].tolist() == [[1, 0], [0, 1]]
    assert SPEC.coverage([page]) == {"unknown": 0.5, "cut": 0.0}


def test_long_pages_are_cut_into_windows_that_overlap() -> None:
    page = SPEC.probes()[2]
    words = SPEC.words_of(page)
    assert len(words) == 23
    windows = SPEC.windows(page)
    assert [start for start, _ in windows] == [0, 3]
    assert [word.text for _, part in windows for word in SPEC.words_of(part)][20:] == [word.text for word in words[3:]]
    for count in range(1, 120):
        spans = windows_over(count, 20, 4)
        assert set(range(count)) == {word for start, stop in spans for word in range(start, stop)}
        assert all(stop - start == min(20, count) for start, stop in spans)
        assert all(first[1] - second[0] >= 4 for first, second in itertools.pairwise(spans))


def test_faults_keep_the_page_readable() -> None:
    page = SPEC.probes()[0]
    before = tensors(SPEC, page)
    jumbled, shifted, longest = (tensors(SPEC, change(page)) for change in SPEC.scenarios().values())
    rows = [sorted(map(tuple, each["page_token_ids"][0].tolist())) for each in (jumbled, before)]
    assert rows[0] == rows[1]
    assert (jumbled["page_token_ids"] != before["page_token_ids"]).any()
    np.testing.assert_array_equal(jumbled["page_numbers"][..., -10:], before["page_numbers"][..., -10:])
    np.testing.assert_array_equal(shifted["page_token_ids"], before["page_token_ids"])
    assert np.abs(shifted["page_numbers"] - before["page_numbers"]).max() == pytest.approx(0.05, abs=1e-5)
    assert longest["page_padding_mask"].all()


def model(config: Config = CONFIG, spec: Spec = SPEC, width: int = 16) -> keras.Model:
    keras.utils.set_random_seed(0)
    built = branch.build(spec, config, width)
    tokens = built.tokens
    return keras.Model(built.inputs, {"values": tokens.values, "mask": tokens.mask, "position": tokens.position})


def test_a_token_for_each_word() -> None:
    inputs = tensors(SPEC, SPEC.probes()[1], EMPTY)
    network = model()
    outputs = network(inputs)
    assert outputs["values"].shape == (2, 20, 16)
    assert outputs["mask"].numpy().sum(axis=1).tolist() == [12, 1]
    np.testing.assert_allclose(outputs["position"][1, 0], [1.5 / 9, 1.5 / 9], atol=1e-6)
    assert (outputs["position"][1, 1:].numpy() == -1).all()
    assert all(variable.path.startswith("page_branch/") for variable in network.variables)


def test_padding_has_no_influence() -> None:
    inputs = tensors(SPEC, SPEC.probes()[1])
    real = inputs["page_padding_mask"][0] > 0
    other = {name: value.copy() for name, value in inputs.items()}
    other["page_token_ids"][:, ~real] = 5
    other["page_numbers"][:, ~real] = 0.3
    network = model()
    first, second = (np.asarray(network(each)["values"])[:, real] for each in (inputs, other))
    assert np.abs(first - second).max() < 0.05 * np.abs(first).max()


def test_attention_knows_where_words_stand() -> None:
    """The fault: a transformer over a bag of words would not notice that boxes were exchanged."""
    inputs = tensors(SPEC, SPEC.probes()[1])
    moved = {name: value.copy() for name, value in inputs.items()}
    moved["page_numbers"][:, 1, -10:-2] = inputs["page_numbers"][:, 2, -10:-2]
    network = model()
    assert np.abs(np.asarray(network(inputs)["values"]) - np.asarray(network(moved)["values"]))[:, 5].max() > 1e-4


def test_augmentation_masks_words_and_moves_boxes() -> None:
    inputs = {name: tf.constant(value) for name, value in tensors(SPEC, *SPEC.probes()).items()}
    assert records.augment(CONFIG, SPEC, inputs, tf.constant([1, 2])) is inputs
    config = Config(words=20, overlap=4, pieces=3, word_dropout=0.5, jitter=0.2)
    changed = records.augment(config, SPEC, inputs, tf.constant([1, 2]))
    real = inputs["page_padding_mask"].numpy() > 0
    masked = changed["page_token_ids"].numpy()[..., 0] == SPEC.mask_id
    assert 0.2 < masked[real].mean() < 0.8
    assert not masked[~real].any()
    assert not changed["page_numbers"].numpy()[~real].any()
    apart = np.abs(changed["page_numbers"].numpy() - inputs["page_numbers"].numpy())[..., -10:-2]
    assert 0.01 < apart.max() < 0.21
    again = records.augment(config, SPEC, inputs, tf.constant([1, 2]))
    np.testing.assert_array_equal(changed["page_numbers"], again["page_numbers"])


def test_the_spec_survives_json_and_an_altered_vocabulary_is_refused(tmp_path: Path) -> None:
    SPEC.save_files(tmp_path)
    given = json.loads(json.dumps(SPEC.to_json()))
    assert spec_from_json(given, tmp_path) == SPEC
    (tmp_path / SPEC.vocabulary_file).write_text("\n".join(reversed(WORDS)), "utf-8")
    with pytest.raises(BundleError, match="was altered"):
        spec_from_json(given, tmp_path)


def test_the_vocabulary_is_learned_from_the_words(tmp_path: Path) -> None:
    found = resolve(CONFIG, [records.encode(SPEC, page) for page in SPEC.probes()], tmp_path)
    assert "total" in found.spec("page").vocabulary
    with pytest.raises(ConfigError, match="lowercase = true"):
        resolve(Config(embeddings="minilm", lowercase=False), [], tmp_path)


def test_options_that_do_not_fit() -> None:
    with pytest.raises(ConfigError) as error:
        Config(words=0, jitter=1.0, frame="pgae")  # type: ignore[arg-type]
    assert all(text in str(error.value) for text in ("words:", "jitter:", "did you mean 'page'"))
    with pytest.raises(ConfigError, match="heads: expected a divisor of the width 16"):
        model(Config(words=20, overlap=4, heads=3))


def test_a_page_is_drawn() -> None:
    value = SPEC.probes()[0]
    assert image(value).shape[2] == 3
    assert caption(json.dumps(EMPTY)) == "\u0300"
