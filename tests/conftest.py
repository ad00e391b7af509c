"""Fixtures shared by all tests."""

from __future__ import annotations

import os
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def shared_data(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Return a function that unpacks an archive of real data and gives its folder, or skips the test.

    It looks for ``<name>.tar.xz`` in ``$MMKERAS_TEST_DATA`` and in ``../shared/data`` beside the checkout.
    """
    unpacked: dict[str, Path] = {}

    def folder(name: str) -> Path:
        if name in unpacked:
            return unpacked[name]
        places = [REPOSITORY.parent / "shared" / "data"]
        if given := os.environ.get("MMKERAS_TEST_DATA"):
            places.insert(0, Path(given))
        for place in places:
            archive = place / f"{name}.tar.xz"
            if archive.is_file():
                target = tmp_path_factory.mktemp(name)
                with tarfile.open(archive) as tar:
                    tar.extractall(target, filter="data")
                unpacked[name] = target
                return target
        pytest.skip(f"real data {name}.tar.xz not found: put it into a folder and name that in MMKERAS_TEST_DATA")

    return folder


@pytest.fixture(scope="session")
def easy_vqa_images() -> list[Path]:
    """Return the paths of easy-VQA's training images in the order of their ids."""
    easy_vqa = pytest.importorskip("easy_vqa")
    paths = easy_vqa.get_train_image_paths()
    return [Path(paths[key]) for key in sorted(paths)]
