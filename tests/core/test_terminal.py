"""Text from outside is shown and cannot act, in any encoding; a closed pipe ends a program as it ends others."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys

import pytest

from mmkeras.core.terminal import PIPE_CLOSED, OutputClosed, plain, program, say, say_json

HOSTILE = "\x1b[2J\x9b31m\rpassed\x07\u202e\u2028\x7f\ud800"


def test_what_could_act_on_a_terminal_becomes_a_question_mark():
    assert plain(HOSTILE) == "?[2J?31m?passed?????"


def test_letters_marks_and_layout_stay():
    text = "Ünï 日本 \t‘x’ [red]x[/red]\nעברית 😀 e\u0301"
    assert plain(text) == text


def test_bytes_of_a_path_that_the_locale_cannot_decode_are_read_as_utf8():
    assert plain(b"\xc3\x9cn\xc3\xaf/b".decode("ascii", "surrogateescape")) == "Ünï/b"
    assert plain(b"a\xff\xc2\x9b".decode("ascii", "surrogateescape")) == "a\N{REPLACEMENT CHARACTER}?"


def test_say_writes_what_the_encoding_lacks_as_an_escape():
    stream = io.TextIOWrapper(io.BytesIO(), "ascii", errors="surrogateescape")
    say("grün \x1b[1m", to=stream, flush=True)
    assert stream.buffer.getvalue() == b"gr\\xfcn ?[1m\n"


@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_json_stays_json_in_any_encoding(monkeypatch, encoding):
    value = {"label": "grün", "hostile": HOSTILE, "path": "\udcc3"}
    stream = io.TextIOWrapper(io.BytesIO(), encoding)
    monkeypatch.setattr(sys, "stdout", stream)
    say_json(value, indent=1, flush=True)
    written = stream.buffer.getvalue().decode(encoding)
    assert json.loads(written) == value
    assert plain(written) == written
    assert ("grün" in written) == (encoding == "utf-8")


@pytest.mark.parametrize(
    "how", ["say('x' * 100_000)", "print('x' * 100_000)", "say('x')", "Console().print('x' * 9999)"]
)
def test_a_closed_pipe_ends_a_program_quietly_with_the_status_of_other_programs(how):
    code = (
        "import sys\nfrom mmkeras.core.terminal import program, say\nfrom mmkeras.core.console import Console\n"
        f"@program\ndef main():\n    {how}\n    return 0\nsys.exit(main())"
    )
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as closed:
        done = subprocess.run([sys.executable, "-c", code], stdout=closed, stderr=subprocess.PIPE, timeout=60)
    assert (done.returncode, done.stderr) == (PIPE_CLOSED, b"")


def test_another_pipe_that_breaks_is_a_failure():
    @program
    def main() -> int:
        raise BrokenPipeError("a worker has gone")

    with pytest.raises(BrokenPipeError, match="a worker"):
        main()


def test_a_program_returns_its_status_and_lets_options_end_it():
    assert program(lambda: 3)() == 3
    with pytest.raises(SystemExit) as ended:
        program(lambda: sys.exit(2))()
    assert ended.value.code == 2
    assert OutputClosed().code == 141
