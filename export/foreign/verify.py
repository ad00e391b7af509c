"""Holds a file of any tool to a reference on the user's data: the steps of ``mmkeras verify`` in order."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from export.foreign import checks
from export.foreign.bind import bind
from export.foreign.by_targets import better_inputs, better_side
from export.foreign.decisions import Decisions, decisions_for, read_labels
from export.foreign.declared import parse_declared, parse_map, parse_missing
from export.foreign.diagnosis import Question, diagnose
from export.foreign.feeds import SIDES
from export.foreign.latency import latency
from export.foreign.limits import Limits, limits_for
from export.foreign.match import match, parse_pairs
from export.foreign.measure import Change, Measured, Stored, measure, run_both, spreads
from export.foreign.model import Model
from export.foreign.options import Options
from export.foreign.outputs import Changes, Outputs, parse_changes
from export.foreign.report import Check, Report
from export.foreign.rows import Rows, check_columns
from export.foreign.scenarios import scenarios
from export.verification.judge import scenario_problems
from export.verification.scenarios import ALL
from mmkeras.core.errors import ConfigError
from mmkeras.media.table.rows import Row, read_table

__all__ = ["verify"]

_CORRUPTED_ROWS = 200


def verify(file: Model, reference: Model, options: Options, say: Callable[[str], None] = lambda text: None) -> Report:
    """Compare a file with its reference.

    Args:
        file: the file, open.
        reference: what it is held to, open.
        options: what to compare them on.
        say: is called with the current step.

    Raises:
        ConfigError: an option that does not fit the files or the table.
        DataError: the table cannot be read, or an engine fails on the inputs.
    """
    return _Run(file, reference, options, say).report()


@dataclass
class _Run:
    file: Model
    reference: Model
    options: Options
    say: Callable[[str], None]
    checks: list[Check] = field(default_factory=list)
    measured: dict[str, Measured] = field(default_factory=dict)
    changes: dict[str, Change] = field(default_factory=dict)
    """Of the inputs, by scenario."""
    spread: dict[str, np.ndarray] | None = None
    """How much each output of the reference varies in the scenario ``all``."""

    def report(self) -> Report:
        options, models = self.options, {"file": self.file, "reference": self.reference}
        rows = self._rows()
        report = Report.begun(models, rows)
        report.warn(checks.same_file_warning(self.file, self.reference))
        few = checks.few_problems(rows, options.max_bad_rows)
        self._check("rows", few)
        if len(rows.good) < checks.LEAST_ROWS:
            report.checks = self.checks
            return report
        self.say("pairing the outputs")
        changes = parse_changes(options.activation, options.background)
        outputs, decisions = self._outputs(rows, changes)
        self._check("outputs", outputs.problems)
        # Targets without decisions: the outputs could not be compared, which is a finding and no wrong use.
        drop = None if options.target and decisions is None else options.max_metric_drop
        limits = limits_for(
            self.file,
            self.reference,
            precision=options.precision,
            tolerance=options.tolerance,
            max_metric_drop=drop,
            max_flips=options.max_flips,
            metric=decisions.task.metric if decisions and decisions.targets is not None else "",
        )
        report.outputs, report.decisions, report.limits = outputs, decisions, limits
        stored = self._all(rows, outputs, decisions, limits)
        if decisions is not None:
            report.warn(checks.slices_warning(self.measured[ALL], options.slices))
        if not sum(stored.not_finite.values()) and outputs.pairs:
            self._check("outputs change", checks.constant_problems(stored, len(rows.good), outputs))
            self._check("scale of outputs", checks.scale_problems(stored, len(rows.good), outputs))
            report.warn(checks.uniform_warning(stored, outputs, decisions, len(rows.good)))
            self.say("checking that every input is read")
            unread = checks.unread_problems(rows, outputs, options.ignore)
            if len(rows.feeds.feeds) > 1:
                self._check("inputs are read", unread)
        if outputs.pairs:
            self._others(rows, outputs, decisions, limits)
        question = Question(rows, changes, parse_pairs(options.pair), options.ignore, options.decision, limits)
        causes = ("outputs", "scale of outputs", ALL)
        if any(check.problems for check in self.checks if check.name in causes):
            report.findings = diagnose(question, self.say)
            report.warn(better_side(question, report.findings, decisions))
        if decisions is not None and (chance := checks.chance_warning(self.measured[ALL], decisions)):
            report.warn(chance)
            report.warn(better_inputs(question, decisions))
        if options.latency:
            self.say("timing both files")
            report.latency = latency(rows)
            self._check("latency", self._slow(report.latency.wall_ratio))
        report.checks, report.measured = self.checks, self.measured
        return report

    def _check(self, name: str, problems: Sequence[str]) -> None:
        self.checks.append(Check(name, tuple(problems)))

    def _rows(self) -> Rows:
        """Match the inputs, read the table and keep the rows that both sides can be given."""
        options, models = self.options, {"file": self.file, "reference": self.reference}
        table = read_table(options.data)
        columns = parse_map(options.map)
        wanted: dict[str, Sequence[str]] = {f"--map {name}": given for name, given in columns.items()}
        wanted |= {"--target": options.target, "--slices": options.slices}
        wanted |= {"--group": (options.group,) if options.group else ()}
        check_columns(options.data, table, wanted)
        left, right = ({each.name: each.shape for each in model.inputs} for model in (self.file, self.reference))
        pairs, problems = match("input", left, right, parse_pairs(options.pair))
        if problems:
            listed = "; ".join(f"{side}: {', '.join(map(str, models[side].inputs))}" for side in SIDES)
            raise ConfigError(f"{'. '.join(problems)}. Pair them with --pair NAME_IN_FILE=NAME_IN_REFERENCE. {listed}")
        both = parse_declared("--input", options.input)
        declared = {
            "file": both.under(parse_declared("--file-input", options.file_input)),
            "reference": both.under(parse_declared("--reference-input", options.reference_input)),
        }
        root = options.root or options.data.parent
        feeds = bind(models, pairs, columns, declared, table, root)
        self.changes = scenarios(feeds, parse_missing(options.missing), options.corruptions)
        self.say("reading the rows")
        rows = Rows(options.data, table, feeds, root, tuple(options.target), tuple(options.slices), options.group)
        return rows.checked(options.rows)

    def _outputs(self, rows: Rows, changes: Changes) -> tuple[Outputs, Decisions | None]:
        """Pair the outputs on two rows, and derive decisions and targets."""
        options = self.options
        values = [rows.values(row) for row in rows.good[: checks.LEAST_ROWS]]
        first = {side: rows.feeds.models[side].infer(rows.feeds.batch(values, side)) for side in SIDES}
        known = {pair.file for pair in rows.feeds.pairs} | {pair.reference for pair in rows.feeds.pairs}
        known |= {name for side in SIDES for name in first[side]} | {feed.name for feed in rows.feeds.feeds}
        if wrong := [name for name in options.ignore if name not in known]:
            raise ConfigError(
                f"--ignore {wrong[0]}: no input or output is called so; there are {', '.join(sorted(known))}"
            )
        outputs = Outputs.of(
            first["file"], first["reference"], parse_pairs(options.pair), options.ignore, changes, options.decision
        )
        if outputs.decision is None or outputs.decision not in outputs.pairs:
            if options.target:
                reason = "; ".join(outputs.problems) or "no output holds a row of numbers for each sample"
                if outputs.decision is None:
                    raise ConfigError(f"--target: {reason}, so there is no metric. Choose an output with --decision")
            return outputs, None
        width = outputs.adapted("reference", first["reference"])[outputs.decision.file].shape[1]
        cells = [rows.names(column) for column in options.target]
        labels = read_labels(options.labels) if options.labels else ()
        return outputs, decisions_for(width, options.target, cells, labels, options.task)

    def _all(self, rows: Rows, outputs: Outputs, decisions: Decisions | None, limits: Limits) -> Stored:
        self.say(f"running both files on {len(rows.good)} rows")
        stored = run_both(rows, rows.good, outputs)
        columns = [
            dict(zip(rows.slices, values, strict=True))
            for values in zip(*(rows.names(column).tolist() for column in rows.slices), strict=True)
        ] or [{} for _ in rows.good]
        found = measure(
            stored, len(rows.good), outputs, decisions, self._keys(rows), self._groups(rows), columns, whole=True
        )
        if not found.result.not_finite:
            self.spread = spreads(stored, len(rows.good))
        self._judge(ALL, found, decisions, limits)
        return stored

    def _others(self, rows: Rows, outputs: Outputs, decisions: Decisions | None, limits: Limits) -> None:
        for name, change in self.changes.items():
            self.say(f"running both files, {name}")
            chosen = rows.good if name.startswith("without_") else rows.good[:_CORRUPTED_ROWS]
            found = self._scenario(rows, chosen, outputs, decisions, change)
            self._judge(name, found, decisions, limits)

    def _scenario(
        self,
        rows: Rows,
        chosen: Sequence[Row],
        outputs: Outputs,
        decisions: Decisions | None,
        change: Change,
    ) -> Measured:
        stored = run_both(rows, chosen, outputs, change)
        keys, groups = self._keys(rows), self._groups(rows)
        return measure(stored, len(chosen), outputs, decisions, keys, groups, spread=self.spread)

    def _judge(self, name: str, found: Measured, decisions: Decisions | None, limits: Limits) -> None:
        task = decisions.task if decisions else None
        gate = limits.gate
        if gate.metric_drop is None and name == ALL:
            # Slices are judged by changed decisions where no metric is known: a drop of 1 is never exceeded.
            gate = dataclasses.replace(gate, metric_drop=1.0)
        if not gate.exact and name != ALL and not name.startswith("without_"):
            # On spoilt pictures most decisions of a good model are near ties, and its outputs small: the noise and the
            # near ties are only reported. Decisions that are clear, and the metric, have the limits of every scenario.
            gate = dataclasses.replace(gate, noise=None, flips_and_ties=1.0)
        result = (
            dataclasses.replace(found.result, metric_change=0.0) if found.reference_metric is None else found.result
        )
        metric, sign = (task.metric, task.metric_sign) if task else ("metric", 1)
        problems = scenario_problems(gate, limits.tolerance, name, result, metric, sign)
        for side, line in found.first_bad.items():
            count, who = found.not_finite[side], "FILE" if side == "file" else "the reference itself"
            problems.append(f"{who} gives {count} of them, the first on line {line} of {self.options.data.name}")
        self.measured[name] = found
        self._check(name, problems)

    def _keys(self, rows: Rows) -> list[str]:
        return [f"{rows.path.name}:{row.line}" for row in rows.good]

    def _groups(self, rows: Rows) -> np.ndarray:
        if not rows.group:
            return np.arange(len(rows.good))
        return np.unique(rows.names(rows.group), return_inverse=True)[1].reshape(-1)

    def _slow(self, ratio: float) -> list[str]:
        most = self.options.max_latency_ratio
        if most is None or ratio <= most:
            return []
        return [f"FILE takes {ratio:.2f} times as long as the reference, allowed {most:g}"]
