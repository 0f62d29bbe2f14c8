"""DICOM: the gray picture that a viewer would show, and of the rest as little as possible."""

from __future__ import annotations

import io
import os
import warnings
import zlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from numbers import Real
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from .decode import MAX_BYTES, MAX_RATIO, BadImage, is_dicom, refuse_bomb, square, strips

FUNCTIONS = ("LINEAR", "LINEAR_EXACT", "SIGMOID")
# Only these elements are read for a picture: names, dates and numbers of the patient never leave the file.
_READ = [
    "Rows",
    "Columns",
    "SamplesPerPixel",
    "PhotometricInterpretation",
    "PlanarConfiguration",
    "NumberOfFrames",
    "BitsAllocated",
    "BitsStored",
    "HighBit",
    "PixelRepresentation",
    "PixelData",
    "FloatPixelData",
    "DoubleFloatPixelData",
    "ExtendedOffsetTable",
    "ExtendedOffsetTableLengths",
    "PixelPaddingValue",
    "PixelPaddingRangeLimit",
    "RescaleSlope",
    "RescaleIntercept",
    "ModalityLUTSequence",
    "WindowCenter",
    "WindowWidth",
    "VOILUTFunction",
    "VOILUTSequence",
    "BurnedInAnnotation",
]


def window(
    pixels, center: float, width: float, function: str = "LINEAR", low: float = 0.0, high: float = 255.0
) -> np.ndarray:
    """Apply a window: values around ``center`` are spread over low..high, all others become low or high.

    Parameters
    ----------
    pixels : array of any shape, after the rescale slope and intercept.
    center, width : in the units of ``pixels``.
    function : "LINEAR" (width at least 1), "LINEAR_EXACT" or "SIGMOID" (width above 0).
    low, high : the range of the result.

    Returns
    -------
    ndarray, float64, of the same shape.

    Source: DICOM PS3.3, C.11.2.1.2 (Window Center and Window Width) and C.11.2.1.3 (VOI LUT Function). LINEAR is not
    symmetric about the center: it runs from center - 0.5 - (width - 1) / 2 to center - 0.5 + (width - 1) / 2.

    Raises
    ------
    ValueError
        An unknown function, or a width that it does not allow.
    """
    if function not in FUNCTIONS:
        raise ValueError(f"function must be one of {', '.join(FUNCTIONS)}, got {function!r}")
    smallest = "at least 1" if function == "LINEAR" else "above 0"
    if not np.isfinite([center, width]).all() or (width < 1 if function == "LINEAR" else width <= 0):
        raise ValueError(
            f"the window of {function} needs a finite center and a width {smallest}, got center "
            f"{center!r} and width {width!r}"
        )
    x = np.asarray(pixels, dtype=float)
    if function == "SIGMOID":
        with np.errstate(over="ignore"):  # exp of a large number is infinite and gives low, which is right
            return (high - low) / (1 + np.exp(-4 * (x - center) / width)) + low
    if function == "LINEAR":
        center, width = center - 0.5, width - 1
    if width == 0:  # a step: everything above the center is high
        return np.where(x > center, high, low).astype(float)
    return np.clip((x - center) / width + 0.5, 0, 1) * (high - low) + low


def read_dicom(source, *, window: tuple[float, float] | str | None = None, size: int | None = None) -> np.ndarray:
    """Read one gray DICOM image as a viewer would show it: uint8 (H, W), 0 black, 255 white.

    Parameters
    ----------
    source : a path, or the bytes of the file.
    window : None uses what the file asks for: its VOI lookup table, else its first window, else all values from the
        lowest to the highest. "full" is lowest to highest in any case. (center, width) is a linear window of your own,
        in rescaled units.
    size : squeeze the image to (size, size), as ``cxr.load`` does. None keeps rows and columns.

    Returns
    -------
    ndarray, uint8 (H, W) or (size, size)
        Rescale slope and intercept (or the modality lookup table) are applied, then the window; MONOCHROME1, where
        small values are bright, is turned round; padding is black. Only the pixels and what is needed to show them are
        read: no name, number or date. Letters that are burned into the picture stay in it; a file that says it has
        some gives a warning.

    Raises
    ------
    BadImage (a ValueError)
        With the reason and the remedy: not a DICOM file, no pixels, several frames, colors, a compression whose decoder
        is not installed, damaged data, more than 100 megapixels, an impossible window in the file.
    FileNotFoundError, ValueError
        No such file; an impossible ``window`` or ``size``.
    """
    asked = _check_window(window)
    if size is not None and (isinstance(size, bool) or not isinstance(size, int) or not 8 <= size <= 4096):
        raise ValueError(f"size must be a whole number of pixels from 8 to 4096, or None; got {size!r}")
    try:
        import pydicom
        from pydicom.errors import InvalidDicomError
    except ImportError:
        raise BadImage(
            "it is a DICOM file, and reading these needs the package pydicom 3 (pip install pydicom), or "
            "export it as PNG"
        ) from None
    content = source if isinstance(source, bytes | bytearray) else _content(Path(os.fspath(source)))
    try:
        _refuse_inflated(content)
        file = pydicom.dcmread(io.BytesIO(content), specific_tags=_READ)
        gray = _shown(file, _stored(file, len(content)), asked)
    except BadImage:
        raise
    except InvalidDicomError:
        raise BadImage("is not a DICOM file: the letters DICM are missing after the first 128 bytes") from None
    except MemoryError:
        raise BadImage("too large for the memory of this machine") from None
    except Exception as error:  # pydicom raises many types; their texts may quote the file, so they are left out
        raise BadImage(
            f"the DICOM file cannot be read, it is damaged or unusual ({type(error).__name__}); copy it "
            "again, or export it as PNG"
        ) from None
    if file.get("BurnedInAnnotation") == "YES":
        warnings.warn(
            "The file says that text is burned into its picture: it may name the patient. Look before you "
            "show it to anybody.",
            stacklevel=2,
        )
    return gray if size is None else square(Image.fromarray(gray), size)


class Header(NamedTuple):
    """patient: the PatientID, b"" where the file has none. It names a person: compare it, and keep it nowhere.
    burned_in: whether the file says that text is burned into its picture."""

    patient: bytes
    burned_in: bool


def read_header(content: bytes) -> Header:
    """Who and what to look out for, of the bytes of a DICOM file. Damaged files give Header(b"", False)."""
    with suppress(Exception):  # read_dicom says what is wrong with a file
        import pydicom

        _refuse_inflated(content)
        file = pydicom.dcmread(
            io.BytesIO(content), stop_before_pixels=True, specific_tags=["PatientID", "BurnedInAnnotation"]
        )
        element = file.get_item("PatientID")  # as it stands in the file: pydicom's checks may quote what they read
        value = (element.value if element else None) or b""
        value = value if isinstance(value, bytes) else str(value).encode()
        return Header(value.strip(b" \0"), file.get("BurnedInAnnotation") == "YES")
    return Header(b"", False)


def decoders() -> list[list[str]]:
    """The compressions that can be read here: name, and the packages that read it. [] without pydicom."""
    found = []
    with suppress(ImportError):
        from pydicom.pixels import get_decoder
        from pydicom.uid import AllTransferSyntaxes

        for syntax in AllTransferSyntaxes:
            with suppress(NotImplementedError):
                if syntax.is_encapsulated and get_decoder(syntax).is_available:
                    found.append([syntax.name, *get_decoder(syntax).available_plugins])
    return found


def _check_window(asked):
    if asked is None or (isinstance(asked, str) and asked == "full"):
        return asked
    pair = tuple(asked) if isinstance(asked, tuple | list) else ()
    if len(pair) != 2 or not all(isinstance(v, Real) and np.isfinite(v) for v in pair) or pair[1] < 1:
        raise ValueError(f'window must be None, "full" or (center, width) with a width of at least 1; got {asked!r}')
    return pair


def _content(path: Path) -> bytes:
    if path.is_file() and path.stat().st_size > MAX_BYTES:
        raise BadImage(f"{path} is larger than {MAX_BYTES // 1_000_000} MB")
    return path.read_bytes()


def _refuse_inflated(content: bytes) -> None:
    """Raise BadImage for a file that is deflated as a whole and unpacks to far more: pydicom would unpack all of it."""
    from pydicom.filereader import read_dataset
    from pydicom.uid import DeflatedExplicitVRLittleEndian

    if not is_dicom(content):
        return
    stream = io.BytesIO(content)
    for implicit in (False, True):  # some programs write this part in the other way; pydicom reads both
        stream.seek(132)
        meta = read_dataset(stream, implicit, True, stop_when=lambda tag, *_: tag.group != 2)
        with suppress(NotImplementedError):
            if meta.get("TransferSyntaxUID") != DeflatedExplicitVRLittleEndian:
                return
            break
    most = max(50_000_000, min(MAX_BYTES, MAX_RATIO * len(content)))
    size, unpack, waiting = 0, zlib.decompressobj(-zlib.MAX_WBITS), stream.read()
    while waiting and not unpack.eof:
        size += len(unpack.decompress(waiting, 2**20))
        waiting = unpack.unconsumed_tail
        if size > most:
            raise BadImage(
                f"unpacks to more than {most // 1_000_000} MB from {len(content):,} bytes (a decompression "
                "bomb), so it was not read"
            )


def _stored(file, packed: int) -> np.ndarray:
    """The stored values (H, W); `packed` is the size of the file in bytes."""
    if not any(name in file for name in ("PixelData", "FloatPixelData", "DoubleFloatPixelData")):
        raise BadImage("the DICOM file holds no picture (no pixel data); it may be a report or an index")
    rows, columns = int(file.get("Rows") or 0), int(file.get("Columns") or 0)
    refuse_bomb(columns, rows, packed)
    frames = int(file.get("NumberOfFrames") or 1)
    if frames != 1:
        raise BadImage(f"the DICOM file holds {frames} frames, not one picture; save one frame as its own file")
    kind = file.get("PhotometricInterpretation")
    if int(file.get("SamplesPerPixel") or 1) != 1 or kind not in ("MONOCHROME1", "MONOCHROME2"):
        raise BadImage(
            f"the DICOM file is not a gray picture (PhotometricInterpretation {kind}); an X-ray is "
            "MONOCHROME1 or MONOCHROME2"
        )
    syntax = file.file_meta.TransferSyntaxUID
    return _decompressed(file, syntax) if syntax.is_encapsulated else file.pixel_array


def _decompressed(file, syntax) -> np.ndarray:
    from pydicom.pixels import get_decoder

    try:
        decoder = get_decoder(syntax)
    except NotImplementedError:
        raise BadImage(
            f"the DICOM file is compressed as {syntax.name}, which pydicom cannot read; export it as PNG, "
            "or uncompressed"
        ) from None
    # pydicom's words: "pylibjpeg - requires pylibjpeg>=2.0 and pylibjpeg-libjpeg>=2.1"
    needs = [text.partition(" - requires ")[2] for text in decoder.missing_dependencies]
    best = next((text for text in needs if text.startswith("pylibjpeg")), needs[0] if needs else "")
    remedy = "export it uncompressed or as PNG"
    if best:
        names = " ".join(name.partition(">=")[0] for name in best.split(" and "))
        remedy = f"`pip install {names}` and start Python again, or {remedy}"
    if not decoder.is_available:
        raise BadImage(
            f"the DICOM file is compressed as {syntax.name}, and no package that reads it is installed; " + remedy
        )
    _refuse_endless(file)
    try:
        return file.pixel_array
    except RuntimeError:  # every package that is installed gave up
        raise BadImage(
            f"the DICOM file is compressed as {syntax.name}, and {', '.join(decoder.available_plugins)} "
            f"cannot read it: it is damaged, or of a rare kind; {remedy}"
        ) from None


def _refuse_endless(file) -> None:
    """Raise BadImage for a JPEG 2000 file inside that has a box of length 0: pydicom 3.0 would look at it for ever."""
    from pydicom.encaps import generate_frames

    table = [file.get(name) for name in ("ExtendedOffsetTable", "ExtendedOffsetTableLengths")]
    offsets = tuple(table) if all(table) else None
    for frame in generate_frames(file.PixelData, number_of_frames=1, extended_offsets=offsets):
        at = 12 if frame.startswith(b"\0\0\0\x0cjP  ") else len(frame)
        while at < len(frame) and frame[at + 4 : at + 8] != b"jp2c":
            length = int.from_bytes(frame[at : at + 4], "big")
            if length == 0:
                raise BadImage("the DICOM file holds a damaged JPEG 2000 picture; copy it again, or export it as PNG")
            at += length


def _shown(file, stored: np.ndarray, asked) -> np.ndarray:
    """uint8 (H, W): windowed, the right way round, padding black."""
    show, gray = _display(file, stored, asked), np.zeros(stored.shape, np.uint8)
    for part in _parts(stored):
        shown = show(_rescaled(file, stored[part]))
        if file.PhotometricInterpretation == "MONOCHROME1":
            shown = 255 - shown
        gray[part] = np.where(_padding(file, stored[part]), 0, np.rint(shown))
    return gray


def _parts(stored: np.ndarray) -> Iterator[slice]:
    return (slice(*rows) for rows in strips(*stored.shape[::-1]))


def _rescaled(file, stored: np.ndarray) -> np.ndarray:
    from pydicom.pixels import apply_modality_lut

    values = np.asarray(apply_modality_lut(stored, file))
    if not np.isfinite(values).all():
        raise BadImage("holds values that are not numbers (NaN or infinite)")
    return values


def _display(file, stored: np.ndarray, asked) -> Callable[[np.ndarray], np.ndarray]:
    """The function from rescaled values to 0..255."""
    center, width = _first(file.get("WindowCenter")), _first(file.get("WindowWidth"))
    if isinstance(asked, tuple):
        return lambda values: window(values, *asked)
    if asked is None and file.get("VOILUTSequence"):
        return lambda values: _lookup(file, values)
    if asked is None and center is not None and width is not None:
        function = file.get("VOILUTFunction") or "LINEAR"
        try:
            window([], center, width, function)
        except ValueError as error:
            raise BadImage(
                f'the window in the DICOM file cannot be used ({error}); give window=(center, width) or window="full"'
            ) from None
        return lambda values: window(values, center, width, function)
    low, high = _range(file, stored)
    if high == low:
        return lambda values: np.zeros(values.shape)
    return lambda values: window(values, (low + high) / 2, high - low, "LINEAR_EXACT")


def _range(file, stored: np.ndarray) -> tuple[float, float]:
    """The lowest and the highest rescaled value of the picture; of the padding, where there is nothing else."""
    inside, everywhere = [], []
    for part in _parts(stored):
        values, padding = _rescaled(file, stored[part]), _padding(file, stored[part])
        everywhere += [values.min(), values.max()]
        if not padding.all():
            inside += [values[~padding].min(), values[~padding].max()]
    found = inside or everywhere
    return float(min(found)), float(max(found))


def _lookup(file, values: np.ndarray) -> np.ndarray:
    """The first VOI lookup table, scaled to 0..255."""
    from pydicom.pixels import apply_voi

    bits = int(file.VOILUTSequence[0].LUTDescriptor[2])
    found = apply_voi(np.rint(values).astype(np.int64), file, index=0)
    return np.clip(found * (255.0 / (2**bits - 1)), 0, 255)


def _padding(file, stored: np.ndarray) -> np.ndarray:
    """bool (H, W): pixels outside the picture, by the stored values."""
    value, limit = file.get("PixelPaddingValue"), file.get("PixelPaddingRangeLimit")
    if value is None:
        return np.zeros(stored.shape, bool)
    low, high = sorted((int(value), int(value if limit is None else limit)))
    return (stored >= low) & (stored <= high)


def _first(value) -> float | None:
    """A number, or the first of several alternatives."""
    if value is None or value == "":
        return None
    return float(value[0] if hasattr(value, "__len__") else value)
