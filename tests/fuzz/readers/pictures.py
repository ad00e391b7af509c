"""Pictures, as a sample, a user, a camera or a scanner brings them."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from mmkeras.core.errors import require
from mmkeras.data.encode import Encoder
from mmkeras.data.sources.dicom_folder import Source
from mmkeras.media.image.pixels import Window, read_rgb
from mmkeras.modalities.image import records
from mmkeras.modalities.image.spec import Config as ImageConfig
from mmkeras.modalities.image.spec import Spec
from mmkeras.tasks.classification.spec import Spec as Labels
from tests.fuzz.reader import Reader
from tests.media.image.pictures import converted_files

__all__ = ["READERS"]

_SPEC = Spec("image", 32, 48, "letterbox")


def _write(folder: Path) -> None:
    """Write every format that people call a picture; what is not read must be refused in good order."""
    pixels = np.random.default_rng(0).integers(0, 256, (24, 20, 3)).astype(np.uint8)
    colour = Image.fromarray(pixels)
    colour.save(folder / "colour.png")
    colour.quantize(16).save(folder / "palette.png")
    colour.convert("RGBA").save(folder / "alpha.png")
    Image.fromarray(pixels[..., 0].astype(np.uint16) * 257).save(folder / "deep.png")
    colour.convert("1").save(folder / "bits.png")
    colour.save(folder / "colour.jpg", quality=90)
    colour.save(folder / "progressive.jpg", progressive=True)
    colour.convert("L").save(folder / "grey.jpg")
    colour.convert("CMYK").save(folder / "print.jpg")
    colour.save(folder / "animated.png", save_all=True, append_images=[colour.rotate(90)])
    for suffix in ("gif", "webp", "bmp", "tiff", "ppm", "ico"):
        colour.save(folder / f"colour.{suffix}")
    for name, content in converted_files().items():
        (folder / name).write_bytes(content)


def _read(path: Path) -> object:
    content = path.read_bytes()
    pixels, image = _SPEC.preprocess(content), read_rgb(str(path))
    # What a conversion writes, and its remark, are read from the same bytes.
    record = records.encode(_SPEC, content)
    assert read_rgb(record).size == image.size, "the record shows another picture"
    return pixels, records.remark(_SPEC, content)


def _read_window(path: Path) -> object:
    return _SPEC.preprocess(Window(str(path), (2.5, -3.0, 64.0, 40.0), (8, 8)))


def _write_dicoms(folder: Path) -> None:
    """Write grey values with a window, three frames, colours with a palette of segments, and what is compressed."""
    require("pydicom", "dicom", "pydicom")
    grey = (np.arange(12 * 20).reshape(12, 20) * 7).astype(np.uint16)
    window: dict[str, Any] = {"WindowCenter": 600, "WindowWidth": 900, "RescaleSlope": "1.5", "RescaleIntercept": "-20"}
    colour = np.random.default_rng(2).integers(0, 256, (12, 20, 3)).astype(np.uint8)
    (folder / "window.dcm").write_bytes(_dicom(grey, **window))
    (folder / "implicit.dcm").write_bytes(_dicom(grey.astype(np.int16) - 500, "1.2.840.10008.1.2"))
    (folder / "deflated.dcm").write_bytes(
        _dicom(grey, "1.2.840.10008.1.2.1.99", PhotometricInterpretation="MONOCHROME1")
    )
    (folder / "colour.dcm").write_bytes(_dicom(colour))
    (folder / "rle.dcm").write_bytes(_dicom(grey, "1.2.840.10008.1.2.5"))
    (folder / "scan.dcm").write_bytes(_dicom(np.stack([grey, grey + 50, grey + 100])))
    stream = io.BytesIO()
    Image.fromarray(colour[..., 0]).save(stream, "JPEG")
    (folder / "jpeg.dcm").write_bytes(_dicom(colour[..., 0], "1.2.840.10008.1.2.4.50", stream.getvalue()))


def _dicom(pixels: np.ndarray, syntax: str = "1.2.840.10008.1.2.1", packed: bytes = b"", **elements: Any) -> bytes:
    """Return a file of grey values (H, W), of frames (F, H, W) or of colours (H, W, 3)."""
    from pydicom.dataset import FileDataset, FileMetaDataset
    from pydicom.encaps import encapsulate
    from pydicom.uid import UID, ExplicitVRLittleEndian, RLELossless

    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = UID("1.2.840.10008.5.1.4.1.1.7"), UID("1.2.3")
    meta.TransferSyntaxUID = ExplicitVRLittleEndian if syntax == RLELossless else UID(syntax)
    stream = io.BytesIO()
    dataset = FileDataset(stream, {}, preamble=bytes(128), file_meta=meta)
    bits, in_colour = 8 * pixels.dtype.itemsize, pixels.shape[-1] == 3
    shape = pixels.shape[:2] if in_colour else pixels.shape[-2:]
    values: dict[str, Any] = {"SOPClassUID": meta.MediaStorageSOPClassUID, "SOPInstanceUID": "1.2.3"}
    values |= {"PatientName": "Doe^J", "Rows": shape[0], "Columns": shape[1], "SamplesPerPixel": 3 if in_colour else 1}
    values |= {"PhotometricInterpretation": "RGB" if in_colour else "MONOCHROME2"}
    values |= {"PlanarConfiguration": 0} if in_colour else {}
    values |= {"NumberOfFrames": len(pixels)} if pixels.ndim == 3 and not in_colour else {}
    values |= {"BitsAllocated": bits, "BitsStored": bits, "HighBit": bits - 1}
    values |= {"PixelRepresentation": int(pixels.dtype.kind == "i")}
    values |= {"PixelData": encapsulate([packed]) if packed else pixels.tobytes()}
    for name, value in (values | elements).items():
        setattr(dataset, name, value)
    dataset["PixelData"].VR = "OB" if packed else "OW"
    if syntax == RLELossless:
        dataset.compress(RLELossless, generate_instance_uid=False)
    dataset.save_as(stream, enforce_file_format=True)
    return stream.getvalue()


def _read_dicom(path: Path) -> object:
    frame = "#3" if path.name == "scan.dcm" else ""
    return _SPEC.preprocess(f"{path}{frame}"), _SPEC.preprocess(path.read_bytes()) if not frame else None


def _write_classes(folder: Path) -> None:
    """Write a folder of DICOM files by class."""
    _write_dicoms(folder)
    for number, path in enumerate(sorted(folder.glob("*.dcm"))):
        place = folder / ("yes", "no")[number % 2]
        place.mkdir(exist_ok=True)
        path.rename(place / path.name)


def _read_classes(folder: Path) -> object:
    source = Source(str(folder))
    source.fingerprint_inputs()
    return Encoder({"image": ImageConfig(size=(8, 8))}, Labels(labels=("no", "yes"))).encode(
        list(source.samples()), "train"
    )


READERS = (
    Reader("picture", _write, _read, share=3),
    Reader("picture_window", _write, _read_window),
    Reader("dicom", _write_dicoms, _read_dicom, share=1.5),
    Reader("dicom_folder", _write_classes, _read_classes, whole=True, share=0.3),
)
