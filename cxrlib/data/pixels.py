"""What reading any kind of image file needs: limits, the reason why not, and the gray square that comes out."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from PIL import Image

MAX_PIXELS = 100_000_000
MAX_BYTES = 500_000_000  # of one file
#: A file of more than 10 megapixels with more pixels than this for each of its bytes is a decompression bomb.
#: An X-ray has less than 400 even as WebP of the lowest quality, and about 10 as PNG.
MAX_RATIO = 500
#: DICOM files without the usual 128 bytes and the letters DICM in front begin with one of these elements.
_BARE = (b"\x02\0\0\0UL\4\0", *(b"\x08\0" + tag for tag in (b"\0\0", b"\1\0", b"\5\0", b"\x08\0", b"\x16\0")))


class BadImage(ValueError):
    """An image file that cannot be used; the message is the reason, in words for a student."""


class Picture(NamedTuple):
    """A decoded image: pixels, uint8 (size, size); width and height in the file; sentences on what was odd about it."""

    pixels: np.ndarray
    width: int
    height: int
    notes: tuple[str, ...] = ()


def is_dicom(content: bytes) -> bool:
    """Tell whether these bytes begin like a DICOM file: 132 of them are enough."""
    return content[128:132] == b"DICM" or content.startswith(_BARE)


def refuse_bomb(width: int, height: int, packed: int) -> None:
    """Raise BadImage for an image that is too large, or large and made of nothing. packed: bytes of its file."""
    if width * height > MAX_PIXELS:
        raise BadImage(f"larger than {MAX_PIXELS // 1_000_000} megapixels ({width} x {height})")
    if width * height > max(10_000_000, MAX_RATIO * packed):
        what = f"unpacks to {width} x {height} pixels from {packed:,} bytes"
        raise BadImage(f"{what} (a decompression bomb), so it was not read")


def square(image: Image.Image, size: int) -> np.ndarray:
    """Squeeze a gray image to uint8 (size, size)."""
    if image.size != (size, size):
        image = image.resize((size, size), Image.Resampling.BILINEAR, reducing_gap=3.0)
    return np.asarray(image, dtype=np.uint8)


def strips(shape: tuple[int, int]) -> Iterator[slice]:
    """Give the rows of the parts that a large image (H, W) is computed in, to save memory."""
    rows = max(1, 4_000_000 // max(1, shape[1]))
    return (slice(top, min(top + rows, shape[0])) for top in range(0, shape[0], rows))
