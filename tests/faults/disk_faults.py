"""Disks that are full, too small for a file, or read-only."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from tests.faults.bench import Bench, message
from tests.faults.disks import remount, small_disk
from tests.faults.stages import STAGES, finish

__all__ = ["DISK_FAULTS"]

_FULL = {"conversion": "64k", "training": "160k", "export": "1m", "packing": "64k"}


def _disk_full(bench: Bench, kind: str) -> str:
    """Fill the disk; once there is room, the same command ends as if undisturbed."""
    stage = bench.place(kind)
    disk = bench.folder / stage.outputs[0]
    with small_disk(disk, _FULL[kind]):
        said = bench.refused(stage.command, "the disk is full", stage.outputs[0])
        remount(disk, "size=64m")
        bench.accepted(stage.command)
        bench.same(stage)
    return said


def _large_file(bench: Bench, kind: str) -> str:
    """Limit the size of a file in place of a disk: for machines whose users may not mount."""
    stage = bench.place(kind)
    status, output = finish(bench.folder, stage.command, "log.txt", largest_file=16_384)
    said = message(status, output, "a file may not become as large")
    bench.accepted(stage.command)
    bench.same(stage)
    return said


def _read_only(bench: Bench, kind: str) -> str:
    stage = bench.place(kind)
    disk = bench.folder / stage.outputs[0]
    with small_disk(disk, "64m"):
        remount(disk, "ro")
        return bench.refused(stage.command, "ead-only", stage.outputs[0])


DISK_FAULTS: dict[str, Callable[[Bench], str]] = {
    **{f"disk full: {kind}": partial(_disk_full, kind=kind) for kind in STAGES},
    "file size limit: conversion": partial(_large_file, kind="conversion"),
    "file size limit: packing": partial(_large_file, kind="packing"),
    **{f"read-only folder: {kind}": partial(_read_only, kind=kind) for kind in STAGES},
}
"""Faults of disks, by name."""
