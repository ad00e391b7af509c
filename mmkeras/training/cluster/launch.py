"""Starts and monitors the workers of a cluster as processes of this machine, for trials and tests."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

from mmkeras.core.config import ClusterConfig
from mmkeras.core.console import Console
from mmkeras.core.errors import ConfigError
from mmkeras.training.signals import handled

__all__ = ["LAUNCHED", "PEER_LOST", "launch"]

PEER_LOST = 75
"""Exit status of a worker that stopped because another died: start all workers again."""
LAUNCHED = "MMKERAS_LAUNCHED"
"""Environment variable with the rank of a worker that was started here."""
_LAST_LINES = 15


def launch(command: Sequence[str], config: ClusterConfig, console: Console, grace: float = 20.0) -> int:
    """Run a command once per worker until all have ended.

    The output of the first worker appears here. If a worker fails, the others stop by themselves, or are killed
    ``grace`` seconds after the time without a heartbeat. Ctrl-C and SIGTERM are sent to all workers.

    Returns:
        Exit status: 0, or that of the first worker that failed by itself (1 if a signal killed it), or 130 after Ctrl-C
        or SIGTERM.

    Raises:
        ConfigError: ``pin`` with more workers than cores.
    """
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else list(range(os.cpu_count() or 1))
    if config.pin and config.workers > len(cores):
        raise ConfigError(f"cluster.pin: {config.workers} workers, but this process may use {len(cores)} cores")
    share = max(1, len(cores) // config.workers)
    hosts = [f"127.0.0.1:{port}" for port in _free_ports(config.workers)]
    workers: list[subprocess.Popen[bytes]] = []
    console.print(f"Starting {config.workers} workers on this machine; the output of the first one follows.")
    with ExitStack() as stack:
        outputs = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        logs = [stack.enter_context((outputs / f"{rank}.log").open("wb")) for rank in range(config.workers)]
        for rank in range(config.workers):
            task = {"cluster": {"worker": hosts}, "task": {"type": "worker", "index": rank}}
            environment = {**os.environ, "TF_CONFIG": json.dumps(task), LAUNCHED: str(rank)}
            for name in ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OMP_NUM_THREADS"):
                environment.setdefault(name, str(share))
            if config.pin:
                environment["MMKERAS_CORES"] = ",".join(map(str, cores[rank * share : (rank + 1) * share]))
            streams: dict[str, Any] = {} if rank == 0 else {"stdout": logs[rank], "stderr": subprocess.STDOUT}
            # In a new session, because a signal from the terminal would arrive twice.
            workers.append(subprocess.Popen(command, env=environment, start_new_session=True, **streams))
        stack.callback(_end, workers)
        with _passed_on(workers) as signals:
            failed = _watch(workers, grace=config.heartbeat_seconds + grace)
        if failed is None:
            return 0
        if signals and workers[failed].returncode in (130, -signal.SIGINT, -signal.SIGTERM):
            return 130
        _report(workers, failed, (outputs / f"{failed}.log").read_bytes(), console)
        status = workers[failed].returncode
        return int(status) if status > 0 else 1


def _watch(workers: Sequence[subprocess.Popen[bytes]], grace: float) -> int | None:
    """Wait for all, and return the first that failed, if possible one that did not stop because of another."""
    failed: dict[int, float] = {}
    while any(worker.poll() is None for worker in workers):
        for rank, worker in enumerate(workers):
            if worker.poll() not in (None, 0):
                failed.setdefault(rank, time.monotonic())
        if failed and time.monotonic() - min(failed.values()) > grace:
            _end(workers)
        time.sleep(0.05)
    ranks = [rank for rank, worker in enumerate(workers) if worker.returncode]
    own = [rank for rank in ranks if workers[rank].returncode != PEER_LOST]
    return min(own or ranks, key=lambda rank: failed.get(rank, float("inf")), default=None)


def _report(workers: Sequence[subprocess.Popen[bytes]], failed: int, output: bytes, console: Console) -> None:
    status = workers[failed].returncode
    how = f"was ended by {signal.Signals(-status).name}" if status < 0 else f"ended with status {status}"
    lines = output.decode("utf-8", errors="replace").strip().splitlines()[-_LAST_LINES:]
    if lines:
        console.print(f"Worker {failed} printed last:", style="bold")
        console.print("\n".join(lines), markup=False, highlight=False, soft_wrap=True)
    ending = f"Worker {failed} {how}; all workers have stopped."
    console.print(ending, style="bold red", highlight=False, soft_wrap=True)
    if status < 0 or status == PEER_LOST:
        console.print("Continue from the last checkpoint with the same command and only --resume.", highlight=False)


@contextmanager
def _passed_on(workers: Sequence[subprocess.Popen[bytes]]) -> Iterator[list[int]]:
    """Pass SIGINT and SIGTERM on to all workers; send SIGKILL from the third signal on."""
    signals: list[int] = []

    def pass_on(number: int, frame: FrameType | None) -> None:
        signals.append(number)
        for worker in workers:
            if worker.poll() is None:
                worker.send_signal(signal.SIGKILL if len(signals) > 2 else number)

    with handled(pass_on):
        yield signals


def _end(workers: Sequence[subprocess.Popen[bytes]]) -> None:
    """End running workers with SIGTERM, and those that still run after 5 s with SIGKILL."""
    running = [worker for worker in workers if worker.poll() is None]
    for worker in running:
        worker.terminate()
    deadline = time.monotonic() + 5.0
    for worker in running:
        try:
            worker.wait(timeout=max(0.1, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            worker.kill()
            worker.wait()


def _free_ports(count: int) -> list[int]:
    """Return ports that are free now."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [int(each.getsockname()[1]) for each in sockets]
