"""One image file in, one gray square out: uint8 (size, size), or the reason why not."""

from __future__ import annotations

import codecs
import io
import os
import warnings
from contextlib import suppress

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from . import dicom
from .pixels import MAX_PIXELS, BadImage, Picture, is_dicom, refuse_bomb, square, strips

#: Raise this number when the pixels that ``decode`` returns change: it is part of the key of the cache.
DECODE_VERSION = 2

# An explicit list: Pillow would also open formats that run other programs (EPS starts Ghostscript).
_FORMATS = ("JPEG", "PNG", "BMP", "TIFF", "WEBP", "GIF", "PPM", "JPEG2000")
_SUBFILE, _PHOTOMETRIC, _SAMPLE_FORMAT = 254, 262, 339  # tags of a TIFF file
_ORIENTATION = 0x0112


def decode(content: bytes, size: int) -> tuple[np.ndarray, int, int]:
    """Decode one image file to a gray square.

    Color and palette images become luminance; transparent ones are laid over black (a picture that is transparent
    nearly everywhere is shown as if it were not); 16-bit, 32-bit and float images are scaled linearly from their own
    minimum..maximum to 0..255; the orientation that the file asks for is obeyed; DICOM files are read as
    ``read_dicom`` reads them. The image is squeezed to a square, not cropped. What is odd about a file gives a
    warning; BadImage, a ValueError, tells why one cannot be read.

    Returns the pixels, uint8 (size, size), and width and height of the picture in the file.
    """
    picture = read_picture(content, size)
    for note in picture.notes:
        warnings.warn(note, stacklevel=2)
    return picture[:3]


def read_picture(content: bytes, size: int) -> Picture:
    """Decode one image file as ``decode`` does; what it would warn of is in ``.notes``."""
    if not content:
        raise BadImage("the file is empty (0 bytes)")
    if is_dicom(content):
        gray, notes = dicom.read(content)
        return Picture(square(Image.fromarray(gray), size), *gray.shape[::-1], notes)
    try:
        with Image.open(io.BytesIO(content), formats=_FORMATS) as image:
            refuse_bomb(*image.size, len(content))
            return _to_gray(image, size)
    except BadImage:
        raise
    except UnidentifiedImageError:
        raise BadImage(what_is_it(content)) from None
    except Image.DecompressionBombError:
        raise BadImage(f"larger than {MAX_PIXELS // 1_000_000} megapixels") from None
    except MemoryError:
        raise BadImage("too large for the memory of this machine") from None
    except Exception as error:  # Pillow's readers raise many types on damaged files
        if "truncated" in str(error).lower():
            raise BadImage("the file is cut off (truncated); download or copy it again") from None
        raise BadImage(f"the file is damaged, or of a rare kind ({str(error) or type(error).__name__})") from None


def is_image(path: str | os.PathLike) -> bool:
    """Tell whether a file begins like an image that can be read, whatever its name says."""
    with suppress(Exception), open(path, "rb") as file, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if not is_dicom(file.read(132)):
            file.seek(0)
            Image.open(file, formats=_FORMATS)
        return True
    return False


def what_is_it(content: bytes) -> str:
    """Say what a file that is not an image is, by its first bytes."""
    head = content[:512]
    if head.startswith(b"version https://git-lfs"):
        return "is a Git LFS pointer, not the image; run `git lfs pull`"
    if head.startswith((b"\x1f\x8b", b"PK\x03\x04", b"Rar!", b"7z\xbc\xaf")):
        return "is an archive, not an image; unpack it"
    if head.startswith((b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")):
        return "is a TIFF file of a kind that Pillow cannot read; save it as PNG with 8 or 16 bits"
    if head[4:8] == b"ftyp" and head[8:12] in (b"heic", b"heix", b"heif", b"mif1", b"msf1", b"avif"):
        return "is a HEIC or AVIF picture, as phones take them, which is not read; export it as PNG or JPEG"
    with suppress(UnicodeDecodeError):
        text = codecs.getincrementaldecoder("utf-8")().decode(head)  # which takes a letter cut in two at the end
        if all(c.isprintable() or c.isspace() for c in text):
            return "is a text file, not an image, whatever its name says"
    return "is neither an image that Pillow can read nor a DICOM file, or its header is damaged"


def _to_gray(image: Image.Image, size: int) -> Picture:
    frames = getattr(image, "n_frames", 1)
    # Phones keep a preview or a depth map behind the picture (MPO); a TIFF file may keep smaller copies of it.
    if frames > 1 and image.format != "MPO" and not _only_copies(image, frames):
        raise BadImage(f"holds {frames} frames (animated or several pages); save one frame as its own file")
    if image.mode in ("CMYK", "LAB", "HSV"):
        raise BadImage(f"has {image.mode} colors, made for printing; save it as a gray or RGB image")
    width, height = image.size
    if image.format in ("JPEG", "MPO") and image.mode in ("L", "RGB", "YCbCr"):
        # The decoder itself halves large images and can return luminance only; 2 x size keeps the resize clean.
        image.draft("L", (2 * size, 2 * size))
    image.load()  # which turns a TIFF image as its orientation asks
    with suppress(Exception):  # damaged EXIF data says nothing about the pixels
        if image.getexif().get(_ORIENTATION) in (5, 6, 7, 8):
            width, height = height, width
        ImageOps.exif_transpose(image, in_place=True)
    gray, notes = _gray8(image)
    return Picture(square(gray, size), width, height, notes)


def _only_copies(image: Image.Image, frames: int) -> bool:
    """Tell whether all pages of a TIFF file but the first are copies of it in a lower resolution."""
    if image.format != "TIFF" or frames > 16:
        return False
    reduced = []
    for page in range(1, frames):
        image.seek(page)
        reduced.append(bool(image.tag_v2.get(_SUBFILE, 0) & 1))
    image.seek(0)
    return all(reduced)


def _gray8(image: Image.Image) -> tuple[Image.Image, tuple[str, ...]]:
    mode, tags = image.mode, getattr(image, "tag_v2", {})
    if mode == "L" and tags.get(_SAMPLE_FORMAT) in ((2,), 2):  # Pillow passes over the sign of 8 bits
        return Image.fromarray(_stretch(np.asarray(image).view(np.int8))), ()
    if mode == "L" and "transparency" not in image.info:
        return image, ()
    if mode.startswith("I") or mode == "F":
        values = np.asarray(image)
        if values.dtype == np.int32 and tags.get(_SAMPLE_FORMAT, (1,)) in ((1,), 1) and mode == "I" and tags:
            values = values.view(np.uint32)
        gray = _stretch(values)
        # Pillow inverts WhiteIsZero for 8 bits and less only.
        return Image.fromarray(255 - gray if tags.get(_PHOTOMETRIC) == 0 else gray), ()
    if "A" in mode or "a" in mode or "transparency" in image.info:
        return _over_black(image)
    return image.convert("RGB").convert("L") if mode == "P" else image.convert("L"), ()


def _over_black(image: Image.Image) -> tuple[Image.Image, tuple[str, ...]]:
    gray, bare, alpha = (Image.new("L", image.size) for _ in range(3))
    for rows in strips(image.size[::-1]):
        part = image.crop((0, rows.start, image.width, rows.stop)).convert("RGBA")
        black = Image.new("RGBA", part.size, (0, 0, 0, 255))
        gray.paste(Image.alpha_composite(black, part).convert("L"), (0, rows.start))
        bare.paste(part.convert("RGB").convert("L"), (0, rows.start))
        alpha.paste(part.getchannel("A"), (0, rows.start))
    opaque, (low, high), (faintest, strongest) = sum(alpha.histogram()[128:]), bare.getextrema(), alpha.getextrema()
    if low == high and faintest < strongest:
        return gray, ("the picture is a single gray: what it shows may lie in its transparency, which is not read",)
    if 100 * opaque < image.width * image.height and low < high:
        where = "nearly everywhere" if opaque else "everywhere"
        return bare, (f"the picture is transparent {where}; its colors are shown without the transparency",)
    return gray, ()


def _stretch(values: np.ndarray) -> np.ndarray:
    low, high = float(values.min()), float(values.max())
    if not np.isfinite([low, high]).all():  # one NaN makes both NaN
        raise BadImage("holds values that are not numbers (NaN or infinite)")
    gray = np.zeros(values.shape, np.uint8)
    if high > low:
        for part in strips(values.shape):
            gray[part] = np.rint((values[part].astype(np.float64) - low) * (255.0 / (high - low)))
    return gray
