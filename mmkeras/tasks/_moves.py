"""Which modality moves samples in training, and whether the other modalities and the targets can follow."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mmkeras.core.components import find
from mmkeras.core.errors import ConfigError
from mmkeras.modalities import ModalitySpec
from mmkeras.modalities._moves import MIRROR, UNSAID
from mmkeras.tasks import TaskSpec

__all__ = ["check_moves", "leader"]


def leader(specs: Mapping[str, ModalitySpec], configs: Mapping[str, Any]) -> tuple[str, dict[str, str]]:
    """Return the modality that draws the moves, and its moves by option; ("", {}) without such an option.

    It is the first modality with such an option: with a second draw, modalities would move differently.
    """
    for name in specs:
        if moves := configs[name].moves():
            return name, moves
    return "", {}


def check_moves(
    specs: Mapping[str, ModalitySpec], configs: Mapping[str, Any], task: TaskSpec | None, kind: str
) -> None:
    """Check that every modality and target can follow the moves of the configuration.

    Args:
        specs: the modalities.
        configs: their configurations, whose options set the moves.
        task: the task's spec; if it is not known yet (None), its class is checked.
        kind: the task's name.

    Raises:
        ConfigError: names every option, and the modality or target that cannot follow it.
    """
    first, moves = leader(specs, configs)
    problems = [
        f"model.{name}.{option}: model.{first}.{next(iter(moves))} moves the whole sample, {name} included. "
        "Leave the option out"
        for name in specs
        if name != first
        for option in configs[name].moves()
    ]
    for option, move in moves.items():
        for name, spec in specs.items():
            if name != first and (reason := spec.cannot_follow(move)):
                problems.append(_refusal(first, option, f"the modality {name} ({spec.kind})", reason))
        spec_class = find("tasks", kind, "spec").Spec
        reason = task.cannot_follow(move) if task is not None else "" if move in spec_class.follows else UNSAID
        if reason:
            problems.append(_refusal(first, option, f"the targets of the task {kind}", reason))
        for target in task.targets if task is not None and move != MIRROR else ():
            size = tuple(specs[first].tensors[0].shape[:2])
            if target.encoding == "png" and target.shape[:2] != size:
                reason = f"it has {target.shape[:2]} pixels and the picture {size}, so a {move} is not the same in both"
                problems.append(_refusal(first, option, f"the target {target.name}", reason))
    if problems:
        raise ConfigError("\n".join(problems))


def _refusal(modality: str, option: str, part: str, reason: str) -> str:
    return f"model.{modality}.{option}: {part} cannot follow: {reason}. Leave the option out"
