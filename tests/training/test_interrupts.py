"""Ctrl-C and SIGTERM are taken over in the main thread, and left alone in others."""

from __future__ import annotations

import os
import signal
import threading

import pytest

from mmkeras.training.cluster.launch import _passed_on
from mmkeras.training.interrupts import Interrupted, Interrupts


def test_the_main_thread_stops_after_a_step_and_gives_the_signals_back():
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    with Interrupts() as interrupts:
        interrupts.on_train_batch_end(0)
        os.kill(os.getpid(), signal.SIGTERM)
        with pytest.raises(Interrupted, match="SIGTERM"):
            interrupts.on_train_batch_end(1)
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before


def test_after_the_last_step_of_an_epoch_its_validation_comes_first():
    with Interrupts() as interrupts:
        interrupts.set_params({"steps": 2})
        interrupts.received = "SIGTERM"
        interrupts.on_train_batch_end(1)
        with pytest.raises(Interrupted, match="SIGTERM"):
            interrupts.on_epoch_end(0)


def test_another_thread_leaves_the_signals_alone():
    before = signal.getsignal(signal.SIGINT)
    seen: list[object] = []

    def train() -> None:
        try:
            with Interrupts() as interrupts, _passed_on([]):
                seen.append(signal.getsignal(signal.SIGINT))
                interrupts.on_train_batch_end(0)
        except Exception as error:
            seen.append(error)

    thread = threading.Thread(target=train)
    thread.start()
    thread.join()
    assert seen == [before]
