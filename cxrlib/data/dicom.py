"""DICOM: the gray picture that a viewer would show, and of the rest as little as possible."""

from __future__ import annotations

import io
import os
import warnings
import zlib
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pydicom
from numpy.typing import ArrayLike
from pydicom import uid
from pydicom.encaps import generate_frames
from pydicom.filereader import read_dataset
from pydicom.pixels import get_decoder

from ..validate import number, one_of
from .pixels import MAX_BYTES, MAX_RATIO, BadImage, is_dicom, refuse_bomb, strips

FUNCTIONS = ("LINEAR", "LINEAR_EXACT", "SIGMOID")
#: The kinds of picture that a chest X-ray can be; SC is a scan or a screenshot, OT other.
_MODALITIES = ("CR", "DX", "DR", "RG", "RF", "XA", "SC", "OT")
#: What a picture says of itself when text may appear in it.
BURNED_IN = (
    "The file says that text is burned into its picture: it may name the patient. Look before you show it to anybody."
)
# Only these elements are read for a picture: names, dates and numbers of the patient never leave the file.
_READ = (
    "Modality Rows Columns SamplesPerPixel PhotometricInterpretation PlanarConfiguration NumberOfFrames BitsAllocated "
    "BitsStored HighBit PixelRepresentation PixelData FloatPixelData DoubleFloatPixelData ExtendedOffsetTable "
    "ExtendedOffsetTableLengths PixelPaddingValue PixelPaddingRangeLimit RescaleSlope RescaleIntercept "
    "ModalityLUTSequence WindowCenter WindowWidth VOILUTFunction VOILUTSequence PresentationLUTShape BurnedInAnnotation"
)
_OVERLAY_BIT = 0x60000102  # where an overlay is hidden in the unused bits of the pixels


def window(pixels: ArrayLike, center: float, width: float, function: str = "LINEAR") -> np.ndarray:
    """Apply a window: values around ``center`` are spread over 0..255, all others become 0 or 255.

    Parameters
    ----------
    pixels : array_like of any shape
        After the rescale slope and intercept.
    center, width : float
        In the units of ``pixels``. LINEAR needs a width of at least 1, the others one above 0.
    function : {"LINEAR", "LINEAR_EXACT", "SIGMOID"}
        As in DICOM PS3.3, C.11.2.1.2 (Window Center and Window Width) and C.11.2.1.3 (VOI LUT Function). LINEAR is not
        symmetric about the center: it runs from center - 0.5 - (width - 1) / 2 to center - 0.5 + (width - 1) / 2.

    Returns
    -------
    ndarray of float64, of the same shape
    """
    one_of("function", function, FUNCTIONS)
    number("center", center)
    number("width", width, int(function == "LINEAR"), open_low=function != "LINEAR")
    x = np.asarray(pixels, dtype=float)
    if function == "SIGMOID":
        with np.errstate(over="ignore"):  # exp of a large number is infinite and gives 0, which is right
            return 255.0 / (1 + np.exp(-4 * (x - center) / width))
    if function == "LINEAR":
        center, width = center - 0.5, width - 1
    if width == 0:  # a step: everything above the center is white
        return np.where(x > center, 255.0, 0.0)
    return np.clip((x - center) / width + 0.5, 0, 1) * 255.0


def read_dicom(source: str | os.PathLike | bytes, *, window: tuple[float, float] | str | None = None) -> np.ndarray:
    """Read one gray DICOM image as a viewer would show it: uint8 (H, W), 0 black, 255 white.

    Rescale slope and intercept (or the modality lookup table) are applied, then the window; MONOCHROME1, where small
    values are bright, is turned round; padding is black. No name, number or date is read. A warning tells what was
    understood when a file says that letters are burned into its picture (they stay there), when its elements
    contradict its pixels or each other (a lookup table that holds fewer bits than it declares, an impossible window, a
    high bit that does not fit), and when it is not a plain X-ray (Modality CT, MR ...).

    Parameters
    ----------
    source : path or bytes
        A file, or what is in it.
    window : None, "full" or (center, width)
        None uses what the file asks for: its VOI lookup table, else its first window, else all values from the lowest
        to the highest, as "full" does in any case. (center, width) is a linear window in rescaled units.

    Raises
    ------
    BadImage
        A ValueError with the reason and the remedy: not a DICOM file, no pixels, several frames, colors, a compression
        whose decoder is not installed, damaged data, more than 100 megapixels.
    """
    if isinstance(window, tuple | list) and len(window) == 2:
        window = number("window, center", window[0]), number("window, width", window[1], 1)
    elif window is not None and not (isinstance(window, str) and window == "full"):
        raise ValueError(f'window: give None, "full" or (center, width), got {window!r}')
    if not isinstance(source, bytes | bytearray):
        path = Path(os.fspath(source))
        if path.is_file() and path.stat().st_size > MAX_BYTES:
            raise BadImage(f"{path} is larger than {MAX_BYTES // 1_000_000} MB")
        source = path.read_bytes()
    gray, notes = read(bytes(source), window)
    for note in notes:
        warnings.warn(note, stacklevel=2)
    return gray


def read(content: bytes, asked: tuple[float, float] | str | None = None) -> tuple[np.ndarray, tuple[str, ...]]:
    """Read the bytes of a DICOM file as ``read_dicom`` does: (uint8 (H, W), what it would warn of)."""
    notes = []
    try:
        file = _opened(content, [*_READ.split(), _OVERLAY_BIT], force=is_dicom(content))
        gray = _shown(file, _stored(file, len(content), notes), asked, notes)
    except BadImage:
        raise
    except pydicom.errors.InvalidDicomError:
        raise BadImage("is not a DICOM file: the letters DICM are missing after the first 128 bytes") from None
    except MemoryError:
        raise BadImage("too large for the memory of this machine") from None
    except Exception as error:  # pydicom raises many types; their texts may quote the file, so they are left out
        what = f"it is damaged or unusual ({type(error).__name__})"
        raise BadImage(f"the DICOM file cannot be read, {what}; copy it again, or export it as PNG") from None
    modality = str(file.get("Modality") or "").strip().upper()[:16]
    if modality and modality not in _MODALITIES:
        notes.append(f"Modality is {ascii(modality)[1:-1]}: this is not a plain X-ray")
    if file.get("BurnedInAnnotation") == "YES":
        notes.append(BURNED_IN)
    return gray, tuple(notes)


def read_patient(content: bytes) -> bytes | None:
    """Read the PatientID, which names a person: compare it, and keep it nowhere. None where a file tells none."""
    with suppress(Exception):  # read says what is wrong with a file
        file = _opened(content, ["PatientID"], stop_before_pixels=True, force=True)
        element = file.get_item("PatientID")  # as it stands in the file: pydicom's checks may quote what they read
        value = element.value or b""
        return (value if isinstance(value, bytes) else str(value).encode()).strip(b" \0") or None
    return None


def decoders() -> list[list[str]]:
    """List the compressions that can be read here: name, and the packages that read it."""
    found = []
    for syntax in uid.AllTransferSyntaxes:
        with suppress(NotImplementedError):
            if syntax.is_encapsulated and get_decoder(syntax).is_available:
                found.append([syntax.name, *get_decoder(syntax).available_plugins])
    return found


def _opened(content: bytes, tags: list, **how: bool) -> Any:
    """Parse the elements with these tags."""
    if content.startswith(b"\x02\0\0\0UL"):  # it begins with its meta elements
        content = bytes(128) + b"DICM" + content
    _refuse_inflated(content)
    return pydicom.dcmread(io.BytesIO(content), specific_tags=tags, **how)


def _refuse_inflated(content: bytes) -> None:
    """Raise BadImage for a file that is deflated as a whole and unpacks to far more: pydicom would unpack all of it."""
    if content[128:132] != b"DICM":
        return
    stream = io.BytesIO(content)
    for implicit in (False, True):  # some programs write this part in the other way; pydicom reads both
        stream.seek(132)
        meta = read_dataset(stream, implicit, True, stop_when=lambda tag, *_: tag.group != 2)
        with suppress(NotImplementedError):
            if meta.get("TransferSyntaxUID") != uid.DeflatedExplicitVRLittleEndian:
                return
            break
    most = max(50_000_000, min(MAX_BYTES, MAX_RATIO * len(content)))
    size, unpack, waiting = 0, zlib.decompressobj(-zlib.MAX_WBITS), stream.read()
    while waiting and not unpack.eof:
        size += len(unpack.decompress(waiting, 2**20))
        waiting = unpack.unconsumed_tail
        if size > most:
            what = f"unpacks to more than {most // 1_000_000} MB from {len(content):,} bytes"
            raise BadImage(f"{what} (a decompression bomb), so it was not read")


def _stored(file: Any, packed: int, notes: list[str]) -> np.ndarray:
    """Give the stored values (H, W); ``packed`` is the size of the file in bytes."""
    if not any(name in file for name in ("PixelData", "FloatPixelData", "DoubleFloatPixelData")):
        raise BadImage("the DICOM file holds no picture (no pixel data); it may be a report or an index")
    if lacks := [name for name in ("Rows", "Columns", "BitsAllocated") if not file.get(name)]:
        raise BadImage(f"the DICOM file does not say its {' and '.join(lacks)}; export it as PNG")
    rows, columns = int(file.Rows), int(file.Columns)
    refuse_bomb(columns, rows, packed)
    frames = int(file.get("NumberOfFrames") or 1)
    if "NumberOfFrames" in file:
        file.NumberOfFrames = frames  # pydicom says much about one that is empty or 0
    if frames != 1:
        raise BadImage(f"the DICOM file holds {frames} frames, not one picture; save one frame as its own file")
    kind = str(file.get("PhotometricInterpretation") or "not given").strip()
    file.PhotometricInterpretation = kind.upper()
    if int(file.get("SamplesPerPixel") or 1) != 1 or kind.upper() not in ("MONOCHROME1", "MONOCHROME2"):
        what = f"the DICOM file is not a gray picture (PhotometricInterpretation {kind})"
        raise BadImage(f"{what}; an X-ray is MONOCHROME1 or MONOCHROME2")
    if "TransferSyntaxUID" not in file.file_meta:  # a data set without meta elements: as pydicom guessed it
        guessed = uid.ImplicitVRLittleEndian if file.original_encoding[0] else uid.ExplicitVRLittleEndian
        file.file_meta.TransferSyntaxUID = guessed
    syntax = file.file_meta.TransferSyntaxUID
    file.SamplesPerPixel, file.PixelRepresentation = 1, file.get("PixelRepresentation") or 0
    bits, allocated = int(file.get("BitsStored") or 0), int(file.BitsAllocated)
    high = bits - 1 if file.get("HighBit") is None else int(file.HighBit)
    plain = "PixelData" in file and allocated >= 8 and (not syntax.is_encapsulated or syntax == uid.RLELossless)
    if plain:
        file.BitsStored = allocated  # pydicom would cut the values to BitsStored, wherever they stand
    values = _decompressed(file, syntax) if syntax.is_encapsulated else file.pixel_array
    return _aligned(values, bits, high, allocated, _OVERLAY_BIT in file, notes) if plain else values


def _aligned(values: np.ndarray, bits: int, high: int, allocated: int, overlay: bool, notes: list[str]) -> np.ndarray:
    """Move values to the lowest bits and cut off what is not theirs; what the pixels contradict is put right."""
    if not 1 <= bits <= allocated:
        notes.append(f"BitsStored is {bits} of {allocated} bits, which cannot be: all bits are used")
        bits, high = allocated, allocated - 1
    fits = -(1 << (bits - 1)) <= values.min() and values.max() < 1 << bits
    if high != bits - 1:
        if bits - 1 < high < allocated and not fits:
            values = values >> (high + 1 - bits)
        else:
            notes.append(f"HighBit is {high} with {bits} bits stored, which the pixels contradict: it is not used")
    elif not fits and not overlay:
        notes.append(f"the pixels need more bits than the {bits} of BitsStored: they are taken as they are")
        return values
    cut = values.dtype.itemsize * 8 - bits
    return values << cut >> cut if cut else values  # for signed values this also extends the sign


def _decompressed(file: Any, syntax: Any) -> np.ndarray:
    what, remedy = f"the DICOM file is compressed as {syntax.name}", "export it uncompressed or as PNG"
    try:
        decoder = get_decoder(syntax)
    except NotImplementedError:
        raise BadImage(f"{what}, which pydicom cannot read; {remedy}") from None
    # pydicom's words: "pylibjpeg - requires pylibjpeg>=2.0 and pylibjpeg-libjpeg>=2.1"
    needs = [text.partition(" - requires ")[2] for text in decoder.missing_dependencies]
    if needs:
        best = next((text for text in needs if text.startswith("pylibjpeg")), needs[0])
        names = " ".join(name.partition(">=")[0] for name in best.split(" and "))
        remedy = f"`pip install {names}` and start Python again, or {remedy}"
    if not decoder.is_available:
        raise BadImage(f"{what}, and no package that reads it is installed; {remedy}")
    _refuse_endless(file)
    try:
        return file.pixel_array
    except RuntimeError:  # every package that is installed gave up
        tried = f"{', '.join(decoder.available_plugins)} cannot read it: it is damaged, or of a rare kind"
        raise BadImage(f"{what}, and {tried}; {remedy}") from None


def _refuse_endless(file: Any) -> None:
    """Raise BadImage for a JPEG 2000 file inside that has a box of length 0: pydicom 3.0 would look at it for ever."""
    table = [file.get(name) for name in ("ExtendedOffsetTable", "ExtendedOffsetTableLengths")]
    offsets = tuple(table) if all(table) else None
    for frame in generate_frames(file.PixelData, number_of_frames=1, extended_offsets=offsets):
        at = 12 if frame.startswith(b"\0\0\0\x0cjP  ") else len(frame)
        while at < len(frame) and frame[at + 4 : at + 8] != b"jp2c":
            length = int.from_bytes(frame[at : at + 4], "big")
            if length == 0:
                raise BadImage("the DICOM file holds a damaged JPEG 2000 picture; copy it again, or export it as PNG")
            at += length


def _shown(file: Any, stored: np.ndarray, asked: Any, notes: list[str]) -> np.ndarray:
    """Show the values as uint8 (H, W): windowed, the right way round, padding black."""
    rescale, padded = _modality(file, notes), _padding(file, stored.dtype)

    def shown(show: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
        gray = np.zeros(stored.shape, np.uint8)
        for part in strips(stored.shape):
            values = show(rescale(stored[part]))
            values = 255 - values if file.PhotometricInterpretation == "MONOCHROME1" else values
            gray[part] = np.where(padded(stored[part]), 0, np.rint(values))
        return gray

    shape = str(file.get("PresentationLUTShape") or "").strip().upper()
    if shape and (shape == "INVERSE") != (file.PhotometricInterpretation == "MONOCHROME1"):
        notes.append(f"PresentationLUTShape {shape[:16]} contradicts {file.PhotometricInterpretation}, which is obeyed")
    show = _asked(file, asked, notes)
    if show is not None:
        gray = shown(show)
        if isinstance(asked, tuple) or gray.min() < gray.max():
            return gray
    low, high = _range(stored, rescale, padded)
    if high == low:
        return shown(np.zeros_like)
    if show is not None:
        notes.append("the window or table in the DICOM file leaves a single gray: all values are shown instead")
    return shown(lambda values: window(values, (low + high) / 2, high - low, "LINEAR_EXACT"))


def _modality(file: Any, notes: list[str]) -> Callable[[np.ndarray], np.ndarray]:
    """Give the function from stored to rescaled values."""
    if table := _lut(file, "ModalityLUTSequence", notes):
        return table.look_up
    slope, intercept = _first(file.get("RescaleSlope")), _first(file.get("RescaleIntercept")) or 0.0
    if slope == 0:
        notes.append("RescaleSlope is 0, which would leave a single gray: 1 is used")
    slope = slope or 1.0

    def rescale(stored: np.ndarray) -> np.ndarray:
        values = stored * slope + intercept
        if not np.isfinite(values).all():
            raise BadImage("holds values that are not numbers (NaN or infinite)")
        return values

    return rescale


def _asked(file: Any, asked: Any, notes: list[str]) -> Callable[[np.ndarray], np.ndarray] | None:
    """Give the function from rescaled values to 0..255 that is asked for; None to show all values."""
    if isinstance(asked, tuple):
        return lambda values: window(values, *asked)
    if asked == "full":
        return None
    if table := _lut(file, "VOILUTSequence", notes):
        bits, held = table.bits, max(8, int(table.entries.max()).bit_length())
        if held != bits:
            notes.append(f"the lookup table in the DICOM file declares {bits} bits and holds {held}: {held} are used")
        return lambda values: table.look_up(np.rint(values)) * (255.0 / (2**held - 1))
    center, width = _first(file.get("WindowCenter")), _first(file.get("WindowWidth"))
    if center is None or width is None:
        return None
    asked = center, width, str(file.get("VOILUTFunction") or "LINEAR").strip().upper()
    try:
        window([], *asked)
    except ValueError as error:
        notes.append(f"the window in the DICOM file cannot be used ({error}): all values are shown")
        return None
    return lambda values: window(values, *asked)


def _range(stored: np.ndarray, rescale: Callable, padded: Callable) -> tuple[float, float]:
    """Find the lowest and the highest rescaled value of the picture; of the padding, where there is nothing else."""
    inside, everywhere = [], []
    for part in strips(stored.shape):
        values, padding = rescale(stored[part]), padded(stored[part])
        everywhere += [values.min(), values.max()]
        if not padding.all():
            inside += [values[~padding].min(), values[~padding].max()]
    return float(min(inside or everywhere)), float(max(inside or everywhere))


class _Table(NamedTuple):
    """A lookup table: its entries, the value that the first stands for, and the bits it declares."""

    entries: np.ndarray
    first: int
    bits: int

    def look_up(self, values: np.ndarray) -> np.ndarray:
        return self.entries[np.clip(values.astype(np.int64) - self.first, 0, len(self.entries) - 1)]


def _lut(file: Any, name: str, notes: list[str]) -> _Table | None:
    """Read the first lookup table of a sequence, or None; an item without a table is passed over and told."""
    item = (file.get(name) or [None])[0]
    if item is None:
        return None
    if not (item.get("LUTDescriptor") and item.get("LUTData")):
        notes.append(f"the {name} in the DICOM file holds no table: it is not used")
        return None
    count, first, bits = (int(value) for value in item.LUTDescriptor)
    if first >= 32768 and file.PixelRepresentation:
        first -= 65536
    little = "<" if file.file_meta.TransferSyntaxUID.is_little_endian else ">"
    data = item.LUTData
    if not isinstance(data, bytes):
        data = np.atleast_1d(data).astype(f"{little}u2").tobytes()
    one_byte = bits <= 8 and len(data) < 2 * (count or 65536)
    table = np.frombuffer(data[: len(data) // 2 * 2], np.uint8 if one_byte else f"{little}u2")[: count or 65536]
    if len(table) == 0:
        raise BadImage("the DICOM file has an empty lookup table; export it as PNG")
    return _Table(table.astype(float), first, bits)


def _padding(file: Any, kind: np.dtype) -> Callable[[np.ndarray], np.ndarray]:
    """Give the function from stored values to bool: pixels outside the picture."""
    value, limit = file.get("PixelPaddingValue"), file.get("PixelPaddingRangeLimit")
    if value is None:
        return lambda stored: np.zeros(stored.shape, bool)
    wrapped = [int(v) for v in (value, value if limit is None else limit)]
    if kind.kind in "iu" and kind.itemsize == 2:  # written signed for unsigned pixels, or the other way
        wrapped = [int(np.array(v & 0xFFFF, np.uint16).view(kind)) for v in wrapped]
    low, high = sorted(wrapped)
    return lambda stored: (stored >= low) & (stored <= high)


def _first(value: Any) -> float | None:
    """Read a number, or the first of several alternatives."""
    if hasattr(value, "__len__") and not isinstance(value, str):
        value = value[0] if len(value) else None
    return None if value is None or value == "" else float(value)
