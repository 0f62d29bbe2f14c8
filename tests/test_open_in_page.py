"""A picture of the reader's own, opened by the page itself: pixels, notes and reasons are those of Python."""

import base64
import io
import re

import numpy as np
import pydicom
import pytest
from PIL import Image, ImageDraw
from test_dicom import make, written

from cxrlib.data.decode import BadImage, read_picture
from cxrlib.widgets.base import kit

READ = """async ([text, size]) => {
  try {
    const content = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
    const { gray, width, height, notes } = await cxr.readPicture(content, size);
    return { gray: Array.from(gray), width, height, notes };
  } catch (error) {
    return { reason: error instanceof cxr.BadImage ? error.message : `fault: ${error.stack}` };
  }
}"""
RNG = np.random.default_rng(0)


@pytest.fixture(scope="module")
def theirs(chromium, tmp_path_factory):
    file = tmp_path_factory.mktemp("page") / "x.html"
    script = kit("dicom", "decode")[0] + ";globalThis.cxr = { readPicture, BadImage }"
    file.write_text(f"<!doctype html><meta charset='utf-8'><body><script>{script}</script>", encoding="utf-8")
    context = chromium.new_context(offline=True)
    page = context.new_page()
    page.goto(file.as_uri())
    yield lambda content, size: page.evaluate(READ, [base64.b64encode(content).decode(), size])
    context.close()


def saved(image, kind="PNG", **options):
    buffer = io.BytesIO()
    (Image.fromarray(image) if isinstance(image, np.ndarray) else image).save(buffer, kind, **options)
    return buffer.getvalue()


def scene(width, height, mode="L"):
    """Something smooth with edges: noise alone would hide a shift, and a ramp a wrong weight."""
    image = Image.new("RGB", (width, height), (40, 60, 30))
    pen = ImageDraw.Draw(image)
    for _ in range(12):
        x, y, r = RNG.integers(0, width), RNG.integers(0, height), int(RNG.integers(3, max(4, width // 4)))
        pen.ellipse((x - r, y - r, x + r, y + r), tuple(RNG.integers(0, 256, 3).tolist()))
    return image.convert(mode)


DEEP = RNG.integers(200, 3000, (70, 90)).astype(np.uint16)
SIGNED = RNG.integers(-900, 900, (40, 40))
PLAIN = {
    "as large": (saved(scene(64, 64)), 0),
    "smaller": (saved(scene(40, 30)), 1),
    "somewhat larger": (saved(scene(100, 150)), 1),
    "much larger": (saved(scene(1013, 700)), 1),
    "colors": (saved(scene(64, 64, "RGB")), 0),
    "a palette": (saved(scene(64, 64).quantize(16)), 1),
    "black and white": (saved(scene(64, 64).convert("1")), 0),
    "half transparent": (saved(Image.merge("LA", [scene(64, 64), scene(64, 64).point(lambda v: 128 + v // 2)])), 2),
    "16 bits": (saved(DEEP), 1),
    "16 bits, one gray": (saved(np.full((64, 64), 700, np.uint16)), 0),
    "JPEG": (saved(scene(64, 64), "JPEG"), 1),
    "JPEG in colors, large": (
        saved(scene(900, 700, "RGB"), "JPEG", quality=92),
        14,
    ),  # Pillow lets the decoder halve it
    "JPEG, turned": (
        saved(scene(64, 48), "JPEG", exif=b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0"),
        1,
    ),
}
DICOM = {
    "12 bits": make(),
    "window": make(WindowCenter=1000, WindowWidth=900),
    "the first of two windows": make(WindowCenter=[500, 1000], WindowWidth=[600, 2000]),
    "sigmoid": make(WindowCenter=1000, WindowWidth=900, VOILUTFunction="SIGMOID"),
    "linear exact": make(WindowCenter=1000, WindowWidth=900, VOILUTFunction="LINEAR_EXACT"),
    "monochrome1": make(photometric="MONOCHROME1", WindowCenter=1000, WindowWidth=900),
    "slope and intercept": make(RescaleSlope="0.5", RescaleIntercept="-100", WindowCenter=400, WindowWidth=300),
    "signed": make(SIGNED, WindowCenter=0, WindowWidth=800),
    "signed, 12 bits": make(SIGNED & 0xFFF, BitsStored=12, HighBit=11, PixelRepresentation=1),
    "in the high bits": make(np.tile(np.arange(0, 4096, 16), (64, 1)) << 4, BitsStored=12, HighBit=15),
    "padding": make(PixelPaddingValue=0),
    "a range of padding": make(PixelPaddingValue=0, PixelPaddingRangeLimit=400),
    "8 bits": make(RNG.integers(0, 256, (30, 50)), BitsAllocated=8, BitsStored=8, HighBit=7,
                   PixelData=RNG.integers(0, 256, 1500).astype(np.uint8).tobytes()),
    "notes": make(Modality="CT", BurnedInAnnotation="YES", PresentationLUTShape="INVERSE", RescaleSlope="0"),
    "a window that shows nothing": make(WindowCenter=90000, WindowWidth=2),
    "impossible bits": make(BitsStored=20),
}  # fmt: skip


def same(found, content, size, most):
    ours = read_picture(content, size)
    assert "reason" not in found, found
    assert (found["width"], found["height"]) == (ours.width, ours.height)
    difference = np.abs(np.array(found["gray"]).reshape(size, size) - ours.pixels.astype(int))
    assert difference.max() <= most, f"{difference.max()} grays apart, {difference.mean():.2f} in the mean"
    assert list(ours.notes) == found["notes"]


@pytest.mark.parametrize("name", PLAIN)
def test_png_and_jpeg_are_squared_as_in_python(theirs, name):
    content, most = PLAIN[name]
    same(theirs(content, 64), content, 64, most)


@pytest.mark.parametrize("name", DICOM)
def test_dicom_is_shown_as_in_python(theirs, name):
    content = written(DICOM[name])
    same(theirs(content, 64), content, 64, 1)


def test_dicom_in_every_wrapping(theirs):
    """With and without meta elements; implicit and explicit; with a sequence whose length is not said."""
    file = make(WindowCenter=1000, WindowWidth=900)
    item = pydicom.Dataset()
    item.CodeValue = "a"
    file.SOPClassUID = pydicom.uid.DigitalXRayImageStorageForPresentation
    file.ProcedureCodeSequence = pydicom.Sequence([item])
    file["ProcedureCodeSequence"].is_undefined_length = True
    item.is_undefined_length_sequence_item = True
    explicit = written(file)
    file.file_meta.TransferSyntaxUID = pydicom.uid.ImplicitVRLittleEndian
    contents = [explicit, explicit[132:], written(file)]
    plain = pydicom.Dataset({e.tag: e for e in file if e.tag.group > 2})
    for implicit in (True, False):
        bare = io.BytesIO()
        pydicom.dcmwrite(bare, plain, implicit_vr=implicit, little_endian=True)
        contents.append(bare.getvalue())
    for content in contents:
        same(theirs(content, 64), content, 64, 1)


def cmyk():
    return saved(scene(64, 64).convert("CMYK"), "JPEG")


def dicom(syntax=None, drop=(), **elements):
    file = make(**elements)
    for name in drop:
        delattr(file, name)
    content = written(file)
    if syntax:  # the name of the compression is enough: nothing is unpacked
        old = b"1.2.840.10008.1.2.1\0"
        content = content.replace(old, (syntax + "\0").encode()[: len(old)].ljust(len(old), b"\0"), 1)
    return content


REFUSED = {
    "empty": b"",
    "text": b"just a text\n",
    "archive": b"PK\x03\x04" + bytes(50),
    "git lfs": b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n",
    "a phone's picture": bytes(4) + b"ftypheic" + bytes(50),
    "nothing known": bytes(range(256)),
    "PNG, cut off": saved(scene(64, 64))[:500],
    "JPEG, cut off": saved(scene(64, 64), "JPEG")[:700],
    "animated": saved(scene(64, 64), save_all=True, append_images=[scene(64, 64)]),
    "for printing": cmyk(),
    "bomb": saved(Image.new("1", (9000, 9000))),
    "DICOM, several frames": dicom(NumberOfFrames=3),
    "DICOM, colors": dicom(PhotometricInterpretation="RGB", SamplesPerPixel=3, PlanarConfiguration=0),
    "DICOM without a picture": dicom(drop=["PixelData"]),
    "DICOM without its size": dicom(drop=["Rows"]),
    "DICOM, cut off": dicom()[:-5000],
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_read_gets_the_reason_that_python_gives(theirs, name):
    with pytest.raises(BadImage) as caught:
        read_picture(REFUSED[name], 64)
    own = re.compile(r"\((?:\w+Error|\w+Decode\w+)\)")  # the kind of fault has a name of its own
    assert own.sub("()", theirs(REFUSED[name], 64)["reason"]) == own.sub("()", str(caught.value))


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (saved(scene(64, 64), "BMP"), "is a BMP picture, which this page does not read; export it as PNG or JPEG"),
        (saved(scene(64, 64), "TIFF"), "is a TIFF picture, .* as PNG or JPEG"),
        (saved(Image.new("LA", (64, 64), (99, 0))), "is transparent nearly everywhere, .*save it without transparency"),
        (dicom("1.2.840.10008.1.2.5"), "the DICOM file is compressed as RLE Lossless, which this page cannot read; "),
        (dicom("1.2.840.10008.1.2.2"), "the DICOM file is big endian, which this page does not read"),
        (written(make(VOILUTSequence=pydicom.Sequence([pydicom.Dataset()]))), r"asks for a lookup table \(VOILUT"),
        (saved(scene(64, 64))[:60].replace(b"IHDR", b"IHDX") + bytes(20), "cut off|damaged|larger|broken"),
    ],
)
def test_what_only_python_reads_is_refused_with_a_remedy(theirs, content, reason):
    assert re.search(reason, theirs(content, 64)["reason"])


@pytest.mark.slow
def test_damaged_files_give_reasons_and_no_faults(theirs):
    wholes = [saved(scene(64, 64)), saved(DEEP), saved(scene(64, 64), "JPEG"), dicom(), written(DICOM["notes"])]
    for k in range(300):
        content = bytearray(wholes[k % len(wholes)])
        for at in RNG.integers(0, min(len(content), 900), 1 + k % 7):
            content[at] = RNG.integers(0, 256)
        found = theirs(bytes(content[: int(RNG.integers(1, len(content) + 1))] if k % 3 == 0 else content), 64)
        assert not found.get("reason", "").startswith("fault"), found
