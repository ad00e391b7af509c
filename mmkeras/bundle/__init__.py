"""The exported bundle: its manifest, golden samples and packed form. No TensorFlow."""

from mmkeras.bundle.bundle import (
    Bundle,
    ExportedFile,
    Golden,
    GoldenFiles,
    Manifest,
    digest,
    exported_file,
    resolve,
    write_golden,
    write_manifest,
)

__all__ = [
    "Bundle",
    "ExportedFile",
    "Golden",
    "GoldenFiles",
    "Manifest",
    "digest",
    "exported_file",
    "resolve",
    "write_golden",
    "write_manifest",
]
