"""Paths, labels and texts that are not ASCII, in a locale that is: they work, or the locale is named."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from mmkeras.bundle.manifest import MANIFEST_NAME

ASCII = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
LABELS = ["grün", "日本", "[red]x[/red]\x1b[1m"]
HAS_SUCH_LOCALES = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such locale")


@pytest.fixture(scope="module")
def bundle(exported: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = Path(shutil.copytree(exported, tmp_path_factory.mktemp("locale") / "Ünï"))
    manifest = json.loads((folder / MANIFEST_NAME).read_text(encoding="utf-8"))
    manifest["task"]["labels"] = LABELS
    (folder / MANIFEST_NAME).write_text(json.dumps(manifest, ensure_ascii=False), encoding="utf-8")
    return folder


def _run(*arguments: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, *arguments], env={**os.environ, **ASCII}, capture_output=True, timeout=120, check=False
    )


@HAS_SUCH_LOCALES
@pytest.mark.parametrize("format", ["tflite", "onnx"])
def test_a_bundle_answers_from_a_path_that_the_locale_cannot_decode(bundle, format):
    question = ["--text", "wäre it red?", "--image", str(bundle / "golden" / "0000_image.png")]
    done = _run("-m", "mmkeras", "predict", str(bundle), "--format", format, "--json", *question)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["label"] in LABELS
    assert done.stdout.isascii()


@HAS_SUCH_LOCALES
def test_tables_show_what_the_locale_lacks_as_escapes(bundle):
    done = _run("-m", "mmkeras", "inspect", str(bundle))
    assert done.returncode == 0, done.stderr
    assert b"\x1b" not in done.stdout
    done = _run("-m", "mmkeras", "predict", str(bundle), "--text", "red")
    assert done.returncode == 0, done.stderr
    assert b"gr\\xfcn" in done.stdout
    assert b"[red]x[/red]?[1m" in done.stdout


@HAS_SUCH_LOCALES
def test_what_cannot_work_names_the_locale(bundle, tmp_path):
    done = _run("-c", "from mmkeras import Bundle; Bundle.open('/\\xdcn\\xef')")
    assert b"BundleError" in done.stderr
    assert b"Set LC_ALL=C.UTF-8" in done.stderr
    done = _run("-m", "export.model_card", str(bundle))
    assert (done.returncode, done.stdout) == (2, b"")
    assert b"\\xdcn\\xef: the encoding of this locale" in done.stderr
