from __future__ import annotations

import itertools

import numpy as np
import pytest

from mmkeras.tasks.tags.scheme import Scheme, Span, labels_in
from mmkeras.tasks.tags.viterbi import best_tags

BIO, IO = Scheme("BIO", ("a", "b")), Scheme("IO", ("a", "b"))


def numbers(scheme: Scheme, text: str) -> np.ndarray:
    return np.array([scheme.numbers[tag] for tag in text.split()])


def by_definition(tags: list[str]) -> set[tuple[int, int, str]]:
    """Return the entities of BIO tags as conlleval defines them, written anew: the oracle of `Scheme.spans`."""
    found: set[tuple[int, int, str]] = set()
    start = 0
    for place in range(len(tags) + 1):
        tag = tags[place] if place < len(tags) else "O"
        before = tags[place - 1] if place else "O"
        ends = before != "O" and (tag[0] in "OB" or tag[2:] != before[2:])
        begins = tag != "O" and (tag[0] == "B" or before == "O" or tag[2:] != before[2:])
        if ends:
            found.add((start, place, before[2:]))
        if begins:
            start = place
    return found


def test_entities_of_every_sequence_are_those_of_the_definition() -> None:
    for chosen in itertools.product(range(5), repeat=5):
        tags = [BIO.tags[number] for number in chosen]
        spans = {(span.start, span.stop, BIO.labels[span.label]) for span in BIO.spans(np.array(chosen))}
        assert spans == by_definition(tags), tags


def test_seqeval_finds_the_same_entities() -> None:
    seqeval = pytest.importorskip("seqeval.metrics.sequence_labeling", reason="seqeval is not installed")
    rng = np.random.default_rng(0)
    for _ in range(300):
        chosen = rng.integers(0, 5, 12)
        theirs = seqeval.get_entities([BIO.tags[number] for number in chosen])
        assert {(start, stop + 1, label) for label, start, stop in theirs} == {
            (span.start, span.stop, BIO.labels[span.label]) for span in BIO.spans(chosen)
        }


def test_words_without_a_tag_end_entities() -> None:
    assert BIO.spans(np.array([1, 2, -1, 2, 3, -1])) == [Span(0, 2, 0), Span(3, 4, 0), Span(4, 5, 1)]
    assert IO.spans(np.array([1, 1, 2, -1, 2, 0])) == [Span(0, 2, 0), Span(2, 3, 1), Span(4, 5, 1)]


def test_illegal_tags_become_legal_with_the_same_entities() -> None:
    given = numbers(BIO, "I-a I-a O I-b I-a B-a I-b")
    legal = BIO.legal(given)
    assert [BIO.tags[number] for number in legal] == ["B-a", "I-a", "O", "B-b", "B-a", "B-a", "B-b"]
    assert BIO.spans(given) == BIO.spans(legal)


def test_io_takes_tags_of_both_schemes() -> None:
    assert numbers(IO, "O a B-b I-b").tolist() == [0, 1, 2, 2]
    assert labels_in(["O", "B-x", "I-y", "plain"]) == ("plain", "x", "y")


@pytest.mark.parametrize("scheme", [BIO, IO], ids=["BIO", "IO"])
def test_viterbi_finds_the_best_of_all_legal_sequences(scheme: Scheme) -> None:
    given = np.random.default_rng(0).dirichlet(np.full(len(scheme.tags), 0.5), (20, 4))
    found = best_tags(given, scheme.follows)
    for row, chosen in zip(given, found, strict=True):
        best, highest = None, -1.0
        for sequence in itertools.product(range(len(scheme.tags)), repeat=4):
            if (scheme.legal(np.array(sequence)) != sequence).any():
                continue
            product = np.prod([row[word, tag] for word, tag in enumerate(sequence)])
            if product > highest:
                best, highest = sequence, product
        assert tuple(chosen) == best


def test_viterbi_repairs_what_the_most_probable_tags_break() -> None:
    given = np.array([[[0.4, 0.35, 0.25, 0, 0], [0.1, 0.1, 0.8, 0, 0]]])
    assert given.argmax(-1).tolist() == [[0, 2]]
    assert best_tags(given, BIO.follows).tolist() == [[1, 2]]


def test_words_that_are_not_finite_have_no_preference() -> None:
    given = np.array([[[0.1, 0.9, 0, 0, 0], [np.nan, 0, 0, 0, 0], [0.1, 0, 0.9, 0, 0]]])
    assert best_tags(given, BIO.follows)[0, ::2].tolist() == [1, 2]
