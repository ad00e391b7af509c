"""The value of each modality: the model without it, with it shuffled across samples, and with all others missing.

``alone`` in the results is the same model with the other modalities marked as missing. A model that was trained on one
modality may do better. A model of one modality is only scored with that modality shuffled.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from mmkeras.evaluation.intervals import Bootstrap, Draws, Interval
from mmkeras.evaluation.predict import Variant
from mmkeras.evaluation.samples import Samples
from mmkeras.evaluation.words import amount, change, number
from mmkeras.modalities import ModalitySpec
from mmkeras.tasks import TaskSpec
from mmkeras.tasks._evidence import Evidence

__all__ = ["ablate"]


def ablate(
    run: Callable[[Variant], Evidence],
    samples: Samples,
    specs: Mapping[str, ModalitySpec],
    task: TaskSpec,
    whole: Draws,
    bootstrap: Bootstrap,
) -> tuple[dict[str, Any], list[str]]:
    """Score the model without each modality, with each one shuffled, and with each one alone.

    Args:
        run: returns the evidence on one variant of the inputs.
        samples: the samples.
        specs: modality specs by name.
        task: computes the metrics.
        whole: scores of the whole model on the same samples with the same seed.
        bootstrap: settings of the resampling.

    Returns:
        The JSON object of ``metrics.schema.json``, and warnings: findings that need a decision.
    """
    scored: dict[Variant, Draws] = {Variant(): whole}

    def score(variant: Variant) -> Draws:
        # With two modalities, "without left" and "right alone" are the same pass.
        if variant not in scored:
            scored[variant] = bootstrap.score(task, run(variant), samples.weights, samples.groups)
        return scored[variant]

    names = list(specs)
    several = names if len(names) > 1 else []
    groups: dict[str, dict[str, Draws]] = {
        "removed": {name: score(Variant(absent=frozenset({name}))) for name in several},
        "shuffled": {name: score(Variant(shuffled=frozenset({name}), seed=bootstrap.seed)) for name in names},
        "alone": {name: score(Variant(absent=frozenset(names) - {name})) for name in several},
    }
    constant = task.constant_outputs(samples.targets, samples.weights)
    found = None if constant is None else task.evidence(samples.targets, constant)
    baseline = None if found is None else bootstrap.score(task, found, samples.weights, samples.groups)
    result: dict[str, Any] = {
        group: {name: _entry(draws, whole) for name, draws in members.items()} for group, members in groups.items()
    }
    if baseline:
        result["baseline"] = _entry(baseline, whole)
    result["verdict"], warnings = _verdict(task, whole, groups, baseline)
    return result, warnings


def _entry(draws: Draws, whole: Draws) -> dict[str, Any]:
    return {
        "metrics": {name: interval.to_json() for name, interval in draws.intervals().items()},
        "difference": {name: draws.difference(whole, name).to_json() for name in draws.values},
    }


def _verdict(
    task: TaskSpec, whole: Draws, groups: Mapping[str, Mapping[str, Draws]], baseline: Draws | None
) -> tuple[dict[str, Any], list[str]]:
    metric, sign = task.metric, task.metric_sign
    words = metric.replace("_", " ")
    names = list(groups["shuffled"])
    verdict: dict[str, Any] = {"metric": metric, "fusion_helps": None, "best_alone": None, "gain": None}
    sentences: list[str] = []
    warnings: list[str] = []
    shuffled = {name: groups["shuffled"][name].difference(whole, metric) for name in names}
    if len(names) > 1:
        best = max(names, key=lambda name: sign * groups["alone"][name].values[metric])
        gain = whole.difference(groups["alone"][best], metric)
        # A model that ignores the content of a modality may still get worse without it, if it was never trained with it
        # missing. Only a shuffle shows whether the content is used.
        used = sum(_worse(difference, sign) for difference in shuffled.values())
        helps = bool((gain.low if sign > 0 else -gain.high) > 0) and used > 1
        verdict |= {"fusion_helps": helps, "best_alone": best, "gain": gain.to_json()}
        alone = number(metric, groups["alone"][best].values[metric])
        missing = next(name for name in names if name != best) if len(names) == 2 else "the others"
        comparison = (
            f"all modalities together reach {words} {number(metric, whole.values[metric])}, "
            f"{best} with {missing} missing reaches {alone} ({change(metric, gain)})."
        )
        if helps:
            sentences.append(f"Fusion helps: {comparison}")
        else:
            ending = ("No modality's content is used.", "Only one modality's content is used.", "")[min(used, 2)]
            sentences.append(f"Fusion adds nothing: {comparison} {ending}".rstrip())
            warnings.append(sentences[-1])
    else:
        sentences.append(f"The model has one modality, {names[0]}: there is no fusion to judge.")
    costs = {}
    for name, difference in shuffled.items():
        stays = number(metric, groups["shuffled"][name].values[metric])
        removed = groups["removed"].get(name)
        if removed:
            reached, cost = number(metric, removed.values[metric]), removed.difference(whole, metric)
            costs[name] = cost.to_json()
            if _worse(cost, sign):
                moves = f"{'falls' if sign > 0 else 'rises'} from {number(metric, whole.values[metric])} to {reached}"
                sentences.append(f"Without {name}, {words} {moves} (by {amount(metric, cost)}).")
            else:
                sentences.append(f"Without {name} nothing measurable is lost: {reached} ({change(metric, cost)}).")
        if not _worse(difference, sign):
            warnings.append(
                f"The model does not use {name}: with {name} taken from other samples, {words} stays at {stays} "
                f"({change(metric, difference)})."
            )
        if removed and baseline and _worse(removed.difference(baseline, metric), sign):
            warnings.append(
                f"Without {name} the model is worse than a constant answer: {reached} against "
                f"{number(metric, baseline.values[metric])}. Raise train.modality_dropout if {name} can be missing."
            )
    return verdict | {"cost_of_missing": costs, "text": " ".join(sentences)}, warnings


def _worse(difference: Interval, sign: int) -> bool:
    """Return whether a difference is a loss, with its whole interval."""
    return bool((difference.high if sign > 0 else -difference.low) < 0)
