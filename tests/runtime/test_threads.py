"""What several threads share: a runner while another thread closes it, a fork, and the members of a packed bundle."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from mmkeras.bundle import Bundle
from mmkeras.core.errors import DataError
from mmkeras.runtime import Predictor
from mmkeras.runtime.packing import pack_bundle

FORKED = """
import os, sys, threading
from mmkeras.runtime import Predictor
predictor = Predictor(sys.argv[1], "tflite", "float32")
held, done = threading.Event(), threading.Event()
def infer():
    with predictor.runner._turn():
        held.set()
        done.wait(60)
threading.Thread(target=infer).start()
held.wait(60)
child = os.fork()
if not child:
    os._exit(0 if predictor.predict(text="what shape is it?")["label"] else 1)
status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
done.set()
sys.exit(status)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork on Windows")
def test_a_forked_process_does_not_wait_for_a_thread_of_its_parent(exported):
    command = [sys.executable, "-W", "ignore", "-c", FORKED, str(exported)]
    subprocess.run(command, check=True, timeout=60)


@pytest.mark.parametrize("format", ["tflite", "onnx"])
def test_closing_while_threads_predict_refuses_the_later_ones(exported, format):
    predictor = Predictor(exported, format, "float32")
    running = threading.Barrier(5)

    def ask() -> str:
        running.wait()
        while True:
            try:
                predictor.predict(text="what shape is it?")
            except DataError as error:
                return str(error)

    with ThreadPoolExecutor(4) as pool:
        asked = [pool.submit(ask) for _ in range(4)]
        running.wait()
        predictor.close()
        assert all("is not loaded" in each.result(timeout=60) for each in asked)


def test_a_packed_bundle_is_unpacked_once_for_all_threads(exported, tmp_path):
    with (
        Bundle.open(pack_bundle(Bundle.open(exported), tmp_path / "tiny.mmk")) as bundle,
        ThreadPoolExecutor(8) as pool,
    ):

        def label(number: int) -> str:
            with Predictor(bundle, ("tflite", "onnx")[number % 2], "float32") as predictor:
                return str(predictor.predict(text="what shape is it?")["label"])

        assert len(set(pool.map(label, range(8)))) == 1


def test_members_are_read_whole_by_several_threads(exported, tmp_path):
    with (
        Bundle.open(pack_bundle(Bundle.open(exported), tmp_path / "tiny.mmk")) as bundle,
        ThreadPoolExecutor(8) as pool,
    ):
        assert bundle.packed is not None
        archive = bundle.packed.archive
        sizes = {name: member.size for name, member in archive.members.items()}
        names = [*sizes] * 5
        assert [len(content) for content in pool.map(archive.read, names)] == [sizes[name] for name in names]
