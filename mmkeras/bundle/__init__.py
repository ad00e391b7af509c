"""The exported bundle: its manifest, golden samples and packed form. No TensorFlow."""

from mmkeras.bundle.bundle import Bundle
from mmkeras.bundle.golden import Golden, write_golden
from mmkeras.bundle.manifest import ExportedFile, GoldenFiles, Manifest, exported_file, resolve, write_manifest
from mmkeras.storage.hashes import digest

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
