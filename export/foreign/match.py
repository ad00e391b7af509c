"""Pairs the inputs and outputs of a file with those of the reference, and says how each pair was found."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

from mmkeras.core.errors import ConfigError, nearest

__all__ = ["Pair", "match", "parse_pairs", "plain_name"]


@dataclass(frozen=True)
class Pair:
    """An input or an output of both sides."""

    file: str
    """Its name in the file."""
    reference: str
    """Its name in the reference."""
    how: str
    """How they were matched: ``declared``, ``same name``, ``similar name``, ``only ones of this shape``, ``order``."""

    def __str__(self) -> str:
        return self.file if self.file == self.reference else f"{self.file} ({self.reference} in the reference)"


def parse_pairs(given: Sequence[str]) -> dict[str, str]:
    """Return the names in the reference by the names in the file, from ``FILE_NAME=REFERENCE_NAME``.

    Raises:
        ConfigError: another form.
    """
    wrong = [text for text in given if not all(text.partition("=")[::2])]
    if wrong:
        raise ConfigError(f"--pair: expected NAME_IN_FILE=NAME_IN_REFERENCE, got {', '.join(map(repr, wrong))}")
    return {text.partition("=")[0]: text.partition("=")[2] for text in given}


def plain_name(name: str) -> str:
    """Return a name without what converters add: ``serving_default_image:0`` is ``image``."""
    name = re.sub(r"^(serving_default|signature_default|inference|model)[_/]", "", name.split("/")[-1])
    return re.sub(r"[\W_]+", "", re.sub(r":\d+$", "", name).casefold())


def match(
    kind: str,
    file: Mapping[str, tuple[int | None, ...]],
    reference: Mapping[str, tuple[int | None, ...]],
    declared: Mapping[str, str],
    ignored: Collection[str] = (),
) -> tuple[list[Pair], list[str]]:
    """Pair by declaration, by name, by a shape that occurs once on each side, then by order.

    Args:
        kind: ``input`` or ``output``, for messages.
        file: shapes without the batch dimension by name; None for a size that is not fixed.
        reference: the same of the reference.
        declared: names in the reference by names in the file; those of the other kind are no error here.
        ignored: names that are left out on both sides.

    Returns:
        The pairs, and a problem for each name that has no partner.

    Raises:
        ConfigError: a declared pair of which one side exists and the other does not.
    """
    left = {name: shape for name, shape in file.items() if name not in ignored}
    right = {name: shape for name, shape in reference.items() if name not in ignored}
    pairs: list[Pair] = []

    def take(one: str, other: str, how: str) -> None:
        pairs.append(Pair(one, other, how))
        del left[one], right[other]

    for one, other in declared.items():
        if one in left and other in right:
            take(one, other, "declared")
        elif one in left or other in right:
            missing, names = (other, right) if one in left else (one, left)
            raise ConfigError(f"--pair {one}={other}: there is no {kind} {missing!r}; {nearest(missing, names)}")
    for how, form in (("same name", str), ("similar name", plain_name)):
        _unique(left, right, lambda name, _, form=form: form(name), how, take)  # type: ignore[misc]
    _unique(left, right, lambda _, shape: str(_sizes(shape)), "only ones of this shape", take)
    if len(left) == len(right):
        how = "order" if len(left) > 1 else "only ones left"
        for one, other in list(zip(left, right, strict=True)):
            take(one, other, how)
    problems = [f"{kind} {name!r} of FILE has no partner in the reference" for name in left]
    problems += [f"{kind} {name!r} of the reference has no partner in FILE" for name in right]
    order = list(file)
    return sorted(pairs, key=lambda pair: order.index(pair.file)), problems


def _unique(
    left: Mapping[str, tuple[int | None, ...]],
    right: Mapping[str, tuple[int | None, ...]],
    key: Callable[[str, tuple[int | None, ...]], str],
    how: str,
    take: Callable[[str, str, str], None],
) -> None:
    """Pair the names whose key occurs once on each side."""
    keys = [[(key(name, shape), name) for name, shape in side.items()] for side in (left, right)]
    for wanted, name in keys[0]:
        others = [other for found, other in keys[1] if found == wanted]
        if len(others) == 1 and sum(found == wanted for found, _ in keys[0]) == 1:
            take(name, others[0], how)


def _sizes(shape: tuple[int | None, ...]) -> list[int]:
    """Return the sizes in order of size, so that NHWC and NCHW are one shape."""
    return sorted(-1 if size is None else size for size in shape)
