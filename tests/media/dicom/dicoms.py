"""DICOM files made for a test."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from pydicom import config
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import UID

PATIENT = {"PatientName": "Secret^Name", "PatientID": "ID-4711", "PatientBirthDate": "19450101"}
IMPLICIT, EXPLICIT, DEFLATED = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.1.99"


def ramp(height: int = 12, width: int = 20, kind: str = "uint16", step: int = 7) -> np.ndarray:
    """Return values that rise from 0 in steps."""
    return (np.arange(height * width).reshape(height, width) * step).astype(kind)


def dicom_file(pixels: np.ndarray | None, syntax: str = EXPLICIT, **elements: Any) -> bytes:
    """Return a file of grey (F, H, W) or (H, W) or RGB (H, W, 3) values, with a patient in it.

    Args:
        pixels: uint8, uint16 or int16; ``None`` leaves the pixel data out.
        syntax: transfer syntax.
        elements: further elements, or others in place of the usual ones; ``None`` takes one away.
    """
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = UID("1.2.840.10008.5.1.4.1.1.7")
    meta.MediaStorageSOPInstanceUID = UID("1.2.3.4")
    meta.TransferSyntaxUID = UID(syntax)
    dataset = Dataset()
    values: dict[str, Any] = {"SOPClassUID": meta.MediaStorageSOPClassUID, "SOPInstanceUID": "1.2.3.4", **PATIENT}
    values["Modality"] = "CT"
    if pixels is not None:
        colour = pixels.ndim == 3 and pixels.shape[-1] == 3
        bits = 8 * pixels.dtype.itemsize
        if pixels.ndim == 3 and not colour:
            values["NumberOfFrames"] = len(pixels)
        shape = pixels.shape[:2] if colour else pixels.shape[-2:]
        values |= {"Rows": shape[0], "Columns": shape[1], "SamplesPerPixel": 3 if colour else 1}
        values |= {"PhotometricInterpretation": "RGB" if colour else "MONOCHROME2"}
        values |= {"PlanarConfiguration": 0} if colour else {}
        values |= {"BitsAllocated": bits, "BitsStored": bits, "HighBit": bits - 1}
        values |= {"PixelRepresentation": int(pixels.dtype.kind == "i"), "PixelData": pixels.tobytes()}
    with config.disable_value_validation():
        for name, value in (values | elements).items():
            if value is not None:
                setattr(dataset, name, value)
    if "PixelData" in dataset:
        dataset["PixelData"].VR = "OW"
    stream = io.BytesIO()
    with config.disable_value_validation():
        FileDataset(stream, dataset, preamble=b"\0" * 128, file_meta=meta).save_as(stream, enforce_file_format=True)
    return stream.getvalue()


def sequence(**elements: Any) -> list[Dataset]:
    """Return a sequence of one item."""
    item = Dataset()
    for name, value in elements.items():
        setattr(item, name, value)
    return [item]
