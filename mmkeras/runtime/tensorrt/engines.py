"""The engines of a bundle: their folder, and the match of each to the bundle.

An engine belongs to one machine, so it is not part of the bundle and not in its manifest: engines lie in ``engines/``
in the bundle's folder, or beside a packed bundle in ``<name>.engines/``. The sidecar names the ONNX file it was built
from by its hash; the manifest has that file's precision and tolerances.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from mmkeras.bundle import Bundle, ExportedFile
from mmkeras.core.errors import BundleError
from mmkeras.runtime.tensorrt.sidecar import read_sidecar, sidecar_path

__all__ = ["SUFFIX", "EngineFile", "copy_engine", "engine_files", "engine_folder"]

SUFFIX = ".plan"
_FOLDER = "engines"
# A GPU adds up in another order; LiteRT files have the same margin.
_MARGIN = {"float32": 10.0}


@dataclass(frozen=True)
class EngineFile(ExportedFile):
    """An engine of this machine, described like a file of the bundle."""

    place: Path = Path()


def engine_folder(bundle: Bundle) -> Path:
    """Return where the engines of a bundle lie."""
    return bundle.place.with_name(f"{bundle.place.stem}.engines") if bundle.packed else bundle.folder / _FOLDER


def engine_files(bundle: Bundle) -> tuple[EngineFile, ...]:
    """Return the engines built for a bundle; one that does not match it is not accepted and says why.

    Nothing is loaded and no TensorRT is imported: whether an engine fits this machine is checked when it is run.
    """
    onnx = {file.sha256: file for file in bundle.files if file.format == "onnx"}
    folder = engine_folder(bundle)
    found = []
    for place in sorted(folder.glob(f"*{SUFFIX}")):
        sha256, precision, reason = "", place.name[: -len(SUFFIX)].rpartition(".")[2], ""
        tolerances: dict[str, dict[str, list[float]]] = {}
        flipped: list[int] = []
        try:
            built = read_sidecar(place, check=False)
            sha256 = built.engine_sha256
            file = onnx[built.onnx_sha256]
            precision, flipped = file.precision, file.flipped
            tolerances = _widened(file, _MARGIN.get(file.precision, 1.0))
            reason = "" if file.accepted else f"its ONNX file was rejected: {file.reason}"
        except BundleError as error:
            reason = str(error)
        except KeyError:
            reason = (
                f"it was built from another ONNX file than those of this bundle ({built.onnx}, sha256 "
                f"{built.onnx_sha256[:12]}...); build it again with: mmkeras build-engine {bundle.place}"
            )
        size = place.stat().st_size
        found.append(
            EngineFile(
                format="tensorrt",
                precision=precision,
                path=f"{folder.name}/{place.name}",
                bytes=size,
                sha256=sha256,
                tolerances=tolerances,
                accepted=not reason,
                reason=reason,
                flipped=flipped,
                place=place,
            )
        )
    return tuple(found)


def _widened(file: ExportedFile, factor: float) -> dict[str, dict[str, list[float]]]:
    return {
        scenario: {output: [factor * limit for limit in channels] for output, channels in outputs.items()}
        for scenario, outputs in file.tolerances.items()
    }


def copy_engine(file: EngineFile, folder: Path) -> None:
    """Copy an engine and its sidecar to where they lie in a bundle's folder."""
    target = folder / _FOLDER
    target.mkdir(exist_ok=True)
    for place in (file.place, sidecar_path(file.place)):
        shutil.copy(place, target)
