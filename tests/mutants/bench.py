"""Plants one fault in every file of an export, and asks the export gate and the self-test."""

from __future__ import annotations

import dataclasses
import hashlib
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.progress import Progress

from export.attempt import attempt
from export.formats import Job, formats
from export.run import export_source
from export.source import Source
from export.verification.proof.proof import prove
from export.verification.report import FileResult
from export.verification.verify import Reference
from mmkeras.bundle import Bundle
from mmkeras.core.config import ExportConfig
from mmkeras.core.console import Console
from mmkeras.core.errors import MmkerasError
from mmkeras.runtime.selftest import selftest
from tests.mutants.kind import Edit, HostChange, Plant, Scene, Signal, Variant
from tests.mutants.kinds.bundles import rewrite
from tests.mutants.planting import SAVED_MODEL, Place, difference_of, honest_file, keep_files, no_part, plant_file
from tests.mutants.probe import Probe
from tests.mutants.subject import silence

__all__ = ["FLOAT_NOISE", "Bench", "Mutant"]

FLOAT_NOISE = 1e-5
"""A mutant is equivalent where no output, in any scenario, differs by more from the file without the fault."""


@dataclass(frozen=True)
class Mutant:
    """One fault in one file or bundle, and who noticed."""

    kind: str
    variant: str
    place: str
    format: str
    """Format of the file; ``bundle`` where the fault is in no single file."""
    precision: str
    """Precision of the file; ``bundle`` where the fault is in no single file."""
    gate: str = "not asked"
    """``refused``, ``accepted`` or ``not asked``."""
    gate_reason: str = ""
    selftest: str = "not asked"
    """``failed``, ``passed`` or ``not asked``."""
    selftest_reason: str = ""
    equivalent: bool = False
    """Whether no output differs by more than `FLOAT_NOISE`."""
    difference: float | None = None
    """Largest difference of an output to the file without the fault; None where it does not run or is not finite."""
    flips: float | None = None
    """Largest share of decisions that differ from the Keras model's in a scenario."""
    drop: float | None = None
    """Largest loss of the metric in a scenario, in points."""

    @property
    def caught(self) -> bool:
        """Whether the gate or the self-test noticed."""
        return self.gate == "refused" or self.selftest == "failed"

    def to_json(self) -> dict[str, Any]:
        """Return a JSON object."""
        return asdict(self)


class Bench:
    """An honest export of the subject, with everything that is measured of it once."""

    def __init__(
        self, source: Source, bundle: Path, other: Path, models: Path, config: ExportConfig, seed: int
    ) -> None:
        """Run the Keras model in every scenario.

        Args:
            source: the subject.
            bundle: its honest export.
            other: an honest export of another training.
            models: folder with files of other models, by the name of the model.
            config: what was exported.
            seed: of the faults.
        """
        self.source, self.bundle, self.other, self.models = source, bundle, other, models
        self.config, self.seed = config, seed
        self.reference = Reference(source)
        raw = list(self.reference.raw_cases())
        self.reference.raw_cases = lambda: iter(raw)  # type: ignore[method-assign]
        self._memory: dict[Any, dict[str, np.ndarray]] = {}
        self._honest: dict[tuple[str, str], list[dict[str, np.ndarray]]] = {}
        accepted = [file for file in Bundle.open(bundle).files if file.accepted]
        self.files = [(file.format, file.precision) for file in accepted]

    def try_variant(self, variant: Variant, files: list[tuple[str, str]] | None = None) -> list[Mutant]:
        """Plant a fault in every file that it applies to, or in the bundle.

        Args:
            variant: the fault.
            files: formats and precisions; those of the honest export when not given.
        """
        plant = variant.plant
        if isinstance(plant, Edit):
            return self._try_edit(variant, plant)
        if isinstance(plant, HostChange):
            return [self._try_host(variant, plant)]
        chosen = [
            file for file in files or self.files if not variant.kind.precisions or file[1] in variant.kind.precisions
        ]
        with tempfile.TemporaryDirectory() as temporary:
            place = Place(self.source, self.bundle, self.models, self.config, Path(temporary))
            planted = {file: path for file in chosen if (path := plant_file(plant, place, *file, self._rng(variant)))}
            mutants = [self._try_gate(variant, plant, *file, path) for file, path in planted.items()]
            return self._try_files(plant, mutants, planted)

    # === Faults in files ===

    def _try_gate(self, variant: Variant, plant: Plant, format: str, precision: str, path: Path) -> Mutant:
        mutant = Mutant(variant.kind.name, variant.variant, variant.kind.place, format, precision)
        signal = plant if isinstance(plant, Signal) else None
        result, seen = self._gate(format, precision, path, self._probe(variant, signal))
        difference = difference_of(self._honest_outputs(format, precision), seen)
        sign = self.source.task.metric_sign
        scenarios = list(result.scenarios.values())
        drops = [-100 * sign * each.metric_change for each in scenarios]
        return dataclasses.replace(
            mutant,
            gate="accepted" if result.accepted else "refused",
            gate_reason=result.reason[:300],
            equivalent=difference is not None and difference <= FLOAT_NOISE,
            difference=difference,
            flips=max((each.flips / each.samples for each in scenarios), default=None),
            drop=max(drops) if drops and np.isfinite(drops).all() else None,
        )

    def _gate(
        self, format: str, precision: str, path: Path, probe: Probe
    ) -> tuple[FileResult, list[dict[str, np.ndarray]]]:
        """Let the export judge a file as if a converter had just written it."""

        def copies(job: Job, precision: str, aside: Path) -> None:
            if path.is_dir():
                shutil.copytree(path, aside, dirs_exist_ok=True, ignore=no_part)
            else:
                shutil.copy(path, aside)

        with tempfile.TemporaryDirectory() as temporary, ExitStack() as stack:
            work = Path(temporary, "work")
            work.mkdir()
            if (base := self._file(format, "float32")).is_file():
                # The converter's own, in place of another conversion for every fault.
                shutil.copy(base, work / f"float32{base.suffix}")
            stack.enter_context(probe.planted_in_saved_models() if format == "saved_model" else probe.planted())
            stand_in = dataclasses.replace(formats()[format], convert=copies)
            job = Job(self.source, work, self.config)
            progress = Progress(console=Console(file=silence()), disable=True)
            tried = attempt(job, stand_in, precision, self.reference, progress)
            seen = list(probe.seen)
            if tried.result.accepted:
                # The last part of an export: golden samples on which faults show, or the file is refused.
                (tried,) = prove(self.source, self.reference, [tried]).tried
        return tried.result, seen

    def _honest_outputs(self, format: str, precision: str) -> list[dict[str, np.ndarray]]:
        key = format, precision
        if key not in self._honest:
            probe = Probe(Scene((), np.random.default_rng(0)), honest=self._memory)
            result, self._honest[key] = self._gate(format, precision, self._file(format, precision), probe)
            if not result.accepted:
                raise RuntimeError(f"The honest {format} {precision} is refused: {result.reason}")
        return self._honest[key]

    def _try_files(self, plant: Plant, mutants: list[Mutant], planted: dict[tuple[str, str], Path]) -> list[Mutant]:
        """Replay the golden samples of the honest export on the faulty files, all in one bundle."""
        edge = [mutant for mutant in mutants if mutant.format != "saved_model"]
        if not edge:
            return mutants
        variant = Variant(_kind_of(edge[0]), edge[0].variant)
        with self._copy() as folder, ExitStack() as stack:
            for mutant in edge:
                target = folder / "edge" / self._file(mutant.format, mutant.precision).name
                if (source := planted[mutant.format, mutant.precision]) != self._file(mutant.format, mutant.precision):
                    target.unlink()
                    shutil.copy(source, target)
            keep = {(mutant.format, mutant.precision) for mutant in edge}
            rewrite(folder, lambda manifest: keep_files(manifest, keep))
            if isinstance(plant, Signal):
                stack.enter_context(self._probe(variant, plant).planted())
            found, said = self._selftest(folder)
        if found is None and len(edge) > 1:
            # One file may have ended the self-test for all.
            alone = {(m.format, m.precision): self._try_files(plant, [m], planted)[0] for m in edge}
            return [alone.get((mutant.format, mutant.precision), mutant) for mutant in mutants]
        checks = {} if found is None else {(file.format, file.precision): file for file in found.files}
        results = []
        for mutant in mutants:
            check = checks.get((mutant.format, mutant.precision))
            if mutant.format == "saved_model":
                results.append(mutant)
            elif check is None:
                results.append(dataclasses.replace(mutant, selftest="failed", selftest_reason=said))
            else:
                verdict = "passed" if check.verdict == "passed" else "failed"
                results.append(dataclasses.replace(mutant, selftest=verdict, selftest_reason=check.reason[:300]))
        return results

    # === Faults in bundles and hosts ===

    def _try_edit(self, variant: Variant, plant: Edit) -> list[Mutant]:
        mutant = Mutant(variant.kind.name, variant.variant, variant.kind.place, "bundle", "bundle")
        with self._copy() as folder:
            plant.change(folder, self.other, self._rng(variant))
            found, said = self._selftest(folder)
        if not plant.per_file or found is None:
            passed = found is not None and found.passed
            return [dataclasses.replace(mutant, selftest="passed" if passed else "failed", selftest_reason=said)]
        results = []
        for file in found.files:
            if (file.format, file.precision) in self.files and file.format != "saved_model":
                verdict = "failed" if file.verdict == "failed" else "passed"
                results.append(
                    dataclasses.replace(
                        mutant,
                        format=file.format,
                        precision=file.precision,
                        selftest=verdict,
                        selftest_reason=file.reason[:300],
                    )
                )
        return results

    def _try_host(self, variant: Variant, plant: HostChange) -> Mutant:
        mutant = Mutant(variant.kind.name, variant.variant, variant.kind.place, "bundle", "bundle")
        honest = self._host_inputs()
        with plant.change():
            difference = difference_of([honest], [self._host_inputs()])
            mutant = dataclasses.replace(mutant, equivalent=difference == 0, difference=difference)
            folder = self.bundle
            with tempfile.TemporaryDirectory() as temporary:
                if variant.kind.place == "export":
                    try:
                        folder, accepted, reason = self._export(Path(temporary))
                    except MmkerasError as error:
                        return dataclasses.replace(mutant, gate="refused", gate_reason=str(error)[:300])
                    if not accepted:
                        return dataclasses.replace(mutant, gate="refused", gate_reason=reason[:300])
                    mutant = dataclasses.replace(mutant, gate="accepted")
                found, said = self._selftest(folder)
        passed = found is not None and found.passed
        return dataclasses.replace(mutant, selftest="passed" if passed else "failed", selftest_reason=said)

    def _export(self, root: Path) -> tuple[Path, bool, str]:
        """Export the subject, whose float32 LiteRT file is there already."""
        import export.to_litert.litert_from_saved_model as module

        honest = self._file("tflite", "float32")
        own = module.FORMAT

        def copies(job: Job, precision: str, path: Path) -> None:
            shutil.copy(honest, path)

        config = dataclasses.replace(self.config, folder=str(root), formats=("tflite",), precisions=("float32",))
        try:
            module.FORMAT = dataclasses.replace(own, convert=copies)
            report = export_source(self.source, config, console=Console(file=silence()))
        finally:
            module.FORMAT = own
        return report.folder, report.accepted, "; ".join(file.reason for file in report.files)

    def _host_inputs(self) -> dict[str, np.ndarray]:
        """Return what the host makes of every sample, of the values that every bundle holds, and of a missing one."""
        rows: dict[str, list[np.ndarray]] = {}
        for name, spec in self.source.specs.items():
            given = [sample.values.get(name) for sample in self.source.samples]
            for each in (*given, *spec.probes(), None):
                for tensor, value in spec.inputs(each).items():
                    rows.setdefault(tensor, []).append(np.asarray(value))
        return {name: np.stack(values) for name, values in rows.items()}

    # === What they share ===

    def _selftest(self, folder: Path) -> tuple[Any, str]:
        try:
            with Bundle.open(folder) as bundle:
                found = selftest(bundle)
        except Exception as error:  # an engine may raise anything, and then nobody takes the file for good
            return None, f"{type(error).__name__}: {error}"[:300]
        reasons = [f"{check.modality}: {check.reason}" for check in found.preprocessing if check.verdict == "failed"]
        reasons += [
            f"{file.format} {file.precision}: {file.reason}" for file in found.files if file.verdict == "failed"
        ]
        reasons += [f"{name} is not covered" for name, verdict in found.scenarios.items() if verdict == "not covered"]
        return found, "; ".join(reasons)[:300]

    @contextmanager
    def _copy(self) -> Iterator[Path]:
        """Yield a copy of the honest bundle without its SavedModel and its Keras model."""
        with tempfile.TemporaryDirectory() as temporary:
            folder = Path(temporary, "1")
            skip = shutil.ignore_patterns(*SAVED_MODEL, "model.keras", "rejected")
            shutil.copytree(self.bundle, folder, ignore=skip)
            rewrite(folder, lambda manifest: keep_files(manifest, {f for f in self.files if f[0] != "saved_model"}))
            yield folder

    def _file(self, format: str, precision: str) -> Path:
        return honest_file(self.source.name, self.bundle, format, precision)

    def _probe(self, variant: Variant, signal: Signal | None) -> Probe:
        scene = Scene(tuple(getattr(self.source.task, "labels", ())), self._rng(variant))
        return Probe(scene, signal, self._memory if signal else None)

    def _rng(self, variant: Variant) -> np.random.Generator:
        digest = hashlib.sha256(f"{self.seed}/{variant.name}".encode()).digest()
        return np.random.default_rng(int.from_bytes(digest[:8], "big"))


def _kind_of(mutant: Mutant) -> Any:
    from tests.mutants.kinds import every_kind

    return next(kind for kind in every_kind() if kind.name == mutant.kind and kind.place == mutant.place)
