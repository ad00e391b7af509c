"""The page names options, files and statuses that there are."""

from __future__ import annotations

import re

from mmkeras.core.config import RunConfig
from tests.conftest import REPOSITORY

PAGE = (REPOSITORY / "deploy" / "README.md").read_text(encoding="utf-8")


def test_every_option_exists():
    options = set(re.findall(r"--((?:cluster|train|data)\.[a-z_]+)", PAGE)) | set(
        re.findall(r"`((?:cluster|train|data)\.[a-z_]+)", PAGE)
    )
    assert len(options) > 8
    config = RunConfig()
    for option in options:
        group, name = option.split(".")
        assert hasattr(getattr(config, group), name), option


def test_every_file_exists():
    files = set(re.findall(r"deploy/[\w/.-]+", PAGE)) | {
        f"deploy/kubernetes/{name}" for name in ("jobset.yaml", "tfjob.yaml")
    }
    assert all((REPOSITORY / name).is_file() for name in files), files
