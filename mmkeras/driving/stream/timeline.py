"""A picture of a replay: when each sensor was present, which messages were lost, how frames were answered."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mmkeras.driving.stream.faults import Fault
from mmkeras.driving.stream.messages import Answer
from mmkeras.driving.stream.sensors import Sensor
from mmkeras.media.canvas import Canvas

__all__ = ["timeline"]

_INK, _GREY, _RULE = "#1F2933", "#6B7480", "#D5DBE1"
_STATES = {"present": "#009E73", "late": "#E69F00", "absent": "#D55E00"}
_KINDS = {
    "both": "#0072B2",
    "camera only": "#56B4E9",
    "radar only": "#CC79A7",
    "skipped": "#E69F00",
    "blind": "#1F2933",
}
_LEFT, _RIGHT, _TOP, _ROW, _WIDTH = 150, 24, 64, 30, 1100


def timeline(
    sensors: Sequence[Sensor], answers: Sequence[Answer], faults: Sequence[Fault], start: int, end: int, title: str = ""
) -> np.ndarray:
    """Draw the timeline between two moments of the stream's clock in microseconds, as uint8 (height, 1100, 3)."""
    kinds = [kind for kind in _KINDS if any(answer.kind == kind for answer in answers)]
    seconds = max((end - start) / 1e6, 1e-3)
    scale = (_WIDTH - _LEFT - _RIGHT) / seconds
    rows = len(sensors) + len(kinds) + 1
    top = _TOP + 15 * len(faults)
    bottom = top + rows * _ROW
    board = Canvas(_WIDTH, bottom + 84)
    board.text(_LEFT, 20, title, 14, _INK)

    def column(moment: float) -> float:
        return _LEFT + min(max((moment - start) / 1e6, 0.0), seconds) * scale

    _axis(board, seconds, scale, top, bottom)
    for index, sensor in enumerate(sensors):
        middle = top + (index + 0.5) * _ROW
        board.text(_LEFT - 10, middle, sensor.name, 12, _INK, "rm")
        for state, begin, until in sensor.intervals(end):
            _bar(board, column(begin), column(until), middle, 8, _STATES[state])
        for moment in sensor.dropped:
            board.line([(column(moment), middle - 12), (column(moment), middle - 8)], _INK, 1.2)
    for index, kind in enumerate(kinds):
        middle = top + (len(sensors) + 1 + index) * _ROW
        chosen = [answer for answer in answers if answer.kind == kind]
        board.text(_LEFT - 10, middle, f"{kind} ({len(chosen)})", 12, _INK, "rm")
        for answer in chosen:
            x = column(answer.arrived)
            board.line([(x, middle - 8), (x, middle + 8)], _KINDS[kind], 1.6)
            if answer.missed:
                board.dot(x, middle + 11, 1.6, _STATES["absent"])
    for index, fault in enumerate(faults):
        x, y = column(start + fault.begin), 46 + 15 * index
        board.line([(x, y), (x, bottom)], _GREY, 1.0, dashed=True)
        if fault.end is not None:
            board.line([(column(start + fault.end), y), (column(start + fault.end), bottom)], _GREY, 1.0, dashed=True)
        width = board.text_width(fault.text, 11)
        left = x + 4 if x + 4 + width < _WIDTH else x - 4 - width
        _bar(board, left, left + width, y, 6, "#FFFFFF")
        board.text(left, y, fault.text, 11, _GREY)
    _legend(board, bottom + 60)
    return board.array()


def _axis(board: Canvas, seconds: float, scale: float, top: int, bottom: int) -> None:
    step = next((s for s in (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 60, 120, 300, 600) if seconds / s <= 12), 3600)
    for index in range(int(seconds / step) + 1):
        x = _LEFT + index * step * scale
        board.line([(x, top), (x, bottom)], _RULE, 1.0)
        board.text(x, bottom + 14, f"{index * step:g}", 11, _GREY, "mm")
    board.text(_WIDTH - _RIGHT, bottom + 32, "seconds since the first message", 11, _GREY, "rm")


def _bar(board: Canvas, left: float, right: float, middle: float, half: float, colour: str) -> None:
    right, top, bottom = max(right, left + 0.5), middle - half, middle + half
    board.polygon([(left, top), (right, top), (right, bottom), (left, bottom)], colour)


def _legend(board: Canvas, y: float) -> None:
    x = float(_LEFT)
    for name, colour in _STATES.items():
        _bar(board, x, x + 14, y, 6, colour)
        board.text(x + 20, y, name, 11, _INK)
        x += 38 + board.text_width(name, 11)
    board.line([(x + 5, y - 5), (x + 5, y + 5)], _INK, 1.2)
    board.text(x + 14, y, "message not used", 11, _INK)
    x += 34 + board.text_width("message not used", 11)
    board.dot(x + 5, y, 2.0, _STATES["absent"])
    board.text(x + 14, y, "answer after its deadline", 11, _INK)
