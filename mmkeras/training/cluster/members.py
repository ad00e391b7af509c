"""The workers of a training, read from the scheduler's environment.

| from | variables |
|---|---|
| TensorFlow, Kubeflow TFJob | ``TF_CONFIG`` |
| Kubernetes indexed Job, JobSet | ``MMKERAS_WORKERS``, ``MMKERAS_HOSTS``, ``JOB_COMPLETION_INDEX`` |
| Slurm | ``SLURM_STEP_NODELIST`` and others of ``srun`` |

The first source that names workers is used. An empty variable, a ``TF_CONFIG`` without workers and a list of one
worker are not a cluster.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mmkeras.core.errors import ConfigError
from mmkeras.training.cluster import slurm

__all__ = ["PORT", "Members", "find_members"]

PORT = 12355
"""Default port of the workers."""


@dataclass(frozen=True)
class Members:
    """The workers of a training, and the number of this one."""

    hosts: tuple[str, ...]
    """``host:port`` of every worker; the first is the chief."""
    rank: int
    """Number of this worker."""
    origin: str
    """Source of this information, for messages."""
    local_rank: int = 0
    """Number of this worker among those of its machine."""
    local_count: int = 1
    """Workers of its machine."""


def find_members(environment: Mapping[str, str], port: int | None = None) -> Members | None:
    """Return the workers in the environment, or None if it describes no cluster.

    ``port`` is the port of hosts without one.

    Raises:
        ConfigError: the environment describes an incomplete cluster.
    """
    members = _from_tf_config(environment.get("TF_CONFIG", ""))
    if members is not None:
        pass
    elif environment.get("MMKERAS_HOSTS") or environment.get("MMKERAS_WORKERS"):
        members = _from_hosts(environment, port)
    elif slurm.tasks_of(environment) > 1:
        members = _from_slurm(environment, port)
    else:
        return None
    if not 0 <= members.rank < len(members.hosts):
        raise ConfigError(
            f"{members.origin}: worker number {members.rank} of {len(members.hosts)}; expected 0 to "
            f"{len(members.hosts) - 1}"
        )
    if twice := {host for host in members.hosts if members.hosts.count(host) > 1}:
        raise ConfigError(f"{members.origin}: {sorted(twice)} occur twice; every worker needs an address of its own")
    return members if len(members.hosts) > 1 else None


def _from_tf_config(text: str) -> Members | None:
    """Return the workers of ``TF_CONFIG``, or None if it has none: platforms write that for a single machine."""
    if not text.strip():
        return None
    expected = 'expected {"cluster": {"worker": ["host:port", ...]}, "task": {"type": "worker", "index": 0}}'
    try:
        value: Any = json.loads(text)
        jobs, task = value.get("cluster") or {}, value.get("task") or {}
        hosts = {kind: _addresses(jobs[kind]) for kind in jobs if jobs[kind]}
        if not hosts:
            return None
        kind, index = str(task.get("type", "worker")), int(task.get("index", 0))
    except (ValueError, AttributeError, TypeError, OverflowError, RecursionError) as error:
        raise ConfigError(f"TF_CONFIG: {expected}, got {text!r:.200} ({error})") from None
    # Kubeflow calls the first worker master or chief.
    order = [name for name in ("master", "chief", "worker") if name in hosts]
    if others := sorted(set(hosts) - {*order, "evaluator"}):
        raise ConfigError(
            f"TF_CONFIG: the jobs {others} are not supported: training is synchronous, without parameter servers. "
            "Use only chief and worker"
        )
    if kind not in order:
        raise ConfigError(f"TF_CONFIG: this task is a {kind!r}, the cluster has {order}; {expected}")
    everyone = tuple(host for name in order for host in hosts[name])
    before = sum(len(hosts[name]) for name in order[: order.index(kind)])
    if wrong := [host for host in everyone if ":" not in host]:
        raise ConfigError(f"TF_CONFIG: expected host:port, got {wrong[0]!r}")
    if not 0 <= index < len(hosts[kind]):
        raise ConfigError(f"TF_CONFIG: {kind} number {index}, but the cluster has {len(hosts[kind])} of them")
    return Members(everyone, before + index, "TF_CONFIG")


def _addresses(hosts: Any) -> list[str]:
    if not isinstance(hosts, list):
        raise TypeError(f"expected a list of addresses, got {hosts!r:.60}")
    return [str(host) for host in hosts]


def _from_hosts(environment: Mapping[str, str], port: int | None) -> Members:
    workers, hosts = environment.get("MMKERAS_WORKERS"), environment.get("MMKERAS_HOSTS")
    index = environment.get("MMKERAS_RANK", environment.get("JOB_COMPLETION_INDEX"))
    if not hosts or index is None:
        missing = "MMKERAS_HOSTS" if not hosts else "MMKERAS_RANK or JOB_COMPLETION_INDEX"
        raise ConfigError(
            f"{missing} is not set. Expected MMKERAS_HOSTS (host:port, ..., or one such as train-{{index}}.train with "
            "MMKERAS_WORKERS) and the number of this worker in MMKERAS_RANK or JOB_COMPLETION_INDEX"
        )
    try:
        rank, count = int(index), int(workers) if workers else None
    except ValueError as error:
        raise ConfigError(f"MMKERAS_WORKERS and MMKERAS_RANK: expected whole numbers ({error})") from None
    if "{index}" in hosts:
        if count is None:
            raise ConfigError(f"MMKERAS_HOSTS is {hosts!r}: set MMKERAS_WORKERS to the number of workers")
        if not 0 < count <= slurm.MOST_TASKS:
            raise ConfigError(f"MMKERAS_WORKERS: expected 1 to {slurm.MOST_TASKS}, got {count}")
        names = [hosts.replace("{index}", str(number)) for number in range(count)]
    else:
        names = [name.strip() for name in hosts.split(",") if name.strip()]
        if count is not None and count != len(names):
            raise ConfigError(f"MMKERAS_WORKERS is {count}, MMKERAS_HOSTS names {len(names)}: {hosts}")
    everyone = tuple(name if ":" in name else f"{name}:{port or PORT}" for name in names)
    return Members(everyone, rank, "MMKERAS_HOSTS")


def _from_slurm(environment: Mapping[str, str], port: int | None) -> Members:
    tasks = slurm.read_step(environment)
    # The port depends on the job's number, because steps on one machine cannot share a port.
    base = port or PORT + 16 * (tasks.job % 2048)
    seen: dict[str, int] = {}
    hosts, local = [], []
    for name in tasks.hosts:
        local.append(seen.get(name, 0))
        seen[name] = local[-1] + 1
        hosts.append(f"{name}:{base + local[-1]}")
    if tasks.rank >= len(hosts):
        raise ConfigError(f"SLURM_PROCID is {tasks.rank}, but the step has {len(hosts)} tasks")
    return Members(tuple(hosts), tasks.rank, "Slurm", local[tasks.rank], seen[tasks.hosts[tasks.rank]])
