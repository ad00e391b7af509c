"""DICOM on the host: windows, tables, frames and colours; and what is refused, by name and without the patient."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest

pydicom = pytest.importorskip("pydicom", reason="needs the extra dicom: pip install 'mmkeras[dicom]'")

from PIL import Image  # noqa: E402

from mmkeras.core.errors import DataError  # noqa: E402
from mmkeras.media.dicom import header as dicom_header  # noqa: E402
from mmkeras.media.dicom.frames import anonymous, open_frame  # noqa: E402
from mmkeras.media.dicom.header import declared_size, is_dicom  # noqa: E402
from mmkeras.media.image.pixels import Window, read_rgb  # noqa: E402
from mmkeras.modalities.image import records  # noqa: E402
from mmkeras.modalities.image.spec import Config, Spec  # noqa: E402
from tests.media.dicom.dicoms import DEFLATED, EXPLICIT, IMPLICIT, dicom_file, ramp, sequence  # noqa: E402

QUARANTINED = {
    "JPEG-LL": "lossless JPEG",
    "bad_sequence": "lossless JPEG",
    "JLSL_RGB_ILV1": "only a DICOM file has frames",
    "JLSL_RGB_ILV2": "only a DICOM file has frames",
    "JLSN_RGB_ILV0": "only a DICOM file has frames",
    "liver_deflate": "transfer syntax 1.2.840.10008.1.2.8.1 is not known",
    "liver_nonbyte_aligned_rle": "RLE Lossless cannot be decoded",
}
"""Files that cannot be used: no mark of the format, not decoded by pydicom, lossless JPEG."""


def grey(data: bytes, frame: int | None = None) -> np.ndarray:
    return open_frame(data, "a.dcm", frame).levels.astype(int)


@pytest.mark.parametrize("syntax", [IMPLICIT, EXPLICIT, DEFLATED])
def test_the_first_window_counts(syntax):
    values = ramp(kind="int16") - 500
    window: dict[str, Any] = {
        "RescaleSlope": 2,
        "RescaleIntercept": -100,
        "WindowCenter": [40, 300],
        "WindowWidth": [400, 2000],
    }
    expected = np.clip(((2.0 * values - 100) - (40 - 0.5)) / (400 - 1) + 0.5, 0, 1)
    got = grey(dicom_file(values, syntax, **window))
    np.testing.assert_allclose(got, 255 * expected, atol=0.5 + 1e-5)
    inverse = grey(dicom_file(values, syntax, PhotometricInterpretation="MONOCHROME1", **window))
    np.testing.assert_allclose(inverse, 255 * (1 - expected), atol=0.5 + 1e-5)


def test_every_function_of_a_window():
    values = ramp()
    window: dict[str, Any] = {"WindowCenter": 700, "WindowWidth": 600}
    exact = grey(dicom_file(values, **window, VOILUTFunction="LINEAR_EXACT"))
    np.testing.assert_allclose(exact, 255 * np.clip((values - 700.0) / 600 + 0.5, 0, 1), atol=0.5 + 1e-5)
    curve = grey(dicom_file(values, **window, VOILUTFunction="SIGMOID"))
    np.testing.assert_allclose(curve, 255 / (1 + np.exp(-4 * (values - 700.0) / 600)), atol=0.5 + 1e-5)
    step = grey(dicom_file(values, WindowCenter=700, WindowWidth=1))
    np.testing.assert_array_equal(step, np.where(values > 699.5, 255, 0))


def test_without_a_window_the_values_that_are_no_padding_fill_the_range():
    values = ramp(step=2)
    values[0, :4] = 60000
    got = grey(dicom_file(values, PixelPaddingValue=60000))
    assert (got[0, :4] == 255).all()
    assert got.flat[4] == 0
    assert got.flat[-1] == 255
    assert 120 < got.flat[len(got.flat) // 2] < 135
    assert (grey(dicom_file(np.full((4, 5), 9, "uint16"))) == 0).all()


def test_tables_come_before_windows():
    values = ramp(kind="uint8", step=1)
    table = sequence(LUTDescriptor=[256, 0, 8], LUTData=np.arange(255, -1, -1).astype("<u2").tobytes())
    got = grey(dicom_file(values, VOILUTSequence=table, WindowCenter=1, WindowWidth=2))
    np.testing.assert_array_equal(got, 255 - values)


def test_frames_of_an_enhanced_file_have_their_own_window():
    values = np.stack([ramp(), ramp(), ramp()])
    own = [sequence(WindowCenter=c, WindowWidth=200) for c in (100, 500, 900)]
    groups = [sequence(FrameVOILUTSequence=each)[0] for each in own]
    data = dicom_file(values, PerFrameFunctionalGroupsSequence=groups)
    assert [int((grey(data, n) > 127).sum()) for n in (1, 2, 3)] == [(ramp() >= c).sum() for c in (100, 500, 900)]
    with pytest.raises(DataError, match=r"3 frames; select one, for example the first: a\.dcm#1"):
        grey(data)
    with pytest.raises(DataError, match="from 1 to 3, got 4"):
        grey(data, 4)


def test_colours_and_depths():
    colours = np.random.default_rng(0).integers(0, 256, (6, 8, 3)).astype("uint8")
    np.testing.assert_array_equal(open_frame(dicom_file(colours), "a").levels, colours)
    deep = dicom_file(colours.astype("uint16") * 257)
    np.testing.assert_array_equal(open_frame(deep, "a").levels, colours)


def test_paths_bytes_and_frames(tmp_path):
    path = tmp_path / "a.dcm"
    path.write_bytes(dicom_file(np.stack([ramp(), ramp()[::-1]])))
    first, second = (np.asarray(read_rgb(f"{path}#{number}")) for number in (1, 2))
    np.testing.assert_array_equal(first, second[::-1])
    assert Spec("image", 8, 8).preprocess(f"{path}#2")["image"].shape == (8, 8, 3)
    odd = tmp_path / "b#2"
    odd.write_bytes(dicom_file(ramp()))
    assert read_rgb(odd).size == (20, 12)
    picture = tmp_path / "c.png"
    Image.new("RGB", (4, 4)).save(picture)
    with pytest.raises(DataError, match="only a DICOM file has frames"):
        read_rgb(f"{picture}#1")


def test_a_small_window_of_a_frame():
    data = dicom_file(ramp())
    whole = Window(read_rgb(data), (0, 0, 20, 12), (3, 5)).read()
    np.testing.assert_array_equal(np.asarray(Window(data, (0, 0, 20, 12), (3, 5)).read()), np.asarray(whole))


def test_a_record_holds_nothing_of_the_patient(tmp_path):
    data = dicom_file(ramp(kind="int16"), WindowCenter=300, WindowWidth=500, PhotometricInterpretation="MONOCHROME1")
    assert b"Secret" in data
    picture, file = records.encode(Config(), data), records.encode(Config(dicom="graph"), data)
    assert picture.startswith(b"\x89PNG")
    assert is_dicom(file)
    for record in (picture, file):
        assert not any(word in record for word in (b"Secret", b"4711", b"1945", b"1.2.3.4"))
        np.testing.assert_array_equal(np.asarray(read_rgb(record)), np.asarray(read_rgb(data)))
    assert file == records.encode(Config(dicom="graph"), data)
    known = {"Rows", "Columns", "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation", "SamplesPerPixel"}
    known |= {"PhotometricInterpretation", "WindowCenter", "WindowWidth", "VOILUTFunction", "PixelData"}
    held = {element.keyword for element in pydicom.dcmread(io.BytesIO(file))}
    assert held == known | {"SOPClassUID", "SOPInstanceUID"}


BAD = {
    "no pixels": (lambda: dicom_file(None, PhotometricInterpretation="MONOCHROME2", Rows=4, Columns=4, BitsAllocated=8),
                  "without pixel data"),
    "cut in the pixels": (lambda: dicom_file(ramp(), PixelData=ramp().tobytes()[:-8]), "truncated: expected 480 bytes"),
    "cut file": (lambda: dicom_file(ramp())[:-100], "truncated|broken"),
    "prefix alone": (lambda: bytes(128) + b"DICM", "cannot be decoded|none|broken|photometric"),
    "gigapixels": (lambda: dicom_file(ramp(), Rows=60000, Columns=60000), "60000x60000 pixels: larger than"),
    "many frames": (lambda: dicom_file(ramp(), NumberOfFrames=2000000000), "frames"),
    "no rows": (lambda: dicom_file(ramp(), Rows=0), "Rows"),
    "other colours": (lambda: dicom_file(ramp(), PhotometricInterpretation="CMYK"), "got CMYK"),
    "a name for colours": (lambda: dicom_file(ramp(), PhotometricInterpretation="Secret^Name"), "got none"),
    "rescaled by nothing": (lambda: dicom_file(ramp(), RescaleSlope=0, RescaleIntercept=0), "RescaleSlope"),
    "window beside": (lambda: dicom_file(ramp(), WindowCenter=60000, WindowWidth=9), "one level"),
    "odd function": (lambda: dicom_file(ramp(), WindowCenter=9, WindowWidth=9, VOILUTFunction="Secret"), "VOI LUT"),
}  # fmt: skip


@pytest.mark.parametrize("kind", sorted(BAD))
def test_what_cannot_be_used_is_named_and_the_patient_is_not(kind, caplog):
    make, reason = BAD[kind]
    with pytest.raises(DataError, match=reason) as error:
        read_rgb(make())
    assert "Secret" not in str(error.value)
    assert "4711" not in str(error.value)
    assert not caplog.records


def test_a_deflated_bomb_is_refused(monkeypatch):
    monkeypatch.setattr(dicom_header, "MOST_INFLATED", 1 << 20)
    data = dicom_file(np.zeros((2000, 2000), "uint16"), DEFLATED)
    assert len(data) < 1 << 15
    with pytest.raises(DataError, match="inflates to more than 1 MiB"):
        read_rgb(data)


def test_a_compressed_image_larger_than_its_header_is_refused():
    stream = io.BytesIO()
    Image.fromarray(ramp(64, 64, "uint8")).save(stream, "JPEG")
    frame = pydicom.encaps.encapsulate([stream.getvalue()])
    data = dicom_file(ramp(8, 8, "uint8"), "1.2.840.10008.1.2.4.50", PixelData=frame)
    with pytest.raises(DataError, match="declares 8x8 pixels, the compressed image 64x64"):
        read_rgb(data)


def test_the_size_in_a_codestream():
    for kind in ("JPEG", "JPEG2000"):
        stream = io.BytesIO()
        Image.new("L", (30, 20)).save(stream, kind)
        assert declared_size(stream.getvalue()) == (20, 30)
    assert declared_size(b"\xff\xd8\xff\xff\xff\xc0\0\x11\x08\x01\x02\x03\x04\x01") == (0x102, 0x304)
    assert declared_size(b"\xff\xd8\xff\xda\0\x08") is None
    assert declared_size(b"") is None


def test_real_files_are_shown_or_named(shared_data):
    files = {path.stem: path for path in sorted(shared_data("pydicom_data").rglob("*.dcm"))}
    refused, shown = {}, {}
    for name, path in files.items():
        try:
            read_rgb(f"{path}#1")
            shown[name] = open_frame(path.read_bytes(), path.name, 1)
        except DataError as error:
            refused[name] = str(error)
    assert set(refused) == set(QUARANTINED)
    for name, reason in QUARANTINED.items():
        assert reason in refused[name]
    assert len(shown) >= 48
    for name, frame in shown.items():
        assert frame.levels.std() > 1, name
        kept = anonymous(frame)
        np.testing.assert_array_equal(np.asarray(read_rgb(kept)), np.asarray(frame.picture()), err_msg=name)
    # The same picture in other transfer syntaxes and byte orders.
    for first, *others in (
        ("emri_small", "emri_small_RLE", "emri_small_big_endian", "emri_small_jpeg_2k_lossless",
         "emri_small_jpeg_ls_lossless"),
        ("OBXXXX1A_2frame", "OBXXXX1A_expb", "OBXXXX1A_expb_2frame"),
        ("gdcm-US-ALOKA-16", "gdcm-US-ALOKA-16_big"),
        ("SC_rgb", "SC_rgb_16bit", "SC_rgb_32bit", "SC_rgb_expb_16bit"),
        ("liver", "liver_expb", "liver_j2k"),
    ):  # fmt: skip
        for other in others:
            np.testing.assert_array_equal(shown[first].levels, shown[other].levels, err_msg=other)
