"""Faults in a bundle after its export, as a careless release makes them; hashes are made anew unless said otherwise."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from mmkeras.storage.hashes import digest
from tests.mutants.kind import BOTH, READING, Edit, Kind

__all__ = ["KINDS", "manifest_edit", "modality", "rewrite", "set_in_manifest"]


def rewrite(folder: Path, change: Callable[[dict[str, Any]], None] | None = None) -> None:
    """Change a bundle's manifest, then make its hashes and sizes those of the files that are there."""
    path = folder / "manifest.json"
    manifest = json.loads(path.read_text("utf-8"))
    if change:
        change(manifest)
    for file in manifest["files"]:
        if file["path"] != ".":
            file["sha256"] = digest(folder, file["path"])
            file["bytes"] = (folder / file["path"]).stat().st_size
    for part in (manifest["golden"]["files"], manifest.get("documents", {})):
        part.update({name: digest(folder, name) for name in part})
    path.write_text(json.dumps(manifest), "utf-8")


def manifest_edit(change: Callable[[dict[str, Any]], None]) -> Edit:
    """Return an edit of the manifest."""
    return Edit(lambda folder, other, rng: rewrite(folder, change))


def _golden(change: Callable[[dict[str, np.ndarray]], dict[str, np.ndarray]], *, per_file: bool = False) -> Edit:
    def edit(folder: Path, other: Path, rng: np.random.Generator) -> None:
        with np.load(folder / "golden.npz") as given:
            arrays = {name: given[name] for name in given.files}
        np.savez_compressed(folder / "golden.npz", **change(arrays))  # type: ignore[arg-type]
        rewrite(folder)

    return Edit(edit, per_file)


def modality(manifest: dict[str, Any], kind: str) -> dict[str, Any]:
    """Return the entry of the first modality of a kind."""
    found: dict[str, Any] = next(each for each in manifest["modalities"] if each["kind"] == kind)
    return found


def set_in_manifest(kind: str, name: str, value: Any) -> Edit:
    """Return an edit that gives a modality's spec another value."""
    return manifest_edit(lambda manifest: modality(manifest, kind).__setitem__(name, value))


def _roll_labels(manifest: dict[str, Any]) -> None:
    labels = manifest["task"]["labels"]
    manifest["task"]["labels"] = labels[1:] + labels[:1]


def _swap_labels(manifest: dict[str, Any]) -> None:
    labels = manifest["task"]["labels"]
    first, second = labels.index("yes"), labels.index("no")
    labels[first], labels[second] = labels[second], labels[first]


def _vocabulary(change: Callable[[list[str]], list[str]]) -> Edit:
    def edit(folder: Path, other: Path, rng: np.random.Generator) -> None:
        def name(manifest: dict[str, Any]) -> None:
            given = modality(manifest, "text")["vocabulary"]
            path = folder / given["file"]
            words = change(path.read_text("utf-8").splitlines())
            path.write_text("".join(f"{word}\n" for word in words), "utf-8")
            given |= {"sha256": hashlib.sha256(path.read_bytes()).hexdigest(), "tokens": len(words)}

        rewrite(folder, name)

    return Edit(edit)


def _swap_words(words: list[str]) -> list[str]:
    first, second = words.index("color"), words.index("shape")
    words[first], words[second] = words[second], words[first]
    return words


def _roll_words(words: list[str]) -> list[str]:
    return words[:5] + words[6:] + [words[5]]


def _golden_of(*names: str) -> Edit:
    def edit(folder: Path, other: Path, rng: np.random.Generator) -> None:
        for name in names:
            if (other / name).is_dir():
                shutil.rmtree(folder / name)
                shutil.copytree(other / name, folder / name)
            else:
                shutil.copy(other / name, folder / name)

        def golden(manifest: dict[str, Any]) -> None:
            given = json.loads((other / "manifest.json").read_text("utf-8"))["golden"]
            if "golden.npz" in names:
                manifest["golden"]["samples"] = given["samples"]
            if "golden" in names:
                kept = {name: sha for name, sha in manifest["golden"]["files"].items() if name == "golden.npz"}
                manifest["golden"]["files"] = {**given["files"], **kept}

        rewrite(folder, golden)

    return Edit(edit, per_file=True)


def _only(arrays: dict[str, np.ndarray], keep: np.ndarray) -> dict[str, np.ndarray]:
    return {name: array[keep] for name, array in arrays.items()}


def _stale_manifest(folder: Path, other: Path, rng: np.random.Generator) -> None:
    shutil.copy(other / "manifest.json", folder / "manifest.json")


def _flip_file(folder: Path, other: Path, rng: np.random.Generator) -> None:
    path = next(iter(sorted((folder / "edge").glob("*.tflite"))))
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))


def _remove_file(folder: Path, other: Path, rng: np.random.Generator) -> None:
    next(iter(sorted((folder / "edge").glob("*.tflite")))).unlink()


def _mixed_outputs(arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Exchange the outputs of the first two samples that are decided differently."""
    values = arrays["outputs/probabilities"]
    decided = values.argmax(-1)
    second = int(np.flatnonzero(decided != decided[0])[0])
    values[[0, second]] = values[[second, 0]]
    return arrays


_OF_ANY_MODEL = (
    "golden-of-another-model",
    "golden-targets-rolled",
    "golden-outputs-mixed",
    "manifest-stale",
    "file-altered",
    "file-missing",
)

KINDS = tuple(
    Kind(name, what, variants, place="bundle", subjects=BOTH if name in _OF_ANY_MODEL else READING)
    for name, what, variants in (
        (
            "golden-of-another-model",
            "the golden samples of another training of the model",
            {"": _golden_of("golden.npz", "golden")},
        ),
        (
            "golden-targets-rolled",
            "the golden targets belong to other samples",
            {"": _golden(lambda a: {**a, "targets": np.roll(a["targets"], 1, 0)})},
        ),
        (
            "golden-outputs-mixed",
            "two golden samples have each other's outputs",
            {"": _golden(_mixed_outputs, per_file=True)},
        ),
        (
            "golden-cut",
            "golden samples of a scenario are missing",
            {
                name: _golden(lambda a, n=name: _only(a, a["scenarios"] != n))  # type: ignore[misc]
                for name in ("without_text", "without_image")
            },
        ),
        (
            "labels-of-the-manifest",
            "the manifest's labels are in another order",
            {"rolled": manifest_edit(_roll_labels), "yes, no": manifest_edit(_swap_labels)},
        ),
        ("vocabulary-swapped", "two words of the vocabulary file are exchanged", {"": _vocabulary(_swap_words)}),
        (
            "vocabulary-off-by-one",
            "the words of the vocabulary file stand one line higher",
            {"": _vocabulary(_roll_words)},
        ),
        (
            "lowercase-off",
            "the manifest says that text keeps its capitals",
            {"": set_in_manifest("text", "lowercase", False)},
        ),
        ("length-altered", "the manifest has another number of tokens", {"": set_in_manifest("text", "max_length", 8)}),
        ("size-altered", "the manifest has another picture size", {"": set_in_manifest("image", "height", 40)}),
        (
            "resize-altered",
            "the manifest has another way to resize",
            {name: set_in_manifest("image", "resize", name) for name in ("letterbox", "center_crop")},
        ),
        ("manifest-stale", "the manifest of another export", {"": Edit(_stale_manifest)}),
        ("file-altered", "one bit of a file flipped, its hash left as it was", {"": Edit(_flip_file)}),
        ("file-missing", "a file was not copied", {"": Edit(_remove_file)}),
    )
)
