"""Images: small files of every format, damaged, and headers that promise a picture of any size."""

from __future__ import annotations

import functools
import io
import random
import struct
import zlib
from pathlib import Path

from .damage import mutate, zeros


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
        (gray, "PNG", {}),
        (gray.convert("RGB"), "PNG", {}),
        (see_through, "PNG", {}),
        (deep16, "PNG", {}),
        (gray.convert("LA"), "PNG", {}),
        (gray.convert("1"), "PNG", {}),
        (palette, "PNG", {"transparency": 0}),
        (gray, "PNG", {"save_all": True, "append_images": [gray.rotate(90)]}),
        (gray, "JPEG", {}),
        (gray.convert("RGB"), "JPEG", {"exif": exif}),
        (gray.convert("CMYK"), "JPEG", {}),
        (gray.convert("RGB"), "JPEG", {"progressive": True, "quality": 30}),
        (gray, "BMP", {}),
        (palette, "BMP", {}),
        (gray.convert("1"), "BMP", {}),
        (see_through, "BMP", {}),
        (palette, "GIF", {}),
        (palette, "GIF", {"save_all": True, "append_images": [palette.rotate(90)] * 3}),
        *(
            (image, "TIFF", {"compression": how})
            for image in (gray, deep16, palette, see_through)
            for how in ("raw", "tiff_lzw", "tiff_adobe_deflate", "packbits")
        ),
        (gray.convert("RGB"), "TIFF", {"compression": "jpeg"}),
        (gray.convert("F"), "TIFF", {}),
        (gray.convert("I"), "TIFF", {}),
        (gray, "TIFF", {"save_all": True, "append_images": [gray] * 3}),
        (gray.convert("1"), "TIFF", {"compression": "group4"}),
        (gray.convert("RGB"), "WEBP", {}),
        (see_through, "WEBP", {"lossless": True}),
        (gray.convert("RGB"), "WEBP", {"save_all": True, "append_images": [gray.convert("RGB").rotate(90)]}),
        (gray, "PPM", {}),
        (gray.convert("RGB"), "PPM", {}),
        (gray.convert("1"), "PPM", {}),
        (deep16, "PPM", {}),
        (gray.convert("F"), "PPM", {}),
        (gray, "JPEG2000", {}),
        (see_through, "JPEG2000", {"irreversible": True}),
        (deep16, "JPEG2000", {}),
        (gray, "TGA", {}),
        (gray, "PCX", {}),
        (gray, "EPS", {}),
        (gray, "PDF", {}),
    ]
    found = []
    for image, kind, options in plan:
        buffer = io.BytesIO()
        image.save(buffer, kind, **options)
        found.append(buffer.getvalue())
    found += [
        b"P2 3 2 255\n1 2 3 4 5 6\n",
        b"P1 3 2\n101010",
        b"P3 1 1 7 1 2 3",
        b"Pf\n2 1\n-1.0\n" + bytes(8),
        b"P7\nWIDTH 2\nHEIGHT 2\nDEPTH 1\nMAXVAL 255\nTUPLTYPE GRAYSCALE\nENDHDR\n1234",
        b"text, not an image\n",
        b"version https://git-lfs.github.com/spec/v1\n",
        b"<svg xmlns='http://www.w3.org/2000/svg'/>",
    ]
    return found


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png(
    width: int, height: int, bits: int = 8, color: int = 0, pixels: bytes | None = None, more: bytes = b""
) -> bytes:
    """Return a PNG whose header may promise anything."""
    pixels = zlib.compress(b"\0" * 1000) if pixels is None else pixels
    head = struct.pack(">IIBBBBB", width, height, bits, color, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", head) + more + _chunk(b"IDAT", pixels) + _chunk(b"IEND", b"")


def image_bomb(rng: random.Random) -> bytes:
    """Return a small file that says it is a large image, and one that is."""
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
                (256, 4, 1, w),
                (257, 4, 1, h),
                (258, 3, 1, rng.choice((1, 8, 16, 32))),
                (259, 3, 1, rng.choice((1, 5, 8, 32773))),
                (262, 3, 1, 1),
                (273, 4, rng.choice((1, 2**30)), 8),
                (278, 4, 1, h),
                (279, 4, 1, w),
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
    """Draw an image file."""
    kind, files = rng.random(), image_files()
    if kind < 0.05:
        return image_bomb(rng)
    if kind < 0.1:
        return rng.choice(files)[: rng.choice((2, 4, 12))] + rng.randbytes(rng.randrange(200))
    return mutate(rng.choice(files), rng, files)


def run_image(case: bytes, folder: Path) -> None:
    """Decode it."""
    from cxrlib.data.decode import decode

    pixels, width, height = decode(case, 32)
    assert pixels.shape == (32, 32) and pixels.dtype == "uint8" and width > 0 and height > 0


def make_tiff(rng: random.Random) -> bytes:
    """Make a TIFF file of tags that do not belong together: depth, photometric kind, planes, orientation, pages."""
    width, height, samples = rng.choice((1, 7, 16)), rng.choice((1, 9, 16)), rng.choice((1, 1, 1, 2, 3, 4))
    bits = rng.choice((1, 4, 8, 8, 12, 16, 16, 32, 64))
    data = rng.randbytes(max(1, width * height * samples * bits // 8 - rng.choice((0, 0, 0, 5))))
    tags = {256: width, 257: height, 258: bits, 259: rng.choice((1, 1, 1, 5, 8, 32773, 7, 34712))}
    tags |= {262: rng.choice((0, 1, 0, 1, 2, 3, 4, 5, 6, 8, 32844)), 273: 8, 277: samples, 278: height, 279: len(data)}
    for tag, values in (
        (274, range(10)),
        (284, (1, 2)),
        (339, (1, 2, 3, 4)),
        (338, (0, 1, 2)),
        (266, (1, 2)),
        (254, (0, 1)),
    ):
        if rng.random() < 0.4:
            tags[tag] = rng.choice(values)
    if rng.random() < 0.7:  # plain apart from this
        tags |= {258: rng.choice((8, 16, 32)), 259: 1, 262: rng.choice((0, 1)), 277: 1, 279: len(data), 284: 1}
        tags = {tag: value for tag, value in tags.items() if tag != 338}
    if rng.random() < 0.1:
        del tags[rng.choice(list(tags))]
    order = rng.choice("<>")
    pages = rng.choice((1, 1, 1, 2, 3))
    body = b"".join(struct.pack(f"{order}HHII", tag, 4, 1, value) for tag, value in sorted(tags.items()))
    file = {"<": b"II", ">": b"MM"}[order] + struct.pack(f"{order}HI", 42, 8 + len(data)) + data
    for page in range(pages):
        after = len(file) + 2 + len(body) + 4 if page < pages - 1 else 0
        file += struct.pack(f"{order}H", len(tags)) + body + struct.pack(f"{order}I", after)
    return file
