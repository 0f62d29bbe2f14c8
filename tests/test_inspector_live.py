"""The inspector with its networks in the page: real Chromium, from the disk, offline; its answers are PyTorch's."""

import io
import re

import numpy as np
import pytest
import torch
from axe_playwright_python.sync_playwright import Axe
from PIL import Image
from test_dicom import make, written
from test_live import decided, phantoms

import cxrlib as cxr
from cxrlib.cam import METHODS
from cxrlib.data.decode import read_picture
from cxrlib.widgets import CamInspector

pytestmark = pytest.mark.browser
LISTEN = """document.addEventListener("cxr-drawn", ({ detail }) => (globalThis.told = detail.told), true)"""
GRAYS = (
    """c => Array.from(c.getContext("2d").getImageData(0, 0, c.width, c.height).data.filter((_, i) => i % 4 === 0))"""
)
PIXELS = """c => Array.from(c.getContext("2d").getImageData(0, 0, c.width, c.height).data)"""
TOLD = """() => told.map(({ key, probs, map }) => ({ key, probs: Array.from(probs), map: map && Array.from(map) }))"""


@pytest.fixture(scope="module")
def data():
    return phantoms(64, 40)


@pytest.fixture(scope="module")
def networks(data):
    return [decided("CPCPC", 64, data, filters=filters) for filters in ((8, 16, 16), (6, 8, 12))]


@pytest.fixture(scope="module")
def folder(networks, data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("live")
    one, two = networks
    part = data[:5]
    CamInspector(one, part, other=two, names=("first", "second"), live=True, progress=False).save_html(
        folder / "two.html"
    )
    return folder


@pytest.fixture(scope="module")
def own(folder):
    """Pictures of the reader's own, one of the network's size."""
    image = phantoms(300, 2).images[1, 0]
    small = np.asarray(Image.fromarray(image).resize((64, 64)))
    Image.fromarray(small).save(folder / "small.png")
    Image.fromarray(image).save(folder / "large.jpg", quality=92)
    (folder / "x-ray.dcm").write_bytes(written(make(image.astype(int) * 9, WindowCenter=1100, WindowWidth=2000)))
    (folder / "notes.txt").write_text("no picture")
    return folder


@pytest.fixture
def open_page(folder, chromium):
    def open_it(hash_="", **options):
        context = chromium.new_context(**{"viewport": {"width": 1100, "height": 900}, "offline": True} | options)
        page = context.new_page()
        page.set_default_timeout(20_000)
        page.add_init_script(LISTEN)
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("console", lambda message: message.type == "error" and faults.append(message.text))
        page.on("request", lambda r: r.url[:5] in ("file:", "data:", "blob:") or faults.append(r.url))
        page.goto((folder / "two.html").as_uri() + hash_)
        settled(page)
        contexts.append(context)
        return page

    contexts, faults = [], []
    yield open_it
    for context in contexts:
        context.close()
    assert not faults


def settled(page):
    page.wait_for_timeout(100)
    page.wait_for_function("() => globalThis.told && !document.querySelector('[data-busy]')")
    page.wait_for_timeout(400)
    return page.evaluate(TOLD)


def opened(page, name=""):
    page.locator(".own", has_text=f"Own picture 1: {name}").wait_for()


def check(told, net, pixels, target, method="grad-cam", within=1e-3, maps_within=5e-3):
    np.testing.assert_allclose(told["probs"], cxr.predict(net, pixels[None, None])[0], atol=within)
    ours = cxr.explain(net, pixels[None, None], target=target, method=method, relu=False)[0].ravel()
    np.testing.assert_allclose(told["map"], ours, atol=maps_within * np.abs(ours).max())


def value(page, panel=0):
    """(row, column, value, percent of the logit or None) as the page says it under a picture."""
    text = page.locator(".point").nth(panel).inner_text().replace("−", "-")
    return re.search(
        r"Row (\d+), column (\d+) of [\d ×]+: ([-+]?\d+(?:\.\d+)?(?:e-?\d+)?)(?:, ([-+\d.]+)\s%)?", text
    ).groups()


slow = pytest.mark.slow


@pytest.mark.parametrize(
    ("name", "within"),
    [("small.png", 1e-3), pytest.param("large.jpg", 1e-2, marks=slow), pytest.param("x-ray.dcm", 1e-2, marks=slow)],
)
def test_an_own_picture_gets_the_answers_of_pytorch(open_page, networks, own, name, within):
    page = open_page()
    page.set_input_files("input[type=file]", own / name)
    opened(page, name)
    pixels = read_picture((own / name).read_bytes(), 64).pixels
    page.get_by_label("Side by side").select_option("models")
    for told, net in zip(settled(page), networks, strict=True):
        check(told, net, pixels, int(np.argmax(cxr.predict(networks[0], pixels[None, None]))), within=within,
              maps_within=5e-3 if within < 5e-3 else 0.06)  # fmt: skip
    assert page.get_by_text("not looked for in a page").count() == 1
    page.get_by_role("button", name="Remove").click()
    settled(page)
    assert page.locator(".thumb").count() == 5


@slow
def test_every_method_is_computed_in_the_page(open_page, networks, data):
    page = open_page()
    page.locator(".bar input").nth(1).check()
    for method in METHODS:
        page.get_by_label("Method", exact=True).select_option(method)
        (told,) = settled(page)
        check(told, networks[0], data.images[0, 0], 1, method, maps_within=1e-2)
    page.get_by_label("Method", exact=True).select_option("layer-cam")
    page.get_by_label("Layer", exact=True).select_option("relu3")
    shown = page.locator(".numbers tbody").inner_text()
    assert "in the lungs" in shown and re.search(r"\d\s%", shown), "energies of a map that the page has computed"


@slow
def test_what_no_page_can_compute_is_said(open_page):
    page = open_page()
    page.get_by_label("Method", exact=True).select_option("layer-cam")
    settled(page)
    assert page.get_by_label("Layer", exact=True).locator("option[value=relu1]").is_disabled()
    page.get_by_label("Method", exact=True).select_option("grad-cam")
    page.get_by_label("Layer", exact=True).select_option("relu2")
    page.get_by_label("Method", exact=True).select_option("layer-cam")
    settled(page)
    assert "computes this map only at relu3" in page.locator(".message").inner_text()


@slow
def test_a_bad_file_gets_the_reason_of_python(open_page, own):
    page = open_page()
    page.set_input_files("input[type=file]", own / "notes.txt")
    page.get_by_role("alert").wait_for()
    reason = "This file cannot be used: it is a text file, not an image, whatever its name says."
    assert reason in page.get_by_role("alert").inner_text()
    assert page.locator(".main").is_hidden(), "nothing of another picture looks like its answer"


@slow
def test_a_picture_can_be_dropped(open_page, own):
    page = open_page()
    content = list((own / "small.png").read_bytes())
    page.evaluate(
        """(content) => {
        const files = new DataTransfer();
        files.items.add(new File([Uint8Array.from(content)], "dropped.png"));
        const how = { dataTransfer: files, bubbles: true, cancelable: true };
        document.querySelector(".cxr-cam").dispatchEvent(new DragEvent("drop", how));
    }""",
        content,
    )
    opened(page, "dropped.png")


def test_the_value_at_the_pointer_and_what_all_of_them_add_up_to(open_page, networks, data):
    page = open_page()
    (told,) = settled(page)
    frame = page.locator(".frame").first.bounding_box()
    page.mouse.move(frame["x"] + 0.4 * frame["width"], frame["y"] + 0.8 * frame["height"])
    row, column, shown, part = value(page)
    cells = np.array(told["map"]).reshape(16, 16)
    assert (int(row), int(column)) == (13, 7)
    assert float(shown) == pytest.approx(cells[12, 6], rel=0.01, abs=1e-6)
    logits = networks[0](torch.from_numpy(data.images[:1]).float() / 255)[0].detach().numpy()
    target = int(np.argmax(told["probs"]))
    assert float(part) == pytest.approx(100 * cells[12, 6] / logits[target], abs=0.3)
    said = page.locator(".point").first.inner_text().replace("−", "-")
    total, bias, logit = map(
        float, re.search(r"map ([-+]\d+\.\d+), bias ([-+]\d+\.\d+): the logit of \w+ is ([-+]\d+\.\d+)", said).groups()
    )
    assert total + bias == pytest.approx(logit, abs=0.011)
    assert logit == pytest.approx(logits[target], abs=0.05)

    page.locator(".frame").first.focus()  # the keyboard goes on from there
    page.keyboard.press("ArrowUp")
    page.keyboard.press("ArrowUp")
    assert value(page)[:2] == ("12", "7")
    page.wait_for_timeout(400)
    assert "Row 12, column 7" in page.locator("[aria-live]").inner_text()
    page.get_by_label("Method", exact=True).select_option("layer-cam")
    settled(page)
    assert value(page)[3] is None and "logit" not in page.locator(".point").first.inner_text()


@slow
def test_signed_maps_show_what_speaks_against(open_page):
    page = open_page()
    page.locator(".bar input").nth(2).check()
    page.get_by_label("Opacity").fill("100")
    page.get_by_label("Hide below").fill("0")
    page.get_by_label("Show", exact=True).select_option("both")
    (told,) = settled(page)
    cells = np.array(told["map"])
    assert cells.min() < 0
    colors = (
        np.array(page.locator(".stage canvas").evaluate(PIXELS)).reshape(640, 640, 4)[20::40, 20::40].reshape(256, 4)
    )
    red, _, blue, _ = colors.T
    strong = np.abs(cells) > 0.3 * np.abs(cells).max()
    assert (np.sign(red.astype(int) - blue)[strong] == np.sign(cells)[strong]).all()
    assert page.locator(".scale span").first.inner_text().startswith("−")


@slow
def test_window_zoom_and_pan_by_mouse_and_keys(open_page):
    page = open_page()
    page.get_by_label("Opacity").fill("0")
    frame = page.locator(".frame").first

    def grays():
        page.wait_for_timeout(150)
        return np.array(frame.locator("canvas").evaluate(GRAYS)).reshape(640, 640)

    before = grays()
    box = frame.bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.get_by_label("Set the window").check()
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x - 0.4 * box["width"], y - 0.1 * box["height"], steps=4)
    page.mouse.up()
    center, width = (float(page.get_by_label(f"Window {name}").input_value()) for name in ("center", "width"))
    assert (center, width) == (pytest.approx(102, abs=2), pytest.approx(153, abs=2))
    expected = np.clip((before.astype(float) - center) / width + 0.5, 0, 1) * 255
    assert np.abs(grays() - expected)[8:-8, 8:-8].mean() < 3
    page.get_by_label("Move the picture").check()
    page.mouse.click(x, y)  # the picture has the focus: the wheel zooms
    page.mouse.wheel(0, -300)
    zoom = float(page.get_by_label("Zoom").input_value())
    assert zoom == pytest.approx(2.1, abs=0.06)
    near = grays()
    page.mouse.down()
    page.mouse.move(x + 0.2 * box["width"], y, steps=3)
    page.mouse.up()
    moved = grays()
    assert np.abs(moved[:, 140:620] - near[:, 12:492]).mean() < 4, "it went along with the hand"
    frame.focus()
    page.keyboard.press("0")
    assert page.get_by_label("Zoom").input_value() == "1"
    page.get_by_label("Set the window").check()
    frame.focus()
    page.keyboard.press("ArrowRight")
    assert float(page.get_by_label("Window width").input_value()) == pytest.approx(width + 5, abs=0.6)
    page.get_by_role("button", name="Reset").click()
    page.get_by_label("Opacity").fill("0")
    assert (grays() == before).all()


@slow
def test_a_page_scrolls_under_the_wheel_until_the_picture_is_clicked(open_page):
    page = open_page(viewport={"width": 1000, "height": 500})
    page.locator(".frame").first.hover()
    page.mouse.wheel(0, 200)
    page.wait_for_timeout(200)
    assert page.evaluate("scrollY") > 100 and page.get_by_label("Zoom").input_value() == "1"


@slow
def test_fingers_pinch_and_drag_on_a_phone(open_page):
    page = open_page(viewport={"width": 360, "height": 740}, has_touch=True, is_mobile=True)
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    frame = page.locator(".frame").first
    frame.scroll_into_view_if_needed()
    box = frame.bounding_box()
    page.touchscreen.tap(box["x"] + 0.4 * box["width"], box["y"] + 0.8 * box["height"])
    assert value(page)[:2] == ("13", "7")
    hand = page.context.new_cdp_session(page)

    def touch(kind, *places):
        points = [
            {"x": box["x"] + a * box["width"], "y": box["y"] + b * box["height"], "id": i}
            for i, (a, b) in enumerate(places)
        ]
        hand.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    touch("touchStart", (0.4, 0.5), (0.6, 0.5))
    for k in range(1, 5):
        touch("touchMove", (0.4 - 0.05 * k, 0.5), (0.6 + 0.05 * k, 0.5))
    touch("touchEnd")
    assert float(page.get_by_label("Zoom").input_value()) == pytest.approx(3, abs=0.2)
    page.get_by_label("Set the window").check()
    frame.scroll_into_view_if_needed()
    box = frame.bounding_box()
    touch("touchStart", (0.5, 0.5))
    touch("touchMove", (0.45, 0.5))
    touch("touchMove", (0.3, 0.5))
    touch("touchEnd")
    assert float(page.get_by_label("Window width").input_value()) == pytest.approx(204, abs=3)


@slow
def test_two_images_side_by_side(open_page, networks, data):
    page = open_page()
    page.get_by_label("Side by side").select_option("images")
    page.get_by_label("Second image").select_option("3")
    told = settled(page)
    heads = page.locator(".head").all_inner_texts()
    assert heads[0].startswith("Image 0, map for") and heads[1].startswith("Image 3, map for")
    for one, row in zip(told, (0, 3), strict=True):
        np.testing.assert_allclose(one["probs"], cxr.predict(networks[0], data.images[[row]])[0], atol=1e-3)
    assert page.locator(".bar").first.locator(".value span").count() == 2
    assert "(area" in page.locator(".numbers").inner_text()


def test_a_link_brings_everything_back_and_so_does_a_reload(open_page):
    page = open_page()
    page.locator(".thumb input").nth(2).check(force=True)
    page.locator(".bar input").nth(1).check()
    page.get_by_label("Method", exact=True).select_option("layer-cam")
    page.get_by_label("Side by side").select_option("models")
    page.get_by_label("Opacity").fill("77")
    page.get_by_label("Zoom").fill("2")
    page.get_by_label("Window width").fill("120")
    page.get_by_label("Lungs", exact=True).check()
    settled(page)
    page.get_by_role("button", name="Link to this view").click()
    link = page.get_by_label("Link to what is shown").input_value()
    picture = [c.evaluate("c => c.toDataURL()") for c in page.locator(".stage canvas").all()]
    other = open_page(link[link.index("#") :])
    page.reload()
    for opened in (page, other):
        settled(opened)
        assert [c.evaluate("c => c.toDataURL()") for c in opened.locator(".stage canvas").all()] == picture
        assert opened.get_by_label("Opacity").input_value() == "77"
        assert opened.get_by_label("Lungs", exact=True).is_checked()
    strange = open_page("#cam1?image=99&opacity=900&layer=relu3&cls=<b>")
    assert "does not have: image 99, opacity 900, cls <b>" in strange.locator(".take ~ .note").inner_text()
    assert strange.get_by_label("Layer", exact=True).input_value() == "relu3"


@slow
def test_an_own_picture_is_not_in_the_link(open_page, own):
    page = open_page()
    page.set_input_files("input[type=file]", own / "small.png")
    opened(page)
    page.get_by_role("button", name="Link to this view").click()
    page.get_by_text("Your own picture is not in it").wait_for()
    assert "u1" not in page.get_by_label("Link to what is shown").input_value()


@slow
def test_the_overlay_is_saved_with_its_settings(open_page):
    page = open_page()
    page.get_by_label("Side by side").select_option("models")
    settled(page)
    with page.expect_download() as waiting:
        page.get_by_role("button", name="Save as PNG").click()
    saved = waiting.value
    assert re.fullmatch(r"map-image-0-\w+\.png", saved.suggested_filename)
    image = np.asarray(Image.open(io.BytesIO(saved.path().read_bytes())).convert("RGB")).astype(int)
    assert image.shape[1] == 2 * 640 + 3 * 16 and image.shape[0] > 640 + 60 + 3 * 22
    shown = np.array(page.locator(".stage canvas").nth(1).evaluate(PIXELS)).reshape(640, 640, 4)[..., :3]
    assert np.abs(image[40:680, 672:1312] - shown).mean() < 1, "the second panel, as it is on the page"
    assert (image[690:] < 128).any(), "words beneath"


@slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_is_accessible(open_page, own, scheme):
    page = open_page(color_scheme=scheme, reduced_motion="reduce")
    page.set_input_files("input[type=file]", own / "large.jpg")
    opened(page)
    page.get_by_label("Side by side").select_option("images")
    page.get_by_role("button", name="Link to this view").click()
    settled(page)
    found = [v for v in Axe().run(page).response["violations"] if v["id"] != "page-has-heading-one"]
    assert not found, [(v["id"], [node["html"] for node in v["nodes"]]) for v in found]


@slow
def test_nothing_is_loaded_before_it_is_seen(folder, chromium):
    text = (folder / "two.html").read_text()
    (folder / "far.html").write_text(text.replace("<main>", "<main><div style='height:5000px'></div>"))
    page = chromium.new_page(viewport={"width": 800, "height": 600})
    page.goto((folder / "far.html").as_uri())
    page.wait_for_timeout(500)
    assert page.evaluate("typeof tf") == "undefined"
    page.locator(".cxr-cam").scroll_into_view_if_needed()
    page.wait_for_function("typeof tf !== 'undefined'")
    page.close()


def test_a_live_page_says_what_it_cannot_take(networks, data):
    with pytest.raises(ValueError, match="live: the page computes plain probabilities of images of at most 256 px"):
        CamInspector(networks[0], data, live=True, prepare=lambda x: x, progress=False)
    with pytest.raises(ValueError, match="layers: a live page computes maps at the end of the body; add 'relu3'"):
        CamInspector(networks[0], data, live=True, layers=["relu1"], progress=False)
