"""decode: color, depth, orientation, transparency, damaged files; every kind of TIFF that scanners write."""

import io
import struct
import warnings

import numpy as np
import pytest
from PIL import Image, ImageOps

from cxrlib.data.decode import BadImage, decode


def picture(seed, size=(20, 24), mode="L"):
    rng = np.random.default_rng(seed)
    shape = (size[1], size[0]) if mode == "L" else (size[1], size[0], len(mode))
    return Image.fromarray(rng.integers(0, 256, shape, dtype=np.uint8), mode=None)


def as_bytes(image, kind="PNG", **options):
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def test_color_and_palette_become_luminance():
    rgb = Image.new("RGB", (20, 20), (200, 40, 90))
    expected = round(0.299 * 200 + 0.587 * 40 + 0.114 * 90)
    for image in (rgb, rgb.quantize(4)):
        pixels, width, height = decode(as_bytes(image), 20)
        assert abs(int(pixels[3, 3]) - expected) <= 1 and (width, height) == (20, 20)
    pixels, *_ = decode(as_bytes(rgb, "JPEG", quality=95, subsampling=0), 20)
    assert abs(int(pixels[3, 3]) - expected) <= 2


@pytest.mark.parametrize("mode, color", [("RGBA", (200, 200, 200, 0)), ("LA", (200, 0))])
def test_transparency_lies_over_black(mode, color):
    image = Image.new(mode, (10, 10), color)
    image.paste(color[:-1] + (255,), (0, 0, 10, 5))
    pixels, *_ = decode(as_bytes(image), 10)
    assert pixels[0, 0] == 200 and pixels[9, 9] == 0


@pytest.mark.parametrize(
    "dtype, kind", [(np.uint16, "PNG"), (np.uint16, "TIFF"), (np.int32, "TIFF"), (np.float32, "TIFF")]
)
def test_deep_images_are_scaled_from_their_own_range(dtype, kind):
    ramp = np.linspace(1000, 5000, 256).astype(dtype)
    pixels, *_ = decode(as_bytes(Image.fromarray(np.tile(ramp, (256, 1))), kind), 256)
    assert pixels[0, 0] == 0 and pixels[0, -1] == 255 and np.abs(pixels[0].astype(int) - np.arange(256)).max() <= 1
    flat, *_ = decode(as_bytes(Image.fromarray(np.full((8, 8), 700, dtype)), kind), 8)
    assert (flat == 0).all()


def test_bilevel_images():
    pixels, *_ = decode(as_bytes(Image.fromarray(np.eye(8, dtype=bool))), 8)
    assert np.array_equal(pixels, np.eye(8) * 255)


def test_large_jpegs_shrink_like_a_full_resize():
    y, x = np.mgrid[:900, :1200]
    image = Image.fromarray((127 + 60 * np.sin(x / 6) + 60 * np.cos(y / 5)).astype(np.uint8))
    fast, width, height = decode(as_bytes(image, "JPEG", quality=95), 160)
    full = np.asarray(image.resize((160, 160), Image.Resampling.BILINEAR), dtype=int)
    assert (width, height) == (1200, 900) and np.abs(fast - full).mean() < 2


@pytest.mark.parametrize(
    "kind, mode",
    [(kind, mode) for kind in ("TIFF", "PNG", "JPEG", "WEBP") for mode in ("L", "RGB")]
    + [("TIFF", "I;16"), ("PNG", "I;16")],
)
@pytest.mark.parametrize("tag", range(1, 9))
def test_orientation_is_obeyed_once(kind, mode, tag):
    """The tag says how to turn the picture; Pillow itself turns TIFF files, and only these."""
    a = np.zeros((40, 56), np.uint16 if mode == "I;16" else np.uint8)
    a[4:16, 4:12] = 60000 if mode == "I;16" else 255
    exif = Image.Exif()
    exif[0x0112] = tag
    image = Image.fromarray(a) if mode == "I;16" else Image.fromarray(a).convert(mode)
    options = {"lossless": True} if kind == "WEBP" else {}
    content = as_bytes(image, kind, **({"tiffinfo": {0x0112: tag}} if kind == "TIFF" else {"exif": exif}), **options)
    with Image.open(io.BytesIO(content)) as opened:
        upright = ImageOps.exif_transpose(opened)
    expected = np.asarray(upright.convert("L") if mode != "I;16" else upright) > 100
    pixels, width, height = decode(content, 40)
    assert (width, height) == upright.size == ((56, 40) if tag < 5 else (40, 56))
    shown = np.asarray(Image.fromarray(pixels).resize((width, height))) > 127
    assert (shown == expected).mean() > 0.98


def test_a_large_turned_jpeg_keeps_its_size():
    exif = Image.Exif()
    exif[0x0112] = 6
    pixels, width, height = decode(as_bytes(picture(1, (1200, 800)), "JPEG", exif=exif), 16)
    assert (width, height) == (800, 1200) and pixels.shape == (16, 16)


def tiff(values, photometric, bits, sample_format=1, **tags):
    """A TIFF file with one strip, little endian; more tags by number: t277=3, or a tuple of several values."""
    data = values.tobytes()
    height, width = values.shape[:2]
    entries = {256: width, 257: height, 258: bits, 259: 1, 262: photometric, 273: 8, 277: 1, 278: height}
    entries |= {279: len(data), 339: sample_format} | {int(k[1:]): v for k, v in tags.items()}
    body = b""
    for number, value in sorted(entries.items()):
        several = value if isinstance(value, tuple) else (value,)
        if len(several) > 1:
            value, data = 8 + len(data), data + struct.pack(f"<{len(several)}I", *several)
        body += struct.pack("<HHII", number, 4, len(several), value)
    return b"II*\0" + struct.pack("<I", 8 + len(data)) + data + struct.pack("<H", len(entries)) + body + bytes(4)


@pytest.mark.parametrize(
    "kind, bits, sample_format, top",
    [("<u1", 8, 1, 255), ("<u2", 16, 1, 60000), ("<f4", 32, 3, 1.0), ("<u4", 32, 1, 4e9), ("<i4", 32, 2, 2e9)],
)
def test_tiff_files_of_every_depth_in_both_photometric_kinds(kind, bits, sample_format, top):
    """The same picture, dark at the top, written with black as zero and with white as zero."""
    values = np.linspace(0, top, 64 * 64).reshape(64, 64)
    black_is_zero = decode(tiff(values.astype(kind), 1, bits, sample_format), 64)[0]
    assert np.abs(black_is_zero.ravel().astype(int) - np.linspace(0, 255, 64 * 64)).max() <= 1
    try:
        white_is_zero = decode(tiff((top - values).astype(kind), 0, bits, sample_format), 64)[0]
    except BadImage as reason:
        assert "TIFF file of a kind that Pillow cannot read; save it as PNG" in str(reason) and kind in ("<u4", "<i4")
    else:
        assert np.abs(black_is_zero.astype(int) - white_is_zero).max() <= 1


def test_a_tiff_that_cannot_be_read_says_so():
    with pytest.raises(BadImage, match="TIFF file of a kind.*PNG"):
        decode(tiff(np.zeros((8, 8)), 1, 64, 3), 8)


@pytest.mark.parametrize("compression", ["raw", "tiff_lzw", "tiff_adobe_deflate", "packbits"])
@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBA", "LA", "I;16", "F"])
def test_compressions_do_not_change_the_picture(compression, mode):
    gray = Image.fromarray(np.tile(np.arange(0, 256, 4, dtype=np.uint8), (64, 1)))
    image = Image.fromarray(np.asarray(gray).astype(np.uint16) * 200) if mode == "I;16" else gray.convert(mode)
    expected = decode(as_bytes(image, "TIFF", compression="raw"), 64)[0]
    assert np.array_equal(decode(as_bytes(image, "TIFF", compression=compression), 64)[0], expected)
    if mode not in ("1", "I;16", "F"):
        assert np.abs(expected.astype(int) - np.asarray(gray)).max() <= 1


def test_planar_colors():
    """The three channels one after the other, as some scanners write them."""
    planes = np.stack([np.full((16, 16), v, np.uint8) for v in (200, 40, 90)])
    layout = {"t257": 16, "t277": 3, "t278": 16, "t284": 2, "t273": (8, 264, 520), "t279": (256, 256, 256)}
    pixels = decode(tiff(planes.reshape(48, 16), 2, (8, 8, 8), (1, 1, 1), **layout), 16)[0]
    assert abs(int(pixels[8, 8]) - round(0.299 * 200 + 0.587 * 40 + 0.114 * 90)) <= 1


def test_a_tiff_with_smaller_copies_of_itself_is_one_picture():
    pages = [picture(1), picture(1).resize((10, 12))]
    several = as_bytes(pages[0], "TIFF", save_all=True, append_images=pages[1:])
    with pytest.raises(BadImage, match="2 frames"):
        decode(several, 16)
    pages[1].encoderinfo = {"tiffinfo": {254: 1}}  # NewSubfileType: reduced resolution
    thumb = as_bytes(pages[0], "TIFF", save_all=True, append_images=pages[1:])
    assert np.array_equal(decode(thumb, 16)[0], decode(as_bytes(pages[0], "TIFF"), 16)[0])


def test_a_photo_of_a_phone_with_a_preview_behind_it_is_read():
    """MPO: a JPEG file with another one behind it."""
    photo = picture(1, (40, 40))
    content = as_bytes(photo, "MPO", save_all=True, append_images=[picture(2, (40, 40))], quality=95)
    with Image.open(io.BytesIO(content)) as opened:
        assert opened.format == "MPO" and opened.n_frames == 2
    assert np.abs(decode(content, 40)[0].astype(int) - decode(as_bytes(photo, "JPEG", quality=95), 40)[0]).mean() < 3


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_a_picture_that_is_transparent_everywhere_is_shown_and_told(mode):
    a = np.linspace(0, 255, 64 * 64).reshape(64, 64).astype(np.uint8)
    layers = {"RGBA": [a, a, a, 0 * a], "LA": [a, 0 * a]}.get(mode)
    image = Image.fromarray(np.dstack(layers)) if layers else Image.fromarray(a).convert("P")
    with pytest.warns(UserWarning, match="transparent everywhere"):
        pixels = decode(as_bytes(image, "PNG", **({} if layers else {"transparency": bytes(256)})), 64)[0]
    assert np.abs(pixels.astype(int) - a).max() <= 1


@pytest.mark.parametrize(
    "alpha, told", [(1, "transparent everywhere"), ([255, *[0] * 4095], "nearly everywhere"), (255, ""), (128, "")]
)
def test_a_picture_that_is_nearly_transparent(alpha, told, recwarn):
    """An alpha of 0 and 1, as of a mask, or with a single pixel that can be seen, left the picture black."""
    a = np.linspace(0, 255, 64 * 64).reshape(64, 64).astype(np.uint8)
    seen = np.broadcast_to(np.reshape(alpha, (64, 64) if told == "nearly everywhere" else ()), (64, 64)).astype(
        np.uint8
    )
    pixels = decode(as_bytes(Image.fromarray(np.dstack([a, seen])), "PNG"), 64)[0]
    assert pixels.max() >= (255 if told else alpha) - 1 and len(recwarn) == bool(told)
    assert not told or told in str(recwarn[0].message)


def test_a_picture_that_lies_in_its_transparency_is_told():
    a = np.linspace(0, 255, 64 * 64).reshape(64, 64).astype(np.uint8)
    with pytest.warns(UserWarning, match="may lie in its transparency"):
        decode(as_bytes(Image.fromarray(np.dstack([0 * a, a])), "PNG"), 64)


def test_a_tiff_of_8_bits_with_a_sign():
    values = np.linspace(-128, 127, 64 * 64).reshape(64, 64)
    assert np.abs(decode(tiff(values.astype("<i1"), 1, 8, 2), 64)[0].astype(int) - values - 128).max() <= 1


def bad_files():
    good = as_bytes(picture(1, (60, 60)), "JPEG")
    animated = as_bytes(picture(1), "GIF", save_all=True, append_images=[picture(2)])
    return {
        "empty.jpeg": (b"", "empty"),
        "text.jpeg": (b"404: not found\n" * 9, "text file"),
        "noise.png": (bytes(range(128, 256)) * 9, "neither an image .* nor a DICOM file"),
        "truncated.jpeg": (good[: len(good) // 2], "cut off"),
        "truncated.png": (as_bytes(picture(1, (60, 60)))[:900], "cut off|damaged"),
        "broken.png": (as_bytes(picture(1, (60, 60))).replace(b"IDAT", b"IDXT"), "damaged"),
        "animated.gif": (animated, "2 frames"),
        "pages.tiff": (as_bytes(picture(1), "TIFF", save_all=True, append_images=[picture(2)]), "2 frames"),
        "print.jpeg": (as_bytes(picture(1, mode="CMYK").convert("RGB").convert("CMYK"), "JPEG"), "CMYK"),
        "huge.png": (as_bytes(Image.new("1", (10_001, 10_000))), "100 megapixels"),
        "bomb.png": (as_bytes(Image.new("1", (20_000, 10_000))), "100 megapixels"),
        "script.jpeg": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\nshowpage\n", "text file"),
        "scan.dcm": (b"\0" * 128 + b"DICM" + b"\0" * 64, "DICOM file holds no picture"),
        "renamed.png": (b"\0" * 128 + b"DICM" + b"\0" * 64, "DICOM"),
        "pointer.png": (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "Git LFS"),
        "phone.jpg": (b"\0\0\0\x18ftypheic" + bytes(600), "HEIC or AVIF picture.*export it as PNG or JPEG"),
        "packed.jpg": (b"PK\x03\x04" + bytes(99), "archive"),
    }


@pytest.mark.parametrize("name", bad_files())
def test_a_bad_image_gives_a_reason(name):
    content, words = bad_files()[name]
    with warnings.catch_warnings(), pytest.raises(BadImage, match=words):
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        decode(content, 16)


def test_a_large_image_made_of_nothing_is_refused():
    with pytest.raises(BadImage, match="9000 x 9000 pixels from .* bytes .a decompression bomb"):
        decode(as_bytes(Image.new("L", (9_000, 9_000))), 16)


@pytest.mark.parametrize("mode", ["I;16", "F", "I", "RGBA", "LA"])
def test_a_large_image_is_decoded_as_a_small_one(mode):
    """It is computed in strips of some rows, which must not show."""
    rng = np.random.default_rng(0)
    channels = {"RGBA": 4, "LA": 2}.get(mode)
    kind = {"I;16": np.uint16, "F": np.float32, "I": np.int32}.get(mode, np.uint8)
    small = rng.integers(0, 250, (64, 64, channels) if channels else (64, 64)).astype(kind)
    large = np.tile(small, (48, 48, 1) if channels else (48, 48))  # 9 megapixels: more than two strips

    def gray(values):
        content = as_bytes(Image.fromarray(values), "TIFF")
        return decode(content, len(values))[0]

    assert np.array_equal(gray(large), np.tile(gray(small), (48, 48)))
