"""LiteRT and ONNX files, as `mmkeras diff` takes them apart without an engine."""

from __future__ import annotations

import base64
import zlib
from pathlib import Path

import numpy as np

from mmkeras.runtime.differences.read import read_contents
from tests.fuzz.reader import Reader

__all__ = ["READERS", "litert_file"]

_LITERT = (
    "c-n1Iu}Z^G6g_QYO)=D>MLKlopx{(&)!CF<q0qEai)&kGz<^DmrlR2BCy0}ygF`>S!EbPK5)psG$<280%S{a83x~XS-o5AEb6*ia@1V7vM+r",
    "p~kVg&%aXK{GgSY@5;V=OV2v12Mg<#PZI|PmJ;rsrA>{ki(PW!mgJ!*E^eXG%{?bmuW(lwN}E^%S(*m3*Qnd>=YyMJy^&zy;iH1ThQ7s8xyC",
    "w*{^OSSkvAmpSM9oa~mxpl>+6_=JgUPk0oQ(n(LU%!l%jdn`>XetY+maCQW7Vs{$ShG^zWhz>%to>7`5Ji|KaJ@$``2gIT58u8&CoB_TwVK^",
    "hed3a5&mNUQ<5hD9c?r8@-K_9M@jN1&NUibEaXBNNn^*lBSdv_sk#5L-lRPEFZ}^sc_G5fPc)q_0npgF1DTc3eqLmWASH$z|n<JYZ(z`@Vhh",
    "v`q<RzuwN8)*I*3h$Nr@uWVRrNJB2goFXwMcBxa$Yn-@0$98^F^$F_|K{L=eY#0$MeVpTA3e%R$6%",
)
"""y = x @ w with w (2, 3), as TensorFlow 2.21 converts it; made anew it would cost seconds of TensorFlow."""


def _write(folder: Path) -> None:
    import onnx

    weight = onnx.helper.make_tensor("branch/w", onnx.TensorProto.FLOAT, (2, 3), np.arange(6.0))
    sides = [
        onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, (1, size))
        for name, size in (("x", 2), ("y", 3))
    ]
    node = onnx.helper.make_node("MatMul", ["x", "branch/w"], ["y"], name="branch/matmul")
    graph = onnx.helper.make_graph([node], "tiny", sides[:1], sides[1:], [weight])
    (folder / "tiny.onnx").write_bytes(onnx.helper.make_model(graph).SerializeToString())
    (folder / "tiny.tflite").write_bytes(litert_file())


def litert_file() -> bytes:
    """Return a LiteRT file that multiplies by a constant."""
    return zlib.decompress(base64.b85decode("".join(_LITERT)))


READERS = (Reader("edge_file", _write, lambda path: read_contents(path, path.suffix[1:]), share=2),)
