"""DICOM: files with damaged bytes, odd values in their elements, and pixels that unfold to a gigabyte."""

from __future__ import annotations

import functools
import io
import math
import random
import struct
import zlib
from pathlib import Path
from typing import TYPE_CHECKING

from .damage import ABSURD, mutate
from .images import image_files

if TYPE_CHECKING:
    from pydicom.dataset import FileDataset

_NUMBERS = ("0", "1", "-1", "1e400", "nan", "1e-320", "-1e308", "", "x", "2047.5", "65535", "0.0", "1e16", "9" * 16)


def dicom(
    syntax: str = "1.2.840.10008.1.2.1", pixels: bytes | None = None, encapsulated: bool = False, **elements: object
) -> FileDataset:
    """Return a small DICOM file with these elements."""
    import numpy as np
    from pydicom.dataset import FileDataset, FileMetaDataset

    meta = FileMetaDataset()
    meta.TransferSyntaxUID = syntax
    meta.MediaStorageSOPClassUID = meta.MediaStorageSOPInstanceUID = "1.2.3"
    file = FileDataset(None, {}, file_meta=meta, preamble=bytes(128))
    file.PatientID, file.Rows, file.Columns, file.SamplesPerPixel = "p1", 10, 12, 1
    file.PhotometricInterpretation, file.PixelRepresentation = "MONOCHROME2", 0
    file.BitsAllocated, file.BitsStored, file.HighBit = 16, 12, 11
    for name, value in elements.items():
        setattr(file, name, value)
    file.PixelData = (np.arange(120, dtype="<u2") * 30).tobytes() if pixels is None else pixels
    if encapsulated:
        file["PixelData"].is_undefined_length = True
    return file


def _lut(*descriptor: int):
    from pydicom.dataset import Dataset
    from pydicom.sequence import Sequence

    item = Dataset()
    item.add_new(0x00283002, "US", list(descriptor))
    item.add_new(0x00283006, "OW", struct.pack("<256H", *range(0, 65536, 256)))
    item.ModalityLUTType = "US"
    return Sequence([item])


def written(file: FileDataset) -> bytes:
    """Return its bytes."""
    import pydicom

    buffer = io.BytesIO()
    pydicom.dcmwrite(buffer, file, enforce_file_format=True)
    return buffer.getvalue()


@functools.cache
def dicom_files() -> list[bytes]:
    """Return valid files of many kinds."""
    from pydicom.encaps import encapsulate

    jpeg = next(f for f in image_files() if f.startswith(b"\xff\xd8"))
    jp2 = next(f for f in image_files() if f[4:8] == b"jP  ")
    eight = {"Rows": 20, "Columns": 24, "BitsAllocated": 8, "BitsStored": 8, "HighBit": 7}
    run_length = struct.pack("<16I", 1, 64, *[0] * 14) + b"\x81\x07" * 3 + b"\x5f" + bytes(96) + b"\0"
    files = [
        dicom(),
        dicom("1.2.840.10008.1.2"),
        dicom("1.2.840.10008.1.2.1.99"),
        dicom(WindowCenter=[2000, 40], WindowWidth=[4000, 400], VOILUTFunction="SIGMOID"),
        dicom(RescaleSlope="2", RescaleIntercept="-1024", PhotometricInterpretation="MONOCHROME1"),
        dicom(PixelPaddingValue=0, PixelPaddingRangeLimit=90, BurnedInAnnotation="YES"),
        dicom(ModalityLUTSequence=_lut(256, 0, 16)),
        dicom(VOILUTSequence=_lut(256, 0, 16)),
        dicom(pixels=bytes(range(120)), BitsAllocated=8, BitsStored=8, HighBit=7),
        dicom(pixels=bytes(range(16)), BitsAllocated=1, BitsStored=1, HighBit=0),
        dicom(NumberOfFrames=1),
        dicom("1.2.840.10008.1.2.4.50", encapsulate([jpeg]), True, **eight),
        dicom("1.2.840.10008.1.2.4.90", encapsulate([jp2]), True, **eight),
        dicom("1.2.840.10008.1.2.5", encapsulate([run_length]), True, **eight),
        dicom("1.2.840.10008.1.2.4.70", encapsulate([jpeg]), True, **eight),
    ]
    return [written(file) for file in files]


def make_dicom(rng: random.Random) -> bytes:
    """Draw a DICOM file."""
    from pydicom.encaps import encapsulate

    kind, files = rng.random(), dicom_files()
    if kind < 0.65:
        return mutate(rng.choice(files), rng, files)
    if kind < 0.67:  # inflated, it is a picture of 100 MB, or nothing but zeros
        head = written(dicom("1.2.840.10008.1.2.1.99"))
        meta = head[: head.index(b"1.2.840.10008.1.2.1.99") + 22]
        inner = written(dicom(Rows=7000, Columns=7000, pixels=b"??"))
        inner = inner[inner.index(b"\x28\x00\x02\x00US") :]
        start = inner.index(b"\xe0\x7f\x10\x00") + 8
        body = inner[:start] + struct.pack("<I", 98_000_000)
        packer = zlib.compressobj(9, wbits=-15)
        block = bytes(2**20)
        many = rng.choice((94, 1000))
        packed_body = packer.compress(body) + b"".join(packer.compress(block) for _ in range(many)) + packer.flush()
        return meta + packed_body
    if kind < 0.69:  # run lengths that unfold
        side = rng.choice((3_000, 9_000))
        segment = (b"\x81\0" * (side * side // 128 + 1))[: side * side // 60]
        data = struct.pack("<16I", 1, 64, *[0] * 14) + segment + bytes(len(segment) % 2)
        return written(
            dicom(
                "1.2.840.10008.1.2.5",
                encapsulate([data]),
                True,
                Rows=side,
                Columns=side,
                BitsAllocated=8,
                BitsStored=8,
                HighBit=7,
            )
        )
    if kind < 0.71:  # a sequence in a sequence in a sequence ...
        head = written(dicom())
        nested = b"\x28\x00\x10\x30SQ\0\0\xff\xff\xff\xff\xfe\xff\x00\xe0\xff\xff\xff\xff" * rng.choice(
            (50, 3_000, 50_000)
        )
        return head[: head.index(b"\x28\x00\x02\x00US")] + nested
    file = dicom(
        rng.choice(
            (
                "1.2.840.10008.1.2.1",
                "1.2.840.10008.1.2",
                "1.2.840.10008.1.2.2",
                "1.2.3.4",
                "1.2.840.10008.1.2.4.80",
                "1.2.840.10008.1.2.4.100",
            )
        )
    )
    encoding = "<" if file.file_meta.TransferSyntaxUID != "1.2.840.10008.1.2.2" else ">"
    from pydicom.dataelem import RawDataElement
    from pydicom.tag import Tag

    for _ in range(rng.choice((1, 2, 4))):
        tag = rng.choice(
            (
                0x00280010,
                0x00280011,
                0x00280002,
                0x00280008,
                0x00280100,
                0x00280101,
                0x00280102,
                0x00280103,
                0x00280120,
                0x00280121,
                0x00281050,
                0x00281051,
                0x00281052,
                0x00281053,
                0x00281056,
                0x00280004,
                0x00280006,
                0x00280301,
                0x00100020,
                0x7FE00010,
            )
        )
        if rng.random() < 0.1:
            file.pop(tag, None)
            continue
        vr, value = rng.choice(
            (
                ("US", struct.pack(f"{encoding}H", rng.choice(ABSURD) & 0xFFFF)),
                ("US", b"\0"),
                ("UL", bytes(4)),
                ("DS", rng.choice(_NUMBERS).encode()),
                ("IS", rng.choice(_NUMBERS).encode()),
                ("DS", "\\".join(rng.choices(_NUMBERS, k=3)).encode()),
                ("CS", rng.choice((b"", b"RGB", b"\xff\xfe"))),
                ("OW", rng.randbytes(rng.choice((0, 1, 239, 241)))),
                ("SQ", rng.randbytes(16)),
                ("LO", b"\0" * 8),
                ("FD", struct.pack(f"{encoding}d", rng.choice((math.nan, math.inf, 1e308)))),
                ("AT", rng.randbytes(4)),
            )
        )
        value += bytes(len(value) % 2)
        file[tag] = RawDataElement(Tag(tag), vr, len(value), value, 0, False, encoding == "<")
    try:
        return written(file)
    except Exception:  # pydicom does not write everything: then without its help
        return mutate(rng.choice(files), rng, files)


def make_attributes(rng: random.Random) -> bytes:
    """Make whole files whose elements contradict each other, or the pixels."""
    from pydicom.dataset import Dataset
    from pydicom.sequence import Sequence

    def table():
        item = Dataset()
        count = rng.choice((0, 1, 256, 4096))
        first = rng.choice((0, 100, 32768, 65535))
        item.add_new(0x00283002, "US", [count, first, rng.choice((0, 1, 8, 10, 12, 16, 17, 32))])
        entries = sorted(rng.choices(range(rng.choice((2, 256, 4096, 65536))), k=rng.choice((1, count or 9, 5000))))
        if rng.random() < 0.5:
            item.add_new(0x00283006, "US", entries)
        else:
            item.add_new(0x00283006, "OW", struct.pack(f"<{len(entries)}H", *entries)[rng.choice((0, 1, 2)) :])
        return Sequence([item])

    choices = {
        "HighBit": (11, 15, 7, 0, 200),
        "BitsStored": (12, 16, 10, 1, 0, 40),
        "PixelRepresentation": (0, 1, None),
        "PhotometricInterpretation": ("MONOCHROME1", "MONOCHROME2", "monochrome2 ", "", None),
        "RescaleSlope": ("1", "0", "-2", None),
        "RescaleIntercept": ("0", "-1024", None),
        "WindowCenter": ("0", "2000", ["40", "400"], None),
        "WindowWidth": ("0", "-1", "1", "4000", ["80", "0"], None),
        "VOILUTFunction": ("LINEAR", "SIGMOID", "LINEAR_EXACT", "other", ""),
        "PixelPaddingValue": (0, 63536, 3570),
        "PixelPaddingRangeLimit": (0, 500, 65535),
        "NumberOfFrames": ("1", "0", "", "2"),
        "SamplesPerPixel": (1, 3, None),
        "Modality": ("CT", "MR", "DX", "", "x" * 16, None),
        "VOILUTSequence": (table(),),
        "ModalityLUTSequence": (table(),),
    }
    elements = {name: rng.choice(values) for name, values in choices.items() if rng.random() < 0.3}
    pixels = struct.pack("<120H", *(rng.choice((i * 30, i * 480, i, 65535 - i)) for i in range(120)))
    try:
        content = written(dicom(pixels=pixels, **elements))
    except Exception:  # pydicom does not write everything
        content = written(dicom())
    return content[132:] if rng.random() < 0.1 else content


def run_dicom(case: bytes, folder: Path) -> None:
    """Read it."""
    from cxrlib.data.decode import decode
    from cxrlib.data.dicom import read_dicom, read_patient
    from cxrlib.data.pixels import is_dicom

    read_patient(case)
    if is_dicom(case):
        decode(case, 16)
    read_dicom(case, window=(None, "full", (40, 400))[len(case) % 3])
