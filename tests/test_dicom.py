"""DICOM files, made here with pydicom: windows, orientation of gray, compression, what must be refused, and folders."""

import io
import re
import warnings
import zlib

import numpy as np
import pydicom
import pytest
from PIL import Image
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.pixels import apply_windowing
from pydicom.sequence import Sequence

from cxrlib.data import cache_dir, load, split
from cxrlib.data.decode import BadImage, decode
from cxrlib.data.dicom import FUNCTIONS, read_dicom, window

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
    assert np.allclose(window(values, center, width, function) - 128, theirs, atol=1e-6)


def test_a_window_by_hand():
    # Center 50, width 11: the ramp runs from 44.5 to 54.5.
    assert np.allclose(window([0, 44.5, 49.5, 54.5, 90], 50, 11), [0, 0, 127.5, 255, 255])
    assert np.allclose(window([44.5, 50, 55.5], 50, 11, "LINEAR_EXACT"), [0, 127.5, 255])
    assert np.allclose(window([50, 1e9, -1e9], 50, 11, "SIGMOID"), [127.5, 255, 0])
    assert np.allclose(window([599, 599.5, 600], 600, 1), [0, 0, 255])


@pytest.mark.parametrize(
    "center, width, function, says",
    [
        (0, 0.5, "LINEAR", "at least 1"),
        (0, 0, "SIGMOID", "above 0"),
        (np.nan, 5, "LINEAR", "center: give a number, got nan"),
        (0, 5, "SQUARE", "LINEAR_EXACT"),
    ],
)
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
    file = make(
        VOILUTSequence=Sequence([table]), WindowCenter=1000, WindowWidth=500, RescaleSlope=1, RescaleIntercept=0
    )
    assert np.array_equal(read(file), np.rint(values[RAMP] * (255 / 1023)))
    assert np.array_equal(read(file, window=(1000, 500)), np.rint(window(RAMP, 1000, 500)))


# ---- elements that contradict each other, or the pixels


def lut(entries, *descriptor, vr="OW"):
    table = Dataset()
    table.add_new("LUTDescriptor", "US", list(descriptor))
    table.add_new("LUTData", vr, np.asarray(entries, "<u2").tobytes() if vr == "OW" else list(map(int, entries)))
    return Sequence([table])


FULL = np.rint(window(RAMP, 2040, 4080, "LINEAR_EXACT"))  # 0..4080, the range of RAMP, as 0..255


@pytest.mark.parametrize("vr", ["OW", "US"])
@pytest.mark.parametrize("declared, held", [(16, 12), (16, 15), (12, 12), (8, 12), (16, 16)])
def test_a_lookup_table_is_scaled_by_the_bits_that_it_holds(declared, held, vr):
    entries = np.linspace(0, 2**held - 1, 4096).astype(int)
    file = make(VOILUTSequence=lut(entries, 4096, 0, declared, vr=vr))
    if declared == held:
        gray = read(file)
    else:
        with pytest.warns(UserWarning, match=f"declares {declared} bits and holds {held}"):
            gray = read(file)
    assert np.abs(gray - 255 * RAMP / 4095).max() <= 1


@pytest.mark.parametrize("vr", ["OW", "US"])
@pytest.mark.parametrize("bits", [12, 16])
def test_a_modality_table_of_any_bits(bits, vr):
    """Table of 4096 entries from stored value 100 on, falling: outside of it the nearest entry counts."""
    entries = np.arange(4095, -1, -1)
    gray = read(make(RAMP + 100, ModalityLUTSequence=lut(entries, 4096, 100, bits, vr=vr)))
    assert np.array_equal(gray, np.rint(window(4095 - RAMP, 15 + 2040, 4080, "LINEAR_EXACT")))
    gray = read(
        make(RAMP, ModalityLUTSequence=lut(entries, 4096, 100, bits, vr=vr), WindowCenter=2048, WindowWidth=4096)
    )
    assert np.array_equal(gray, np.rint(window(4095 - np.clip(RAMP - 100, 0, 4095), 2048, 4096)))


def test_a_table_of_one_byte_per_entry():
    table = lut([0], 256, 0, 8)
    table[0].LUTData = bytes(range(255, -1, -1))
    with pytest.warns(UserWarning, match="not a plain X-ray"):
        assert np.array_equal(read(make(RAMP // 16, VOILUTSequence=table, Modality="MG")), 255 - RAMP // 16)


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("high", [15, 13])
def test_pixels_that_stand_in_the_high_bits(high, signed):
    stored = RAMP - 2048 if signed else RAMP
    moved = stored.astype(np.int64) << (high - 11)
    plain = read(make(stored))
    assert np.array_equal(read(make(moved.astype("<i2" if signed else "<u2"), BitsStored=12, HighBit=high)), plain)


@pytest.mark.parametrize("high", [15, 7, 30])
def test_a_high_bit_that_the_pixels_contradict(high):
    with pytest.warns(UserWarning, match=f"HighBit is {high} with 12 bits"):
        assert np.array_equal(read(make(BitsStored=12, HighBit=high)), FULL)


def test_more_bits_than_are_stored_are_kept_unless_they_are_an_overlay():
    with pytest.warns(UserWarning, match="more bits than the 10 of BitsStored"):
        assert np.array_equal(read(make(BitsStored=10, HighBit=9)), FULL)
    drawn = RAMP | np.where(np.arange(64)[:, None] < 9, 1 << 12, 0)
    overlay = make(drawn, BitsStored=12, HighBit=11)
    overlay.add_new(0x60000102, "US", 12)
    assert np.array_equal(read(overlay), FULL)
    with pytest.warns(UserWarning, match="BitsStored is 40 of 16 bits"):
        assert np.array_equal(read(make(BitsStored=40)), FULL)


@pytest.mark.parametrize(
    "elements, told",
    [
        ({"RescaleSlope": None, "RescaleIntercept": None}, ""),
        ({"RescaleSlope": 0, "RescaleIntercept": 5}, "RescaleSlope is 0"),
        ({"WindowCenter": 0, "WindowWidth": 0}, "window in the DICOM file cannot be used.*all values"),
        ({"WindowCenter": 100, "WindowWidth": -5}, "window in the DICOM file cannot be used"),
        (
            {"WindowCenter": 100, "WindowWidth": 50, "VOILUTFunction": "SQUARE"},
            "window in the DICOM file cannot be used",
        ),
        ({"WindowCenter": None, "WindowWidth": None}, ""),
        ({"WindowCenter": 90000, "WindowWidth": 10}, "leaves a single gray"),
        ({"PixelRepresentation": None}, ""),
        ({"Modality": "CT"}, "Modality is CT.*not a plain X-ray"),
        ({"Modality": "MR"}, "Modality is MR"),
        ({"Modality": "DX"}, ""),
        ({"NumberOfFrames": None, "SamplesPerPixel": None}, ""),
        ({"NumberOfFrames": 0}, ""),
        ({"HighBit": None}, ""),
        ({"Modality": "dx"}, ""),
        ({"PhotometricInterpretation": "monochrome2"}, ""),
        ({"WindowCenter": 2040, "WindowWidth": 4080, "VOILUTFunction": "linear_exact"}, ""),
        ({"VOILUTSequence": [Dataset()]}, "VOILUTSequence in the DICOM file holds no table"),
        ({"ModalityLUTSequence": [Dataset()]}, "ModalityLUTSequence in the DICOM file holds no table"),
        ({"PresentationLUTShape": "IDENTITY"}, ""),
        ({"PresentationLUTShape": "INVERSE"}, "INVERSE contradicts MONOCHROME2"),
    ],
)
def test_impossible_elements_are_passed_over_and_told(elements, told, recwarn):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        content = written(make(**elements))
    recwarn.clear()
    assert np.array_equal(read_dicom(content), FULL)
    notes = [str(w.message) for w in recwarn if w.category is UserWarning]
    assert len(notes) == bool(told) and re.search(told, " ".join(notes))


def test_padding_that_is_written_with_the_other_sign():
    pixels = RAMP // 8 + 1000
    pixels[:, :20] = 63536
    file = make(pixels)
    file.add_new("PixelPaddingValue", "SS", -2000)
    assert not read(file)[:, :20].any() and read(file)[:, 20:].max() == 255


def test_files_without_a_preamble_and_without_meta_elements():
    content = written(make())
    assert np.array_equal(read_dicom(content[132:]), FULL)
    assert np.array_equal(decode(content[132:], 64)[0], decode(content, 64)[0])
    for implicit in (True, False):
        bare = io.BytesIO()
        file = make()
        plain = Dataset({element.tag: element for element in file if element.tag.group > 2})
        plain.SOPClassUID = "1.2.840.10008.5.1.4.1.1.1"
        plain.PixelData = RAMP.astype("<u2").tobytes()
        pydicom.dcmwrite(bare, plain, implicit_vr=implicit, little_endian=True)
        assert np.array_equal(read_dicom(bare.getvalue()), FULL)


def test_padding_is_black_and_does_not_count():
    pixels = RAMP // 8 + 1000
    pixels[:, :20] = 0
    for photometric in ("MONOCHROME2", "MONOCHROME1"):
        gray = read(make(pixels, photometric, PixelPaddingValue=0))
        assert not gray[:, :20].any() and gray[:, 20:].min() == 0 and gray[:, 20:].max() == 255


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
    file.PixelData = bytes(100)
    with pytest.raises(BadImage) as error:
        read(file)
    seen = str(error.value) + "".join(capfd.readouterr()) + "".join(str(w.message) for w in recwarn)
    assert "Doe" not in seen and "12345" not in seen
    assert error.value.__cause__ is None and error.value.__suppress_context__


def test_burned_in_text_gives_a_warning():
    with pytest.warns(UserWarning, match="burned into"):
        read(make(BurnedInAnnotation="YES"))


@pytest.mark.parametrize(
    "change, says",
    [
        ({"NumberOfFrames": 3, "PixelData": RAMP.astype("<u2").tobytes() * 3}, "3 frames.*one frame"),
        ({"SamplesPerPixel": 3, "PhotometricInterpretation": "RGB"}, "not a gray picture.*RGB"),
        ({"Rows": 60_000, "Columns": 60_000}, "100 megapixels"),
        ({"PixelData": bytes(100)}, "damaged"),
        ({"Rows": None}, "does not say its Rows"),
    ],
)
def test_what_cannot_be_shown_is_refused(change, says):
    with pytest.raises(BadImage, match=says):
        read(make(**change))


def test_a_deflated_file_that_unpacks_to_far_more_is_refused(monkeypatch):
    file = make()
    file.file_meta.TransferSyntaxUID = pydicom.uid.DeflatedExplicitVRLittleEndian
    content = written(file)
    assert read_dicom(content).shape == RAMP.shape
    head = content[: content.index(b"1.2.840.10008.1.2.1.99") + 22]
    packer = zlib.compressobj(9, wbits=-15)
    bomb = head + b"".join(packer.compress(bytes(2**20)) for _ in range(200)) + packer.flush()
    monkeypatch.setattr(zlib, "decompress", None)  # which would unpack all of it
    with pytest.raises(BadImage, match="decompression bomb"):
        read_dicom(bomb)
    with pytest.raises(BadImage, match="decompression bomb"):
        decode(bomb, 16)


def test_an_endless_jpeg_2000_file_inside_is_refused():
    buffer = io.BytesIO()
    Image.fromarray((RAMP // 16).astype(np.uint8)).save(buffer, "JPEG2000")
    whole = buffer.getvalue()
    assert whole[4:8] == b"jP  "
    for content, fine in ((whole, True), (whole[:12] + bytes(4) + whole[16:], False)):
        file = make((RAMP // 16).astype(np.uint8), BitsAllocated=8, BitsStored=8, HighBit=7)
        file.file_meta.TransferSyntaxUID = pydicom.uid.JPEG2000Lossless
        file.PixelData = pydicom.encaps.encapsulate([content])
        file["PixelData"].is_undefined_length = True
        if fine:
            assert read(file).shape == RAMP.shape
        else:
            with pytest.raises(BadImage, match="damaged JPEG 2000"):
                read(file)


def test_a_large_picture_made_of_nothing_is_refused():
    with pytest.raises(BadImage, match=r"9000 x 9000 pixels from [\d,]+ bytes \(a decompression bomb\)"):
        read(make(Rows=9000, Columns=9000))


def test_a_large_picture_is_shown_as_a_small_one():
    """It is computed in strips of some rows, which must not show."""
    large = np.tile(RAMP, (33, 32))  # (2112, 8192): more than one strip
    for options in (
        {},
        {"PhotometricInterpretation": "MONOCHROME1", "RescaleSlope": "2", "RescaleIntercept": "-7"},
        {"WindowCenter": 900, "WindowWidth": 500},
        {"PixelPaddingValue": 0, "PixelPaddingRangeLimit": 160},
    ):
        photometric = options.pop("PhotometricInterpretation", "MONOCHROME2")
        small = read(make(photometric=photometric, **options))
        assert np.array_equal(read(make(large, photometric, **options)), np.tile(small, (33, 32)))


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


@pytest.mark.parametrize(
    "options, says",
    [
        ({"window": 5}, "center, width"),
        ({"window": (1, 0)}, "width: give a number of at least 1"),
        ({"window": "wide"}, "full"),
    ],
)
def test_impossible_options(options, says):
    with pytest.raises(ValueError, match=says):
        read(make(), **options)


# ---- a folder of DICOM files


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """folder({path: DICOM file, bytes, or picture}): the folder that holds them; a cache of its own."""
    monkeypatch.setenv("CXR_CACHE_DIR", str(tmp_path / "cache"))

    def write(files):
        for path, file in files.items():
            place = tmp_path / "scans" / path
            place.parent.mkdir(parents=True, exist_ok=True)
            if isinstance(file, Image.Image):
                file.save(place)
            else:
                place.write_bytes(file if isinstance(file, bytes) else written(file))
        return f"folder:{tmp_path / 'scans'}"

    return write


def scan(value=0, patient=None, **elements):
    """A DICOM file with a picture of its own."""
    return make(np.roll(RAMP, value * 16, axis=1), PatientID=patient, **elements)


def test_a_folder_of_dicom_files_and_pictures_loads_like_any_other(folder):
    name = folder(
        {
            "train/normal/a.dcm": scan(1, "A-1"),
            "train/normal/b.DICOM": scan(2, "A-2"),
            "train/pneumonia/IM000001": scan(3, "A-3"),
            "train/pneumonia/1.2.840.10008.77": scan(4, "A-4"),
            "test/normal/c.png": Image.new("L", (30, 20), 90),
            "test/pneumonia/d.dcm": scan(5),
            "DICOMDIR": scan(6),
            "train/notes": b"no picture" * 30,
            "train/normal/IM7.IMA": written(scan(7)),
        }
    )
    data = load(name, 32, progress=False)
    assert len(data) == 7 and data.classes == ("normal", "pneumonia")
    assert data.skipped.to_numpy().tolist() == [["train/notes", "a document, not an image"]]
    table = data.table.set_index("file")
    for file, value in {
        "train/normal/a.dcm": 1,
        "train/pneumonia/IM000001": 3,
        "train/pneumonia/1.2.840.10008.77": 4,
    }.items():
        row = data.table["file"].tolist().index(file)
        assert np.array_equal(data.images[row, 0], decode(written(scan(value)), 32)[0])
        assert tuple(table.loc[file, ["width", "height", "extension"]]) == (256, 64, ".dcm")
    assert table.loc["test/normal/c.png", "extension"] == ".png"
    assert data.counts().loc["train"].tolist() == [3, 2, 5]
    again = load(name, 32, progress=False)
    assert again.table.equals(data.table) and again.fingerprint == data.fingerprint


def test_windows_inversion_rescaling_and_compression_hold_in_a_folder(folder):
    files = {
        "a/window.dcm": scan(WindowCenter=1000, WindowWidth=500),
        "a/negative.dcm": scan(photometric="MONOCHROME1"),
        "b/rescaled.dcm": scan(RescaleSlope=2, RescaleIntercept=-1000, WindowCenter=900, WindowWidth=700),
        "b/rle.dcm": scan(8),
    }
    files["b/rle.dcm"].compress(pydicom.uid.RLELossless)
    data = load(folder(files), 64, progress=False)
    for file, image in zip(data.table["file"], data.images, strict=True):
        assert np.array_equal(image[0], decode(written(files[file]), 64)[0]), file


def test_a_missing_decoder_in_a_folder_is_named_and_can_be_added_later(folder, monkeypatch):
    from pydicom.pixels.decoders import RLELosslessDecoder

    packed = scan(3)
    packed.compress(pydicom.uid.RLELossless)
    name = folder({"a/1.dcm": scan(1), "a/2.dcm": packed, "b/3.dcm": scan(2)})
    with monkeypatch.context() as without:
        without.setattr(type(RLELosslessDecoder), "is_available", property(lambda self: False))
        with pytest.warns(UserWarning, match=r"a/2.dcm: .*RLE Lossless.*pip install pylibjpeg pylibjpeg-rle`"):
            assert len(load(name, 32, progress=False)) == 2
    assert len(load(name, 32, progress=False)) == 3


def test_dicom_files_that_cannot_be_used_are_listed(folder):
    name = folder(
        {
            "a/1.dcm": scan(1),
            "b/2.dcm": scan(2),
            "a/frames.dcm": scan(NumberOfFrames=3),
            "a/old.dcm": b"\0" * 900,
            "b/color.dcm": scan(SamplesPerPixel=3, PhotometricInterpretation="RGB"),
        }
    )
    with pytest.warns(UserWarning, match="3 files"):
        data = load(name, 32, progress=False)
    reasons = data.skipped.set_index("file")["reason"]
    assert "3 frames" in reasons["a/frames.dcm"] and "nor a DICOM" in reasons["a/old.dcm"]
    assert "not a gray picture" in reasons["b/color.dcm"] and len(data) == 2


def test_images_of_one_patient_stay_together_and_nothing_names_them(folder, tmp_path, capfd, caplog):
    # Digits alone could stand in the digest of a file by chance; "Q" is in none.
    anna, other = "Miller^Anna-77001Q", "0815-4711Q"
    ids = [anna, f"{anna} ", other, anna, None, "", other, "x" * 90]
    files = {}
    for i, patient in enumerate(ids):
        file = scan(i, StudyDate="19990131", AccessionNumber="ACC55", BurnedInAnnotation="NO")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # pydicom finds 90 letters too long
            file.PatientID = patient
        if i == 4:
            del file.PatientID
        files[f"{'ab'[i % 2]}/{i}.dcm"] = file
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        name = folder(files)
    caplog.clear()
    data = load(name, 32, progress=False)
    table = data.table.set_index("file")
    assert {file: table.loc[file, "patient"] for file in sorted(files, key=lambda f: f[2:])} == {
        "a/0.dcm": "patient-0001",
        "b/1.dcm": "patient-0001",
        "a/2.dcm": "patient-0002",
        "b/3.dcm": "patient-0001",
        "a/4.dcm": "a/4.dcm",
        "b/5.dcm": "b/5.dcm",
        "a/6.dcm": "patient-0002",
        "b/7.dcm": "patient-0003",
    }
    assert table["patient_known"].sum() == 6 and not table.loc["a/4.dcm", "patient_known"]

    for seed in range(5):
        parts = [set(part.patients) for part in split(data, val=0.3, test=0.3, seed=seed, stratify=False)]
        assert sum(map(len, parts)) == len(set(data.patients)) == 5

    kept = b"".join(p.read_bytes() for p in (tmp_path / "cache").rglob("*") if p.is_file())
    shown = repr(data) + data._repr_html_() + data.table.to_csv() + "".join(capfd.readouterr()) + caplog.text
    for secret in ("Miller", "77001Q", "4711Q", "xxxx", "Doe", "19990131", "ACC55"):
        assert secret.encode() not in kept and secret not in shown


def test_a_pattern_or_a_name_goes_before_the_header(folder):
    name = folder(
        {
            "a/p1_1.dcm": scan(1, "A"),
            "a/p1_2.dcm": scan(2, "B"),
            "b/p2.png": Image.new("L", (20, 20), 9),
            "b/other.dcm": scan(3, "A"),
            "b/more.dcm": scan(4, "A"),
        }
    )
    table = load(name, 32, progress=False, patient=r"p(\d+)").table.set_index("file")
    assert table["patient"].to_dict() == {
        "a/p1_1.dcm": "1",
        "a/p1_2.dcm": "1",
        "b/p2.png": "2",
        "b/other.dcm": "patient-0001",
        "b/more.dcm": "patient-0001",
    }


def test_burned_in_text_is_told_once_a_load_and_can_be_left_out(folder):
    name = folder(
        {
            "a/1.dcm": scan(1),
            "a/2.dcm": scan(2, BurnedInAnnotation="YES"),
            "b/3.dcm": scan(3, BurnedInAnnotation="YES"),
            "b/4.png": Image.new("L", (20, 20), 9),
        }
    )
    for _ in range(2):
        with pytest.warns(UserWarning, match=r"2 DICOM files say.*burned_in=False") as told:
            data = load(name, 32, progress=False)
        assert len(told) == 2 and told[1].filename == __file__
    assert data.where(burned_in=False).table["file"].tolist() == ["a/1.dcm", "b/4.png"]


def test_a_folder_without_dicom_files_has_no_column_for_them(folder):
    data = load(folder({"a/1.png": Image.new("L", (20, 20), 9), "b/2.png": Image.new("L", (20, 20), 90)}), 32)
    assert "burned_in" not in data.table and not data.table["patient_known"].any()
    assert not any("burned_in" in p.read_text() for p in cache_dir().rglob("files.json"))
