"""``mmkeras pack`` and ``mmkeras sign``: one file that runs and tests itself on a device."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from mmkeras.bundle import Bundle
from mmkeras.bundle.archive import write_archive
from mmkeras.bundle.archive.names import CODE, LISTING, SIGNATURE, SUFFIX
from mmkeras.bundle.archive.writer import sign_archive
from mmkeras.core.errors import ArchiveError, BundleError, ConfigError, nearest
from mmkeras.core.terminal import say
from mmkeras.runtime.packed_code import MAIN, runtime_files
from mmkeras.runtime.tensorrt.engines import engine_folder

__all__ = ["OPTIONAL", "add_pack_options", "add_sign_options", "folder_files", "pack", "pack_bundle", "sign"]

OPTIONAL = {
    "saved_model": "the SavedModel, for TensorFlow Serving; no device runs it",
    "keras": "model.keras, to export or train on",
    "rejected": "files that missed their gate; never run",
}
"""Parts left out by default, with a description."""
_PARTS = {
    "saved_model": ("saved_model.pb", "fingerprint.pb", "variables/", "assets/", "assets.extra/"),
    "keras": ("model.keras",),
    "rejected": ("rejected/",),
}


def folder_files(folder: Path, include: Sequence[str] = (), without: Iterable[str] = ()) -> dict[str, Path]:
    """Return the files of a bundle to pack, by member name.

    ``include`` are parts of `OPTIONAL`; files of ``without``, relative to the bundle, are left out.

    Raises:
        ArchiveError: a link or another special file, or a member name that packing reserves.
    """
    left_out = tuple(part for name, parts in _PARTS.items() if name not in include for part in parts)
    skipped = set(without)
    found = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if name.startswith(left_out) or name in skipped or any(part.startswith(".") for part in name.split("/")):
            continue
        if path.is_symlink() or not (path.is_file() or path.is_dir()):
            raise ArchiveError(f"{path}: expected a file, got a link or a special file. Put the file itself there.")
        if path.is_dir():
            continue
        if name in (LISTING, SIGNATURE, "__main__.py") or name.startswith("mmkeras/"):
            raise ArchiveError(f"{path}: packing writes a member of this name itself. Remove it from the bundle.")
        found[name] = path
    return found


CARD = "MODEL_CARD.md"


def add_pack_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``mmkeras pack`` to a parser."""
    add = parser.add_argument
    add("--out", metavar="FILE", help="file or folder to write to (default: <name>-<version>.mmk here)")
    add("--sign", metavar="KEY", help="sign with this Ed25519 private key (PEM; needs the extra sign)")
    add(
        "--include",
        nargs="+",
        default=[],
        metavar="PART",
        help="parts that are left out by default: " + "; ".join(f"{name}: {what}" for name, what in OPTIONAL.items()),
    )
    add("--formats", nargs="+", metavar="NAME", help="pack the edge files of these formats alone, for example tflite")


def add_sign_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``mmkeras sign`` to a parser."""
    parser.add_argument("--sign", metavar="KEY", required=True, help="an Ed25519 private key (PEM)")


def pack(bundle: Bundle, options: argparse.Namespace) -> int:
    """Pack a bundle's folder and say what is in it and what is not."""
    out = Path(options.out) if options.out else Path()
    if out.is_dir():
        out /= f"{bundle.manifest.name}-{bundle.manifest.version}{SUFFIX}"
    pack_bundle(bundle, out, include=options.include, formats=options.formats, sign=options.sign)
    size = out.stat().st_size
    say(f"{out}: {size / 1e6:.2f} MB, {'signed' if options.sign else 'not signed'}")
    left = [f"{name} ({what})" for name, what in OPTIONAL.items() if name not in options.include]
    if left:
        say(f"left out, unless asked for with --include: {'; '.join(left)}")
    if not (bundle.folder / CARD).is_file():
        say(
            f"mmkeras: {bundle.place} has no {CARD}: python -m export.model_card {bundle.place} writes it",
            to=sys.stderr,
        )
    needs = "numpy and ai-edge-litert or onnxruntime"
    if any(spec.kind == "image" for spec in bundle.specs.values()):
        needs += ", and pillow to read images"
    say(f"needs Python 3.10 or newer, {needs}")
    say(f"Next, on the device: python {os.path.relpath(out)} selftest")
    return 0


def sign(bundle: Bundle, options: argparse.Namespace) -> int:
    """Sign a packed bundle in its place."""
    if not bundle.packed:
        raise ConfigError(
            f"{bundle.place} is a folder: expected a packed bundle. Pack it with: mmkeras pack --sign KEY"
        )
    bundle.close()
    sign_archive(bundle.place, options.sign)
    say(f"{bundle.place}: signed. On the other side: mmkeras inspect {bundle.place} --key PUBLIC_KEY")
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
        include: parts of `mmkeras.runtime.packing.OPTIONAL` to include.
        formats: edge formats to pack; by default all.
        sign: file with an Ed25519 private key (PEM).

    Raises:
        BundleError: a file is missing or altered, or the bundle is packed already.
        ConfigError: an unknown part or format, or a key that cannot be used.
    """
    if bundle.packed:
        raise BundleError(f"{bundle.place} is packed already. Name the bundle's folder, or sign it with: mmkeras sign")
    known = {file.format for file in bundle.files if file.path != "."}
    problems = [f"--include {name}: unknown; {nearest(name, OPTIONAL)}" for name in include if name not in OPTIONAL]
    problems += [f"--formats {name}: not here; {nearest(name, known)}" for name in formats or () if name not in known]
    if problems:
        raise ConfigError("\n".join(problems))
    without = {file.path for file in bundle.files if formats and file.format not in formats and file.path != "."}
    # They run only on the machine that built them.
    without |= {
        path.relative_to(bundle.folder).as_posix() for path in engine_folder(bundle).rglob("*") if path.is_file()
    }
    files = folder_files(bundle.folder, include, without)
    packed = [file for file in bundle.files if file.path in files or (file.path == "." and "saved_model" in include)]
    if not any(file.accepted and file.path != "." for file in packed):
        raise BundleError(f"{bundle.place}: expected at least one accepted edge file to pack, got none. Export again.")
    documents = bundle.manifest.documents.items()
    for path, sha256 in [*((f.path, f.sha256) for f in packed), *bundle.manifest.golden.files.items(), *documents]:
        bundle.load(path, sha256)
    code = runtime_files()
    return write_archive(target, {**files, **code, CODE: MAIN}, sign=sign)
