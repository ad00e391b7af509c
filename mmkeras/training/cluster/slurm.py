"""Parses the ``srun`` variables of a job step: its nodes in Slurm's short form, and the tasks of each.

Source: https://slurm.schedmd.com/srun.html, section "output environment variables".
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass

from mmkeras.core.errors import ConfigError

__all__ = ["MOST_NODES", "Step", "expand_nodes", "expand_tasks", "read_step", "tasks_of"]

MOST_NODES = 65536
"""Most nodes in a list. Slurm does not allow more; a larger number is a mistake and would fill the memory."""
MOST_TASKS = 65536

_PART = re.compile(r"\[([^\[\]]*)\]|([^\[\],\s]+)")
_COMMA = re.compile(r",(?![^\[]*\])")
"""A comma outside of brackets."""
_TASKS = re.compile(r"(\d+)(?:\(x(\d+)\))?")


@dataclass(frozen=True)
class Step:
    """A job step."""

    hosts: tuple[str, ...]
    """Node of every task, in the order of their numbers."""
    rank: int
    job: int


def read_step(environment: Mapping[str, str]) -> Step:
    """Read a step's tasks from its environment."""
    nodes = expand_nodes(_needed(environment, "SLURM_STEP_NODELIST"))
    tasks = expand_tasks(_needed(environment, "SLURM_STEP_TASKS_PER_NODE"))
    if len(tasks) != len(nodes):
        raise ConfigError(f"SLURM_STEP_TASKS_PER_NODE has {len(tasks)} nodes, SLURM_STEP_NODELIST has {len(nodes)}")
    method = environment.get("SLURM_DISTRIBUTION", "block")
    if len(nodes) > 1 and max(tasks) > 1 and not method.startswith(("block", "pack")):
        raise ConfigError(f"SLURM_DISTRIBUTION is {method!r}; start the step with srun --distribution=block")
    hosts = tuple(node for node, count in zip(nodes, tasks, strict=True) for _ in range(count))
    rank, job = (_number(environment, name) for name in ("SLURM_PROCID", "SLURM_JOB_ID"))
    return Step(hosts, rank, job)


def tasks_of(environment: Mapping[str, str]) -> int:
    """Return the tasks of the Slurm step that this process belongs to; 1 outside of one."""
    return _number(environment, "SLURM_STEP_NUM_TASKS") if environment.get("SLURM_STEP_NUM_TASKS") else 1


def expand_nodes(text: str) -> list[str]:
    """Return the names in a list such as ``login,gpu[01-03,7]-rack[1-2]``, in its order.

    Numbers keep their leading zeros. With several brackets the last one varies fastest, as in ``scontrol show
    hostnames``.

    Raises:
        ConfigError: an unclosed bracket, a range that ends before its start, or more than `MOST_NODES` nodes.
    """
    names: list[str] = []
    for entry in _COMMA.split(text.strip()):
        parts: list[list[str]] = []
        end = 0
        for match in _PART.finditer(entry):
            if match.start() != end:
                break
            end = match.end()
            parts.append([match[2]] if match[1] is None else _ranges(match[1], text))
        if not entry or end != len(entry):
            raise ConfigError(f"Expected a Slurm node list such as node[01-04,7],login, got {text!r}")
        if len(names) + math.prod(map(len, parts)) > MOST_NODES:
            raise ConfigError(f"A Slurm node list of more than {MOST_NODES} nodes: {text!r:.200}")
        names += ["".join(choice) for choice in itertools.product(*parts)]
    return names


def expand_tasks(text: str) -> list[int]:
    """Return the tasks of every node from a form such as ``2(x3),1``."""
    counts: list[int] = []
    for entry in text.split(","):
        match = _TASKS.fullmatch(entry.strip())
        if match is None or max(len(each or "") for each in match.groups()) > 6 or int(match[2] or 1) > MOST_NODES:
            raise ConfigError(f"SLURM_STEP_TASKS_PER_NODE: expected a form such as 2(x3),1, got {text!r}")
        counts += [int(match[1])] * int(match[2] or 1)
    if sum(counts) > MOST_TASKS:
        raise ConfigError(f"SLURM_STEP_TASKS_PER_NODE: more than {MOST_TASKS} tasks: {text!r:.200}")
    return counts


def _ranges(text: str, whole: str) -> list[str]:
    numbers: list[str] = []
    for entry in text.split(","):
        first, dash, last = entry.partition("-")
        last = last if dash else first
        both = first + last
        if not (first and last and both.isascii() and both.isdigit()) or len(both) > 30 or int(last) < int(first):
            raise ConfigError(f"Expected ranges such as [01-04,7] in the Slurm node list {whole!r}, got [{text}]")
        if int(last) - int(first) >= MOST_NODES:
            raise ConfigError(f"A Slurm node list of more than {MOST_NODES} nodes: {whole!r:.200}")
        numbers += [str(number).zfill(len(first)) for number in range(int(first), int(last) + 1)]
    return numbers


def _number(environment: Mapping[str, str], name: str) -> int:
    text = _needed(environment, name).strip()
    if not text.isascii() or not text.isdigit() or len(text) > 18:
        raise ConfigError(f"{name}: expected a whole number, got {text!r:.60}")
    return int(text)


def _needed(environment: Mapping[str, str], name: str) -> str:
    try:
        return environment[name]
    except KeyError:
        raise ConfigError(f"{name} is not set. Start the workers with srun, one task per worker") from None
