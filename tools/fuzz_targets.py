"""What tools/fuzz.py feeds: one target a function that reads what comes from outside, and how its bad input is made.

An input is bytes: a damaged file, or JSON that says what to build. It depends on the seed and its number alone.
"""

from __future__ import annotations

import base64
import contextlib
import copy
import functools
import importlib
import importlib.util
import io
import json
import math
import os
import random
import struct
import tempfile
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import click
import hypothesis
from hypothesis import strategies as st

ROOT = Path(__file__).resolve().parents[1]
MODULES = (
    "cxrlib.augment", "cxrlib.cli", "cxrlib.data.dicom", "cxrlib.data.audit", "cxrlib.experiment",
    "cxrlib.grade.batch", "cxrlib.reproduce", "accelerate", "timm", "torch.optim.swa_utils", "pydicom.pixels",
    "pydicom.encaps", "torchvision", "matplotlib.pyplot", "scipy.optimize",
)
BATCH = 50  # inputs that hypothesis draws at a time


@dataclass(frozen=True)
class Target:
    """One function under test.

    share: how many of the inputs it gets, in proportion. make: Random -> input, or `strategy` for hypothesis, whose
    values become JSON (bytes and texts stay). run: input, empty folder -> nothing; it raises what the function raises.
    answers: the errors that count as an answer. names: what their text has to hold, such as the file's name. modules:
    what is imported before the clock runs.
    """

    name: str
    share: int
    run: Callable[[bytes, Path], object]
    make: Callable[[random.Random], bytes] | None = None
    strategy: Callable[[], st.SearchStrategy] | None = None
    answers: tuple[type[BaseException], ...] = (ValueError,)
    names: str = ""
    modules: tuple[str, ...] = MODULES

    def prepare(self) -> None:
        """What happens once, before the memory is limited: imports, and files that inputs are made of."""
        for module in self.modules:
            importlib.import_module(module)
        self.case(0, 0)

    def case(self, seed: int, index: int) -> bytes:
        if self.make:
            return self.make(random.Random(f"{seed}/{self.name}/{index}"))
        batch = _drawn(self.name, seed, index // BATCH)
        value = batch[index % BATCH % len(batch)]
        if isinstance(value, bytes):
            return value
        return (value if isinstance(value, str) else json.dumps(value)).encode("utf-8", "surrogatepass")


@functools.lru_cache(maxsize=1)
def _drawn(name: str, seed: int, batch: int) -> list:
    found = []
    number = zlib.crc32(f"{seed}/{name}/{batch}".encode())

    @hypothesis.seed(number)
    @hypothesis.settings(
        max_examples=BATCH, database=None, deadline=None, phases=[hypothesis.Phase.generate],
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    @hypothesis.given(TARGETS[name].strategy())
    def collect(value):
        found.append(value)

    collect()
    return found


# --------------------------------------------------------------------------------------------------- damage in general

ABSURD = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 100_000, 1_000_000_000)
NASTY = (
    None, True, False, 0, -1, 1, 2, 1.5, 1e-300, 1e300, math.nan, math.inf, -math.inf, 10**9, 10**30, -(10**9), "",
    "0", "nan", "x" * 3000, "\0", "\ud800", "../../etc/passwd", "<script>", "é", [], {}, [[]], [None], [1, "a"],
    {"": None}, {"a": {"b": []}}, [0] * 1000,
)


def mutate(data: bytes, rng: random.Random, others: list[bytes] = ()) -> bytes:
    """A damaged copy: flipped bits, absurd numbers, blocks cut, doubled, filled or taken from another file."""
    data = bytearray(data)
    for _ in range(rng.choice((1, 1, 1, 2, 3, 8))):
        n = len(data)
        # headers are in front, so damage is more frequent there
        at = rng.randrange(min(n, 64) if rng.random() < 0.5 else n) if n else 0
        length = rng.choice((1, 2, 4, 8, 64, 512))
        match rng.randrange(9):
            case 0 if n:
                data[at] ^= 1 << rng.randrange(8)
            case 1 if n:
                data[at] = rng.randrange(256)
            case 2:
                width, order = rng.choice("BHI"), rng.choice("<>")
                packed = struct.pack(f"{order}{width}", rng.choice(ABSURD) & (2 ** (8 * struct.calcsize(width)) - 1))
                data[at : at + len(packed)] = packed
            case 3:
                del data[rng.randrange(n + 1) :]
            case 4:
                del data[at : at + length]
            case 5:
                data[at:at] = rng.randbytes(length)
            case 6:
                data[at:at] = data[at : at + length] * rng.choice((1, 2, 50))
            case 7:
                data[at : at + length] = bytes([rng.choice((0, 255, 32))]) * min(length, max(0, n - at))
            case 8 if others:
                other = rng.choice(others)
                start = rng.randrange(len(other))
                data[at : at + length] = other[start : start + length]
    return bytes(data[:2_000_000])


def damaged(value, rng: random.Random, times: int | None = None):
    """A copy of a JSON value with some parts replaced, removed, doubled or moved."""
    value = copy.deepcopy(value)
    for _ in range(times or rng.choice((1, 1, 1, 2, 5))):
        holder = value
        while True:
            keys = list(holder) if isinstance(holder, dict) else list(range(len(holder)))
            if not keys:
                break
            key = rng.choice(keys)
            below = holder[key]
            if isinstance(below, dict | list) and below and rng.random() < 0.8:
                holder = below
                continue
            match rng.randrange(5):
                case 0:
                    del holder[key]
                case 1 if isinstance(holder, dict):
                    holder[rng.choice(("", "é", "extra", "\ud800", "x" * 300))] = holder.pop(key)
                case 2:
                    holder[key] = [copy.deepcopy(below)] if rng.random() < 0.5 else {"a": copy.deepcopy(below)}
                case _:
                    holder[key] = copy.deepcopy(rng.choice(NASTY))
            break
    return value


def deep(rng: random.Random) -> bytes:
    """JSON that is nested thousands deep."""
    times = rng.choice((900, 5_000, 100_000))
    opened, closed = rng.choice(((b"[", b"]"), (b'{"a":', b"}"), (b'{"cells":[', b"]}"), (b"[[],", b"]")))
    return opened * times + rng.choice((b"1", b"", b"[]")) + closed * (times if rng.random() < 0.7 else 0)


def text_of(document, rng: random.Random, whole: float = 0.7) -> bytes:
    """A document as JSON, damaged in its values, in its bytes, or nested too deep."""
    kind = rng.random()
    if kind < whole:
        return json.dumps(damaged(document, rng)).encode()
    if kind < 0.95:
        return mutate(json.dumps(document).encode(), rng)
    return deep(rng)


def packed(**fields) -> bytes:
    """A description of what to build, with bytes in it, as JSON."""
    return json.dumps(fields, default=lambda b: {"base64": base64.b64encode(b).decode()}).encode()


def unpacked(case: bytes) -> dict:
    return json.loads(case, object_hook=lambda d: base64.b64decode(d["base64"]) if set(d) == {"base64"} else d)


def zipped(members: list[tuple[str, bytes]], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, data in members:
            archive.writestr(zipfile.ZipInfo(name), data, method)
    return buffer.getvalue()


@functools.lru_cache(maxsize=16)
def zeros(megabytes: int, raw: bool = False) -> bytes:
    """So many MB of zeros, deflated to a thousandth."""
    made = zlib.compressobj(9, wbits=-15 if raw else 15)
    block = bytes(2**20)
    return b"".join(made.compress(block) for _ in range(megabytes)) + made.flush()


def _any_json() -> st.SearchStrategy:
    leaves = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12)
    return st.recursive(
        leaves, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4),
        max_leaves=8,
    )


# -------------------------------------------------------------------------------------------------------------- images


@functools.cache
def image_files() -> list[bytes]:
    """Small valid files of every format that is read, and of some that are not."""
    import numpy as np
    from PIL import Image

    gray = Image.fromarray((np.add.outer(np.arange(20), 3 * np.arange(24)) * 2).astype(np.uint8))
    deep16 = Image.fromarray(np.asarray(gray).astype(np.uint16) * 100)
    see_through = Image.merge("RGBA", [gray, gray, gray, gray])
    palette = gray.convert("RGB").convert("P")
    exif = Image.Exif()
    exif[0x0112] = 6
    plan = [
        (gray, "PNG", {}), (gray.convert("RGB"), "PNG", {}), (see_through, "PNG", {}), (deep16, "PNG", {}),
        (gray.convert("LA"), "PNG", {}), (gray.convert("1"), "PNG", {}), (palette, "PNG", {"transparency": 0}),
        (gray, "PNG", {"save_all": True, "append_images": [gray.rotate(90)]}), (gray, "JPEG", {}),
        (gray.convert("RGB"), "JPEG", {"exif": exif}), (gray.convert("CMYK"), "JPEG", {}),
        (gray.convert("RGB"), "JPEG", {"progressive": True, "quality": 30}), (gray, "BMP", {}), (palette, "BMP", {}),
        (gray.convert("1"), "BMP", {}), (see_through, "BMP", {}), (palette, "GIF", {}),
        (palette, "GIF", {"save_all": True, "append_images": [palette.rotate(90)] * 3}),
        *(
            (image, "TIFF", {"compression": how})
            for image in (gray, deep16, palette, see_through)
            for how in ("raw", "tiff_lzw", "tiff_adobe_deflate", "packbits")
        ),
        (gray.convert("RGB"), "TIFF", {"compression": "jpeg"}), (gray.convert("F"), "TIFF", {}),
        (gray.convert("I"), "TIFF", {}), (gray, "TIFF", {"save_all": True, "append_images": [gray] * 3}),
        (gray.convert("1"), "TIFF", {"compression": "group4"}), (gray.convert("RGB"), "WEBP", {}),
        (see_through, "WEBP", {"lossless": True}),
        (gray.convert("RGB"), "WEBP", {"save_all": True, "append_images": [gray.convert("RGB").rotate(90)]}),
        (gray, "PPM", {}), (gray.convert("RGB"), "PPM", {}), (gray.convert("1"), "PPM", {}), (deep16, "PPM", {}),
        (gray.convert("F"), "PPM", {}), (gray, "JPEG2000", {}), (see_through, "JPEG2000", {"irreversible": True}),
        (deep16, "JPEG2000", {}), (gray, "TGA", {}), (gray, "PCX", {}), (gray, "EPS", {}), (gray, "PDF", {}),
    ]
    found = []
    for image, kind, options in plan:
        buffer = io.BytesIO()
        image.save(buffer, kind, **options)
        found.append(buffer.getvalue())
    found += [
        b"P2 3 2 255\n1 2 3 4 5 6\n", b"P1 3 2\n101010", b"P3 1 1 7 1 2 3", b"Pf\n2 1\n-1.0\n" + bytes(8),
        b"P7\nWIDTH 2\nHEIGHT 2\nDEPTH 1\nMAXVAL 255\nTUPLTYPE GRAYSCALE\nENDHDR\n1234", b"text, not an image\n",
        b"version https://git-lfs.github.com/spec/v1\n", b"<svg xmlns='http://www.w3.org/2000/svg'/>",
    ]
    return found


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png(
    width: int, height: int, bits: int = 8, color: int = 0, pixels: bytes | None = None, more: bytes = b""
) -> bytes:
    """A PNG whose header may promise anything."""
    pixels = zlib.compress(b"\0" * 1000) if pixels is None else pixels
    head = struct.pack(">IIBBBBB", width, height, bits, color, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", head) + more + _chunk(b"IDAT", pixels) + _chunk(b"IEND", b"")


def image_bomb(rng: random.Random) -> bytes:
    """A small file that says it is a large image, and one that is."""
    if rng.random() < 0.12:  # large, and with so much else in the file that its size is not suspicious
        w, h = rng.choice(((10_000, 9_900), (9_000, 6_000), (3_000, 30_000), (99_000_000, 1)))
        bits, color, channels = rng.choice(((8, 0, 1), (16, 0, 2), (8, 6, 4), (16, 6, 8), (8, 3, 1)))
        more = _chunk(b"PLTE", bytes(768)) * (color == 3) + _chunk(b"prVt", rng.randbytes(600_000))
        return png(w, h, bits, color, zeros(h * (w * channels + 1) // 2**20 + 1), more)
    w, h = (rng.choice((1, 9_900, 10_000, 16_383, 30_000, 65_535, 2**20, 2**31 - 1)) for _ in range(2))
    small = (min(w, 65_535), min(h, 65_535))
    match rng.randrange(12):
        case 0:  # it really unpacks to 95 MB or more
            return png(
                *rng.choice(((9_900, 9_900), (20_000, 20_000), (1, 90_000_000), (90_000_000, 1))), pixels=zeros(96)
            )
        case 1:
            return png(5_000, 9_900, 16, rng.choice((0, 4)), zeros(400))
        case 2:
            return png(w, h, rng.choice((1, 2, 8, 16)), rng.choice((0, 2, 3, 4, 6)), more=_chunk(b"PLTE", bytes(768)))
        case 3:
            text = _chunk(b"zTXt", b"Comment\0\0" + zeros(64)) * rng.choice((1, 30))
            return png(8, 8, more=text + _chunk(b"iCCP", b"x\0\0" + zeros(64)))
        case 4:  # GIF: a large screen with nothing on it; many frames
            frame = b"\x2c" + struct.pack("<HHHHB", 0, 0, *small, 0) + b"\x08\x01\0\0"
            return (
                b"GIF89a"
                + struct.pack("<HHBBB", *small, 0x80, 0, 0)
                + bytes(6)
                + frame * rng.choice((1, 20_000))
                + b";"
            )
        case 5:  # BMP, with run lengths or without
            how = rng.choice((0, 1, 2, 3))
            head = struct.pack("<IiiHHIIiiII", 40, w, rng.choice((h, -h)), 1, 8, how, 0, 1, 1, 256, 0)
            return b"BM" + struct.pack("<IHHI", 2000, 0, 0, 1078) + head + bytes(1024) + b"\xff\x01" * 500
        case 6:
            return b"P5 %d %d %d\n" % (w, h, rng.choice((1, 255, 65_535))) + bytes(100)
        case 7:  # JPEG: only the header
            head = b"\xff\xc0\0\x0b\x08" + struct.pack(">HH", small[1], small[0]) + b"\x01\x01\x11\0"
            return b"\xff\xd8" + head + b"\xff\xda\0\x08\x01\x01\0\0?\0" + bytes(200) + b"\xff\xd9"
        case 8:  # TIFF with an absurd directory
            count = rng.choice((3, 4, 2_000))
            tags = [
                (256, 4, 1, w), (257, 4, 1, h), (258, 3, 1, rng.choice((1, 8, 16, 32))),
                (259, 3, 1, rng.choice((1, 5, 8, 32773))), (262, 3, 1, 1), (273, 4, rng.choice((1, 2**30)), 8),
                (278, 4, 1, h), (279, 4, 1, w),
            ]
            entries = b"".join(struct.pack("<HHII", *tag) for tag in tags * (count // 3))
            return b"II*\0\x08\0\0\0" + struct.pack("<H", len(entries) // 12) + entries + struct.pack("<I", 8)
        case 9:  # WebP, lossless, up to 16,384 pixels a side
            bits = (min(w, 16_384) - 1) | (min(h, 16_384) - 1) << 14
            body = b"VP8L" + struct.pack("<I", 25) + b"\x2f" + struct.pack("<I", bits) + bytes(20) + b"\0"
            return b"RIFF" + struct.pack("<I", len(body) + 4) + b"WEBP" + body
        case 10:  # JPEG 2000: the size marker alone
            size = struct.pack(">HHIIIIIIIIH", 41, 0, w, h, 0, 0, rng.choice((1, w)), rng.choice((1, h)), 0, 0, 1)
            return b"\xff\x4f\xff\x51" + size + b"\x07\x01\x01" + bytes(60)
        case _:
            return png(
                9_000, 5_500, *rng.choice(((8, 0), (1, 0), (8, 6), (8, 3))), zeros(200), _chunk(b"PLTE", bytes(768))
            )


def make_image(rng: random.Random) -> bytes:
    kind, files = rng.random(), image_files()
    if kind < 0.05:
        return image_bomb(rng)
    if kind < 0.1:
        return rng.choice(files)[: rng.choice((2, 4, 12))] + rng.randbytes(rng.randrange(200))
    return mutate(rng.choice(files), rng, files)


def run_image(case: bytes, folder: Path) -> None:
    from cxrlib.data.decode import decode

    pixels, width, height = decode(case, 32)
    assert pixels.shape == (32, 32) and pixels.dtype == "uint8" and width > 0 and height > 0


# --------------------------------------------------------------------------------------------------------------- DICOM

_NUMBERS = ("0", "1", "-1", "1e400", "nan", "1e-320", "-1e308", "", "x", "2047.5", "65535", "0.0", "1e16", "9" * 16)


def dicom(syntax: str = "1.2.840.10008.1.2.1", pixels: bytes | None = None, encapsulated: bool = False, **elements):
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


def written(file) -> bytes:
    import pydicom

    buffer = io.BytesIO()
    pydicom.dcmwrite(buffer, file, enforce_file_format=True)
    return buffer.getvalue()


@functools.cache
def dicom_files() -> list[bytes]:
    from pydicom.encaps import encapsulate

    jpeg = next(f for f in image_files() if f.startswith(b"\xff\xd8"))
    jp2 = next(f for f in image_files() if f[4:8] == b"jP  ")
    eight = {"Rows": 20, "Columns": 24, "BitsAllocated": 8, "BitsStored": 8, "HighBit": 7}
    run_length = struct.pack("<16I", 1, 64, *[0] * 14) + b"\x81\x07" * 3 + b"\x5f" + bytes(96) + b"\0"
    files = [
        dicom(), dicom("1.2.840.10008.1.2"), dicom("1.2.840.10008.1.2.1.99"),
        dicom(WindowCenter=[2000, 40], WindowWidth=[4000, 400], VOILUTFunction="SIGMOID"),
        dicom(RescaleSlope="2", RescaleIntercept="-1024", PhotometricInterpretation="MONOCHROME1"),
        dicom(PixelPaddingValue=0, PixelPaddingRangeLimit=90, BurnedInAnnotation="YES"),
        dicom(ModalityLUTSequence=_lut(256, 0, 16)), dicom(VOILUTSequence=_lut(256, 0, 16)),
        dicom(pixels=bytes(range(120)), BitsAllocated=8, BitsStored=8, HighBit=7),
        dicom(pixels=bytes(range(16)), BitsAllocated=1, BitsStored=1, HighBit=0), dicom(NumberOfFrames=1),
        dicom("1.2.840.10008.1.2.4.50", encapsulate([jpeg]), True, **eight),
        dicom("1.2.840.10008.1.2.4.90", encapsulate([jp2]), True, **eight),
        dicom("1.2.840.10008.1.2.5", encapsulate([run_length]), True, **eight),
        dicom("1.2.840.10008.1.2.4.70", encapsulate([jpeg]), True, **eight),
    ]
    return [written(file) for file in files]


def make_dicom(rng: random.Random) -> bytes:
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
                "1.2.840.10008.1.2.5", encapsulate([data]), True, Rows=side, Columns=side, BitsAllocated=8,
                BitsStored=8, HighBit=7,
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
                "1.2.840.10008.1.2.1", "1.2.840.10008.1.2", "1.2.840.10008.1.2.2", "1.2.3.4",
                "1.2.840.10008.1.2.4.80", "1.2.840.10008.1.2.4.100",
            )
        )
    )
    encoding = "<" if file.file_meta.TransferSyntaxUID != "1.2.840.10008.1.2.2" else ">"
    from pydicom.dataelem import RawDataElement
    from pydicom.tag import Tag

    for _ in range(rng.choice((1, 2, 4))):
        tag = rng.choice(
            (
                0x00280010, 0x00280011, 0x00280002, 0x00280008, 0x00280100, 0x00280101, 0x00280102, 0x00280103,
                0x00280120, 0x00280121, 0x00281050, 0x00281051, 0x00281052, 0x00281053, 0x00281056, 0x00280004,
                0x00280006, 0x00280301, 0x00100020, 0x7FE00010,
            )
        )
        if rng.random() < 0.1:
            file.pop(tag, None)
            continue
        vr, value = rng.choice(
            (
                ("US", struct.pack(f"{encoding}H", rng.choice(ABSURD) & 0xFFFF)), ("US", b"\0"), ("UL", bytes(4)),
                ("DS", rng.choice(_NUMBERS).encode()), ("IS", rng.choice(_NUMBERS).encode()),
                ("DS", "\\".join(rng.choices(_NUMBERS, k=3)).encode()),
                ("CS", rng.choice((b"", b"RGB", b"\xff\xfe"))), ("OW", rng.randbytes(rng.choice((0, 1, 239, 241)))),
                ("SQ", rng.randbytes(16)), ("LO", b"\0" * 8),
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


def run_dicom(case: bytes, folder: Path) -> None:
    from cxrlib.data.decode import decode, is_dicom
    from cxrlib.data.dicom import read_dicom, read_header

    read_header(case)
    if is_dicom(case):
        decode(case, 16)
    read_dicom(case, window=(None, "full", (40, 400))[len(case) % 3], size=16 if len(case) % 2 else None)


# ------------------------------------------------------------------------------------------------------------- folders

_PARTS = (
    "train", "test", "val", "Train", "normal", "NORMAL", "Normal", "pneumonia", "a", "b", "a.b", "x y", "é",
    "e\u0301", "\ud800", "\udcff\udcfe", "new\nline", "(", "[a-z]*", "__MACOSX", ".hidden", "x" * 200, "chest_xray",
    "c'\"<b>", "-o", "con", " ", "\t", "{0}", "%s", "1", "0",
)
_NAMES = (
    "a.png", "b.png", "c.jpeg", "A.PNG", "IM-0001-0001.jpeg", "person1_virus_1.jpeg",
    "person" + "9" * 200 + "_virus_1.png", "person٣_bacteria_1.png", "x.dcm", "IM000001", "1.2.840", "DICOMDIR",
    "x.heic", ".png", "é.png", "\udcff.png", "n\nn.png", "x" * 250 + ".png", "notes.txt", "z.gif", "t.tif",
    "Thumbs.db", "patient1.png", "patient2.png",
)
_PATTERNS = (r"patient(\d+)", "(", "", "(.*)", r"(\d)(\d)", r"([a-z]+)$", "(?P<x>a)", "\\", "(a*)*b(c)", 7)


def make_folder(rng: random.Random) -> bytes:
    classes = rng.sample(_PARTS, rng.randrange(1, 4))
    splits = rng.sample(("train", "test", "val", "Training", "a"), rng.randrange(0, 3)) or [""]
    images = image_files()[:8]
    entries = []
    if rng.random() < 0.6:  # something to load, so that the rest of it is looked at
        entries = [
            [[*filter(None, (split, name)), "good.png"], "good", images[0]] for split in splits for name in classes
        ]
    for _ in range(rng.randrange(1, 9)):
        path = [part for part in (rng.choice(splits), rng.choice(classes)) if part]
        if rng.random() < 0.15:
            path = [rng.choice(_PARTS) for _ in range(rng.randrange(0, 5))]
        kind = rng.choice(
            ("good",) * 6 + ("bad", "dicom", "empty", "folder", "link", "loop", "nowhere", "fifo", "zero", "sparse")
        )
        content = b""
        if kind in ("good", "dicom"):
            content = rng.choice(images if kind == "good" else dicom_files())
        elif kind == "bad":
            content = make_image(rng) if rng.random() < 0.9 else make_dicom(rng)
        entries.append([[*path, rng.choice(_NAMES)], kind, content])
    options = {"patient": rng.choice(_PATTERNS)} if rng.random() < 0.2 else {}
    return packed(
        entries=entries, options=options,
        size=16 if rng.random() < 0.93 else rng.choice((8, 4097, 0, "16", None, True)), audit=rng.random() < 0.05,
    )


def run_folder(case: bytes, folder: Path) -> None:
    import cxrlib

    plan = unpacked(case)
    root = folder / "my-images"
    root.mkdir()
    for parts, kind, content in plan["entries"]:
        path = os.fsencode(root)
        try:
            for part in parts[:-1]:
                path += b"/" + os.fsencode(part.encode("utf-8", "surrogatepass").decode("utf-8", "surrogateescape"))
            os.makedirs(path, exist_ok=True)
            path += b"/" + os.fsencode(parts[-1])
            match kind:
                case "folder":
                    os.mkdir(path)
                case "link":
                    os.symlink(b"../a/a.png", path)
                case "loop":
                    os.symlink(os.fsencode(root), path)
                case "nowhere":
                    os.symlink(b"/nowhere/at/all.png", path)
                case "fifo":
                    os.mkfifo(path)
                case "zero":
                    os.symlink(b"/dev/zero", path)
                case "sparse":
                    with open(path, "wb") as file:
                        file.truncate(30 * 2**30)
                case _ if not os.path.lexists(path):  # no pipe, which would wait for a reader
                    Path(os.fsdecode(path)).write_bytes(content)
        except OSError:  # a name that this disk does not take, or one that is taken
            continue
    found = cxrlib.load(f"folder:{root}", plan["size"], progress=False, **plan["options"])
    assert len(found) and found._repr_html_() and str(found)
    if plan["audit"]:
        assert str(cxrlib.audit(found))


# --------------------------------------------------------------------------------------------------------- checkpoints


class _Evil:
    """What a hostile checkpoint brings: a pickle that runs a program."""

    def __reduce__(self):
        return os.mkdir, ("ran",)


@functools.cache
def checkpoint_files() -> tuple[list[bytes], list[dict]]:
    """Valid model files, and what is in them."""
    import torch

    from cxrlib import build_model, save_model

    files, contents = [], []
    for name, options in (
        ("CPF", {"size": 8, "filters": (2,)}), ("CPFD", {"size": 8, "filters": (2,), "hidden": 3}),
        ("CP", {"filters": (2, 3), "padding": "valid"}),
    ):
        model = build_model(name, ("normal", "pneumonia"), seed=0, **options)
        with tempfile.TemporaryDirectory() as folder:
            place = save_model(model, Path(folder) / "model.pt", epochs=3, note="é").read_bytes()
        files.append(place)
        contents.append(torch.load(io.BytesIO(place), weights_only=True))
    return files, contents


def _nasty_tensors():
    import torch

    return (
        torch.zeros(()), torch.zeros(2, 2), torch.zeros(3, dtype=torch.int8), torch.full((2, 1, 3, 3), math.nan),
        torch.zeros(1).expand(10**6, 10**6), torch.zeros(1, dtype=torch.complex64), torch.zeros(0, 5),
        torch.sparse_coo_tensor([[0], [0]], [1.0], (3, 3)),
    )


def make_checkpoint(rng: random.Random) -> bytes:
    import torch

    files, contents = checkpoint_files()
    kind = rng.random()
    if kind < 0.35:
        return mutate(rng.choice(files), rng, files)
    if kind < 0.4:  # the same members, packed so that they unfold to gigabytes
        with zipfile.ZipFile(io.BytesIO(rng.choice(files))) as archive:
            members = [(m.filename, archive.read(m)) for m in archive.infolist()]
        if rng.random() < 0.5:
            members = [(n, bytes(3 * 2**20) * (rng.choice((1, 60)) if "data/" in n else 0) or d) for n, d in members]
        return zipped(members)
    content = copy.copy(rng.choice(contents))
    content["config"], content["state"] = dict(content["config"]), dict(content["state"])
    for _ in range(rng.choice((1, 1, 2))):
        part = rng.choice((content["config"],) * 4 + (content["state"], content))
        key = rng.choice(list(part)) if part else "x"
        match rng.randrange(5):
            case 0:
                part.pop(key, None)
            case 1:
                part[rng.choice(("extra", "pretrained", "head_hidden", 7, ("a",)))] = rng.choice(NASTY)
            case 2:
                part[key] = rng.choice(_nasty_tensors())
            case 3 if part is content["config"]:
                part["name"] = rng.choice(("CPF" * 2000, "resnet18", "C" * 60, "F", "P" * 40, "é", "CPFDD" + "D" * 500))
            case _:
                part[key] = rng.choice(NASTY)
        if not isinstance(content.get("config"), dict) or not isinstance(content.get("state"), dict):
            break
    if rng.random() < 0.1:
        content["extra"] = _Evil()
    if rng.random() < 0.05:
        content = [content]
        for _ in range(rng.choice((10, 2_000))):
            content = [content]
    buffer = io.BytesIO()
    try:
        torch.save(content, buffer, _use_new_zipfile_serialization=rng.random() < 0.95)
    except Exception:  # lone surrogates, nesting: not even torch writes these
        return mutate(rng.choice(files), rng, files)
    return buffer.getvalue()


def run_checkpoint(case: bytes, folder: Path) -> None:
    import torch

    from cxrlib import load_model

    path = folder / "model.pt"
    path.write_bytes(case)
    try:
        net = load_model(path)
        side = net.config["size"]
        if side <= 256:
            net(torch.zeros(1, 1, side, side))
    finally:
        assert not (folder / "ran").exists(), "the checkpoint ran a program"


@functools.cache
def _toy():
    import numpy as np

    from cxrlib import CxrDataset, Recipe

    rng = np.random.default_rng(0)
    data = CxrDataset(
        rng.integers(0, 255, (8, 1, 8, 8), dtype=np.uint8), np.arange(8) % 2, ("normal", "pneumonia"),
        [f"p{i}" for i in range(8)],
        name="toy",
    )
    recipe = Recipe(
        model="CPF", model_options={"filters": (2,)}, size=8, epochs=2, batch_size=4, precision="fp32",
        schedule="onecycle", average=0.9,
    )
    return data, recipe


@functools.cache
def training_file() -> tuple[bytes, dict]:
    """The checkpoint of a finished training, so that reading it is all there is to do."""
    import torch

    from cxrlib import fit
    from cxrlib.experiment import build

    data, recipe = _toy()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "training.pt"
        fit(build(recipe, data.classes), data, data, recipe, checkpoint=path, progress=False)
        return path.read_bytes(), torch.load(path, weights_only=True)


def make_training(rng: random.Random) -> bytes:
    import torch

    whole, content = training_file()
    if rng.random() < 0.3:
        return mutate(whole, rng)
    content = dict(content)
    for _ in range(rng.choice((1, 1, 2))):
        key = rng.choice([k for k in content if k not in ("kind", "recipe", "data")] * 4 + ["recipe", "data", "kind"])
        match rng.randrange(6):
            case 0:
                content.pop(key)
            case 1 if isinstance(content[key], dict | list) and content[key]:
                content[key] = damaged(content[key], rng)
            case 2:
                content[key] = rng.choice(_nasty_tensors())
            case _:
                content[key] = rng.choice(NASTY)
        if not content:
            break
    if rng.random() < 0.1:
        content["best"] = _Evil()
    buffer = io.BytesIO()
    try:
        torch.save(content, buffer)
    except Exception:
        return mutate(whole, rng)
    return buffer.getvalue()


def run_training(case: bytes, folder: Path) -> None:
    from cxrlib import fit
    from cxrlib.experiment import build

    data, recipe = _toy()
    path = folder / "training.pt"
    path.write_bytes(case)
    try:
        history = fit(build(recipe, data.classes), data, data, recipe, checkpoint=path, progress=False)
        assert str(history) and history.to_dict()
    finally:
        assert not (folder / "ran").exists(), "the checkpoint ran a program"


# ------------------------------------------------------------------------------------------------------------- grading


@functools.cache
def exercise():
    from cxrlib.grade import load_exercise

    return load_exercise("03", ROOT)


@functools.cache
def _handed_in() -> bytes:
    return exercise().with_answers(dict(exercise().reference))


_STUDENTS = (
    "anna.ipynb", "anna/03_metrics_by_hand.ipynb", "Anna Ångström_123_assignsubmission_file_03.ipynb",
    "anna_123_assignsubmission_file_/03.ipynb", "annasmith_LATE_12345_67890_03_metrics_by_hand.ipynb",
    "submissions/anna/03.ipynb", "__MACOSX/._a.ipynb", "../../anna.ipynb", "/etc/anna.ipynb", "C:\\a\\b.ipynb",
    "a\\..\\b.ipynb", "\0.ipynb", "é.ipynb", "\udcff.ipynb", "x" * 3000 + ".ipynb", "a/" * 300 + "a.ipynb",
    "con.ipynb", "a.ipynb.txt", "a.zip", "anna-2.ipynb", "anna (1).ipynb", ".ipynb", "_.ipynb", "1_2_3_.ipynb",
    "9" * 400 + "_1_" + "8" * 400 + "_a.ipynb", "anna_anon_5_6_x.ipynb", "README", "", "/", "a//b.ipynb",
    "٣_٣_٣_a.ipynb",
)


@functools.cache
def _crowded(count: int) -> bytes:
    """A zip of so many notebooks."""
    return zipped([(f"{i}.ipynb", b"") for i in range(count)], zipfile.ZIP_STORED)


def make_intake(rng: random.Random) -> bytes:
    members = [
        [rng.choice(_STUDENTS), rng.choice((b"", b"{}", b'{"cells": []}', b"PK\3\4", rng.randbytes(50)))]
        for _ in range(rng.randrange(1, 12))
    ]
    if rng.random() < 0.25:
        return packed(folder=members)
    kind = rng.random()
    if kind < 0.1:  # a member that unfolds to more than a notebook may hold
        members.append(["bomb.ipynb", b" " * rng.choice((1_000_000, 30_000_000))])
    elif kind < 0.13:
        return packed(zip=_crowded(rng.choice((2_000, 50_001))), name="export.zip")
    made = zipped(
        [(n.replace("\udcff", "\xff"), d) for n, d in members],
        rng.choice((zipfile.ZIP_DEFLATED, zipfile.ZIP_STORED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)),
    )
    if kind > 0.4:
        made = mutate(made, rng, [made])
        if rng.random() < 0.5:  # the directory is at the end
            made = made[: -len(made) // 2] + mutate(made[-len(made) // 2 :], rng)
    return packed(zip=made, name=rng.choice(("export.zip", "export.ipynb", "export")))


def run_intake(case: bytes, folder: Path) -> None:
    from cxrlib.grade.submissions import collect

    plan = unpacked(case)
    if "folder" in plan:
        path = folder / "export"
        path.mkdir()
        for name, data in plan["folder"]:
            try:
                place = path / name.strip("/\\").replace("..", "_")
                place.parent.mkdir(parents=True, exist_ok=True)
                place.write_bytes(data)
            except (OSError, ValueError):
                continue
        if not path.is_dir():
            return  # a name that is no name
    else:
        path = folder / plan["name"]
        path.write_bytes(plan["zip"])
    found = collect(path, "03_metrics_by_hand")
    assert found and len({s.key for s in found}) == len(found)
    for s in found:
        assert (s.data is None) == bool(s.problem) and "/" not in s.key and s.key not in ("", ".", "..")


def notebooks() -> st.SearchStrategy:
    """Notebooks that are right in parts, wrong in others, and bytes that are none."""
    given = json.loads(_handed_in())
    source = (
        st.text(max_size=60)
        | st.lists(st.text(max_size=20) | st.integers(), max_size=4)
        | _any_json()
        | st.sampled_from(
            [f"def {task}(x):\n    return 1" for task in exercise().tasks]
            + ["def " * 3000, "(" * 5000, "'''" * 2000, "\\\n" * 3000]
        )
    )
    cell = st.fixed_dictionaries(
        {},
        optional={
            "cell_type": st.sampled_from(["code", "code", "code", "markdown", "raw", 7, None]), "source": source,
            "metadata": st.dictionaries(
                st.sampled_from(["nbgrader", "tags"]),
                st.dictionaries(
                    st.sampled_from(["grade_id", "solution"]),
                    st.sampled_from([*exercise().tasks, 1, None, "test_x", []]),
                )
                | _any_json(),
            )
            | _any_json(), "id": st.text(max_size=8) | st.integers(), "outputs": _any_json(),
        },
    )
    made = st.fixed_dictionaries(
        {"cells": st.lists(cell | st.sampled_from(given["cells"]) | _any_json(), max_size=12) | _any_json()},
        optional={"metadata": _any_json(), "nbformat": _any_json(), "worksheets": _any_json()},
    )
    seeded = st.integers(0, 2**32).map(random.Random)
    return (
        made
        | made
        | _any_json()
        | seeded.map(lambda rng: text_of(given, rng, 0.6))
        | st.sampled_from([b"", b"\xff\xfe{\0}\0", b"\xef\xbb\xbf{}", b'{"cells": ' + b"9" * 10_000 + b"}", b"NaN"])
    )


def run_notebook(case: bytes, folder: Path) -> None:
    from cxrlib.grade.similar import tokens
    from cxrlib.grade.splice import splice

    for source in splice(exercise(), case).answers.values():
        tokens(source)


_TITLES = (
    "id", "name", "email", "Student", "ID", "SIS Login ID", "Section", "Identifier", "Full name", "Email address",
    "Status", "Grade", "Maximum Grade", "First name", "Surname", "Points", "03_metrics_by_hand (123)", "", "id", "é",
    "\ufeff",
)
_CELLS = (
    "anna", "Å, Anna", "12345", "=1+1", "@x", "Participant 77", "a@b.c", "", " ", '"', "x" * 500, "1,5", "1e999",
    "nan", "10", "Points Possible", "    Points Possible", "٣", "\u202e", "'", "-", "\ud800", "a\nb", "a;b", "a\tb",
)


def rosters() -> st.SearchStrategy:
    cell = st.sampled_from(_CELLS) | st.text(max_size=12)

    def written_out(parts) -> bytes:
        titles, rows, delimiter, quote, encoding, head = parts
        lines = [
            delimiter.join(f'"{c.replace(chr(34), chr(34) * 2)}"' if quote else c for c in row)
            for row in (titles, *rows)
        ]
        return head + "\n".join(lines).encode(encoding, "replace")

    files = st.tuples(
        st.lists(st.sampled_from(_TITLES) | cell, max_size=8), st.lists(st.lists(cell, max_size=9), max_size=6),
        st.sampled_from([",", ";", "\t", "|"]), st.booleans(), st.sampled_from(["utf-8", "utf-16", "latin-1"]),
        st.sampled_from([b"", b"", b"\xef\xbb\xbf", b"sep=;\n", b"PK\x03\x04", b"\0"]),
    ).map(written_out)
    whole = [
        b"id,name,email\n1,Anna,a@x.org\n2,Bo,b@x.org\n",
        b"Student,ID,SIS Login ID,Section,03 (1)\n    Points Possible,,,,10\nS, 1,a,b,\n",
        "Identifier,Full name,Email address,Status,Grade,Maximum Grade\nParticipant 7,Åsa,a@x.org,,,10\n".encode(),
    ]
    bad = st.tuples(st.sampled_from(whole), st.integers(0, 2**32)).map(
        lambda x: mutate(x[0], random.Random(x[1]), whole)
    )
    return (
        files
        | files
        | bad
        | st.binary(max_size=60)
        | st.sampled_from(
            [b'"' * 10_001, b"," * 100_000, b"\n" * 1000, b'id,name\n1,"' + b"x" * 200_000, b"id\n" + b"1\n" * 20_000]
        )
    )


def run_roster(case: bytes, folder: Path) -> None:
    from cxrlib.grade.roster import Roster

    path = folder / "roster.csv"
    path.write_bytes(case)
    found = Roster.read(path)
    names = [name for _, name in found.students()]
    results = [
        {"student": name, "ids": {"moodle_id": "7", "canvas_id": "1"}, "points": 3.5, "status": "graded"}
        for name in [*names[:20], "nobody"]
    ]
    found.export(results, folder / "out.csv", "03_metrics_by_hand", 10)


@functools.cache
def _graded() -> dict:
    """A result as the grader writes it."""
    import hashlib

    from cxrlib.grade.batch import _row
    from cxrlib.grade.verdict import _untouched

    return {
        **_row(exercise(), "graded", "look"), "student": "Anna", "key": "anna", "file": "anna.ipynb",
        "digest": hashlib.sha256(b"{}").hexdigest(), "tasks": _untouched(exercise(), "attempted", "is wrong"),
        "answers": {task: f"def {task}(): pass" for task in exercise().tasks},
        "notes": ["a note"], "printed": "text", "points": 1.0,
    }


def make_resume(rng: random.Random) -> bytes:
    before = {"exercise": exercise().name, "digest": exercise().digest, "seed": 3}
    if rng.random() < 0.3:
        return packed(batch=text_of(before, rng), result=json.dumps(_graded()).encode())
    return packed(batch=json.dumps(before).encode(), result=text_of(_graded(), rng, 0.85))


def run_resume(case: bytes, folder: Path) -> None:
    """What `cxr grade --resume` reads of the batch that was stopped: nothing is graded anew here."""
    from cxrlib.grade import batch
    from cxrlib.grade.submissions import Submission

    plan, out = unpacked(case), folder / "graded"
    for name in ("results", "feedback", "gradescope"):
        (out / name).mkdir(parents=True)
    (out / "batch.json").write_bytes(plan["batch"])
    (out / "results" / "anna.json").write_bytes(plan["result"])
    seed = batch._open_batch(out, exercise(), None, True)
    kept = batch._kept(out, Submission("Anna", "anna", "anna.ipynb", b"{}", "", (), {}))
    if kept is not None:
        batch._save(out, exercise(), kept)
        assert batch._summarize(out, exercise(), [kept, {**_graded(), "key": "bo"}], None, seed).counts()


def make_frame(rng: random.Random) -> bytes:
    """What the student's process sends to the grader: header and body of an answer."""
    import numpy as np

    from cxrlib.grade.inside.codec import pack

    whole = pack(
        {"ok": True, "value": [1, "a", np.arange(6.0).reshape(2, 3), {"k": np.array(["x", "y"])}, float("nan")]}
    )
    size = struct.unpack(">Q", whole[:8])[0]
    header = json.loads(whole[16 : 16 + size])
    kind = rng.random()
    if kind < 0.2:
        return mutate(whole, rng)
    text = text_of(header, rng, 0.85)
    if kind < 0.3:
        shape = [rng.choice((0, 1, 2, 2**20, 2**39, -1)) for _ in range(rng.randrange(9))]
        text = json.dumps(
            {"value": {rng.choice("au"): rng.choice(("<f8", "|O", "<U9", ["a" * 10_000, "b"])), "s": shape}}
        ).encode()
    return struct.pack(">QQ", len(text), len(whole) - 16 - size) + text + whole[16 + size :]


def run_frame(case: bytes, folder: Path) -> None:
    from cxrlib.grade.inside import codec

    head, body = codec.lengths(case[:16].ljust(16, b"\0"))
    rest = case[16:]
    codec.unpack(rest[:head], rest[head : head + body])


# ------------------------------------------------------------------------------------------------------------- records


@functools.cache
def _tool():
    spec = importlib.util.spec_from_file_location("results_tool", ROOT / "tools" / "results.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@functools.cache
def _records() -> list[tuple[str, dict]]:
    """One record of each kind, shortened."""
    found = {}
    for record in _tool().load(ROOT / "results"):
        kind = record.get("kind") or ("reproduction" if "reproduction" in record else "training")
        found.setdefault(kind, (record.pop("file"), record))
    for _, record in found.values():
        if "training" in record:
            record["training"]["epochs"] = record["training"]["epochs"][:2]
    return list(found.values())


def make_records(rng: random.Random) -> bytes:
    _, document = rng.choice(_records())
    return packed(text=text_of(document, rng, 0.8))


def run_records(case: bytes, folder: Path) -> None:
    plan, tool = unpacked(case), _tool()
    (folder / "record-chest_xray-seed0.json").write_bytes(plan["text"])
    _, intact = _records()[0]  # and one that is as it should be
    (folder / "other-chest_xray-seed0.json").write_text(json.dumps(intact))
    records = tool.load(folder)
    for make in (
        tool.training_table, tool.threshold_table, tool.phantom_text, tool.choices_text, tool.sources_text,
        tool.readme_block,
    ):
        make(records)


class _Enough(Exception):
    """The record was read, and a training would begin now."""


def make_reproduce(rng: random.Random) -> bytes:
    name, document = next((n, r) for n, r in _records() if "reproduction" in r and "training" in r)
    return text_of({**document, "data": {**document["data"], "fingerprint": "x"}}, rng, 0.85)


def run_reproduce(case: bytes, folder: Path) -> None:
    from cxrlib.reproduce import PLAN, reproduce

    row = next(row for row in PLAN if row.id == "A-baseline")
    (folder / f"reproduce-{row.id}-seed0.json").write_bytes(case)

    def announce(*_):
        raise _Enough

    with contextlib.suppress(_Enough):
        list(
            reproduce(
                [row], data="phantom", options={"n": 30}, size=32, seeds=[0], out=folder, work=folder / "work",
                progress=False, announce=announce,
            )
        )


# ------------------------------------------------------------------------------------------------ recipes and networks

_SOME = st.sampled_from(NASTY)
_LETTERS = (
    st.text("CPFD", max_size=12)
    | st.text("CPFDcpX 1é\0", max_size=8)
    | st.sampled_from(
        [
            "C" * 5000, "CP" * 40, "P" * 300, "CPF" + "D" * 3000, "x" * 10_000, "C" * 200, "cnn5", "resnet18",
            "efficientnet_b0", "Resnet18", "\ud800",
        ]
    )
)
_COUNT = st.sampled_from(
    [1, 2, 3, 8, 0, -1, 10**6, 10**9, 10**18, 2**63, 1.5, True, None, "3", [], math.nan]
) | st.integers(1, 40)


def _model_options() -> st.SearchStrategy:
    return st.fixed_dictionaries(
        {},
        optional={
            "filters": _COUNT | st.lists(_COUNT, max_size=4), "hidden": _COUNT, "dropout": _SOME | st.floats(),
            "kernel": _COUNT, "padding": st.sampled_from(["same", "valid", "full", None, 1]),
            "normalize": st.sampled_from(["fixed", "image", "x", 0, []]),
            "freeze": st.sampled_from(["all", 0, 1, 99, -1, True, "x", None, []]), "seed": _COUNT,
            "pretrained": _SOME, "head_dropout": _SOME, "head_hidden": _COUNT, "head_batchnorm": _SOME,
        },
    )


def layers() -> st.SearchStrategy:
    right = {"name": "CPCPFD", "options": {}, "classes": ["normal", "pneumonia"], "size": 16}
    parts = {
        "name": _LETTERS | _SOME, "options": _model_options(), "size": st.sampled_from([8, 16, 32, 64]) | _COUNT,
        "classes": st.lists(st.text(max_size=4), max_size=4) | _any_json(),
    }
    good = {
        "name": st.text("CP", min_size=1, max_size=5) | st.sampled_from(["CPFD", "CFDD", "resnet18"]),
        "options": st.fixed_dictionaries({}, optional={"filters": st.integers(1, 9), "hidden": st.integers(1, 40)}),
    }
    return st.fixed_dictionaries({}, optional=good).flatmap(
        lambda base: st.fixed_dictionaries({}, optional=parts).map(lambda odd: right | base | odd)
    )


def run_layers(case: bytes, folder: Path) -> None:
    import torch

    from cxrlib import build_model

    plan = json.loads(case)
    net = build_model(plan["name"], plan["classes"], size=plan["size"], **plan["options"])
    side = max(net.smallest_size, 8) if net.fixed_size is None else net.fixed_size
    if side <= 64:
        assert net.eval()(torch.zeros(1, 1, side, side)).shape == (1, len(net.classes))


def recipes() -> st.SearchStrategy:
    value = _SOME | _any_json()
    number = (
        st.sampled_from([0, 1, 0.1, 0.5, -1, 1e-9, 1e9, math.nan, math.inf, "1", None, True, [], 10**400]) | st.floats()
    )
    augment = st.dictionaries(
        st.sampled_from(
            [
                "flip", "rotate", "shift", "zoom", "crop", "brightness", "contrast", "gamma", "blur", "noise",
                "mixup", "x",
            ]
        ),
        number, max_size=4,
    )
    known = {
        "model": st.sampled_from(["CPF", "CPFD", "CP", "cnn5", "resnet", ""]) | value,
        "model_options": _model_options() | value,
        "trainable": st.sampled_from(["all", "head", 1, 2, 99, 0, -1, True, None, 1.5, []]), "hold_norms": value,
        "head_epochs": _COUNT, "head_lr": number,
        "size": st.sampled_from([16, 16, 16, 8, 1, 0, -1, 10**9, 16.0, "16", True, None]), "batch_size": _COUNT,
        "optimizer": st.sampled_from(["adam", "adamw", "sgd", "x", None, [], {}]), "lr": number,
        "weight_decay": number,
        "schedule": st.sampled_from(["constant", "plateau", "cyclic", "onecycle", "cosine", "x", []]),
        "schedule_options": st.dictionaries(
            st.sampled_from(["factor", "patience", "min_lr", "base_lr", "step_epochs", "pct_start", "div_factor", "x"]),
            number, max_size=3,
        )
        | value, "early_stopping": _COUNT, "average": number,
        "monitor": st.sampled_from(["val_loss", "val_accuracy", "val_auc", "x", None]), "restore_best": value,
        "class_weights": st.sampled_from(
            ["balanced", "x", None, [1, 2], [1], [0, 0], [-1, 1], ["a", "b"], 3, {}, [math.nan, 1], [[1], [2]]]
        ),
        "label_smoothing": number, "augment": augment | value,
        "views": st.lists(st.sampled_from(["identity", "flip", "x", 1]), max_size=3) | value,
        "precision": st.sampled_from(["auto", "bf16", "fp16", "fp32", "x", None]), "seed": _COUNT, "about": value,
        "unknown": value,
    }
    return st.sets(st.sampled_from(sorted(known)), max_size=4).flatmap(
        lambda names: st.fixed_dictionaries({name: known[name] for name in sorted(names)})
    )


def run_recipe(case: bytes, folder: Path) -> None:
    """A recipe out of JSON, its network, and one step of training with it."""
    from cxrlib import CxrDataset, Recipe, fit
    from cxrlib.augment import Augment
    from cxrlib.ensemble import predict_views
    from cxrlib.experiment import build

    fields = json.loads(case)
    if isinstance(fields.get("augment"), dict) and fields["augment"].keys() <= Augment.__dataclass_fields__.keys():
        fields["augment"] = Augment(**fields["augment"])
    recipe = Recipe(**{"model": "CPF", "model_options": {"filters": [2]}, "size": 16, "epochs": 1}).but(**fields)
    json.dumps(recipe.to_dict())
    data, _ = _toy()
    small = CxrDataset(data.images.repeat(2, 2).repeat(2, 3), data.labels, data.classes, data.patients)
    net = build(recipe, data.classes)
    if recipe.size != 16 and net.fixed_size:
        return
    fit(net, small, small, recipe.but(head_epochs=min(recipe.head_epochs, 1)), progress=False)
    if recipe.views:
        predict_views(net, small, recipe.views, precision="fp32")


def reports() -> st.SearchStrategy:
    row = st.sampled_from(
        [
            [0.5, 0.5], [0.2, 0.8], [1, 0], [0, 1], [0.3, 0.3], [2, -1], [math.nan, 1], [1], "ab", None, [[1], [0]],
            ["0.5", "0.5"],
        ]
    )
    pair = st.tuples(st.sampled_from([0, 1]), st.sampled_from([[0.5, 0.5], [0.2, 0.8], [1, 0], [0.1, 0.9]]))
    right = st.lists(pair, min_size=1, max_size=8).map(
        lambda pairs: {
            "labels": [label for label, _ in pairs],
            "probs": [probs for _, probs in pairs],
            "classes": ["a", "b"],
        }
    )
    odd = st.fixed_dictionaries(
        {},
        optional={
            "labels": st.lists(st.sampled_from([0, 1]), max_size=6) | st.lists(_SOME, max_size=4) | _any_json(),
            "probs": st.lists(row, max_size=6) | _any_json(), "classes": st.just(["a", "a"]) | _any_json(),
            "patients": st.lists(st.sampled_from(["p", "q", 1, None, []]), max_size=6) | _any_json(),
            "threshold": st.floats() | _SOME, "bootstrap": st.sampled_from([0, 1, 20, -1, 10**12, 1.5, None, "5"]),
            "seed": st.sampled_from([0, -1, 10**30, None, "x"]),
        },
    )
    return st.tuples(right, odd).map(lambda parts: parts[0] | parts[1])


def run_report(case: bytes, folder: Path) -> None:
    from cxrlib import Report

    report = Report(**{"bootstrap": 20} | json.loads(case))
    assert str(report) and report.to_dict() and report._repr_html_()
    report.save(folder / "report.json")


# -------------------------------------------------------------------------------------------------------- command line


def commands() -> st.SearchStrategy:
    odd = st.text(st.characters(exclude_characters="/\0~", exclude_categories=["Cs"]), max_size=10) | st.sampled_from(
        [
            "-1", "0", "nan", "1e9", "99999999999999999999", "--", "-", "--help", "folder:", "folder:nowhere",
            "folder:.", "model.pt", "result.json", "a=b", "n=0", "é", "pneumonia4x", "name=x", "root=1", "size=3",
            "progress=1",
        ]
    )
    option = st.sampled_from(
        [
            "n=20", "n=4", "n=0", "n=-1", "n=1e3", "n=100000000000", "n=true", "n=[]", "n=null", "seed=-1", "seed=x",
            "classes=x", "classes=[]", 'classes=["normal"]', 'classes=["normal","viral"]', "size=3", "root=1",
            "name=x", "progress=0", "workers=0", "workers=100000", "age=old", "shift=nan", "label_noise=2",
            "confounder={}", "confounder=[1]", 'confounder={"marker":{"normal":7}}', "patient=(", "a=b", "=", "n",
            "n=" + "[" * 20_000, "n=" + "9" * 9000, "lesion_contrast=1e400", "bedside=x", "label_noise=NaN",
        ]
    )

    def words(command, *known):
        more = st.lists(st.one_of(*known, st.tuples(odd), st.tuples(st.just("-o"), option | odd)), max_size=4)
        return more.map(lambda parts: [*command, *(str(word) for part in parts for word in part)])

    size = st.tuples(st.just("--size"), odd | st.sampled_from([32, 16, 31, 33, 100_000, 0]))
    root = st.tuples(st.just("--root"), odd | st.just("."))
    seed = st.tuples(st.just("--seed"), odd | st.integers(-2, 3))
    return st.one_of(
        words(
            ["data", "phantom", "--size", "32", "-o", "n=12"], size, root, st.just(("--json",)),
            st.tuples(st.just("--html"), odd),
        ),
        words(["data", "folder:."], size, root, st.just(("-o", "n=12")), st.just(("--json",))),
        words(
            ["data", "-o", "n=12"],
            st.tuples(st.sampled_from(["folder:", "phantoms", "pneumonia", "", "folder:model.pt"])), root,
        ),
        words(
            ["train", "--quiet", "--epochs", "1", "--model", "CPF", "--size", "32", "--out", "out", "-o", "n=30"],
            size, seed, root, st.tuples(st.just("--model"), _LETTERS), st.tuples(st.just("--recipe"), odd),
            st.tuples(st.just("--lr"), odd), st.tuples(st.just("--batch-size"), odd),
            st.tuples(st.just("--protocol"), odd | st.just("val10")), st.tuples(st.just("--by"), odd),
            st.tuples(st.just("--data"), odd), st.tuples(st.just("--record"), odd),
        ),
        words(
            ["evaluate", "model.pt", "--quiet", "-o", "n=12"], root, st.tuples(st.just("--threshold"), odd),
            st.tuples(st.just("--split"), odd), st.tuples(st.just("--out"), odd), st.tuples(st.just("--data"), odd),
        ),
        words(
            ["grade"], st.tuples(odd, odd),
            st.tuples(st.just("03"), st.sampled_from([".", "model.pt", "result.json", "nowhere"])),
            st.tuples(st.just("--course"), st.just(str(ROOT))),
            st.tuples(st.just("--roster"), st.just("result.json") | odd), seed,
        ),
        words(
            ["reproduce", "--list"], st.tuples(odd), st.tuples(st.just("--row"), odd),
            st.tuples(st.sampled_from(["A", "all", "F"])),
        ),
        words(["recipes"], st.tuples(odd)), words([], st.tuples(odd), st.tuples(odd)),
    ).filter(lambda args: "--unsafe" not in args and "--dask" not in args)


def run_command(case: bytes, folder: Path) -> None:
    from click.testing import CliRunner

    from cxrlib.cli import main

    args = json.loads(case)
    (folder / "model.pt").write_bytes(checkpoint_files()[0][0])
    (folder / "result.json").write_text("{}")
    done = CliRunner().invoke(main, args)
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    if done.exit_code:
        raise click.ClickException(done.stderr.strip())


TARGETS: dict[str, Target] = {
    target.name: target
    for target in (
        Target("image", 300, run_image, make_image), Target("dicom", 180, run_dicom, make_dicom),
        Target("folder", 50, run_folder, make_folder, answers=(ValueError, FileNotFoundError)),
        Target("checkpoint", 70, run_checkpoint, make_checkpoint, names="model.pt"),
        Target("training", 25, run_training, make_training, names="training.pt"),
        Target("intake", 80, run_intake, make_intake, names="export"),
        Target("notebook", 100, run_notebook, strategy=notebooks),
        Target("roster", 80, run_roster, strategy=rosters, names="roster.csv"),
        Target("resume", 50, run_resume, make_resume, names="graded"), Target("frame", 60, run_frame, make_frame),
        Target("records", 50, run_records, make_records, names="record-chest_xray-seed0.json"),
        Target("reproduce", 15, run_reproduce, make_reproduce), Target("layers", 50, run_layers, strategy=layers),
        Target("recipe", 50, run_recipe, strategy=recipes), Target("report", 40, run_report, strategy=reports),
        Target("command", 25, run_command, strategy=commands, answers=(click.ClickException,)),
    )
}
