"""What two runs may differ in, and what they may not."""

from __future__ import annotations

import json
from pathlib import Path

from tests.faults.artefacts import digests, leftovers


def _bundle(root: Path, version: int, **more: object) -> Path:
    folder = root / "tiny" / str(version)
    folder.mkdir(parents=True)
    (folder / "manifest.json").write_text(json.dumps({"version": version, "created": f"day {version}", **more}))
    (folder / "MODEL_CARD.md").write_text(f"# tiny, version {version}\nExported: 2026-11-24T03:01:2{version}+00:00\n")
    (folder / "place.json").write_text(json.dumps({"folder": str(folder)}))
    return root


def test_times_versions_and_places_are_no_difference_and_values_are(tmp_path: Path):
    first = digests(_bundle(tmp_path / "a", 1, accuracy=0.5))
    assert sorted(first) == ["tiny/<version>/MODEL_CARD.md", "tiny/<version>/manifest.json"]
    assert digests(_bundle(tmp_path / "b", 2, accuracy=0.5)) == first
    assert digests(_bundle(tmp_path / "c", 1, accuracy=0.25)) != first


def test_the_newest_version_counts(tmp_path: Path):
    _bundle(tmp_path / "a", 1, accuracy=0.1)
    assert digests(_bundle(tmp_path / "a", 2, accuracy=0.5)) == digests(_bundle(tmp_path / "b", 1, accuracy=0.5))


def test_what_is_half_written_is_found(tmp_path: Path):
    for name in ("a.json", ".a.json.7.tmp", "data.partial/a", "data.lock", "tiny/20260101-000000/config.toml"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    assert leftovers(tmp_path) == [".a.json.7.tmp", "data.lock", "data.partial", "tiny/20260101-000000"]
