from __future__ import annotations

import keras
import numpy as np

from mmkeras.media.text.vocabulary import SPECIAL_TOKENS
from mmkeras.modalities.text import branch
from mmkeras.modalities.text.pooling import PiecesToWords, roles_of
from mmkeras.modalities.text.spec import Config

VOCABULARY = (*SPECIAL_TOKENS, "no", "mass", "##es", "##x", ".", "#", "##")


def test_words_are_the_means_of_their_pieces() -> None:
    ids = np.array([[2, 5, 6, 7, 8, 9, 3, 0], [2, 3, 0, 0, 0, 0, 0, 0]], "int32")  # [CLS] no mass ##es ##x . [SEP]
    values = np.arange(32, dtype="float32").reshape(2, 8, 2)
    layer = PiecesToWords(6, len(VOCABULARY))
    layer.build(None)
    layer.roles.assign(roles_of(VOCABULARY))
    words, mask = layer(values, ids, (ids > 0).astype("int32"))
    assert mask.numpy().tolist() == [[1, 1, 1, 0, 0, 0], [0] * 6]
    np.testing.assert_allclose(words[0, :3], [values[0, 1], values[0, 2:5].mean(axis=0), values[0, 5]])
    assert not words[0, 3:].numpy().any()


def test_a_text_has_a_token_for_each_of_its_words(tmp_path) -> None:
    path = tmp_path / "vocab.txt"
    path.write_text("".join(f"{token}\n" for token in VOCABULARY), "utf-8")
    config = Config(max_length=8, layers=1, heads=2, hidden=8, intermediate=16, vocabulary=str(path), pooling="words")
    spec = config.spec("text")
    assert spec.max_words == 6
    text = "No massesx."
    assert [word.text for word in spec.words_of(text)] == ["no", "massesx", "."]
    built = branch.build(spec, config, 4)
    model = keras.Model(built.inputs, {"values": built.tokens.values, "mask": built.tokens.mask})
    inputs = {name: value[None] for name, value in spec.preprocess(text).items()}
    assert model(inputs)["mask"].numpy().tolist() == [[1, 1, 1, 0, 0, 0]]
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(again(inputs)["mask"], model(inputs)["mask"])
