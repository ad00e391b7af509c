"""What each modality is worth: removed, shuffled across samples, and with all others missing, against the whole model.

``alone`` in the results is the same model with the other modalities marked as missing. It is not a model that was
trained on one modality, which may do better. A model of one modality is only scored with that modality shuffled.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from mmkeras.evaluation.intervals import Bootstrap, Draws, Interval
from mmkeras.evaluation.predict import Variant
from mmkeras.evaluation.samples import Samples
from mmkeras.evaluation.words import amount, change, number
from mmkeras.modalities import ModalitySpec
from mmkeras.tasks import TaskSpec
from mmkeras.tasks._evidence import Evidence

__all__ = ["Ablation", "ablate"]


@dataclass(frozen=True)
class Ablation:
    """The result for ``metrics.json`` and what has to be said about it."""

    result: dict[str, Any]
    """JSON object, see ``metrics.schema.json``."""
    warnings: list[str]
    """Findings that need a decision, in plain words."""


def ablate(
    run: Callable[[Variant], Evidence],
    samples: Samples,
    specs: Mapping[str, ModalitySpec],
    task: TaskSpec,
    whole: Draws,
    bootstrap: Bootstrap,
) -> Ablation:
    """Score the model without, with shuffled and with nothing but each modality; a single one is only shuffled.

    Args:
        run: gives the evidence on one variant of the inputs.
        samples: the samples.
        specs: modality specs by name.
        task: gives the metrics.
        whole: scores of the whole model on the same samples with the same seed.
        bootstrap: settings of the resampling.
    """
    scored: dict[Variant, Draws] = {Variant(): whole}

    def score(variant: Variant) -> Draws:
        # With two modalities, "without one" and "the other alone" are the same pass.
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
    verdict, warnings = _verdict(task, whole, groups, baseline)
    result["verdict"] = verdict
    return Ablation(result, warnings)


def _entry(draws: Draws, whole: Draws) -> dict[str, Any]:
    return {
        "metrics": {name: interval.to_json() for name, interval in draws.intervals().items()},
        "difference": {name: draws.difference(whole, name).to_json() for name in draws.values},
    }


def _verdict(
    task: TaskSpec, whole: Draws, groups: Mapping[str, Mapping[str, Draws]], baseline: Draws | None
) -> tuple[dict[str, Any], list[str]]:
    metric, sign = task.metric, task.metric_sign
    names = list(groups["shuffled"])
    verdict: dict[str, Any] = {"metric": metric, "fusion_helps": None, "best_alone": None, "gain": None}
    warnings: list[str] = []
    sentences: list[str] = []
    shuffled = {name: groups["shuffled"][name].difference(whole, metric) for name in names}
    if len(names) > 1:
        best = max(names, key=lambda name: sign * groups["alone"][name].values[metric])
        gain = whole.difference(groups["alone"][best], metric)
        # Removing may hurt a model that ignores the modality, when it never learnt to live with its absence. Only a
        # shuffle tells whether what the modality says is used.
        used = sum(_worse(difference, sign) for difference in shuffled.values())
        helps = bool((gain.low if sign > 0 else -gain.high) > 0) and used > 1
        verdict |= {"fusion_helps": helps, "best_alone": best, "gain": gain.to_json()}
        alone = groups["alone"][best].values[metric]
        missing = " and ".join(name for name in names if name != best) if len(names) == 2 else "the others"
        comparison = (
            f"all modalities together reach {_titled(metric, whole.values[metric])}, "
            f"{best} with {missing} missing reaches {number(metric, alone)} ({change(metric, gain)})."
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
    for name in names:
        if name in groups["removed"]:
            cost = groups["removed"][name].difference(whole, metric)
            costs[name] = cost.to_json()
            sentences.append(_cost(name, metric, sign, groups["removed"][name], whole, cost))
        if not _worse(shuffled[name], sign):
            warnings.append(
                f"The model does not use {name}: with {name} taken from other samples, "
                f"{_titled(metric, None)} "
                f"stays at {number(metric, groups['shuffled'][name].values[metric])} "
                f"({change(metric, shuffled[name])})."
            )
        if baseline and name in groups["removed"]:
            below = groups["removed"][name].difference(baseline, metric)
            if _worse(below, sign):
                warnings.append(
                    f"Without {name} the model is worse than a constant answer: "
                    f"{number(metric, groups['removed'][name].values[metric])} against "
                    f"{number(metric, baseline.values[metric])}. Raise train.modality_dropout if {name} can "
                    f"be missing."
                )
    return verdict | {"cost_of_missing": costs, "text": " ".join(sentences)}, warnings


def _worse(difference: Interval, sign: int) -> bool:
    """Tell whether a difference is a loss by more than its interval."""
    return bool((difference.high if sign > 0 else -difference.low) < 0)


def _cost(name: str, metric: str, sign: int, removed: Draws, whole: Draws, cost: Interval) -> str:
    reached = number(metric, removed.values[metric])
    if not _worse(cost, sign):
        return f"Without {name} nothing measurable is lost: {reached} ({change(metric, cost)})."
    direction = "falls" if sign > 0 else "rises"
    whole_value = number(metric, whole.values[metric])
    return (
        f"Without {name}, {_titled(metric, None)} {direction} from {whole_value} to {reached} "
        f"(by {amount(metric, cost)})."
    )


def _titled(metric: str, value: float | None) -> str:
    words = metric.replace("_", " ")
    return words if value is None else f"{words} {number(metric, value)}"
