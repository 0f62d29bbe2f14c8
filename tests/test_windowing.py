"""The window explorer: the grays of the browser are those of cxrlib.data.dicom.window."""

import io

import numpy as np
import pytest

from cxrlib.data.dicom import read_dicom, window
from cxrlib.widgets import WindowExplorer

pydicom = pytest.importorskip("pydicom")

RNG = np.random.default_rng(0)
STORED = np.sort(RNG.integers(300, 4000, (24, 20)), axis=None).reshape(24, 20)
STORED[:2] = 4095
MASK = np.zeros(STORED.shape, bool)
MASK[5:9, 3:12] = True
SLOPE, INTERCEPT = 0.5, -100
VALUES = SLOPE * STORED + INTERCEPT


def explorer(**options):
    options = {"center": 900.0, "width": 600, "slope": SLOPE, "intercept": INTERCEPT, "mask": MASK} | options
    return WindowExplorer(options.pop("stored", STORED), options.pop("center"), options.pop("width"), **options)


def written(center, width, photometric):
    """The bytes of a DICOM file with these pixels and this window."""
    meta = pydicom.dataset.FileMetaDataset()
    meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID = meta.MediaStorageSOPInstanceUID = pydicom.uid.generate_uid()
    file = pydicom.dataset.FileDataset(None, {}, file_meta=meta, preamble=bytes(128))
    file.Rows, file.Columns, file.SamplesPerPixel, file.PixelRepresentation = *STORED.shape, 1, 0
    file.BitsAllocated, file.BitsStored, file.HighBit, file.PhotometricInterpretation = 16, 12, 11, photometric
    file.RescaleSlope, file.RescaleIntercept, file.WindowCenter, file.WindowWidth = SLOPE, INTERCEPT, center, width
    file.PixelData = STORED.astype("<u2").tobytes()
    buffer = io.BytesIO()
    pydicom.dcmwrite(buffer, file, enforce_file_format=True)
    return buffer.getvalue()


def test_two_bytes_a_pixel_and_the_file_stays_small():
    page = explorer().page
    assert len(page["stored"]) == 4 * -(-2 * STORED.size // 3) and page["shape"] == [24, 20]
    large = WindowExplorer(RNG.integers(0, 65536, (320, 320)), 30000, 20000)
    assert len(large.to_html()) < 320 * 320 * 2 * 1.4 + 30_000


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"stored": STORED[None]}, r"stored: give whole numbers of the shape \(H, W\)"),
        ({"stored": np.ones((0, 0), int)}, "stored: give an image"),
        ({"stored": np.arange(321 * 2).reshape(321, 2), "mask": None}, "1 to 320 pixels per side, got .321, 2."),
        ({"stored": STORED.astype(float)}, "stored: give whole numbers.*got float64"),
        ({"stored": -STORED}, "stored: give values from 0 to 65535, got -4095"),
        ({"stored": STORED + 65000}, "values from 0 to 65535"),
        ({"stored": np.full((24, 20), 7)}, "all are 7"),
        ({"center": float("nan")}, "center: give a number, got nan"),
        ({"width": "wide"}, "width: give a number, got 'wide'"),
        ({"width": 0.5}, "width: give a number of at least 1"),
        ({"slope": 0}, "slope: give a number other than 0"),
        ({"mask": MASK.astype(int)}, "mask: give true or false"),
        ({"mask": MASK[:3]}, r"mask: .*shape \(24, 20\)"),
        ({"region": ""}, "region: give a text"),
        ({"mask": MASK & False}, "at least one pixel"),
    ],
)
def test_what_it_cannot_show_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        explorer(**options)


# --- in the browser


def settle(page):
    page.evaluate("() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")


def canvas(page):
    high, rgba = page.locator("canvas").evaluate(
        "c => [c.height, [...c.getContext('2d').getImageData(0, 0, c.width, c.height).data]]"
    )
    pixels = np.array(rgba).reshape(high, -1, 4)
    assert (pixels[..., :3] == pixels[..., :1]).all() and (pixels[..., 3] == 255).all()
    return pixels[..., 0]


def shown(page, kind, key):
    return page.locator(f"[data-{kind}={key}]").inner_text()


@pytest.mark.slow
@pytest.mark.browser
@pytest.mark.parametrize(("width", "scheme"), [(900, "light"), (360, "dark")])
def test_the_grays_are_those_of_the_library(show, width, scheme):
    page = show(explorer(), width, scheme)
    center, wide = (page.get_by_role("slider", name=f"Window {name}") for name in ("center", "width"))
    invert = page.get_by_label("MONOCHROME1")
    for c, w in ((900, 600), (751.5, 511), (1200, 1), (1200.5, 2), (300, 2500), (200, 40)):
        for turned in (False, True):
            center.fill(str(c))
            wide.fill(str(w))
            invert.set_checked(turned)
            settle(page)
            gray = window(VALUES, c, w)
            gray = 255 - gray if turned else gray
            assert np.array_equal(canvas(page), np.rint(gray)), (c, w, turned)
            for key, extreme in (("black", 0), ("white", 255)):
                assert shown(page, "value", key).replace(",", "") == str((gray == extreme).sum())
                share = float(shown(page, "region", key).removesuffix("\u00a0%"))
                assert share == pytest.approx(100 * (gray[MASK] == extreme).mean(), abs=0.051)
            assert shown(page, "value", "grays") == str(len(np.unique(np.rint(gray))))
            assert shown(page, "region", "grays") == str(len(np.unique(np.rint(gray[MASK]))))


@pytest.mark.slow
@pytest.mark.browser
@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
def test_it_starts_with_the_picture_that_read_dicom_returns(show, photometric):
    page = show(explorer(center=755.5, width=511, monochrome1=photometric == "MONOCHROME1"))
    settle(page)
    asked = read_dicom(written(755.5, 511, photometric))
    assert np.array_equal(canvas(page), asked)
    page.get_by_role("button", name="Lowest to highest").click()
    settle(page)
    assert np.array_equal(canvas(page), read_dicom(written(1, 1, photometric), window="full"))
    page.get_by_role("button", name="Narrow").click()
    settle(page)
    assert len(np.unique(canvas(page))) > 2 and not np.array_equal(canvas(page), asked)
    page.get_by_label("MONOCHROME1").set_checked(photometric != "MONOCHROME1")
    page.get_by_role("button", name="As the file asks").click()
    settle(page)
    assert np.array_equal(canvas(page), asked)
    assert page.get_by_role("slider", name="Window center").input_value() == "755.5"


@pytest.mark.slow
@pytest.mark.browser
@pytest.mark.parametrize("stored", [np.array([[0, 65535], [30000, 30001]]), np.array([[5, 6]])])
def test_sixteen_bits_and_two_values(show, stored):
    page = show(explorer(stored=stored, slope=1, intercept=0, mask=None, center=stored.mean(), width=2), 360)
    settle(page)
    assert np.array_equal(canvas(page), np.rint(window(stored, stored.mean(), 2)))
    assert page.locator("[data-region]").count() == 0
    slider = page.get_by_role("slider", name="Window width")
    slider.focus()
    slider.press("Home")
    settle(page)
    assert slider.input_value() == "1" and np.array_equal(canvas(page), window(stored, stored.mean(), 1))


@pytest.mark.slow
@pytest.mark.browser
def test_the_outline_lies_on_the_border_of_the_mask(show):
    page = show(explorer())
    assert not page.locator("svg.outline").is_visible()
    page.get_by_label("outline the lesion").check()
    assert page.locator("svg.outline").is_visible()
    box = page.locator("svg.outline path").evaluate(
        "p => { const b = p.getBBox(); return [b.x, b.y, b.width, b.height]; }"
    )
    assert box == [3, 5, 9, 4]
    assert page.locator("svg.outline path").get_attribute("d").count("M") == 2 * (9 + 4)
