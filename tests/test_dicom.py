"""DICOM files, made here with pydicom: windows, orientation of gray, compression, and what must be refused."""

import io
import sys

import numpy as np
import pytest
from PIL import Image

from cxrlib.data.decode import BadImage
from cxrlib.data.dicom import FUNCTIONS, read_dicom, window

pydicom = pytest.importorskip("pydicom")

from pydicom.dataset import Dataset, FileDataset, FileMetaDataset  # noqa: E402
from pydicom.pixels import apply_windowing  # noqa: E402
from pydicom.sequence import Sequence  # noqa: E402

RAMP = np.tile(np.arange(0, 4096, 16), (64, 1))  # 12 bits, (64, 256)


def make(pixels=RAMP, photometric="MONOCHROME2", **elements):
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID = meta.MediaStorageSOPInstanceUID = pydicom.uid.generate_uid()
    file = FileDataset(None, {}, file_meta=meta, preamble=bytes(128))
    file.PatientName, file.PatientID, file.PatientBirthDate = "Doe^Jane", "12345", "20200101"
    file.Rows, file.Columns, file.SamplesPerPixel = *pixels.shape[-2:], 1
    file.PhotometricInterpretation = photometric
    signed = int(pixels.min() < 0)
    file.BitsAllocated, file.BitsStored, file.HighBit, file.PixelRepresentation = 16, 16, 15, signed
    file.PixelData = pixels.astype("<i2" if signed else "<u2").tobytes()
    for name, value in elements.items():
        setattr(file, name, value)
    return file


def written(file):
    buffer = io.BytesIO()
    pydicom.dcmwrite(buffer, file, enforce_file_format=True)
    return buffer.getvalue()


def read(file, **options):
    return read_dicom(written(file), **options)


# ---- window


@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize("center, width", [(2048, 4096), (100.5, 300), (600, 1)])
def test_windows_agree_with_pydicom(function, center, width):
    values = np.arange(-200, 1200)
    file = make(values[None], WindowCenter=center, WindowWidth=width, VOILUTFunction=function)
    file.BitsAllocated = file.BitsStored = 8  # the range of pydicom's result: -128..127 when signed
    theirs = apply_windowing(values, file)
    assert np.allclose(window(values, center, width, function, -128, 127), theirs, atol=1e-6)


def test_a_window_by_hand():
    # Center 50, width 11: the ramp runs from 44.5 to 54.5.
    assert np.allclose(window([0, 44.5, 49.5, 54.5, 90], 50, 11), [0, 0, 127.5, 255, 255])
    assert np.allclose(window([44.5, 50, 55.5], 50, 11, "LINEAR_EXACT", 0, 1), [0, 0.5, 1])
    assert np.allclose(window([50, 1e9, -1e9], 50, 11, "SIGMOID", 0, 1), [0.5, 1, 0])
    assert np.allclose(window([599, 599.5, 600], 600, 1), [0, 0, 255])


@pytest.mark.parametrize("center, width, function, says", [
    (0, 0.5, "LINEAR", "at least 1"), (0, 0, "SIGMOID", "above 0"), (np.nan, 5, "LINEAR", "finite"),
    (0, 5, "SQUARE", "LINEAR_EXACT"),
])
def test_impossible_windows(center, width, function, says):
    with pytest.raises(ValueError, match=says):
        window([1.0], center, width, function)


# ---- read_dicom


def test_without_a_window_all_values_are_used(tmp_path):
    gray = read(make())
    assert gray.dtype == np.uint8 and gray.shape == RAMP.shape
    assert gray.min() == 0 and gray.max() == 255 and (np.diff(gray[0].astype(int)) >= 0).all()
    (tmp_path / "a.dcm").write_bytes(written(make()))
    assert np.array_equal(read_dicom(tmp_path / "a.dcm"), gray)
    assert not read(make(np.full((8, 8), 7))).any()


def test_monochrome1_is_turned_round_after_the_window():
    asked = {"WindowCenter": 1000, "WindowWidth": 500}
    assert np.array_equal(read(make(photometric="MONOCHROME1", **asked)), 255 - read(make(**asked)))


def test_the_first_window_counts_and_a_given_one_goes_before():
    file = make(WindowCenter=[1000, 3000], WindowWidth=[500, 100])
    assert np.array_equal(read(file), np.rint(window(RAMP, 1000, 500)))
    assert np.array_equal(read(file, window=(2000, 900)), np.rint(window(RAMP, 2000, 900)))
    assert np.array_equal(read(file, window="full"), read(make()))
    file.VOILUTFunction = "SIGMOID"
    assert np.array_equal(read(file), np.rint(window(RAMP, 1000, 500, "SIGMOID")))


def test_slope_and_intercept_come_before_the_window():
    file = make(RescaleSlope=2, RescaleIntercept=-1000, WindowCenter=1000, WindowWidth=500)
    assert np.array_equal(read(file), np.rint(window(2.0 * RAMP - 1000, 1000, 500)))


def test_signed_pixels():
    file = make(RAMP - 2048, WindowCenter=0, WindowWidth=1000)
    assert np.array_equal(read(file), np.rint(window(RAMP - 2048, 0, 1000)))


def test_a_lookup_table_goes_before_a_window():
    table = Dataset()
    values = (np.linspace(0, 1, 4096) ** 2 * 1023).astype("<u2")
    table.LUTDescriptor, table.LUTData = [4096, 0, 10], values.tobytes()
    table["LUTDescriptor"].VR, table["LUTData"].VR = "US", "OW"
    file = make(VOILUTSequence=Sequence([table]), WindowCenter=1000, WindowWidth=500, RescaleSlope=1,
                RescaleIntercept=0)
    assert np.array_equal(read(file), np.rint(values[RAMP] * (255 / 1023)))
    assert np.array_equal(read(file, window=(1000, 500)), np.rint(window(RAMP, 1000, 500)))


def test_padding_is_black_and_does_not_count():
    pixels = RAMP // 8 + 1000
    pixels[:, :20] = 0
    for photometric in ("MONOCHROME2", "MONOCHROME1"):
        gray = read(make(pixels, photometric, PixelPaddingValue=0))
        assert not gray[:, :20].any() and gray[:, 20:].min() == 0 and gray[:, 20:].max() == 255


def test_it_can_be_squeezed_to_a_square():
    gray = read(make(), size=32)
    assert gray.shape == (32, 32) and gray.dtype == np.uint8
    assert abs(gray.mean() - read(make()).mean()) < 2


def test_compressed_without_a_package_of_its_own():
    small = make(RAMP[:, :64])
    plain = read(small)
    small.compress(pydicom.uid.RLELossless)
    assert np.array_equal(read(small), plain)

    picture = np.tile(np.arange(0, 256, 4, dtype=np.uint8), (64, 1))
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "JPEG", quality=95)
    file = make(picture)
    file.BitsAllocated = file.BitsStored = 8
    file.HighBit = 7
    file.PixelData = pydicom.encaps.encapsulate([buffer.getvalue()])
    file["PixelData"].VR = "OB"
    file.file_meta.TransferSyntaxUID = pydicom.uid.JPEGBaseline8Bit
    assert np.abs(read(file, window=(128, 256)).astype(int) - picture).max() < 6


def encapsulated(syntax):
    file = make(RAMP[:, :64])
    file.PixelData = pydicom.encaps.encapsulate([bytes(100)])
    file["PixelData"].VR = "OB"
    file.file_meta.TransferSyntaxUID = syntax
    return file


def test_a_missing_decoder_is_named_with_the_remedy(monkeypatch):
    from pydicom.pixels.decoders import JPEGLosslessSV1Decoder

    monkeypatch.setattr(type(JPEGLosslessSV1Decoder), "is_available", property(lambda self: False))
    with pytest.raises(BadImage, match=r"JPEG Lossless.*pip install pylibjpeg"):
        read(encapsulated(pydicom.uid.JPEGLosslessSV1))
    with pytest.raises(BadImage, match="MPEG.*cannot read"):
        read(encapsulated(pydicom.uid.MPEG2MPML))


def test_nothing_of_the_patient_comes_out(capfd, recwarn):
    file = make()
    gray = read(file)
    assert type(gray) is np.ndarray and gray.base is None or isinstance(gray.base, np.ndarray)
    file.PatientBirthDate = ""
    file.add_new("PatientName", "PN", "Doe^Jane")
    del file.Rows
    with pytest.raises(BadImage) as error:
        read(file)
    seen = str(error.value) + "".join(capfd.readouterr()) + "".join(str(w.message) for w in recwarn)
    assert "Doe" not in seen and "12345" not in seen
    assert error.value.__cause__ is None and error.value.__suppress_context__


def test_burned_in_text_gives_a_warning():
    with pytest.warns(UserWarning, match="burned into"):
        read(make(BurnedInAnnotation="YES"))


@pytest.mark.parametrize("change, says", [
    ({"NumberOfFrames": 3, "PixelData": RAMP.astype("<u2").tobytes() * 3}, "3 frames.*one frame"),
    ({"SamplesPerPixel": 3, "PhotometricInterpretation": "RGB"}, "not a gray picture.*RGB"),
    ({"Rows": 60_000, "Columns": 60_000}, "100 megapixels"),
    ({"PixelData": bytes(100)}, "damaged"),
    ({"WindowCenter": 100, "WindowWidth": 0}, "window in the DICOM file.*full"),
])
def test_what_cannot_be_shown_is_refused(change, says):
    with pytest.raises(BadImage, match=says):
        read(make(**change))


def test_files_without_a_picture():
    file = make()
    del file.PixelData
    with pytest.raises(BadImage, match="no picture"):
        read(file)
    with pytest.raises(BadImage, match="not a DICOM file"):
        read_dicom(b"\x89PNG" + bytes(500))
    with pytest.raises(BadImage, match="DICOM"):
        read_dicom(bytes(128) + b"DICM" + bytes(100))
    with pytest.raises(FileNotFoundError):
        read_dicom("nowhere.dcm")


def test_without_pydicom_it_says_what_to_install(monkeypatch):
    content = written(make())
    monkeypatch.setitem(sys.modules, "pydicom", None)
    with pytest.raises(BadImage, match="pip install pydicom"):
        read_dicom(content)


@pytest.mark.parametrize("options, says", [
    ({"window": 5}, "center, width"), ({"window": (1, 0)}, "center, width"), ({"window": "wide"}, "full"),
    ({"size": 4}, "8 to 4096"), ({"size": 32.0}, "whole number"),
])
def test_impossible_options(options, says):
    with pytest.raises(ValueError, match=says):
        read(make(), **options)
