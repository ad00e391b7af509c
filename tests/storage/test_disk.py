"""Whatever met a full or read-only disk, the user reads the same plain words."""

from __future__ import annotations

import errno
import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from mmkeras.storage.disk import explain

pytestmark = pytest.mark.tfio

_TENSORFLOW = "{path}; No space left on device\n\t [[{{node IteratorGetNext}}]]"
_SAVING = (
    "{{{{function_node __wrapped__SaveV2_dtypes_1_device_/job:localhost/replica:0/task:0/device:CPU:0}}}} {path}; "
    "No space left on device [Op:SaveV2]"
)
_HDF5 = (
    "[Errno 28] Can't synchronously write data (file write failed: time = 1, filename = '{path}', errno = 28, error)"
)


@pytest.mark.parametrize("text", [_TENSORFLOW, _SAVING, _HDF5])
def test_the_words_of_libraries_are_understood(tmp_path, text):
    said = explain(RuntimeError(text.format(path=tmp_path / "a.h5")))
    assert said.startswith(f"{tmp_path / 'a.h5'} cannot be written: the disk is full (")
    assert "MiB of" in said
    assert "Make room" in said
    assert explain(RuntimeError(text.format(path="saved_models/a/b.h5"))).startswith("saved_models/a/b.h5 cannot be")


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.EROFS, "the file system is read-only. Make it writable"),
        (errno.EACCES, "this user may not write there"),
        (errno.EDQUOT, "the disk quota is used up"),
    ],
)
def test_errors_of_the_system_are_named_with_their_file(number, words):
    said = explain(OSError(number, os.strerror(number), "runs/a"))
    assert said.startswith("runs/a cannot be written: ")
    assert words in said


def test_the_folder_is_named_where_the_error_does_not_say_it(tmp_path):
    assert explain(OSError(errno.ENOSPC, "No space left on device"), tmp_path).startswith(f"{tmp_path} cannot")
    assert explain(OSError(errno.ENOSPC, "No space left on device")).startswith("A file cannot")


def test_other_errors_are_not_about_the_disk():
    assert explain(ValueError("No such layer")) == ""
    assert explain(FileNotFoundError(errno.ENOENT, "No such file or directory", "a")) == ""


def test_a_real_limit_of_a_file_is_explained(tmp_path):
    """What a process meets that may not write so much."""
    code = (
        "import sys; from pathlib import Path; from mmkeras.storage.disk import explain\n"
        "try: Path(sys.argv[1]).write_bytes(bytes(1 << 20))\n"
        "except OSError as error: print(explain(error))"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "large")]
    limit = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))  # noqa: E731
    done = subprocess.run(command, preexec_fn=limit, capture_output=True, text=True, cwd=Path(__file__).parents[2])
    assert "a file may not become as large (ulimit -f)" in done.stdout, done.stderr
