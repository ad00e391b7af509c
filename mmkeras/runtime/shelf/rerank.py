"""The second step of a search: the whole model judges each of the first answers as a pair."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mmkeras.bundle import Bundle
from mmkeras.core.errors import ConfigError, DataError
from mmkeras.runtime.predictor import Predictor
from mmkeras.runtime.shelf.shelf import Shelf
from mmkeras.tasks.matching.task import Spec

__all__ = ["reranked"]


def reranked(
    bundle: Bundle, asked: str, value: Any, shelf: Shelf, answers: Sequence[dict[str, Any]], options: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """Return the answers with ``match``, the probability of the head for pairs, the most probable first.

    An answer whose picture cannot be read any more keeps its place behind the others.

    Args:
        bundle: of the whole model.
        asked: the modality of the question.
        value: its raw value.
        shelf: the index, whose entries are paths of pictures or texts.
        answers: ``entry`` and ``cosine``.
        options: of `mmkeras.runtime.predictor.Predictor`.

    Raises:
        ConfigError: the bundle has no head for pairs, or question and entries are of one kind.
    """
    if asked == shelf.modality:
        raise ConfigError(
            f"--rerank: expected a question of another kind than the entries ({shelf.modality}) to judge pairs. "
            "Leave out --rerank"
        )
    if not isinstance(bundle.task, Spec) or not bundle.task.pairs:
        raise ConfigError(
            f"--rerank: {bundle.place} has no head for pairs. Name the bundle of a whole model that was trained with "
            "model.task.options.pairs"
        )
    template = str(shelf.shown.get("template", "{}"))
    judged, rest = [], []
    with Predictor(bundle, **options) as predictor:
        for answer in answers:
            entry = answer["entry"]
            other = template.replace("{}", entry) if bundle.specs[shelf.modality].kind == "text" else entry
            try:
                found = predictor.predict(**{asked: value, shelf.modality: other})
            except DataError:
                found = {}
            if found.get("match") is None:
                rest.append(answer)
            else:
                judged.append({**answer, "match": found["match"]})
    return sorted(judged, key=lambda answer: -answer["match"]) + rest
