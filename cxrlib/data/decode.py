"""One image file in, one gray square out: uint8 (size, size), or the reason why not."""

import io
from collections.abc import Iterator
from contextlib import suppress

import numpy as np
from PIL import Image, UnidentifiedImageError

MAX_PIXELS = 100_000_000
MAX_BYTES = 500_000_000  # of one file
#: A file of more than 10 megapixels with more pixels than this for each of its bytes is a decompression bomb.
#: An X-ray has less than 400 even as WebP of the lowest quality, and about 10 as PNG.
MAX_RATIO = 500
#: Raise this number when the pixels that `decode` returns change: it is part of the key of the cache.
DECODE_VERSION = 1

# An explicit list: Pillow would also open formats that run other programs (EPS starts Ghostscript).
_FORMATS = ("JPEG", "PNG", "BMP", "TIFF", "WEBP", "GIF", "PPM", "JPEG2000")
_ORIENTATION = 0x0112  # the EXIF tag, and what to do for each of its values
_TURN = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_SWAPS = {_TURN[5], _TURN[6], _TURN[7], _TURN[8]}


class BadImage(ValueError):
    """An image file that cannot be used; the message is the reason, in words for a student."""


def decode(content: bytes, size: int) -> tuple[np.ndarray, int, int]:
    """Decode one image file to a gray square.

    content: the bytes of the file. size: edge of the result in pixels.
    Color and palette images become luminance; transparent ones are laid over black; 16-bit and float images
    are scaled linearly from their own minimum..maximum to 0..255; DICOM files are read as `read_dicom` reads
    them. The image is squeezed to a square, not cropped.

    Returns the pixels, uint8 (size, size), and the width and height of the file in pixels.
    Raises BadImage with a readable reason.
    """
    if not content:
        raise BadImage("the file is empty (0 bytes)")
    if is_dicom(content):
        return _decode_dicom(content, size)
    try:
        with Image.open(io.BytesIO(content), formats=_FORMATS) as image:
            refuse_bomb(*image.size, len(content))
            return _to_gray(image, size)
    except BadImage:
        raise
    except UnidentifiedImageError:
        raise BadImage(_what_is_it(content)) from None
    except Image.DecompressionBombError:
        raise BadImage(f"larger than {MAX_PIXELS // 1_000_000} megapixels") from None
    except MemoryError:
        raise BadImage("too large for the memory of this machine") from None
    except Exception as error:
        # Pillow's readers raise many types on damaged files (OSError, SyntaxError, struct.error, IndexError
        # ...).
        text = str(error)
        if "truncated" in text.lower():
            raise BadImage("the file is cut off (truncated); download or copy it again") from None
        raise BadImage(f"the file is damaged ({text or type(error).__name__})") from None


def _decode_dicom(content: bytes, size: int) -> tuple[np.ndarray, int, int]:
    from .dicom import read_dicom  # it needs this module

    gray = read_dicom(content)
    height, width = gray.shape
    return square(Image.fromarray(gray), size), width, height


def is_dicom(content: bytes) -> bool:
    """Whether these bytes begin like a DICOM file: 128 bytes of anything, then the letters DICM."""
    return content[128:132] == b"DICM"


def refuse_bomb(width: int, height: int, packed: int) -> None:
    """Raise BadImage for an image that is too large, or large and made of nothing. packed: bytes of its file."""
    if width * height > MAX_PIXELS:
        raise BadImage(f"larger than {MAX_PIXELS // 1_000_000} megapixels ({width} x {height})")
    if width * height > max(10_000_000, MAX_RATIO * packed):
        raise BadImage(
            f"unpacks to {width} x {height} pixels from {packed:,} bytes (a decompression bomb), so it was not read"
        )


def square(image: Image.Image, size: int) -> np.ndarray:
    """A gray image, squeezed to uint8 (size, size)."""
    if image.size != (size, size):
        image = image.resize((size, size), Image.Resampling.BILINEAR, reducing_gap=3.0)
    return np.asarray(image, dtype=np.uint8)


def _to_gray(image: Image.Image, size: int) -> tuple[np.ndarray, int, int]:
    width, height = image.size
    frames = getattr(image, "n_frames", 1)
    if frames > 1:
        raise BadImage(f"holds {frames} frames (animated or several pages); save one frame as its own file")
    if image.mode in ("CMYK", "LAB", "HSV"):
        raise BadImage(f"has {image.mode} colors, made for printing; save it as a gray or RGB image")
    turn = None
    with suppress(Exception):  # damaged EXIF data says nothing about the pixels
        turn = _TURN.get(image.getexif().get(_ORIENTATION))
    if image.format == "JPEG" and image.mode in ("L", "RGB", "YCbCr"):
        # The JPEG decoder itself halves large images and can return luminance only; 2 x size keeps the resize
        # clean.
        image.draft("L", (2 * size, 2 * size))
    image.load()
    image = _gray8(image)
    if turn is not None:
        image = image.transpose(turn)
        if turn in _SWAPS:
            width, height = height, width
    return square(image, size), width, height


def _gray8(image: Image.Image) -> Image.Image:
    mode = image.mode
    if mode == "L" and "transparency" not in image.info:
        return image
    if mode.startswith("I") or mode == "F":
        return Image.fromarray(_stretch(np.asarray(image)))
    if "A" in mode or "a" in mode or "transparency" in image.info:
        gray = Image.new("L", image.size)
        for top, bottom in strips(*image.size):
            part = image.crop((0, top, image.width, bottom)).convert("RGBA")
            black = Image.new("RGBA", part.size, (0, 0, 0, 255))
            gray.paste(Image.alpha_composite(black, part).convert("L"), (0, top))
        return gray
    return image.convert("RGB").convert("L") if mode == "P" else image.convert("L")


def strips(width: int, height: int) -> Iterator[tuple[int, int]]:
    """Rows (first, behind the last) of the parts that a large image is computed in, so that it needs little memory."""
    rows = max(1, 4_000_000 // max(1, width))
    return ((top, min(top + rows, height)) for top in range(0, height, rows))


def _stretch(values: np.ndarray) -> np.ndarray:
    low, high = float(values.min()), float(values.max())
    if not np.isfinite([low, high]).all():  # one NaN makes both NaN
        raise BadImage("holds values that are not numbers (NaN or infinite)")
    gray = np.zeros(values.shape, np.uint8)
    if high > low:
        for top, bottom in strips(*values.shape[::-1]):
            part = values[top:bottom].astype(np.float64)
            gray[top:bottom] = np.rint((part - low) * (255.0 / (high - low)))
    return gray


def _what_is_it(content: bytes) -> str:
    head = content[:512]
    if head.startswith(b"version https://git-lfs"):
        return "is a Git LFS pointer, not the image; run `git lfs pull`"
    if head.startswith(b"\x1f\x8b") or head.startswith(b"PK\x03\x04"):
        return "is an archive, not an image; unpack it"
    try:
        text = head.decode("utf-8")
    except UnicodeDecodeError:
        text = "\0"
    if all(c.isprintable() or c.isspace() for c in text):
        return "is a text file, not an image, whatever its name says"
    return "is neither an image that Pillow can read nor a DICOM file, or its header is damaged"
