"""``mmkeras pack`` and ``mmkeras sign``: a bundle as one file that runs and tests itself on a device."""

from __future__ import annotations

import argparse
import itertools
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from mmkeras.bundle import Bundle
from mmkeras.bundle.archive import write_archive
from mmkeras.bundle.archive.names import CODE, LISTING, SIGNATURE, SUFFIX
from mmkeras.bundle.archive.writer import sign_archive
from mmkeras.core.errors import ArchiveError, BundleError, ConfigError, nearest
from mmkeras.core.terminal import say
from mmkeras.runtime.packed_code import MAIN, runtime_files
from mmkeras.runtime.tensorrt.engines import engine_folder

__all__ = ["OPTIONAL", "add_pack_options", "add_sign_options", "pack", "pack_bundle", "sign"]

_SAVED_MODEL = ("saved_model.pb", "fingerprint.pb", "variables/", "assets/", "assets.extra/")
OPTIONAL = {
    "saved_model": ("the SavedModel, for TensorFlow Serving; no device runs it", _SAVED_MODEL),
    "keras": ("model.keras, to export it or to continue training", ("model.keras",)),
    "rejected": ("files that missed their gate; never run", ("rejected/",)),
}
"""Parts that are left out by default: a description and the beginnings of their paths."""
_CARD = "MODEL_CARD.md"


def _folder_files(folder: Path, include: Sequence[str], without: set[str]) -> dict[str, Path]:
    """Return the files of a bundle to pack, by member name; ``without`` names files relative to the bundle."""
    left_out = tuple(path for name, (_, paths) in OPTIONAL.items() if name not in include for path in paths)
    found = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if name.startswith(left_out) or name in without or any(part.startswith(".") for part in name.split("/")):
            continue
        if path.is_symlink() or not (path.is_file() or path.is_dir()):
            raise ArchiveError(f"{path}: expected a file, got a link or a special file. Put a regular file there.")
        if path.is_dir():
            continue
        if name in (LISTING, SIGNATURE, "__main__.py") or name.startswith("mmkeras/"):
            raise ArchiveError(f"{path}: packing writes a member of this name itself. Remove it from the bundle.")
        found[name] = path
    return found


def add_pack_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``mmkeras pack`` to a parser."""
    add = parser.add_argument
    add("--out", metavar="FILE", help="file or folder to write to (default: <name>-<version>.mmk here)")
    add("--sign", metavar="KEY", help="sign with this Ed25519 private key (PEM; needs the extra sign)")
    about = "; ".join(f"{name}: {what}" for name, (what, _) in OPTIONAL.items())
    add("--include", nargs="+", default=[], metavar="PART", help=f"parts that are left out by default: {about}")
    add("--formats", nargs="+", metavar="NAME", help="pack only the edge files of these formats, for example tflite")


def add_sign_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``mmkeras sign`` to a parser."""
    parser.add_argument("--sign", metavar="KEY", required=True, help="an Ed25519 private key (PEM)")


def pack(bundle: Bundle, options: argparse.Namespace) -> int:
    """Pack a bundle's folder and print which parts are left out."""
    out = Path(options.out) if options.out else Path()
    if out.is_dir():
        out /= f"{bundle.manifest.name}-{bundle.manifest.version}{SUFFIX}"
    pack_bundle(bundle, out, include=options.include, formats=options.formats, sign=options.sign)
    size = out.stat().st_size
    say(f"{out}: {size / 1e6:.2f} MB, {'signed' if options.sign else 'not signed'}")
    left = [f"{name} ({what})" for name, (what, _) in OPTIONAL.items() if name not in options.include]
    if left:
        say(f"left out (add with --include): {'; '.join(left)}")
    if not (bundle.folder / _CARD).is_file():
        say(f"mmkeras: no {_CARD}: python -m export.model_card {bundle.place} writes it", to=sys.stderr)
    needs = "numpy and ai-edge-litert or onnxruntime"
    if any(spec.kind == "image" for spec in bundle.specs.values()):
        needs += ", and pillow to read images"
    if any(spec.kind == "video" for spec in bundle.specs.values()):
        needs += ", and pillow and av to read video files (frames of a camera need no av)"
    say(f"needs Python 3.10 or newer, {needs}")
    say(f"Next, on the device: python {os.path.relpath(out)} selftest")
    return 0


def sign(bundle: Bundle, options: argparse.Namespace) -> int:
    """Sign a packed bundle; the file is replaced."""
    if not bundle.packed:
        raise ConfigError(f"{bundle.place}: expected a packed bundle, got a folder. Use: mmkeras pack --sign KEY")
    bundle.close()
    sign_archive(bundle.place, options.sign)
    say(f"{bundle.place}: signed. To verify: mmkeras inspect {bundle.place} --key PUBLIC_KEY")
    return 0


def pack_bundle(
    bundle: Bundle,
    target: Path,
    *,
    include: Sequence[str] = (),
    formats: Sequence[str] | None = None,
    sign: str | Path | None = None,
) -> Path:
    """Pack a bundle into one file; every file is checked against the manifest first.

    Args:
        bundle: an opened bundle's folder.
        target: the file to write.
        include: parts of `OPTIONAL` to include.
        formats: edge formats to pack; all by default.
        sign: file with an Ed25519 private key (PEM).

    Raises:
        BundleError: a file is missing or altered, or the bundle is already packed.
        ConfigError: an unknown part or format, or a key that cannot be used.
    """
    if bundle.packed:
        raise BundleError(f"{bundle.place} is packed already. Name the bundle's folder, or sign it with: mmkeras sign")
    known = {file.format for file in bundle.files if file.path != "."}
    problems = [f"--include {name}: unknown; {nearest(name, OPTIONAL)}" for name in include if name not in OPTIONAL]
    problems += [
        f"--formats {name}: not in the bundle; {nearest(name, known)}" for name in formats or () if name not in known
    ]
    if problems:
        raise ConfigError("\n".join(problems))
    without = {file.path for file in bundle.files if formats and file.format not in formats and file.path != "."}
    # Engines run only on the machine that built them.
    engines = engine_folder(bundle).rglob("*")
    without |= {path.relative_to(bundle.folder).as_posix() for path in engines if path.is_file()}
    files = _folder_files(bundle.folder, include, without)
    packed = [file for file in bundle.files if file.path in files or (file.path == "." and "saved_model" in include)]
    if not any(file.accepted and file.path != "." for file in packed):
        raise BundleError(f"{bundle.place}: expected at least one accepted edge file to pack, got none. Export again.")
    others = bundle.manifest.golden.files.items(), bundle.manifest.documents.items()
    for path, sha256 in itertools.chain(((file.path, file.sha256) for file in packed), *others):
        bundle.load(path, sha256)
    return write_archive(target, {**files, **runtime_files(), CODE: MAIN}, sign=sign)
