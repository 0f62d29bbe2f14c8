"""The CAM inspector, Python side: what the page gets, what the kernel answers, and what bad input gets."""

import base64
import io
import json
import re
import sys

import ipywidgets
import numpy as np
import pytest
import torch
from conftest import dequantize
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from IPython.core.formatters import DisplayFormatter
from PIL import Image

import cxrlib
from cxrlib import cam
from cxrlib.data import CxrDataset
from cxrlib.localization import score_maps
from cxrlib.localization.maps import enlarge, fraction_inside
from cxrlib.phantom import make_phantoms
from cxrlib.widgets import CamInspector, StaticWidget
from cxrlib.widgets.encode import quantize
from cxrlib.widgets.inspector import MAX_UPLOAD

SIZE = 32


def dataset(n=14, size=SIZE, classes=("normal", "pneumonia")):
    made = make_phantoms(n, size=size, classes=classes, seed=3, progress=False, workers=1)
    return CxrDataset(made.images, made.labels, made.classes, made.patients, made.table, made.masks, made.lungs)


def network(classes=("normal", "pneumonia"), size=SIZE, layers="CPCPC", seed=0):
    return cxrlib.build_model(layers, classes, size=size, filters=(6, 8, 8), seed=seed)


@pytest.fixture(scope="module")
def data():
    return dataset()


@pytest.fixture(scope="module")
def model():
    return network()


@pytest.fixture(scope="module")
def inspector(model, data):
    return CamInspector(model, data)


def page(widget):
    return widget.static_state()["page"]


def talk(widget, content, buffers=(), monkeypatch=None):
    """Send a message as the browser would; returns the answers."""
    answers = []
    widget.send = lambda content, buffers=None: answers.append(content)
    try:
        widget._handle_custom_msg(content, list(buffers))
    finally:
        del widget.send
    return answers


def png(pixels, **options) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", **options)
    return buffer.getvalue()


# --- numbers


@given(
    hnp.arrays(
        np.float32, hnp.array_shapes(min_dims=3, max_dims=3, max_side=6),
        elements=st.floats(-1e4, 1e4, width=32, allow_subnormal=False),
    )
)  # fmt: skip
@settings(max_examples=60, deadline=None)
def test_quantized_maps_come_back_within_half_a_step(maps):
    record = json.loads(json.dumps(quantize(maps)))
    back = dequantize(record)
    span = np.ptp(maps.astype(float), (1, 2), keepdims=True)
    rounding = 6e-6 * float(np.abs(maps).max())  # six digits of the range itself
    assert back.shape == maps.shape
    assert (np.abs(back - maps) <= span / 510 + span * 1e-5 + rounding).all()


def test_a_map_whose_range_is_too_small_to_divide_is_a_flat_one():
    with np.errstate(divide="raise", invalid="raise"):
        record = quantize(np.array([[[0, 1e-44]]], np.float32))
    assert not dequantize(record).any()


def test_the_page_holds_the_maps_of_explain(inspector, model, data):
    for layer in page(inspector)["models"][0]["layers"]:
        for image in page(inspector)["images"]:
            raw = cxrlib.explain(model, data[[image["row"]]], layer=layer, relu=False)[0]
            record = page(inspector)["maps"][f"0|{image['id']}|{layer}|grad-cam"]
            assert record["size"] == list(raw.shape[1:])
            np.testing.assert_allclose(dequantize(record), raw, atol=np.ptp(raw, (1, 2)).max() / 500)
            np.testing.assert_allclose(record["high"], raw.max((1, 2)), rtol=1e-4, atol=1e-7)


def test_shares_on_the_page_agree_with_a_slow_calculation(inspector, model, data):
    """Bilinear enlargement written out pixel by pixel, as the textbook has it."""

    def enlarged(map_, size):
        h, w = map_.shape
        out = np.zeros((size, size))
        for y in range(size):
            for x in range(size):
                v = min(max((y + 0.5) * h / size - 0.5, 0), h - 1)
                u = min(max((x + 0.5) * w / size - 0.5, 0), w - 1)
                top, left = int(v), int(u)
                bottom, right = min(top + 1, h - 1), min(left + 1, w - 1)
                v, u = v - top, u - left
                out[y, x] = (1 - v) * ((1 - u) * map_[top, left] + u * map_[top, right]) + v * (
                    (1 - u) * map_[bottom, left] + u * map_[bottom, right]
                )
        return out

    layer = page(inspector)["models"][0]["layers"][-1]
    compared = 0
    for image in page(inspector)["images"][:4]:
        row = image["row"]
        raw = cxrlib.explain(model, data[[row]], layer=layer, relu=False)[0]
        share = page(inspector)["maps"][f"0|{row}|{layer}|grad-cam"]["inside"]
        for name, mask in (("lesion", data.masks[row]), ("lung", data.lungs[row])):
            assert (name in share) == bool(mask.any())
            for k in range(len(raw)):
                fine = enlarged(np.maximum(raw[k], 0), SIZE)
                if name in share and fine.sum() > 0:
                    assert share[name][k] == pytest.approx(fine[mask].sum() / fine.sum(), abs=2e-5)
                    compared += 1
    assert compared >= 4


def test_shares_on_the_page_are_those_of_score_maps(inspector, model, data):
    layer = page(inspector)["models"][0]["layers"][-1]
    maps = cxrlib.explain(model, data, layer=layer)[:, 1]
    scores = score_maps(maps, data.masks, lungs=data.lungs, markers=data.table, bootstrap=0).per_image
    compared = 0
    for image in page(inspector)["images"]:
        share = page(inspector)["maps"][f"0|{image['id']}|{layer}|grad-cam"]["inside"]
        if image["row"] in scores.index and share["lesion"][1] is not None:
            for name, values in share.items():
                assert values[1] == pytest.approx(scores.loc[image["row"], f"energy_{name}"], abs=2e-5)
                compared += 1
    assert compared >= 6


def test_probabilities_and_regions_are_those_of_the_data(inspector, model, data):
    expected = cxrlib.predict(model, data)
    for image in page(inspector)["images"]:
        row = image["row"]
        np.testing.assert_allclose(image["probs"][0], expected[row], atol=1e-5)
        assert image["label"] == data.labels[row]
        assert image["regions"]["lesion"]["area"] == pytest.approx(data.masks[row].mean(), abs=1e-5)
        decoded = np.asarray(Image.open(io.BytesIO(base64.b64decode(image["png"]))))
        np.testing.assert_array_equal(decoded, data.images[row, 0])
        lung = np.asarray(Image.open(io.BytesIO(base64.b64decode(image["regions"]["lung"]["png"]))))
        np.testing.assert_array_equal(lung > 0, data.lungs[row])
        box = data.table.iloc[row]
        area = (box.marker_x1 - box.marker_x0) * (box.marker_y1 - box.marker_y0) if box.marker else 0
        assert image["regions"]["marker"]["area"] == pytest.approx(area / SIZE**2, abs=1e-5)


def test_what_the_data_does_not_know_is_not_offered_but_lungs_are_looked_for():
    known = dataset(size=96)
    bare = CxrDataset(known.images, known.labels, known.classes, known.patients)
    shown = page(CamInspector(network(size=96), bare, images=[0, 1], precompute=False))
    assert shown["regions"] == ["lung"]
    found = [image["regions"]["lung"]["area"] for image in shown["images"]]
    np.testing.assert_allclose(found, known.lungs[:2].mean((1, 2)), rtol=0.1)
    assert [image["lungs"] for image in shown["images"]] == ["found", "found"]


def test_lungs_are_found_in_an_own_picture_too_or_it_is_said_that_there_are_none():
    known = dataset(size=96)
    widget = CamInspector(network(size=96), known, images=[4], precompute=False)
    upload = {"type": "upload", "part": 0, "last": True}
    chest, gray = (
        talk(widget, upload, [png(p)])[0]["image"] for p in (known.images[7, 0], np.full((96, 96), 99, "u1"))
    )
    assert chest["lungs"] == "found" and abs(chest["regions"]["lung"]["area"] - known.lungs[7].mean()) < 0.05
    assert gray["lungs"] == "no lungs seen" and gray["regions"] == {}


def test_an_own_picture_is_shown_as_it_is_prepared():
    known = dataset(size=96)
    recipe = cxrlib.Recipe(size=96, crop="lungs")
    widget = CamInspector(
        network(size=96), known, images=[4], precompute=False, upload_size=recipe.read_size,
        prepare=lambda data: cxrlib.prepare(data, recipe),
    )  # fmt: skip
    large = make_phantoms(1, size=140, seed=3, progress=False)
    image = talk(widget, {"type": "upload", "part": 0, "last": True}, [png(large.images[0, 0])])[0]["image"]
    assert image["regions"]["lung"]["area"] > 1.2 * large.lungs.mean(), "the lungs take up more of the cut picture"


def test_the_page_weight_stays_below_the_limit():
    classes = ("normal", "bacterial", "viral", "covid-19", "tuberculosis")
    made = make_phantoms(40, size=224, classes=classes, seed=0, progress=False, workers=1)
    many = CxrDataset(made.images, made.labels, made.classes, made.patients, made.table, made.masks, made.lungs)
    net = network(classes, 224, "PPCPCPC")  # maps of 56, 28 and 14 cells a side: more than any back-bone has
    widget = CamInspector(net, many, images=range(12))
    sizes = {tuple(m["size"]) for m in page(widget)["maps"].values()}
    assert len(page(widget)["maps"]) == 36 and sizes == {(56, 56), (28, 28), (14, 14)}
    assert len(widget.to_html().encode()) < 1_500_000


def test_fine_maps_are_averaged_for_the_page_but_not_for_the_numbers():
    data, net = dataset(4, 128), network(size=128, layers="CPC")
    first = cam.layers(net)[0]
    widget = CamInspector(net, data, images=[1], layers=[first])
    record = page(widget)["maps"][f"0|1|{first}|grad-cam"]
    raw = cxrlib.explain(net, data[[1]], layer=first, relu=False)[0]
    assert record["size"] == [128, 128] and record["grid"] == [56, 56]
    fine = enlarge(np.maximum(raw, 0), data.lungs[1].shape)
    assert record["inside"]["lung"] == pytest.approx(fraction_inside(fine, data.lungs[1]), abs=1e-5)


# --- choosing


def test_by_default_images_are_spread_over_the_classes():
    data = dataset(80)
    rows = [image["row"] for image in page(CamInspector(network(), data, precompute=False))["images"]]
    assert len(rows) == 12 and rows == sorted(rows)
    assert np.bincount(data.labels[rows]).tolist() == [6, 6]


def test_images_are_taken_in_the_given_order_and_counted_from_the_end(model, data):
    widget = CamInspector(model, data, images=np.array([5, -1, 5, 2]), precompute=False)
    assert [image["row"] for image in page(widget)["images"]] == [5, 13, 2]


def test_default_layers_are_the_last_ones_at_each_size(data):
    net = cxrlib.build_model("resnet18", data.classes, size=64)
    assert page(CamInspector(net, dataset(2, 64), precompute=False))["models"][0]["layers"] == [
        "layer2",
        "layer3",
        "layer4",
    ]


def test_two_models_with_other_layers_side_by_side(model, data):
    other = network(layers="CCPC", seed=1)
    widget = CamInspector(model, data, images=[0, 3], other=other, names=["clean", "shortcut"])
    first, second = page(widget)["models"]
    assert (first["name"], second["name"]) == ("clean", "shortcut")
    assert len(first["layers"]) == len(second["layers"])
    for m, net in enumerate((first, second)):
        for layer in net["layers"]:
            assert f"{m}|0|{layer}|grad-cam" in page(widget)["maps"]
    assert len(page(widget)["images"][0]["probs"]) == 2


def test_methods_and_occlusion_which_has_no_layer(model, data):
    widget = CamInspector(model, data, images=[0], methods=["grad-cam", "occlusion"])
    assert "0|0||occlusion" in page(widget)["maps"]
    listed = {m["id"]: m["saved"] for m in page(widget)["methods"]}
    assert set(listed) == set(cam.METHODS) and listed["occlusion"] and not listed["score-cam"]


def test_the_model_is_left_as_it_was_found(data):
    net = network().train()
    before = {k: v.clone() for k, v in net.state_dict().items()}
    CamInspector(net, data, images=[0])
    assert net.training and all(p.grad is None for p in net.parameters())
    assert all(torch.equal(v, before[k]) for k, v in net.state_dict().items())
    assert not any(m._forward_hooks for m in net.modules())


def test_training_on_does_not_change_what_is_shown(data):
    net = network()
    widget = CamInspector(net, data, images=[0], precompute=False)
    expected = cxrlib.explain(net, data[[0]], relu=False)[0]
    with torch.no_grad():
        net.head.output.weight.neg_()
    (answer,) = talk(
        widget, {"type": "map", "model": 0, "image": "0", "layer": cam.layers(net)[-1], "method": "grad-cam"}
    )
    np.testing.assert_allclose(dequantize(answer["map"]), expected, atol=np.ptp(expected) / 400)


# --- display


def test_it_shows_itself_as_widget_and_as_html_also_under_ipywidgets_7(inspector, monkeypatch):
    def old(self, **kwargs):
        raise AssertionError("ipywidgets 7 displayed the widget alone")

    monkeypatch.setattr(ipywidgets.Widget, "_ipython_display_", old, raising=False)
    formatter = DisplayFormatter()
    formatter.ipython_display_formatter.enabled = True
    shown, _ = formatter.format(inspector)
    assert shown["application/vnd.jupyter.widget-view+json"]["model_id"] == inspector.model_id
    assert 'type="module"' in shown["text/html"]
    assert "CAM inspector" in shown["text/plain"]


def test_in_colab_only_the_live_widget_is_shown(inspector, monkeypatch):
    monkeypatch.setitem(sys.modules, "google.colab", sys)
    assert "text/html" not in inspector._repr_mimebundle_()[0]


def test_the_html_asks_for_nothing_and_escapes_what_it_holds(data):
    evil = ("normal", "</script><script>alert('x')</script><!--")
    named = CxrDataset(data.images, data.labels, evil, data.patients)
    widget = CamInspector(network(evil), named, images=[0], precompute=False)
    text = widget.to_html()
    assert "alert('x')</" not in text and text.count("<script") == 2 and text.count("</script>") == 2
    state = re.search(r'<script type="application/json"[^>]*>(.*?)</script>', text, re.S)[1]
    assert json.loads(state)["page"]["classes"] == list(evil)
    assert not re.search(r"""https?://|@import|url\(|\bimport\s|\beval\b|new Function|src=["']?/""", text)


def test_equal_widgets_make_equal_html(inspector, model, data):
    assert CamInspector(model, data).to_html() == inspector.to_html()


def test_no_file_name_and_no_path_reaches_the_page(inspector, data):
    text = inspector.to_html()
    assert not [name for name in data.table["file"] if str(name) in text]


def test_a_page_of_its_own(inspector, tmp_path):
    path = inspector.save_html(tmp_path / "page.html", title="Maps & more")
    assert "<title>Maps &amp; more</title>" in path.read_text() and inspector.to_html() in path.read_text()
    with pytest.raises(ValueError, match="folder"):
        inspector.save_html(tmp_path)


def test_a_widget_whose_module_cannot_stand_in_a_page_is_refused():
    class NoRender(StaticWidget):
        _esm = "export default {}"

    class Ends(StaticWidget):
        _esm = "const a = '</script>'; function render() {}\nexport default { render };"

    with pytest.raises(ValueError, match="export default"):
        NoRender().to_html()
    with pytest.raises(ValueError, match="end its own"):
        Ends().to_html()


def test_a_small_widget_gets_its_traits_on_the_page():
    import traitlets

    class Small(StaticWidget):
        _esm = "function render({ model, el }) { el.textContent = model.get('value'); }\nexport default { render };"
        value = traitlets.Int(7).tag(sync=True)

    assert Small().static_state() == {"value": 7}
    assert '{"value":7}' in Small().to_html()


# --- with a kernel


def test_the_kernel_sends_the_page_without_the_maps(inspector):
    (answer,) = talk(inspector, {"type": "hello", "ask": "1"})
    assert answer["type"] == "page" and answer["ask"] == "1"
    assert answer["page"]["maps"] == {} and len(answer["page"]["images"]) == 12
    assert json.dumps(answer)


def test_a_map_is_computed_when_it_is_asked_for_and_then_kept(model, data):
    widget = CamInspector(model, data, images=[4], precompute=False)
    assert page(widget)["maps"] == {}
    layer = cam.layers(model)[0]
    question = {"type": "map", "model": 0, "image": "4", "layer": layer, "method": "layer-cam", "ask": "q"}
    (answer,) = talk(widget, question)
    raw = cxrlib.explain(model, data[[4]], layer=layer, method="layer-cam", relu=False)[0]
    assert answer["ask"] == "q"
    np.testing.assert_allclose(dequantize(answer["map"]), raw, atol=np.ptp(raw) / 400)
    assert answer["key"] in page(widget)["maps"]
    assert talk(widget, question) == [answer]


def test_any_image_of_the_data_can_be_added(model, data):
    widget = CamInspector(model, data, images=[4], precompute=False)
    (answer,) = talk(widget, {"type": "image", "row": 9})
    assert answer["image"]["row"] == 9 and answer["image"]["label"] == data.labels[9]
    for row in (14, -1, 1.5, "1", None, True):
        (answer,) = talk(widget, {"type": "image", "row": row})
        assert answer["type"] == "error" and "0 to 13" in answer["text"]


@pytest.mark.parametrize(
    "change, word",
    [
        ({"layer": "layer9"}, "layer9"),
        ({"method": "magic"}, "magic"),
        ({"image": "99"}, "99"),
        ({"model": 1}, "model"),
        ({"layer": None}, "layer"),
        ({"method": "occlusion"}, "layer"),
    ],
)
def test_wrong_questions_get_an_answer_that_says_what_is_wrong(inspector, model, change, word):
    question = {
        "type": "map",
        "model": 0,
        "image": page(inspector)["images"][0]["id"],
        "layer": cam.layers(model)[-1],
        "method": "grad-cam",
        **change,
    }
    (answer,) = talk(inspector, question)
    assert answer["type"] == "error" and word in answer["text"]


def test_an_own_picture_is_classified_and_mapped_but_never_saved(model, data):
    widget = CamInspector(model, data, images=[4], precompute=False)
    (answer,) = talk(widget, {"type": "upload", "part": 0, "last": True, "ask": "u"}, [png(data.images[7, 0])])
    image = answer["image"]
    np.testing.assert_allclose(image["probs"][0], cxrlib.predict(model, data[[7]])[0], atol=1e-5)
    assert image["label"] is None and image["row"] is None
    (answer,) = talk(
        widget, {"type": "map", "model": 0, "image": image["id"], "layer": cam.layers(model)[-1], "method": "grad-cam"}
    )
    assert answer["type"] == "map"
    assert [i["id"] for i in page(widget)["images"]] == ["4"] and page(widget)["maps"] == {}


def test_own_pictures_are_told_apart_and_can_be_removed(model, data):
    widget = CamInspector(model, data, images=[4], precompute=False)
    upload = {"type": "upload", "part": 0, "last": True}
    large = np.zeros((90, 400), np.uint8)
    answers = [talk(widget, upload, [png(pixels)])[0] for pixels in (data.images[7, 0], large)]
    assert [answer["image"]["id"] for answer in answers] == ["u1", "u2"]
    assert [answer["image"]["file"] for answer in answers] == [[SIZE, SIZE], [400, 90]], "the size of the file"
    question = {"type": "map", "model": 0, "image": "u1", "layer": cam.layers(model)[-1], "method": "grad-cam"}
    assert talk(widget, question)[0]["type"] == "map"
    assert talk(widget, {"type": "remove", "image": "u1"}) == [{"type": "removed", "image": "u1", "ask": None}]
    (hello,) = talk(widget, {"type": "hello"})
    assert [image["id"] for image in hello["page"]["images"]] == ["4", "u2"] and not hello["page"]["tops"]
    assert talk(widget, question)[0]["type"] == "error"
    assert talk(widget, upload, [png(large)])[0]["image"]["id"] == "u3", "a number is not given twice"
    for image in ("4", "u1", None):
        (answer,) = talk(widget, {"type": "remove", "image": image})
        assert answer["type"] == "error" and "image: give one of u2, u3" in answer["text"]


def test_an_upload_may_come_in_parts(model, data):
    widget = CamInspector(model, data, images=[4], precompute=False)
    whole = png(data.images[7, 0])
    assert talk(widget, {"type": "upload", "part": 0, "last": False}, [whole[:200]]) == []
    (answer,) = talk(widget, {"type": "upload", "part": 1, "last": True}, [memoryview(whole[200:])])
    assert answer["type"] == "image"


@pytest.mark.parametrize(
    "content, word",
    [
        (b"", "empty"),
        (b"just a text", "text file"),
        (b"PK\x03\x04" + bytes(50), "archive"),
        (png(np.zeros((50, 50), np.uint8))[:60], "cut off|damaged"),
    ],
)
def test_an_upload_that_is_no_picture_gets_a_reason(model, data, content, word):
    widget = CamInspector(model, data, images=[4], precompute=False)
    (answer,) = talk(widget, {"type": "upload", "part": 0, "last": True}, [content])
    assert answer["type"] == "error" and re.search(word, answer["text"])
    assert len(page(widget)["images"]) == 1


def test_an_upload_of_50_megabytes_is_refused_and_forgotten(model, data):
    widget = CamInspector(model, data, images=[4], precompute=False)
    part = bytes(10 * 2**20)
    answers = [a for k in range(5) for a in talk(widget, {"type": "upload", "part": k, "last": False}, [part])]
    assert answers and f"{MAX_UPLOAD // 2**20} MB" in answers[0]["text"]
    (answer,) = talk(widget, {"type": "upload", "part": 0, "last": True}, [png(data.images[7, 0])])
    assert answer["type"] == "image"


def test_a_dicom_file_is_shown_the_right_way_round_and_named_by_nothing(model, data):
    pydicom = pytest.importorskip("pydicom")
    from pydicom.dataset import FileDataset, FileMetaDataset

    def dicom(pixels, photometric):
        meta = FileMetaDataset()
        meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
        meta.MediaStorageSOPClassUID = meta.MediaStorageSOPInstanceUID = pydicom.uid.generate_uid()
        file = FileDataset(None, {}, file_meta=meta, preamble=bytes(128))
        file.PatientName, file.PatientID = "Doe^Jane", "12345"
        file.Rows, file.Columns, file.SamplesPerPixel = *pixels.shape, 1
        file.PhotometricInterpretation = photometric
        file.BitsAllocated, file.BitsStored, file.HighBit, file.PixelRepresentation = 16, 12, 11, 0
        file.PixelData = pixels.astype("<u2").tobytes()
        buffer = io.BytesIO()
        pydicom.dcmwrite(buffer, file, enforce_file_format=True)
        return buffer.getvalue()

    ramp = np.tile(np.linspace(0, 4000, 64), (64, 1))
    widget = CamInspector(model, data, images=[4], precompute=False)
    for photometric, rising in (("MONOCHROME2", True), ("MONOCHROME1", False)):
        (answer,) = talk(widget, {"type": "upload", "part": 0, "last": True}, [dicom(ramp, photometric)])
        shown = np.asarray(Image.open(io.BytesIO(base64.b64decode(answer["image"]["png"])))).astype(int)
        assert (shown[:, -1] > shown[:, 0]).all() == rising
        assert "Doe" not in json.dumps(answer) and "12345" not in json.dumps(answer)
    (answer,) = talk(widget, {"type": "upload", "part": 0, "last": True}, [bytes(128) + b"DICM" + bytes(100)])
    assert answer["type"] == "error" and "DICOM" in answer["text"]


def test_a_fault_inside_is_reported_to_the_reader(inspector, monkeypatch):
    def broken(*args, **kwargs):
        raise RuntimeError("out of memory")

    monkeypatch.setattr(cam, "explain", broken)
    (answer,) = talk(
        inspector,
        {"type": "map", "model": 0, "image": page(inspector)["images"][0]["id"], "layer": "", "method": "occlusion"},
    )
    assert answer["type"] == "error" and "out of memory" in answer["text"]


def test_messages_of_another_kind_are_ignored(inspector):
    for content in ({"type": "nothing"}, {}, {"type": None}):
        assert talk(inspector, content) == []


# --- bad input


def test_a_map_with_no_positive_value_says_so_in_numbers(data):
    net = network()
    with torch.no_grad():
        net.head.output.weight[1] = -net.head.output.weight[1].abs() - 0.1  # the maps behind it are not negative
    widget = CamInspector(net, data, images=[5])
    record = page(widget)["maps"][f"0|5|{page(widget)['models'][0]['layers'][-1]}|grad-cam"]
    assert record["high"][1] <= 0
    assert all(share[1] is None for share in record["inside"].values())


def test_nan_weights_are_refused(data):
    net = network()
    with torch.no_grad():
        net.head.output.weight[0, 0] = float("nan")
    with pytest.raises(ValueError, match=r"^model: .*NaN"):
        CamInspector(net, data, images=[3])


@pytest.mark.parametrize(
    "change, message",
    [
        ({"images": [99]}, r"^images: give a whole number from -14 to 13, got 99"),
        ({"images": [-15]}, "^images"),
        ({"images": []}, "^images"),
        ({"images": [0.5]}, "^images"),
        ({"images": 3}, "^images"),
        ({"images": list(range(14)) * 10}, "^images"),
        ({"images": [True, False]}, "^images"),
        ({"layers": ["layer9"]}, "^layers: .*layer9"),
        ({"layers": []}, "^layers"),
        ({"layers": "conv1"}, "^layers"),
        ({"methods": ["grad"]}, "^methods: .*'grad'.*grad-cam"),
        ({"methods": []}, "^methods"),
        ({"names": ["a", "b"]}, "^names"),
        ({"names": "ab"}, "^names"),
        ({"data": [1, 2]}, "^data"),
        ({"model": None}, "^model"),
        ({"model": network(("a", "b"))}, "^model.*classes"),
        ({"other": network(("a", "b"))}, "^other.*classes"),
        ({"compare": "models"}, "^compare: .*'models'"),
        ({"compare": "both"}, "^compare: .*'both'"),
    ],
)
def test_wrong_arguments_are_named(model, data, change, message):
    arguments = {"model": model, "data": data, "precompute": False, **change}
    with pytest.raises(ValueError, match=message):
        CamInspector(**arguments)


def test_an_empty_data_set_is_refused(model, data):
    with pytest.raises(ValueError, match="^data"):
        CamInspector(model, data[[]])


def test_images_of_the_wrong_size_are_refused_by_the_model(data):
    with pytest.raises(ValueError, match="32"):
        CamInspector(network(size=64, layers="CPCFD"), data, images=[0])


def test_probabilities_come_from_the_function_that_is_given(model, data):
    widget = CamInspector(
        model, data, images=[0, 3], precompute=False, predict=lambda net, part: np.tile([0.2, 0.8], (len(part), 1))
    )
    assert [image["probs"] for image in page(widget)["images"]] == [[[0.2, 0.8]]] * 2


def test_hidden_truth_is_in_no_page(model, data):
    widget = CamInspector(model, data, images=[0, 3], truth=False, precompute=False)
    assert [image["label"] for image in page(widget)["images"]] == [None, None]


def test_a_decision_needs_two_classes_and_a_probability(model, data):
    widget = CamInspector(model, data, images=[0], decision=0.3, precompute=False)
    assert page(widget)["decision"] == 0.3
    widget.decide(0.7)
    assert page(widget)["decision"] == 0.7
    with pytest.raises(ValueError, match="from 0 to 1"):
        widget.decide(7)
    three = ("normal", "bacterial", "viral")
    with pytest.raises(ValueError, match="two classes"):
        CamInspector(network(three), dataset(classes=three), images=[0], decision=0.5, precompute=False)
