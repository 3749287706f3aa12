"""DICOM files with one small image."""

import numpy as np
from pydicom import Dataset, FileMetaDataset, dcmwrite
from pydicom.encaps import encapsulate
from pydicom.uid import ExplicitVRLittleEndian

RAMP = np.arange(24 * 20, dtype=np.uint16).reshape(24, 20) * 8  # 0 to 3832, of 12 bits
KIND, NUMBER = "1.2.840.10008.5.1.4.1.1.1.1", "1.2.3"


def write(path, pixels=RAMP, *, bits=12, syntax=ExplicitVRLittleEndian, **attributes):
    """A DICOM file with one image; `attributes` take the place of the usual ones, None of none."""
    content = encapsulate([bytes(64)]) if syntax.is_compressed else pixels.tobytes()
    usual = {
        "SOPClassUID": KIND, "SOPInstanceUID": NUMBER, "PatientName": "Doe^Jane",
        "Modality": "DX", "Rows": pixels.shape[-2], "Columns": pixels.shape[-1],
        "SamplesPerPixel": 1, "PhotometricInterpretation": "MONOCHROME2",
        "BitsAllocated": 8 * pixels.itemsize, "BitsStored": bits, "HighBit": bits - 1,
        "PixelRepresentation": int(pixels.dtype.kind == "i"), "PixelData": content,
    }  # fmt: skip
    file, file.file_meta = Dataset(), FileMetaDataset()
    meta = {
        "MediaStorageSOPClassUID": KIND, "MediaStorageSOPInstanceUID": NUMBER,
        "TransferSyntaxUID": syntax,
    }  # fmt: skip
    for name, value in meta.items():
        setattr(file.file_meta, name, value)
    for name, value in {**usual, **attributes}.items():
        if value is not None:
            setattr(file, name, value)
    if "PixelData" in file:
        file["PixelData"].VR = "OW" if pixels.itemsize == 2 else "OB"
        file["PixelData"].is_undefined_length = syntax.is_compressed
    dcmwrite(path, file, enforce_file_format=True)
    return path
