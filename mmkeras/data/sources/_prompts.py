"""Texts that name what to find in a picture, drawn from the classes of its mask by a seeded grammar.

    prompt  = phrase | "find" phrase | "show me" phrase | "where is" phrase "?" | "mark" phrase
    phrase  = thing | thing "and" thing | thing "," thing "and" thing
    thing   = a wording of a class, such as "the road" or "a person on a bicycle", or of something that no class has

Of the prompts of a picture a share has no text (all classes are the answer), a share names only what the picture does
not have, and a share names something of both. The same seed, picture and number give the same prompt.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

__all__ = ["ELSEWHERE", "Prompt", "Wordings", "draw_prompt", "wordings_of"]

NO_TEXT, ABSENT, MIXED = 0.1, 0.2, 0.1
"""Shares of prompts without a text, of what is not there, and of both what is there and what is not."""
_FORMS = ("{}", "{}", "find {}", "show me {}", "where is {}?", "mark {}")
_COUNTS = (1, 1, 1, 2, 2, 3)

Wordings = Mapping[str, Sequence[str]]
"""Wordings of each class; the last one of four or more is kept for new texts."""

ELSEWHERE = (
    *("a horse", "a cow", "an elephant", "a dog", "a cat", "a bird", "the sea", "a boat", "a ship", "the beach"),
    *("a mountain", "the snow", "a river", "an aeroplane", "a helicopter", "a train", "a tractor", "a tent", "a piano"),
    *("a sofa", "a bed", "a bottle", "an umbrella", "a cake", "a laptop", "a clock", "a football", "a tiger"),
    *(
        "a camel",
        "a penguin",
        "the moon",
        "a rocket",
        "a bathtub",
        "a giraffe",
        "a sheep",
        "a canoe",
        "a chair",
        "a kettle",
    ),
)
"""What no class of a street has; the last fifth is kept for new texts."""


@dataclass(frozen=True)
class Prompt:
    """One text and what it names."""

    text: str | None
    """None: all classes."""
    asked: tuple[str, ...] | None
    """The named classes; None for all."""
    kind: str
    """``everything``, ``absent``, ``mixed``, ``one`` or ``several``."""


def wordings_of(labels: Sequence[str], own: Wordings) -> dict[str, tuple[str, ...]]:
    """Return the wordings of each label: the given ones, or its name with an article."""
    return {label: tuple(own.get(label) or (f"the {label.replace('_', ' ')}",)) for label in labels}


def draw_prompt(
    wordings: Wordings,
    present: Sequence[str],
    seed: str,
    *,
    new: bool = False,
) -> Prompt:
    """Return one prompt for a picture.

    Args:
        wordings: of each class.
        present: the classes that its mask has.
        seed: seed, name of the picture and number of the prompt.
        new: use the wordings that are kept for new texts, where there are some.
    """
    draw = random.Random(seed)
    place = draw.random()
    missing = [label for label in wordings if label not in present]
    if place < NO_TEXT and not new:
        return Prompt(None, None, "everything")
    if place < NO_TEXT + ABSENT or not present:
        asked = [draw.choice(missing)] if missing and draw.random() < 0.5 else []
        kind = "absent"
    else:
        count = min(draw.choice(_COUNTS), len(present))
        asked = draw.sample(list(present), count)
        kind = "one" if count == 1 else "several"
    things = [_worded(draw, wordings[label], new, 4) for label in asked]
    if not asked:
        things = [_worded(draw, ELSEWHERE, new, 5)]
    elif kind != "absent" and len(things) < 3 and draw.random() < MIXED / (1 - NO_TEXT - ABSENT):
        things.append(_worded(draw, ELSEWHERE, new, 5))
        kind = "mixed"
    draw.shuffle(things)
    named = things[0] if len(things) == 1 else f"{', '.join(things[:-1])} and {things[-1]}"
    return Prompt(draw.choice(_FORMS).format(named), tuple(asked), kind)


def _worded(draw: random.Random, wordings: Sequence[str], new: bool, part: int) -> str:
    """Return a wording: of those kept for new texts, one in ``part`` of all, or of the others."""
    kept = len(wordings) // part
    known = wordings[: len(wordings) - kept]
    return draw.choice(wordings[len(known) :] if new and kept else known)
