"""Obstacles from a camera and radars: classes, 3D boxes, distances and speeds, also when one of the sensors is dead.

    python -m pipelines.camera_radar                          # simulated drives, from nothing to verified exports
    python -m pipelines.camera_radar --compare.seeds 0 1 2    # the comparison of fusions
    python -m pipelines.camera_radar --config my.toml         # drives in nuScenes format: data.source.options.folder
    python -m pipelines.camera_radar --inspect DIR            # check the calibration of a drive
    python -m pipelines.camera_radar --resume                 # continue after Ctrl-C or a crash
    python -m pipelines.camera_radar --record RUN             # write the numbers of a comparison into docs/results.json

Camera: an EfficientNet with a feature pyramid. Radar: the points of the last sweeps, mixed by a transformer. Fusion:
each cell of the picture attends to the points near it. Numbers from simulated drives are marked as simulated.

Fusions and single sensors are trained with the same settings, each to its best epoch on the validation drives. A single
frame cannot measure speed, but a radar can: a lower velocity error with radar is expected.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from mmkeras.core.command_line import Flag
from mmkeras.core.components import Choice
from mmkeras.core.config import ModelConfig, RunConfig
from mmkeras.core.console import Console
from mmkeras.core.errors import ConfigError, nearest
from mmkeras.core.terminal import utf8_program
from mmkeras.driving.simulation.config import SimulationConfig
from mmkeras.driving.simulation.simulate import FORMAT, simulate
from mmkeras.driving.simulation.simulate import NOTE as SIMULATION_NOTE
from mmkeras.modalities.image.spec import Config as ImageConfig
from mmkeras.modalities.radar.spec import Config as RadarConfig
from pipelines._stages.contract import Evaluated, Story, add_to_metrics
from pipelines._stages.results import Figure
from pipelines._stages.stages import stage
from pipelines._stages.story import run_story

__all__ = ["CameraRadarConfig", "CameraRadarModel", "CameraRadarStory", "CompareConfig", "main"]

NOTICE = "Simulated: these drives come from mmkeras' own simulator. Use the numbers only to compare models."
_COMPARED = ("cross_attention", "camera_only", "radar_only")
"""Variants that the numbers of docs/results.json need."""
_RECORDED = ("fusion_gain", "radar_dead")
"""These numbers: in ``gains`` of metrics.json as shares of mAP, in docs/results.json in points."""


@dataclass(frozen=True)
class CompareConfig:
    """The other fusions, trained with the same settings on the same data."""

    variants: tuple[str, ...] = ("cross_attention", "radar_as_channels", "camera_only", "radar_only")
    """The compared variants; cross_attention is the model itself. If empty, only the model is trained."""
    seeds: tuple[int, ...] = ()
    """Each variant is trained with each seed; if empty, with the run's own seed."""
    once: tuple[str, ...] = ()
    """Variants that are trained only with the first seed."""
    processes: int = 2
    """Number of trainings side by side, each with its share of the cores."""


@dataclass(frozen=True)
class CameraRadarModel(ModelConfig):
    """A camera and radars.

    Every real camera is cropped and scaled to ``camera``, which the radar, the task and the source use, too.
    """

    task: Choice = field(default_factory=lambda: Choice("detection"))
    camera: ImageConfig = field(default_factory=lambda: ImageConfig(size=(64, 192), focal=215.0, centre=(96.0, 20.0)))
    radar: RadarConfig = field(default_factory=RadarConfig)


@dataclass(frozen=True)
class CameraRadarConfig(RunConfig):
    """A run of the camera and radar pipeline."""

    moved: ClassVar[Mapping[str, str]] = {
        "view": "model.camera",
        "view.size": "model.camera.size",
        "view.focal": "model.camera.focal",
        "view.centre": "model.camera.centre",
    }

    name: str = "camera_radar"
    """Name of the run's folder and of the saved model."""
    simulate: SimulationConfig = field(default_factory=SimulationConfig)
    compare: CompareConfig = field(default_factory=CompareConfig)
    model: CameraRadarModel = field(default_factory=CameraRadarModel)

    @property
    def simulated(self) -> bool:
        """Whether the drives come from the simulator."""
        folder = Path(self.data.source.options.get("folder") or "simulated-")
        # A simulated directory holds a note, even if it was moved; before it is written, its name shows it.
        return folder.name.startswith("simulated-") or (folder / SIMULATION_NOTE).is_file()

    def variant(self, name: str) -> CameraRadarModel:
        """Return the model of one row of the comparison.

        Raises:
            ConfigError: no such variant.
        """
        from mmkeras.model import task_spec

        model = self.model
        if name == "cross_attention":
            return model
        if name == "radar_as_channels":
            radar = dataclasses.replace(model.radar, form="channels")
            return dataclasses.replace(model, radar=radar, fusion=Choice("channels"))
        options = {key: value for key, value in model.fusion.options.items() if key != "query"}
        if name == "camera_only":
            return dataclasses.replace(model, without=("radar",))
        if name == "radar_only":
            # Learned queries replace the cells of the camera's map.
            fusion = Choice(model.fusion.name, {**options, "grid": list(task_spec(model).outputs[0].shape[:2])})
            return dataclasses.replace(model, without=("camera",), fusion=fusion)
        raise ConfigError(f"compare.variants: {name!r} is unknown; {nearest(name, CompareConfig().variants)}")


class CameraRadarStory(Story[CameraRadarConfig]):
    """Adds the drives before the common stages, and comparison and degradation after them."""

    flags = (Flag("inspect", "Check the calibration of a drive (nuScenes, Astyx or comma2k19 directory).", value=True),)

    def answer(self, flags: Mapping[str, Any], console: Console) -> int | None:
        """Inspect a directory in place of a run."""
        if not flags["inspect"]:
            return None
        from mmkeras.driving.drives.calibration import inspect

        if flags["inspect"] == "latest":
            raise ConfigError("--inspect needs the directory of a drive: --inspect DIR")
        folder = Path(flags["inspect"])
        verdict = inspect(folder, Path("runs", "inspect", folder.resolve().name), console)
        return 0 if verdict.good else 1

    def prepare(self, config: CameraRadarConfig, console: Console) -> CameraRadarConfig:
        """Simulate the drives, unless the source names a directory."""
        for name in config.compare.variants:
            config.variant(name)
        options = config.data.source.options
        if options.get("folder"):
            return config
        digest = hashlib.sha256(json.dumps([FORMAT, config.simulate.identity], sort_keys=True).encode()).hexdigest()
        folder = Path(config.data.folder) / f"simulated-{digest[:16]}"
        simulate(config.simulate, folder, console)
        source = Choice(config.data.source.name, {**options, "folder": str(folder)})
        return dataclasses.replace(config, data=dataclasses.replace(config.data, source=source))

    def provenance(self, config: CameraRadarConfig) -> dict[str, Any]:
        """Mark simulated numbers as simulated."""
        return {"notice": NOTICE} if config.simulated else {}

    def named(self, config: CameraRadarConfig) -> str:
        """Return the first part of the numbers' names."""
        return "camera_radar"

    def check_numbers(self, config: CameraRadarConfig) -> None:
        """Refuse drives that are not simulated, and comparisons of fewer than three seeds."""
        missing = set(_COMPARED) - set(config.compare.variants)
        if not config.simulated or config.data.limit is not None or missing or len(config.compare.seeds) < 3:
            raise ConfigError(
                "--record: expected simulated drives without data.limit, compare.variants with "
                f"{', '.join(_COMPARED)}, and three seeds: --compare.seeds 0 1 2"
            )

    def numbers(self, metrics: Mapping[str, Any]) -> dict[str, Figure]:
        """Return the gain of the fusion, and its loss with a dead radar, in points of mAP."""
        gains = metrics.get("gains", {})
        if missing := set(_RECORDED) - set(gains):
            raise ConfigError(f"--record: expected {sorted(missing)} in gains of metrics.json, got {sorted(gains)}")
        points = {name: [100 * gains[name][key] for key in ("value", "low", "high")] for name in _RECORDED}
        return {f"camera_radar.{name}": Figure(*ends) for name, ends in points.items()}

    def after_evaluation(self, done: Evaluated) -> None:
        """Train and score the other fusions, and score the model under degradation."""
        from mmkeras.evaluation.report import write_report
        from pipelines._stages.comparison import compare, degrade

        with stage(done.console, "Degradation"):
            degrade(done)
        if done.config.compare.variants:
            with stage(done.console, "Comparison"):
                add_to_metrics(done.run.folder, compare(done, done.program))
        write_report(done.run.folder)

    def after_export(self, done: Evaluated, bundle: Path) -> None:
        """Score every exported file under degradation."""
        from pipelines._stages.comparison import degrade_exported

        with stage(done.console, "Degradation of the exported files"):
            degrade_exported(done, bundle)


@utf8_program
def main(arguments: Sequence[str] | None = None) -> int:
    """Run the pipeline; return its exit status."""
    return run_story(
        CameraRadarConfig, arguments, program=Path(__file__), description=__doc__, story=CameraRadarStory()
    )


if __name__ == "__main__":
    sys.exit(main())
