"""DICOM by tensorflow-io in the graph against pydicom on the host, on real files."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import tensorflow as tf

pytest.importorskip("pydicom", reason="needs the extra dicom: pip install 'mmkeras[dicom]'")

from mmkeras.core.errors import DependencyError
from mmkeras.media.dicom.frames import open_frame
from mmkeras.media.dicom.header import is_dicom
from mmkeras.modalities.image import records
from mmkeras.modalities.image.dicom_graph import decode_dicom
from mmkeras.modalities.image.spec import Config
from tests.media.dicom.dicoms import dicom_file, ramp
from tests.media.dicom.test_dicom import QUARANTINED
from tests.media.image.pictures import file, picture

pytestmark = pytest.mark.tfio

NOT_BY_TENSORFLOW_IO = {
    *("HTJ2KLossless_08_RGB", "HTJ2K_08_RGB", "US1_J2KI", "US1_J2KR"),
    *("SC_rgb_32bit", "SC_rgb_32bit_2frame", "SC_rgb_expb_32bit"),
    *("gdcm-US-ALOKA-16", "gdcm-US-ALOKA-16_big", "parametric_map_float", "parametric_map_double_float"),
}
"""tensorflow-io refuses these: JPEG 2000 in colour, 32 bits, 16-bit palettes, floating point."""
OTHER_BY_TENSORFLOW_IO = {
    "MR-SIEMENS-DICOM-WithOverlays": "draws the overlays into the picture",
    "SC_ybr_full_uncompressed": "rounds colours in another way, by up to 2 levels",
    "eCT_Supplemental": "the window stands in functional groups, which it does not give",
    "explicit_VR-UN": "finds a padding value, or a window, behind an unknown representation",
    "liver_j2k": "decodes 1-bit JPEG 2000 to zeros",
    "liver_nonbyte_aligned_j2k": "decodes 1-bit JPEG 2000 to zeros",
}
"""Files of which tensorflow-io makes something else; in records they are what pydicom decodes."""


@pytest.fixture(scope="module")
def tensorflow_io():
    """Load tensorflow-io, which imports what Python 3.12 calls out of date."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pytest.importorskip("tensorflow_io", reason="needs the tfio lane: make test-tfio")


def levels(data: list[bytes], function) -> list[np.ndarray]:
    return [image.astype(int) for image in tf.data.Dataset.from_tensor_slices(data).map(function).as_numpy_iterator()]


def test_every_real_file_is_decoded_alike(tensorflow_io, shared_data):
    paths = {path.stem: path for path in sorted(shared_data("pydicom_data").rglob("*.dcm"))}
    in_graph = tf.function(decode_dicom, input_signature=[tf.TensorSpec((), tf.string)], autograph=False)
    compared, refused, other = 0, set(), set()
    for name, path in paths.items():
        if name in QUARANTINED:
            continue
        host = np.asarray(open_frame(path.read_bytes(), name, 1).picture()).astype(int)
        try:
            graph = in_graph(path.read_bytes()).numpy().astype(int)
        except tf.errors.InvalidArgumentError:
            refused.add(name)
            continue
        assert graph.shape == host.shape
        if np.abs(graph - host).max() > 1:
            other.add(name)
        compared += 1
    assert refused == NOT_BY_TENSORFLOW_IO
    assert other == set(OTHER_BY_TENSORFLOW_IO)
    assert compared >= 38


def test_what_records_hold_is_decoded_exactly(tensorflow_io, shared_data):
    """Every real file, those that tensorflow-io cannot read among them."""
    config = Config(size=(96, 64), dicom="graph")
    spec = config.spec("image")
    paths = [path for path in sorted(shared_data("pydicom_data").rglob("*.dcm")) if path.stem not in QUARANTINED]
    values = [f"{path}#1" for path in paths]
    held = [records.encode(config, value) for value in values]
    assert sum(map(is_dicom, held)) >= 16
    graph = levels(held, lambda raw: records.decode(spec, raw)["image"])
    for value, image in zip(values, graph, strict=True):
        assert np.abs(image - spec.preprocess(value)["image"]).max() <= 1, value


def test_every_frame(tensorflow_io, shared_data):
    path = next(shared_data("pydicom_data").rglob("emri_small_jpeg_ls_lossless.dcm"))
    for number in range(10):
        host = np.asarray(open_frame(path.read_bytes(), "a", number + 1).picture())
        np.testing.assert_array_equal(decode_dicom(tf.constant(path.read_bytes()), number), host)


@pytest.mark.parametrize("kind", ["uint8", "uint16", "int16"])
@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
@pytest.mark.parametrize(
    "window",
    [
        {},
        {"WindowCenter": [300, 2], "WindowWidth": [400, 4]},
        {"WindowCenter": 90.5, "WindowWidth": 100, "VOILUTFunction": "LINEAR_EXACT"},
        {"WindowCenter": 300, "WindowWidth": 400, "VOILUTFunction": "SIGMOID"},
        {"WindowCenter": 100, "WindowWidth": 200, "RescaleSlope": "-2", "RescaleIntercept": "300"},
        {"WindowCenter": 1, "WindowWidth": 2, "RescaleSlope": "0.01", "RescaleIntercept": "-0.5"},
    ],
    ids=["none", "linear", "exact", "sigmoid", "falling", "fine"],
)
def test_windows_in_the_graph(tensorflow_io, kind, photometric, window):
    values = ramp(kind=kind, step=1) if kind == "uint8" else ramp(kind=kind) - (400 if kind == "int16" else 0)
    data = dicom_file(values, PhotometricInterpretation=photometric, **window)
    config = Config(size=values.shape, dicom="graph")
    spec = config.spec("image")
    (graph,) = levels([records.encode(config, data)], lambda raw: records.decode(spec, raw)["image"])
    np.testing.assert_array_equal(graph, spec.preprocess(data)["image"])


def test_pictures_and_dicom_mix(tensorflow_io):
    spec = Config(size=(12, 20), dicom="graph").spec("image")
    files = [dicom_file(ramp()), file(picture()), file(picture(), "JPEG")]
    assert records.decode(spec, tf.constant(files))["image"].shape == (3, 12, 20, 3)


def test_a_damaged_file_stops_the_graph(tensorflow_io):
    with pytest.raises(tf.errors.InvalidArgumentError):
        decode_dicom(tf.constant(dicom_file(ramp())[:200]))


def test_without_tensorflow_io_its_extra_is_named():
    try:
        import tensorflow_io  # noqa: F401
    except ImportError:
        with pytest.raises(DependencyError, match="tfio"):
            records.decode(Config(dicom="graph").spec("image"), tf.constant(b""))
    else:
        pytest.skip("tensorflow-io is installed; the main lane shows this")
