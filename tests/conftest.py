"""Fixtures shared by all tests."""

from __future__ import annotations

import os
import sys
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent

TOGETHER = frozenset({"driving", "export", "runtime"})
"""Folders whose tests share models, exports or runs that take long to make."""
_OF_ONE_RUN = tuple(f"pipelines/test_{name}.py" for name in ("cluster", "public", "record", "resume"))
"""Files that share the run of `tests.pipelines.conftest.place`."""


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Let the processes of ``make test`` take whole files, or whole folders where these share what is costly.

    Groups by marker (``xdist_group``) have no effect with pytest 9.2 and pytest-xdist 3.8.
    """
    from xdist.scheduler import LoadScopeScheduling

    class Groups(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file = nodeid.partition("::")[0].removeprefix("tests/")
            folder = file.partition("/")[0]
            if file in _OF_ONE_RUN:
                return "place"
            return folder if folder in TOGETHER else file

    return Groups(config, log)


@pytest.fixture(autouse=True)
def _as_deterministic_as_before() -> Iterator[None]:
    """Take back what a training in the test's own process asked of TensorFlow: it would last until the process ends."""
    yield
    if "tensorflow" in sys.modules:
        from tensorflow.python.framework.config import disable_op_determinism

        disable_op_determinism()


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
