"""The sections of the model card, each a function of the content of the bundle's files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from export.card.quantization import quantization
from export.card.text import NOT_MEASURED, interval, mapping, number, plain, signed, table
from mmkeras.bundle.manifest import Manifest

__all__ = ["Measured", "SECTIONS"]

WORST_SLICES = 5
"""Values of a column that are shown, worst first."""


@dataclass(frozen=True)
class Measured:
    """The content of a bundle's files."""

    manifest: Manifest
    export: Mapping[str, Any]
    """``export.json``; empty without one."""
    metrics: Mapping[str, Any]
    """``metrics.json``: the evaluation of the Keras model; empty without one."""
    latency: Mapping[str, Any]
    """Entries of ``benchmark.json`` by ``<format> <precision>``; empty without one."""

    @property
    def metric(self) -> str:
        """Name of the task's metric."""
        return str(self.export.get("metric") or mapping(self.metrics, "task").get("metric") or "metric")

    @property
    def notice(self) -> str:
        """The notice above all numbers; empty without one."""
        return str(mapping(self.metrics, "provenance").get("notice") or self.manifest.provenance.get("notice") or "")

    @property
    def files(self) -> list[dict[str, Any]]:
        """Entries of ``export.json``."""
        files = self.export.get("files")
        return [file for file in files if isinstance(file, dict)] if isinstance(files, list) else []


def _model(measured: Measured) -> str:
    task = measured.manifest.task
    labels = task.get("labels")
    lines = [f"Task: {plain(task['kind'])}."]
    if isinstance(labels, list):
        lines.append(f"Labels: {', '.join(plain(label) for label in labels)}.")
    if whole := mapping(measured.manifest.provenance, "part_of"):
        lines.append(
            f"It is the part of the model {plain(whole.get('name'))} with the name {plain(whole.get('submodel'))}; "
            "its metric is the agreement with its own float32 Keras outputs."
        )
    if parts := measured.manifest.provenance.get("submodels"):
        lines.append(f"Parts that are exported by themselves: {', '.join(map(plain, parts))}.")
    rows = []
    for spec in measured.manifest.modalities:
        details = {k: v for k, v in spec.items() if k not in ("name", "kind") and not isinstance(v, dict | list)}
        rows.append((plain(spec["name"]), plain(spec["kind"]), _pairs(details)))
    return " ".join(lines) + "\n\n" + table(("modality", "kind", "preprocessing"), rows)


def _data(measured: Measured) -> str:
    provenance = measured.manifest.provenance
    source = mapping(provenance, "config", "data", "source")
    counts = mapping(provenance, "data_samples")
    evaluated = measured.metrics.get("samples")
    return (
        f"- Source: {plain(source.get('name') or 'not recorded')}\n"
        f"- Fingerprint: {plain(provenance.get('data_fingerprint', 'not recorded'))}\n"
        f"- Samples: {_pairs(counts) or 'not recorded'}\n"
        f"- Evaluated on: {f'{evaluated} test samples' if evaluated else NOT_MEASURED}\n"
    )


def _metrics(measured: Measured) -> str:
    values = mapping(measured.metrics, "test") or mapping(measured.manifest.provenance, "metrics")
    settings = mapping(measured.metrics, "intervals")
    rows = [(plain(name), interval(value)) for name, value in values.items()]
    text = table(("metric", "value"), rows)
    if rows and settings.get("confidence"):
        text += f"\nIntervals: {100 * settings['confidence']:g} %, resampled over groups of the test samples.\n"
    return text


def _ablation(measured: Measured) -> str:
    rows = []
    for what, variants in (("without", "removed"), ("shuffled", "shuffled"), ("with the others missing", "alone")):
        for modality, variant in mapping(measured.metrics, "ablation", variants).items():
            value = mapping(variant, "metrics").get(measured.metric)
            change = mapping(variant, "difference").get(measured.metric)
            rows.append((f"{plain(modality)} {what}", interval(value), interval(change)))
    verdict = mapping(measured.metrics, "ablation", "verdict").get("text")
    text = table(("modality", measured.metric, "change"), rows)
    return text + (f"\n{plain(verdict)}\n" if verdict else "")


def _slices(measured: Measured) -> str:
    rows = []
    for column, values in mapping(measured.metrics, "slices").items():
        for value, found in list(mapping(values).items())[:WORST_SLICES]:
            found = mapping(found)
            remark = "few samples" if found.get("few") else "worse than the whole" if found.get("worse") else ""
            score = interval(found.get(measured.metric))
            rows.append((plain(column), plain(value), str(found.get("samples", "")), score, remark))
    shown = f"At most {WORST_SLICES} values of each column, the worst first.\n\n" if rows else ""
    return shown + table(("column", "value", "samples", measured.metric, "remark"), rows)


def _classes(measured: Measured) -> str:
    per_class = mapping(measured.metrics, "per_class")
    names = [name for name in _columns(per_class) if name not in ("samples", "few")]
    rows = [
        (plain(name), str(mapping(found).get("samples", "")), *(interval(mapping(found).get(n)) for n in names))
        for name, found in per_class.items()
    ]
    return table(("class", "samples", *map(plain, names)), rows)


def _degradation(measured: Measured) -> str:
    scenarios = mapping(measured.metrics, "degradation")
    names = _columns(scenarios)
    rows = [
        (plain(name), *(number(mapping(found).get(n), "{:.4g}") for n in names)) for name, found in scenarios.items()
    ]
    return table(("scenario", *map(plain, names)), rows)


def _formats(measured: Measured) -> str:
    tolerances = {(file.format, file.precision): file.tolerance for file in measured.manifest.files}
    rows = []
    for file in measured.files:
        key = (str(file.get("format")), str(file.get("precision")))
        time = mapping(measured.latency, " ".join(key)).get("p50_ms")
        accepted = "accepted" if file.get("accepted") else f"rejected: {plain(file.get('reason', ''))}"
        rows.append(
            (
                plain(" ".join(key)),
                number(file.get("bytes") or None, "{:,}"),
                number(file.get("metric")),
                signed(file.get("metric_change")),
                number(file.get("flips") if file.get("samples") else None, "{}"),
                number(file.get("max_abs_diff"), "{:.2g}"),
                number(tolerances.get(key), "{:.2g}"),
                number(time, "{:.3f}"),
                accepted,
            )
        )
    comparison = (measured.metric, "change", "flips", "max diff", "allowed on a device")
    text = table(("file", "bytes", *comparison, "p50 ms", "verdict"), rows)
    counts = sorted({file["samples"] for file in measured.files if isinstance(file.get("samples"), int)})
    if counts and counts[-1]:
        text += (
            f"\nEach file against the Keras model on {counts[-1]} test samples in every scenario. Flips are changed "
            "decisions in all scenarios.\n"
        )
    return text


def _scenarios(measured: Measured) -> str:
    files = [file for file in measured.files if mapping(file, "scenarios")]
    names = [plain(f"{file.get('format')} {file.get('precision')}") for file in files]
    rows = []
    for scenario, value in mapping(measured.export, "reference").items():
        found = [mapping(file, "scenarios", scenario).get("metric") for file in files]
        rows.append((plain(scenario), number(value), *map(number, found)))
    return table((f"{measured.metric} in scenario", "keras", *names), rows)


def _limits(measured: Measured) -> str:
    lines = [str(line) for key in ("warnings", "remarks") for line in measured.metrics.get(key) or ()]
    counts = [file["samples"] for file in measured.files if isinstance(file.get("samples"), int) and file["samples"]]
    reference = {k: v for k, v in mapping(measured.export, "reference").items() if isinstance(v, int | float)}
    whole = reference.get("all")
    sign = -1 if mapping(measured.metrics, "task").get("metric_sign") == -1 else 1
    if whole is not None and len(reference) > 1:
        worst = min(reference, key=lambda name: sign * reference[name])
        lines.append(
            f"Worst scenario: {worst}, {measured.metric} {reference[worst]:.4f}; with unchanged inputs {whole:.4f}."
        )
    if counts:
        lines.append(
            f"The exported files were compared on {min(counts)} samples; behaviour beyond these is not proven."
        )
    rejected = [f"{f.get('format')} {f.get('precision')}" for f in measured.files if not f.get("accepted")]
    if rejected:
        lines.append(f"Rejected, not to be used: {', '.join(rejected)}.")
    missing = [
        name
        for name, there in (
            ("slices", measured.metrics.get("slices")),
            ("calibration of the confidence", measured.metrics.get("calibration")),
            ("degraded sensors", measured.metrics.get("degradation")),
            ("latency on a device (mmkeras benchmark measures it)", measured.latency),
            ("fairness, privacy and resistance to attacks", None),
        )
        if not there
    ]
    lines.append(f"{NOT_MEASURED.capitalize()}: {', '.join(missing)}.")
    return "\n".join(f"- {plain(line)}" for line in lines) + "\n"


def _licence(measured: Measured) -> str:
    licence = measured.manifest.provenance.get("licence")
    said = plain(licence) if licence else "not recorded; it depends on the training data: ask its supplier"
    return f"- Weights: {said}\n- mmkeras, whose runtime travels in a packed bundle: Apache-2.0\n"


def _origin(measured: Measured) -> str:
    provenance = measured.manifest.provenance
    return (
        f"- Exported: {plain(measured.manifest.created)}\n"
        f"- Trained: {plain(provenance.get('created', 'not recorded'))}\n"
        f"- Code: {plain(provenance.get('code_revision', 'not recorded'))}\n"
        f"- Packages: {_pairs(mapping(provenance, 'packages')) or 'not recorded'}\n"
    )


def _pairs(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{plain(key)} {plain(value)}" for key, value in values.items())


def _columns(rows: Mapping[str, Any]) -> list[str]:
    """Return the names of all values in some rows, in the order of their first occurrence."""
    return list(dict.fromkeys(name for row in rows.values() for name in mapping(row)))


SECTIONS = {
    "Model": _model,
    "Data": _data,
    "Metrics": _metrics,
    "Modalities": _ablation,
    "Slices": _slices,
    "Classes": _classes,
    "Degraded sensors": _degradation,
    "Exported files": _formats,
    "Scenarios": _scenarios,
    "Static int8": lambda measured: quantization(measured.export),
    "Limits": _limits,
    "Licence": _licence,
    "Origin": _origin,
}
"""Heading and text of each section, in the order of the card."""
