from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from mmkeras.core.errors import ConfigError, DataError
from mmkeras.modalities import Facts
from mmkeras.modalities._words import Word
from mmkeras.modalities.document.spec import Config as DocumentConfig
from mmkeras.modalities.text.spec import Config as TextConfig
from mmkeras.tasks._words import most_central
from mmkeras.tasks.tags.spec import Config, Spec

SPEC = Spec(("a", "b"), "BIO", "document", 5)


def outputs(spec: Spec, *rows: str) -> dict[str, np.ndarray]:
    """Return sure answers with these tags; padding is O."""
    found = np.full((len(rows), spec.words, len(spec.tags.tags)), 0.01, np.float32)
    for row, text in enumerate(rows):
        tags = [spec.tags.numbers[tag] for tag in text.split()]
        for word, number in enumerate(tags + [0] * (spec.words - len(tags))):
            found[row, word, number] = 0.96
    return {"tags": found}


def targets(spec: Spec, *rows: Any) -> np.ndarray:
    return np.stack([spec.encode(row) for row in rows])


def test_the_spec_derives_from_words_and_labels() -> None:
    document = DocumentConfig(words=40, overlap=4).spec_before_data("page")
    spec = Config().spec({"page": document}, Facts(("B-x", "I-x", "O", "O B-y")))
    assert (spec.labels, spec.reads, spec.words) == (("x", "y"), "page", 40)
    by_word = TextConfig(pooling="words", max_length=12).spec_before_data("text")
    assert Config(labels=("x",)).spec({"text": by_word}).words == 10
    with pytest.raises(ConfigError, match="expected one modality with words, got several"):
        Config(labels=("x",)).spec({"page": document, "text": by_word})
    with pytest.raises(ConfigError, match="did you mean 'page'"):
        Config(labels=("x",), words="pge").spec({"page": document})


def test_scores_count_entities() -> None:
    truth = targets(SPEC, "B-a I-a O B-b", "O O O", "B-a B-a")
    found = outputs(SPEC, "B-a I-a O B-a", "O O O", "B-a B-a")
    score = SPEC.score(truth, found)
    assert score["precision"] == score["recall"] == score["entity_f1"] == pytest.approx(3 / 4)
    assert (score["f1_a"], score["f1_b"]) == (pytest.approx(6 / 7), 0.0)
    assert score["exact_match"] == pytest.approx(2 / 3)
    assert score["word_accuracy"] == pytest.approx(8 / 9)


def test_an_answer_that_ends_too_late_is_wrong() -> None:
    """The fault that counting words would not see."""
    truth = targets(SPEC, "B-a I-a O O O")
    assert SPEC.score(truth, outputs(SPEC, "B-a I-a I-a O O"))["entity_f1"] == 0.0
    assert SPEC.score(truth, outputs(SPEC, "B-a B-a O O O"))["entity_f1"] == 0.0


def test_the_score_is_that_of_sets_of_entities() -> None:
    rng = np.random.default_rng(0)
    rows = [" ".join(rng.choice(SPEC.tags.tags, 5)) for _ in range(40)]
    truth = targets(SPEC, *rows)
    probabilities = {"tags": rng.dirichlet(np.full(5, 0.3), (40, 5)).astype(np.float32)}
    chosen = SPEC.decisions(probabilities)
    true = {(row, span) for row in range(40) for span in SPEC.tags.spans(truth[row])}
    found = {(row, span) for row in range(40) for span in SPEC.tags.spans(chosen[row])}
    expected = 2 * len(true & found) / (len(true) + len(found))
    assert SPEC.score(truth, probabilities)["entity_f1"] == pytest.approx(expected)


def test_seqeval_gives_the_same_f1() -> None:
    seqeval = pytest.importorskip("seqeval.metrics", reason="seqeval is not installed")
    rng = np.random.default_rng(1)
    rows = [[str(tag) for tag in rng.choice(SPEC.tags.tags, 5)] for _ in range(60)]
    answers = [[str(tag) for tag in rng.choice(SPEC.tags.tags, 5)] for _ in range(60)]
    legal = [SPEC.tags.legal(np.array([SPEC.tags.numbers[tag] for tag in row])) for row in answers]
    found = outputs(SPEC, *(" ".join(SPEC.tags.tags[number] for number in row) for row in legal))
    assert SPEC.score(targets(SPEC, *rows), found)["entity_f1"] == pytest.approx(seqeval.f1_score(rows, answers))


def test_words_without_a_tag_count_nowhere() -> None:
    truth = targets(SPEC, ["B-a", None, "O"])
    assert truth.tolist() == [[1, -1, 0, -1, -1]]
    score = SPEC.score(truth, outputs(SPEC, "B-a B-b O B-b B-b"))
    assert (score["entity_f1"], score["word_accuracy"]) == (1.0, 1.0)
    assert SPEC.classes_of(truth[0]) == ["a", "O"]


def test_no_entity_anywhere_has_no_f1() -> None:
    assert np.isnan(SPEC.score(targets(SPEC, "O O"), outputs(SPEC, "O O"))["entity_f1"])


def test_tags_must_fit_the_words() -> None:
    words = [Word("12"), Word("May")]
    SPEC.check_words("B-a I-a", words)
    with pytest.raises(DataError, match="a tag for each of the 2 words"):
        SPEC.check_words(["B-a"], words)
    with pytest.raises(DataError, match="the modality 'document', whose words have tags, is missing"):
        SPEC.check_sample("O", {"document": None}, {})


def test_entities_are_quoted_with_text_and_box() -> None:
    words = [Word("12", (0.1, 0.2, 0.2, 0.3)), Word("May", (0.25, 0.1, 0.4, 0.3)), Word("x", (0, 0, 1, 1))]
    answer = SPEC.quoted(SPEC.decode(outputs(SPEC, "B-a I-a O O B-b"))[0], words)
    (entity,) = answer["entities"]  # the second one is beyond the words
    assert (entity["label"], entity["text"], entity["box"]) == ("a", "12 May", [0.1, 0.1, 0.4, 0.3])
    assert entity["confidence"] == pytest.approx(0.96)
    assert SPEC.quoted(SPEC.decode(outputs(SPEC, "B-a"))[0], [Word("12")])["entities"][0]["box"] is None


def test_each_word_of_windows_is_answered_where_it_is_most_central() -> None:
    assert most_central([0, 3], [5, 5]) == [(0, 0), (0, 1), (0, 2), (0, 3), (1, 1), (1, 2), (1, 3), (1, 4)]
    parts = [{"tags": np.full((1, 5, 5), float(number))} for number in range(2)]
    joined = SPEC.joined(parts, [0, 3], [5, 5])["tags"]
    assert joined.shape == (1, 8, 5)
    assert joined[0, :, 0].tolist() == [0, 0, 0, 0, 1, 1, 1, 1]


def test_changes_are_counted_in_entities() -> None:
    first, second = outputs(SPEC, "B-a I-a O B-b", "O"), outputs(SPEC, "B-a I-a O O", "O")
    assert SPEC.flips(first, second).tolist() == [True, False]
    assert SPEC.changed_entities(first, second) == (1, 2)
    assert SPEC.margins(first, second) == pytest.approx([0.95, 0.0])
