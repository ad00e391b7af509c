"""The processes of the race: each side has an environment of its own and answers `tests.race.serving` requests."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import IO, Any

from mmkeras.core.errors import DependencyError, TrainingError

__all__ = ["PEERS", "Side", "peers_python"]

REPOSITORY = Path(__file__).resolve().parents[2]
PEERS = REPOSITORY / ".venv-peers"
"""The environment of PyTorch and Ludwig, which ``make race`` makes from constraints-peers.txt."""


def peers_python(needs: str, environment: Path = PEERS) -> Path:
    """Return the Python of the peers' environment.

    Raises:
        DependencyError: the environment is missing or cannot import ``needs``; the message says how to get it.
    """
    python = environment / "bin" / "python"
    if python.is_file():
        tried = subprocess.run([str(python), "-c", f"import {needs}"], cwd=REPOSITORY, capture_output=True, text=True)
        if tried.returncode == 0:
            return python
        reason = f"cannot import {needs}: {tried.stderr.strip()[-300:]}"
    else:
        reason = "does not exist"
    raise DependencyError(
        f"{environment.name}: {reason}. Make it with make race, which installs PyTorch and Ludwig (about 7 GB) from "
        "constraints-peers.txt; without it these parts are left out"
    )


class Side:
    """One process with one thread; use it as a context.

    Args:
        python: its interpreter.
        module: its program, which calls `tests.race.serving.serve`.
        folder: where the sides exchange files; its standard error goes to ``<module>.log`` there.
    """

    def __init__(self, python: str | Path, module: str, folder: Path) -> None:
        self.name = module
        self._log = folder / f"{module.rpartition('.')[2]}.log"
        one_thread = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [str(python), "-m", module, str(folder)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                cwd=REPOSITORY,
                env={**os.environ, **one_thread, "TF_CPP_MIN_LOG_LEVEL": "2", "PYTHONPATH": str(REPOSITORY)},
            )

    @classmethod
    def ours(cls, folder: Path) -> Side:
        """Start the mmkeras side in this environment."""
        return cls(sys.executable, "tests.race.ours", folder)

    def ask(self, name: str, **options: Any) -> Any:
        """Return the answer to a request.

        Raises:
            TrainingError: the process has ended or answers with an error.
        """
        line = ""
        requests, answers = self._pipes()
        with contextlib.suppress(BrokenPipeError):
            requests.write(json.dumps([name, options]) + "\n")
            requests.flush()
            line = answers.readline()
        answer = json.loads(line) if line else {"error": self._log.read_text("utf-8", errors="replace")[-2000:]}
        if "error" in answer:
            raise TrainingError(f"{self.name}: {name} failed:\n{answer['error']}")
        return answer["answer"]

    def __enter__(self) -> Side:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()
        for stream in self._pipes():
            with contextlib.suppress(BrokenPipeError):
                stream.close()

    def _pipes(self) -> tuple[IO[str], IO[str]]:
        requests, answers = self._process.stdin, self._process.stdout
        if requests is None or answers is None:
            raise TrainingError(f"{self.name}: was started without pipes")
        return requests, answers
