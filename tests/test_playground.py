"""The augmentation playground: what the page gets, and that the browser computes what Augment computes."""

import base64
import io
import json

import numpy as np
import pytest
import torch
from PIL import Image

import cxrlib
from cxrlib.augment import Augment
from cxrlib.data import CxrDataset
from cxrlib.widgets import AugmentationPlayground


def chest():
    """A phantom with an R marker and, well inside, both costophrenic angles."""
    return cxrlib.load("phantom", 160, n=24, classes=("normal",), age="adult", seed=4, progress=False)[[16]]


@pytest.fixture(scope="module")
def playground():
    return AugmentationPlayground(chest())


def pixels(png):
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(png))))


def blank(side=40, lungs=None):
    return CxrDataset(np.zeros((2, 1, side, side), np.uint8), [0, 1], ("normal", "pneumonia"), ["a", "b"], lungs=lungs)


def test_the_page_has_the_ranges_of_the_recipe_and_a_whole_chest(playground):
    page = playground.static_state()["page"]
    recipe = cxrlib.recipes["augmented"].augment
    assert page["ranges"] == {key: getattr(recipe, key) for key in page["ranges"]}
    assert {key for key in page["ranges"] if getattr(recipe, key)} == set(page["ranges"])
    assert page["marker"]["text"] == "R" and page["marker"]["at"][0] < 0, "R stands on the left of the picture"
    (left, low_left), (right, low_right) = page["angles"]
    assert -0.98 < left < -0.3 and 0.3 < right < 0.98 and min(low_left, low_right) > 0
    assert pixels(page["png"]).shape == (page["size"], page["size"])


def test_the_picture_and_its_places_are_those_of_the_data():
    lungs = np.zeros((2, 40, 40), bool)
    lungs[1, 10:30, 6:15] = lungs[1, 10:31, 25:36] = True
    data = blank(lungs=lungs)
    data.images[1, 0, 3, 5] = 200
    page = AugmentationPlayground(data, 1).page
    assert (pixels(page["png"]) == data.images[1, 0]).all() and page["class"] == "pneumonia"
    places = [[round((v + 1) * 20 - 0.5) for v in place] for place in page["angles"]]
    assert places == [[6, 29], [35, 30]], "the lower outer corner of each lung, as column and row"
    assert AugmentationPlayground(data, 0).page["angles"] == []
    assert AugmentationPlayground(blank(), 0).page["marker"] is None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"data": [1, 2]}, "data: give a CxrDataset .*got .1, 2"),
        ({"data": blank(), "row": 2}, "row: give a whole number from 0 to 1, got 2"),
        ({"data": blank(), "row": 0.5}, "row: give a whole number"),
        ({"data": blank()[[]]}, "data: give a CxrDataset with at least one image"),
        ({"data": blank(400)}, "at most 320 pixels, got 400 x 400"),
    ],
)
def test_what_it_cannot_show_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        AugmentationPlayground(**arguments)


# --- in the browser


@pytest.fixture(scope="module")
def page(playground, tmp_path_factory, chromium):
    path = playground.save_html(tmp_path_factory.mktemp("page") / "play.html")
    context = chromium.new_context(viewport={"width": 360, "height": 900}, offline=True)
    page = context.new_page()
    page.faults = []
    page.on("pageerror", lambda error: page.faults.append(str(error)))
    page.on("console", lambda m: m.type == "error" and page.faults.append(m.text))
    page.set_default_timeout(20_000)
    page.goto(path.as_uri())
    page.wait_for_selector(".cxr-play[data-settings]")
    yield page
    assert not page.faults
    context.close()


def settle(page):
    page.evaluate("() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")


def canvas(page, number=1):
    values = (
        page.locator("canvas")
        .nth(number)
        .evaluate(
            "c => [...c.getContext('2d').getImageData(0, 0, c.width, c.height).data].filter((_, i) => i % 4 === 0)"
        )
    )
    side = int(len(values) ** 0.5)
    return np.array(values).reshape(side, side)


def click(page, name):
    page.get_by_role("button", name=name).click()
    settle(page)


# All random numbers at one end of their range: then Augment(rotate=12) rotates by exactly 12 degrees. The sliders
# turn and move the picture, Augment the place it is read from, before a flip: hence the signs.
STRONG = {"rotate": 12, "shift": 0.05, "zoom": 0.1, "brightness": 0.1, "contrast": 0.2, "gamma": 0.25, "blur": 0.8}
UPPER = {
    "Rotation": 12,
    "Shift to the right": 0.05,
    "Shift down": -0.05,
    "Zoom": 1.1,
    "Brightness": 0.1,
    "Contrast": 1.2,
    "Gamma": 1.25,
    "Blur": 0.8,
}
LOWER = {
    "Rotation": 12,
    "Shift to the right": 0.05,
    "Shift down": 0.05,
    "Zoom": 0.9,
    "Brightness": -0.1,
    "Contrast": 0.8,
    "Gamma": 0.8,
    "Blur": 0,
}


@pytest.mark.slow
@pytest.mark.browser
@pytest.mark.parametrize(("u", "flip", "sliders"), [(1 - 2**-53, True, UPPER), (0.0, False, LOWER)])
def test_the_browser_computes_what_augment_computes(page, monkeypatch, u, flip, sliders):
    click(page, "Back to the original")
    assert (canvas(page) == canvas(page, 0)).all()
    image = canvas(page)
    monkeypatch.setattr(torch, "rand", lambda *shape, **options: torch.full(shape, u, dtype=torch.float64))
    x = torch.from_numpy(image / 255)[None, None]
    expected = 255 * Augment(flip=1.0 if flip else 0.0, **STRONG)(x)[0][0, 0].numpy()
    page.get_by_label("Horizontal flip").set_checked(flip)
    for label, value in sliders.items():
        page.get_by_label(label).fill(str(value))
    settle(page)
    got = canvas(page)
    assert np.abs(got - image).mean() > 15, "the picture has changed"
    assert np.abs(got - expected).max() <= 0.6, "half a gray level is rounding"


@pytest.mark.slow
@pytest.mark.browser
def test_noise_has_the_standard_deviation_of_the_slider(page):
    click(page, "Back to the original")
    before = canvas(page)
    page.get_by_label("Noise").fill("0.05")
    settle(page)
    inside = (before > 60) & (before < 200)  # where nothing is cut off
    difference = (canvas(page) - before)[inside] / 255
    assert abs(difference.std() - 0.05) < 0.002 and abs(difference.mean()) < 0.003


@pytest.mark.slow
@pytest.mark.browser
def test_random_draws_stay_in_the_ranges_and_fill_them(page, playground):
    ranges = playground.page["ranges"]
    drawn = []
    for _ in range(80):
        click(page, "Draw at random")
        drawn.append(json.loads(page.locator(".cxr-play").get_attribute("data-settings")))
    assert 0.25 < np.mean([d["flip"] for d in drawn]) < 0.75
    most = {
        "rotate": ranges["rotate"],
        "shiftX": ranges["shift"],
        "shiftY": ranges["shift"],
        "zoom": ranges["zoom"],
        "brightness": ranges["brightness"],
        "contrast": ranges["contrast"],
        "gamma": np.log1p(ranges["gamma"]),
    }
    for key, limit in most.items():
        values = np.array([d[key] for d in drawn])
        away = np.log(values) if key == "gamma" else values - (key in ("zoom", "contrast"))
        assert (np.abs(away) <= limit + 1e-9).all() and away.min() < -limit / 2 and away.max() > limit / 2, key
    for key in ("blur", "noise"):
        values = np.array([d[key] for d in drawn])
        assert values.min() >= 0 and ranges[key] / 2 < values.max() <= ranges[key], key


@pytest.mark.slow
@pytest.mark.browser
def test_the_claims_follow_the_picture(page):
    click(page, "Back to the original")
    claims = page.locator(".claims")
    assert "Nothing: it is the original" in claims.inner_text()
    page.get_by_label("Horizontal flip").check()
    settle(page)
    assert "situs inversus" in claims.inner_text() and "marker R is mirrored" in claims.inner_text()
    page.get_by_label("Shift down").focus()
    page.keyboard.press("End")
    settle(page)
    assert "costophrenic angles are outside" in claims.inner_text()
    page.get_by_label("Shift to the right").focus()
    page.keyboard.press("End")
    settle(page)
    assert "the marker R does not matter" in claims.inner_text() and "mirrored" not in claims.inner_text()


@pytest.mark.slow
@pytest.mark.browser
def test_a_black_border_is_spoken_of_where_there_is_one(page, show):
    claims = page.locator(".claims")

    def said(page, rotation, zoom):
        page.get_by_label("Rotation", exact=True).fill(str(rotation))
        page.get_by_label("Zoom", exact=True).fill(str(zoom))
        settle(page)
        return page.locator(".claims").inner_text()

    click(page, "Back to the original")
    assert "of this picture is black" in said(page, 30, 1)
    assert "crooked" in claims.inner_text()
    assert "black" not in said(page, 30, 1.6), "an enlarged picture has no corners from outside"
    assert "of this picture is black" in said(page, 0, 0.8)
    assert "black" not in said(show(AugmentationPlayground(blank(), 0)), 30, 1), "black beside black shows nothing"


@pytest.mark.slow
@pytest.mark.browser
def test_a_phone_shows_it_without_scrolling_sideways(page):
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    for control in page.locator(".cxr-play :is(input, button, canvas)").all():
        box = control.bounding_box()
        assert box["x"] >= 0 and box["x"] + box["width"] <= 360
        name = control.evaluate("e => e.getAttribute('aria-label') || e.labels?.[0]?.innerText || e.innerText")
        assert name.strip()


@pytest.mark.slow
@pytest.mark.browser
def test_networks_answer_while_the_picture_is_changed(chromium, tmp_path):
    data = cxrlib.load("phantom", 32, n=4, classes=("normal", "viral"), progress=False)
    networks = {name: cxrlib.build_model("CPC", data.classes, size=32, seed=k) for k, name in enumerate("ab")}
    context = chromium.new_context(viewport={"width": 360, "height": 700}, offline=True)
    page = context.new_page()
    page.on("pageerror", lambda error: pytest.fail(str(error)))
    page.add_init_script("""addEventListener("cxr-answered", ({ detail }) => (globalThis.last = detail), true)""")
    page.goto(AugmentationPlayground(data, 1, networks=networks).save_html(tmp_path / "play.html").as_uri())
    page.get_by_text("Nothing leaves it").wait_for(timeout=60_000)
    page.wait_for_function("() => globalThis.last")

    def answered():
        settle(page)
        found = page.evaluate("() => ({ gray: Array.from(last.gray), told: last.told.map((p) => Array.from(p)) })")
        gray = np.array(found["gray"], np.float32).reshape(1, 1, 32, 32)
        for told, net in zip(found["told"], networks.values(), strict=True):
            np.testing.assert_allclose(told, cxrlib.predict(net, gray)[0], atol=1e-3)
        return gray

    before = answered()
    np.testing.assert_allclose(before[0, 0], data.images[1, 0] / 255, atol=1e-6)
    page.get_by_label("Brightness").fill("0.3")
    page.get_by_label("Horizontal flip").check()
    bright = answered()
    assert bright.mean() > before.mean() + 0.1
    needles = page.locator(".gauge")
    page.get_by_label("Noise").scroll_into_view_if_needed()
    assert needles.count() == 2 and needles.first.is_visible() and page.locator(".pair").bounding_box()["y"] >= 0
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    click(page, "Back to the original")
    assert (answered() == before).all()
    context.close()


def test_networks_of_other_images_are_refused():
    net = cxrlib.build_model("CP", ("normal", "viral"), size=32)
    with pytest.raises(ValueError, match="networks: 'mine' has 2 classes at 32 px; data are of normal, 160 px"):
        AugmentationPlayground(chest(), networks={"mine": net})
