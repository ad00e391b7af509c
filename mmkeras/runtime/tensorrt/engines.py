"""Lists the engines built from a bundle, and checks that each one matches the bundle.

An engine runs only on one machine, so it is not part of the bundle and not in its manifest. Engines are in ``engines/``
in the bundle's folder, or in ``<name>.engines/`` beside a packed bundle. The sidecar holds the hash of the ONNX file
that the engine was built from; the manifest has that file's precision and tolerances.
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
# A GPU sums in another order; LiteRT files have the same margin.
_FLOAT32_MARGIN = 10.0


@dataclass(frozen=True)
class EngineFile(ExportedFile):
    """An engine of this machine, with the fields of a file of the bundle."""

    place: Path = Path()


def engine_folder(bundle: Bundle) -> Path:
    """Return the folder of a bundle's engines."""
    return bundle.place.with_name(f"{bundle.place.stem}.engines") if bundle.packed else bundle.folder / _FOLDER


def engine_files(bundle: Bundle) -> tuple[EngineFile, ...]:
    """Return the engines built for a bundle; one that does not match it is rejected with the reason.

    No engine is loaded and TensorRT is not imported: the check against this machine comes when the engine is loaded.
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
            factor = _FLOAT32_MARGIN if file.precision == "float32" else 1.0
            tolerances = {
                scenario: {output: [factor * limit for limit in channels] for output, channels in outputs.items()}
                for scenario, outputs in file.tolerances.items()
            }
            reason = "" if file.accepted else f"its ONNX file was rejected: {file.reason}"
        except BundleError as error:
            reason = str(error)
        except KeyError:
            reason = (
                f"it was built from an ONNX file that is not in this bundle ({built.onnx}, sha256 "
                f"{built.onnx_sha256[:12]}...); build it again with: mmkeras build-engine {bundle.place}"
            )
        found.append(
            EngineFile(
                format="tensorrt",
                precision=precision,
                path=f"{folder.name}/{place.name}",
                bytes=place.stat().st_size,
                sha256=sha256,
                tolerances=tolerances,
                accepted=not reason,
                reason=reason,
                flipped=flipped,
                place=place,
            )
        )
    return tuple(found)


def copy_engine(file: EngineFile, folder: Path) -> None:
    """Copy an engine and its sidecar into a bundle's folder."""
    target = folder / _FOLDER
    target.mkdir(exist_ok=True)
    for place in (file.place, sidecar_path(file.place)):
        shutil.copy(place, target)
