from __future__ import annotations

import dataclasses
import io
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from mmkeras import __version__
from mmkeras.bundle import Bundle
from mmkeras.runtime.cli import COMMANDS, main
from mmkeras.runtime.options import OPTIONS, build_parser
from mmkeras.runtime.verbs import TRAINING


@pytest.fixture
def run(capfd: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    def call(*arguments: object) -> tuple[int, str, str]:
        status = main([str(argument) for argument in arguments])
        out, err = capfd.readouterr()
        assert "Traceback" not in err
        return status, out, err

    return call


def test_help_names_every_command(run: Callable[..., tuple[int, str, str]]):
    status, out, _ = run("--help")
    assert status == 0
    assert all(f"  {name}" in out for name in (*TRAINING, *COMMANDS))
    assert "exit status" in out
    assert run("--version")[1] == f"mmkeras {__version__}\n"
    assert run()[0] == 2
    for command in COMMANDS:
        assert run(command, "--help")[0] == 0


def test_the_help_of_a_bundle_lists_its_modalities(run: Callable[..., tuple[int, str, str]], exported: Path):
    status, out, _ = run("predict", exported, "--help")
    assert status == 0
    assert "--image IMAGE" in out
    assert "becomes text_token_ids int32 [8]" in " ".join(out.split())


def test_every_command_has_its_options():
    assert OPTIONS.keys() == COMMANDS.keys()


def test_a_modality_named_like_an_option(bundle: Bundle):
    named = dataclasses.replace(bundle, specs={"format": bundle.specs["text"], "text": bundle.specs["text"]})
    options = build_parser("predict", "", named, "mmkeras").parse_args(
        ["b", "--modality-format", "what?", "--format", "onnx"]
    )
    assert vars(options)["modality:format"] == "what?"
    assert options.format == "onnx"


def test_predict(run: Callable[..., tuple[int, str, str]], exported: Path, images: list[Path]):
    status, out, err = run("predict", exported, "--image", images[0], "--text", "what shape is it?", "--json")
    assert status == 0
    (expected,) = Bundle.open(exported).task.decode(
        {name: array[:1] for name, array in Bundle.open(exported).golden().outputs.items()}
    )
    assert json.loads(out)["label"] == expected["label"]
    assert "edge/tiny.float32.tflite" in err
    status, out, err = run("predict", exported, "--text", "what?")
    assert (status, out.split()[0]) == (0, "label:")
    assert "predicted without image" in err
    # Options may stand before the bundle, and the newest version is taken.
    status, out, err = run("predict", "--text=what?", exported.parent, "--precision", "float16")
    assert status == 0
    assert "using version 1, the newest one" in err
    assert "float16" in err


def test_predict_lines(
    run: Callable[..., tuple[int, str, str]], exported: Path, images: list[Path], tmp_path: Path, monkeypatch
):
    path = tmp_path / "in.jsonl"
    good = [{"image": str(images[0]), "text": "what?"}, {"text": "is it red?"}]
    path.write_text("\n".join(json.dumps(line) for line in good) + "\n\n")
    status, out, _ = run("predict", exported, "--jsonl", path)
    assert status == 0
    assert [set(json.loads(line)) for line in out.splitlines()] == [{"label", "confidence", "top"}] * 2
    bad = ['{"text": 3}', "{", '["x"]', '{"txt": "a"}', "{}", '{"image": "gone.png"}', "[" * 9000, '{"text": "what?"}']
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO("\n".join(bad).encode())))
    status, out, err = run("predict", exported, "--jsonl", "-")
    lines = [json.loads(line) for line in out.splitlines()]
    assert status == 1
    assert ["error" in line for line in lines] == [True] * 7 + [False]
    assert [line["line"] for line in lines[:7]] == [1, 2, 3, 4, 5, 6, 7]
    assert "did you mean 'text'" in err
    # One reader for tables and devices: a byte order mark, any line ending, a bad byte that costs its line.
    path.write_bytes(b'\xef\xbb\xbf{"text": "a"}\r\n{"text": "\xff"}\r{"text": "a", "text": "b"}\n{"text": "b"}')
    status, out, err = run("predict", exported, "--jsonl", path)
    assert ["error" in json.loads(line) for line in out.splitlines()] == [False, True, True, False]
    assert "in.jsonl:2: expected UTF-8, got the byte 0xff" in err
    assert "the name 'text' is there twice" in err


@pytest.mark.parametrize("level", ["text", "all"])
def test_what_the_run_was_told_to_hide_stays_hidden(
    run: Callable[..., tuple[int, str, str]], folder: Path, tmp_path: Path, level: str
):
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["provenance"]["config"] = {"privacy": {"redact": level}}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    lines = tmp_path / "in.jsonl"
    picture = str(tmp_path / "ann-example.png")
    lines.write_text(f'{json.dumps({"image": picture})}\n"Ann has a cough"\n{json.dumps({"text": ["a cough"]})}\n')
    for arguments in (("--jsonl", lines), ("--image", picture)):
        status, out, err = run("predict", folder, *arguments)
        assert status == 1
        assert "cough" not in out + err
        assert ("ann-example" in out + err) == (level == "text")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("predict", "--imge", "x"), "did you mean '--image'"),
        (("predict", "--text", "a", "--pre", "float32"), "--precision"),
        (("predict",), "give one of these: modalities (--image, --text), --jsonl, or --table with --out"),
        (("predict", "--text", "a", "--jsonl", "-"), "give one of these"),
        (("predict", "--text"), "expected one argument"),
        (("predict", "--text", "a", "--threads", "x"), "invalid int value"),
        (("predict", "--text", "a", "--threads", "0"), "at least 1"),
        (("predict", "--text", "a", "--device", "gpu"), "has no device 'gpu'"),
        (("predict", "--text", "a", "--format", "onx"), "did you mean 'onnx'"),
        (("benchmark", "--runs", "0"), "expected at least 1"),
        (("inspect", "--format", "onnx"), "Unknown option"),
        (("selftest", "more"), "Unexpected"),
    ],
)
def test_a_wrong_command_line_is_answered(
    run: Callable[..., tuple[int, str, str]], exported: Path, arguments: tuple[str, ...], message: str
):
    status, out, err = run(arguments[0], exported, *arguments[1:])
    assert status == 2
    assert message in err
    assert not out


def test_errors_are_one_clear_message(run: Callable[..., tuple[int, str, str]], tmp_path: Path, exported: Path):
    assert "did you mean 'predict'" in run("predct", exported)[2]
    assert "needs a bundle first" in run("selftest")[2]
    status, out, err = run("selftest", tmp_path / "nowhere")
    assert (status, out) == (1, "")
    assert err.startswith("mmkeras: There is no folder")
    status, _, err = run("predict", exported, "--image", tmp_path / "gone.png")
    assert status == 1
    assert "gone.png" in err
    status, _, err = run("predict", exported, "--text", "a", "--precision", "int8-dynamic")
    assert status == 1
    assert "accuracy falls by 1.4 points" in err


def test_selftest(run: Callable[..., tuple[int, str, str]], exported: Path, edit: Callable[..., Bundle]):
    status, out, _ = run("selftest", exported)
    assert status == 0
    assert "selftest passed: 3 passed, 1 rejected" in out
    status, out, _ = run("selftest", exported, "--json")
    assert json.loads(out)["passed"] is True
    status, out, _ = run("selftest", exported, "--strict")
    assert status == 1
    assert "not checked here: empty_text" in out
    folder = edit("onnx", "float32", tolerance=0.0).folder
    status, out, _ = run("selftest", folder)
    assert status == 1
    assert "selftest FAILED" in out
    assert " FAILED" in out.split("Largest difference by modality scenario")[1]


def test_inspect(run: Callable[..., tuple[int, str, str]], folder: Path):
    status, out, _ = run("inspect", folder)
    assert status == 0
    assert "every hash is as exported" in out
    assert "(B, 16, 16, 3)" in out
    (folder / "rejected/tiny.int8-dynamic.tflite").unlink()
    status, out, err = run("inspect", folder)
    assert status == 1
    assert "1 files are missing or altered" in out
    assert "int8-dynamic.tflite is listed" in err
    status, out, _ = run("inspect", folder, "--json")
    assert (status, list(json.loads(out)["problems"])) == (1, ["rejected/tiny.int8-dynamic.tflite"])


def test_the_smallest_runtime_of_a_litert_file_is_recorded_and_shown(
    run: Callable[..., tuple[int, str, str]], exported: Path
):
    needed = {f"{file.format} {file.precision}": file.min_runtime for file in Bundle.open(exported).files}
    assert needed["tflite float32"].count(".") == 2
    assert needed["onnx float32"] == ""
    assert f">= {needed['tflite float32']}" in run("inspect", exported)[1]


def test_benchmark(run: Callable[..., tuple[int, str, str]], exported: Path):
    status, out, _ = run("benchmark", exported, "--runs", "5", "--warmup", "1", "--format", "onnx", "--json")
    assert status == 0
    assert [file["path"] for file in json.loads(out)["files"]] == ["edge/tiny.float32.onnx"]
    status, out, _ = run("benchmark", exported, "--runs", "5", "--precision", "float16")
    assert status == 0
    assert "p99 ms" in out


def test_what_a_first_answer_imports(exported: Path, images: list[Path]):
    """A device waits for nothing that an answer does not need."""
    script = """
import sys
from mmkeras.runtime.cli import main
status = main(sys.argv[1:])
unneeded = {"rich", "jsonargparse", "onnxruntime", "tensorflow", "keras", "unittest", "asyncio", "pandas"}
assert not unneeded & set(sys.modules), unneeded & set(sys.modules)
sys.exit(status)
"""
    command = [sys.executable, "-c", script, "predict", str(exported), "--image", str(images[0]), "--text", "what?"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_as_a_module(exported: Path):
    command = [sys.executable, "-m", "mmkeras", "inspect", str(exported)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0
    assert "tiny version 1" in done.stdout


@pytest.mark.parametrize(
    "command", ["inspect", "inspect --json", "selftest", "selftest --json", "predict --text red", "inspect --help", ""]
)
def test_into_a_closed_pipe(exported: Path, monkeypatch: pytest.MonkeyPatch, command: str):
    """``| head``: not 1, which says that a check failed, and not 0, which says that it passed."""
    name, *options = command.split() or ["--help"]
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as closed:
        monkeypatch.setattr(sys, "stdout", closed)
        assert main([name, *([str(exported)] if command else []), *options]) == 141
