"""A packed bundle runs and tests itself: in a fresh process, isolated, without mmkeras, TensorFlow, rich and others."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Sequence
from pathlib import Path

import pytest

from mmkeras.bundle import Bundle
from mmkeras.bundle.archive import Archive
from mmkeras.core.errors import ArchiveError, BundleError
from mmkeras.runtime import Predictor
from mmkeras.runtime.cli import COMMANDS, main
from mmkeras.runtime.packing import pack_bundle
from mmkeras.runtime.selftest import selftest
from tests.bundle.archive import conftest as archives

keys = archives.keys

# A finder that hides packages, as if the device did not have them.
HIDE = """
import sys
class Hidden:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {hidden!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Hidden())
import importlib.util
found = importlib.util.find_spec
importlib.util.find_spec = lambda name, package=None: None if name.split(".")[0] in {hidden!r} else found(name, package)
import runpy
sys.argv = {arguments!r}
sys.path = [p for p in sys.path if "editable" not in p and p != {root!r}]
runpy.run_path(sys.argv[0], run_name="__main__")
"""
ROOT = str(Path(__file__).resolve().parents[2])
TRAINING = ("tensorflow", "keras", "keras_nlp", "onnx")
NOT_NEEDED = (*TRAINING, "rich", "jsonargparse", "tokenizers", "tomli", "cryptography")


@pytest.fixture(scope="session")
def mmk(tmp_path_factory: pytest.TempPathFactory, exported: Path) -> Path:
    """The packed bundle; never change it."""
    return pack_bundle(Bundle.open(exported), tmp_path_factory.mktemp("packed") / "tiny-1.mmk")


def bare(mmk: Path, *arguments: str, hidden: Sequence[str] = NOT_NEEDED) -> subprocess.CompletedProcess[str]:
    """Run a packed bundle with packages hidden and without the checkout."""
    code = HIDE.format(hidden=tuple(hidden), arguments=[str(mmk), *arguments], root=ROOT)
    return subprocess.run(
        [sys.executable, "-I", "-c", code], capture_output=True, text=True, check=False, cwd=mmk.parent
    )


def test_it_tests_itself_isolated_and_alone(mmk: Path, tmp_path: Path):
    alone = Path(shutil.copy(mmk, tmp_path))
    environment = {"TMPDIR": str(tmp_path), "PATH": os.environ["PATH"]}
    command = [sys.executable, "-I", "-X", "importtime", str(alone), "selftest"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path, env=environment)
    assert done.returncode == 0, done.stderr[-2000:]
    assert "selftest passed: 3 passed, 1 rejected" in done.stdout
    assert "without_image" in done.stdout
    imported = {line.rpartition("|")[2].strip().split(".")[0] for line in done.stderr.splitlines() if "|" in line}
    assert "mmkeras" in imported
    assert not imported & {*TRAINING, "tokenizers", "jsonargparse"}
    assert not list(tmp_path.glob("mmkeras-*")), "nothing stays behind"


def test_numpy_and_one_engine_are_enough(mmk: Path):
    done = bare(mmk, "selftest", "--json", hidden=(*NOT_NEEDED, "PIL", "onnxruntime"))
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    verdicts = {file["path"]: file["verdict"] for file in result["files"]}
    assert verdicts == {
        "edge/tiny.float32.tflite": "passed",
        "edge/tiny.float16.tflite": "passed",
        "edge/tiny.float32.onnx": "skipped",
        "rejected/tiny.int8-dynamic.tflite": "rejected",
    }
    image, text = result["preprocessing"]
    assert (image["verdict"], text["verdict"]) == ("skipped", "passed")
    assert "pip install pillow" in image["reason"]
    assert bare(mmk, "selftest", "--strict", hidden=(*NOT_NEEDED, "PIL", "onnxruntime")).returncode == 1
    assert bare(mmk, "selftest", hidden=(*NOT_NEEDED, "PIL", "ai_edge_litert")).returncode == 0


def test_without_an_engine_it_says_what_to_install(mmk: Path):
    hidden = (*NOT_NEEDED, "onnxruntime", "ai_edge_litert")
    done = bare(mmk, "predict", "--text", "what?", hidden=hidden)
    assert done.returncode == 1
    assert "pip install ai-edge-litert" in done.stderr
    assert bare(mmk, "selftest", hidden=hidden).returncode == 1
    done = bare(mmk, "selftest", hidden=("numpy",))
    assert done.returncode == 1
    assert done.stderr.strip() == "numpy is not installed; this file needs it. Install it with pip."
    done = bare(mmk, "predict", "--image", "x.png", hidden=("PIL",))
    assert "pillow is not installed. Install it with: pip install pillow" in done.stderr


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_every_command_is_in_it(mmk: Path, command: str):
    arguments = {
        "predict": ["--text", "what shape is it?", "--json"],
        "benchmark": ["--runs", "3", "--warmup", "1", "--format", "tflite"],
        "diff": [str(mmk)],
        "inspect": [],
        "selftest": [],
    }
    # The others need a key, a drive or a GPU; that their code is there shows in their help.
    done = bare(mmk, command, *arguments.get(command, ["--help"]))
    assert done.returncode == 0, done.stderr
    assert done.stdout


def test_its_help_is_about_itself(mmk: Path):
    done = bare(mmk)
    assert done.returncode == 2
    assert "usage: python tiny-1.mmk COMMAND [options]" in done.stdout
    done = bare(mmk, "predict", "--help")
    assert "usage: python tiny-1.mmk predict [-h]" in done.stdout
    assert "BUNDLE" not in done.stdout
    assert "--image IMAGE" in done.stdout
    assert "did you mean 'selftest'" in bare(mmk, "selftets").stderr
    assert "packed already" in bare(mmk, "pack").stderr


def test_a_damaged_one_says_so(mmk: Path, tmp_path: Path):
    archive = Archive.open(mmk)
    place = archive.members["edge/tiny.float32.onnx"].offset
    archive.close()
    content = bytearray(mmk.read_bytes())
    content[place + 60] ^= 1
    path = tmp_path / "tiny-1.mmk"
    path.write_bytes(content)
    done = bare(path, "selftest")
    assert done.returncode == 1
    assert "the member 'edge/tiny.float32.onnx' is not what was packed" in done.stderr
    code = mmk.read_bytes()
    place = code.index(b"def main(archive")
    path.write_bytes(code[:place] + b"dxf" + code[place + 3 :])
    done = bare(path, "selftest")
    assert done.returncode == 1
    assert "the code in it is damaged" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_damaged_start_never_ends_well(mmk: Path, tmp_path: Path):
    """Python itself reads the first kilobyte of code, unchecked: a damage there must not look like a passed test."""
    from mmkeras.runtime.packed_code import MAIN

    path = tmp_path / "tiny-1.mmk"
    whole = mmk.read_bytes()
    start = whole.index(MAIN)
    for place in range(start + MAIN.index(b"if sys.version_info"), start + len(MAIN) - 1, 61):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 2]) + whole[place + 1 :])
        done = subprocess.run([sys.executable, "-I", str(path), "selftest"], capture_output=True, check=False)
        assert done.returncode != 0


def test_what_is_unpacked_goes_when_it_is_stopped(mmk: Path, tmp_path: Path):
    """A service manager sends SIGTERM."""
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    command = [sys.executable, "-I", str(mmk), "predict", "--jsonl", "-"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE, env=environment) as process:
        deadline = time.monotonic() + 30
        while not list(tmp_path.glob("mmkeras-*/edge/*")) and time.monotonic() < deadline:
            time.sleep(0.02)
        assert list(tmp_path.glob("mmkeras-*"))
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=30)
    assert process.returncode == -signal.SIGTERM
    assert not list(tmp_path.glob("mmkeras-*"))


def test_a_packed_bundle_opens_like_a_folder(mmk: Path, exported: Path):
    with Bundle.open(mmk) as bundle, Bundle.open(exported) as folder:
        assert bundle.manifest == folder.manifest
        assert bundle.specs == folder.specs
        assert bundle.place == mmk
        assert bundle.verify() == {}
        assert bundle.golden_raw()[0]["text"] == folder.golden_raw()[0]["text"]
        result = selftest(bundle)
        assert result.passed
        rejected = next(file for file in bundle.files if not file.accepted)
        assert not bundle.holds(rejected)
        with pytest.raises(BundleError, match="left out when the bundle was packed"):
            bundle.load(rejected.path, rejected.sha256)
        with pytest.raises(BundleError, match="lies outside"):
            bundle.load("../x", "")
    assert not bundle.folder.exists()
    with Predictor(mmk) as predictor:
        assert predictor.predict(text="what shape is it?")["label"] in ("circle", "red", "square")
        assert str(mmk) in predictor.description
    assert not predictor.bundle.folder.exists()


def test_packing_twice_gives_the_same_bytes(mmk: Path, folder: Path, tmp_path: Path):
    for path in folder.rglob("*"):
        os.utime(path, (0, 0))
    again = pack_bundle(Bundle.open(folder), tmp_path / "again.mmk")
    assert again.read_bytes() == mmk.read_bytes()


def test_what_is_in_it(mmk: Path):
    names = zipfile.ZipFile(mmk).namelist()
    assert {"__main__.py", "manifest.json", "golden.npz", "text_vocabulary.txt", "edge/tiny.float32.tflite"} <= {*names}
    assert {"mmkeras/runtime/selftest.py", "mmkeras/media/text/characters.txt"} <= {*names}
    assert not [name for name in names if "training" in name or "branch" in name or name.startswith("rejected")]


def test_parts_and_formats(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    out = tmp_path / "out"
    out.mkdir()
    assert main(["pack", str(folder), "--out", str(out), "--formats", "tflite", "--include", "rejected"]) == 0
    said = capsys.readouterr()
    assert "left out (add with --include): saved_model" in said.out
    assert "no MODEL_CARD.md" in said.err
    path = out / "tiny-1.mmk"
    names = zipfile.ZipFile(path).namelist()
    assert "rejected/tiny.int8-dynamic.tflite" in names
    assert "edge/tiny.float32.onnx" not in names
    with Bundle.open(path) as bundle:
        verdicts = {check.path: check.verdict for check in selftest(bundle).files}
        assert verdicts["edge/tiny.float32.onnx"] == "skipped"
        with pytest.raises(Exception, match="no onnx"):
            Predictor(bundle, "onnx")
    for arguments, message in (
        (["--formats", "onx"], "did you mean 'onnx'"),
        (["--include", "kers"], "did you mean 'keras'"),
        (["--sign", "gone.pem"], "private key cannot be read"),
    ):
        assert main(["pack", str(folder), "--out", str(out), *arguments]) == 2
        assert message in capsys.readouterr().err
    assert [p.name for p in out.iterdir()] == ["tiny-1.mmk"]


def test_an_altered_folder_is_not_packed(folder: Path, tmp_path: Path):
    (folder / "golden.npz").write_bytes(b"")
    with pytest.raises(BundleError, match=r"golden\.npz is not the file that was exported"):
        pack_bundle(Bundle.open(folder), tmp_path / "x.mmk")
    assert not list(tmp_path.glob("*.mmk"))


def test_a_link_is_not_packed(folder: Path, tmp_path: Path):
    (folder / "notes").symlink_to("/etc")
    with pytest.raises(ArchiveError, match="notes: expected a file, got a link"):
        pack_bundle(Bundle.open(folder), tmp_path / "x.mmk")


def test_signing_and_verifying_on_load(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], keys: dict[str, Path]
):
    path, public, private = tmp_path / "x.mmk", str(keys["public"]), str(keys["private"])
    assert main(["pack", str(folder), "--out", str(path)]) == 0
    assert main(["selftest", str(path), "--key", public]) == 1
    assert "got an unsigned bundle" in capsys.readouterr().err
    assert main(["sign", str(path), "--sign", private]) == 0
    assert main(["selftest", str(path), "--key", public]) == 0
    capsys.readouterr()
    assert main(["inspect", "--json", str(path), f"--key={public}"]) == 0
    assert len(json.loads(capsys.readouterr().out)["signed_by"]) == 64
    assert main(["selftest", str(path), "--key", str(keys["other"])]) == 1
    assert "does not fit" in capsys.readouterr().err
    with Predictor(path, key=keys["public"]) as predictor:
        assert predictor.predict(text="what?")
    assert main(["selftest", str(folder), "--key", public]) == 1
    assert "a folder, which has no signature" in capsys.readouterr().err
    assert main(["sign", str(folder), "--sign", private]) == 2
    assert bare(path, "selftest", "--key", public, hidden=TRAINING).returncode == 0
    done = bare(path, "selftest", "--key", public)
    assert done.returncode == 1
    assert "pip install cryptography" in done.stderr


def test_keys_are_asked_for_before_anything_is_read(mmk: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["selftest", str(mmk), "--key", "gone.pem"]) in (1, 2)
    assert "gone.pem" in capsys.readouterr().err
    assert main(["selftest", str(mmk), "--key"]) == 2


def test_a_new_command_is_packed_without_being_named(mmk: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    from mmkeras.runtime import packed_code as code

    package = tmp_path / "mmkeras"
    shutil.copytree(Path(ROOT) / "mmkeras", package, ignore=shutil.ignore_patterns("__pycache__"))
    (package / "runtime" / "build_engine.py").write_text("from mmkeras import helper_of_it\n")
    (package / "helper_of_it.py").write_text("")
    monkeypatch.setattr(code, "__file__", str(package / "runtime" / "packed_code.py"))
    names = set(code.runtime_files())
    assert {"mmkeras/runtime/build_engine.py", "mmkeras/helper_of_it.py"} <= names
    packed = {name for name in zipfile.ZipFile(mmk).namelist() if name.startswith("mmkeras/")}
    assert names - packed == {"mmkeras/runtime/build_engine.py", "mmkeras/helper_of_it.py"}
