"""Fool it, in real Chromium from the disk: mouse, touch and keyboard change the picture; the answers are PyTorch's."""

import numpy as np
import pytest
import torch
from axe_playwright_python.sync_playwright import Axe

import cxrlib as cxr
from cxrlib import shortcut as lab
from cxrlib.widgets import FoolIt

LISTEN = """document.addEventListener("cxr-answered", ({ detail }) => (globalThis.last = detail), true)"""
LAST = """() => last && ({ gray: Array.from(last.gray),
  told: last.told.map(({ probs, map }) => ({ probs, map: map && Array.from(map) })) })"""


@pytest.fixture(scope="module")
def data():
    return lab.make_pairs(8, size=48, seed=2).plain


@pytest.fixture(scope="module")
def networks(data):
    """One that answers to the brightness of single places, and one that sees less."""
    found = {}
    for seed, name in enumerate(("the first", "the second")):
        net = cxr.build_model("CPCP", data.classes, size=48, seed=seed)
        with torch.no_grad():
            net.head.output.weight *= 8
        found[name] = net
    return found


@pytest.fixture
def open_page(networks, data, chromium, tmp_path):
    def open_it(**options):
        context = chromium.new_context(**{"viewport": {"width": 1000, "height": 1000}, "offline": True} | options)
        page = context.new_page()
        page.add_init_script(LISTEN)
        page.on("pageerror", lambda error: pytest.fail(str(error)))
        page.on("console", lambda message: pytest.fail(message.text))
        page.route(
            "**/*", lambda r: r.continue_() if r.request.url[:5] in ("file:", "data:") else pytest.fail(r.request.url)
        )
        page.goto(FoolIt(networks, data).save_html(tmp_path / "page.html").as_uri())
        page.get_by_text("Nothing leaves it").wait_for(timeout=60_000)
        page.wait_for_function("() => globalThis.last")
        contexts.append(context)
        return page

    contexts = []
    yield open_it
    for context in contexts:
        context.close()


def settled(page):
    page.wait_for_timeout(400)
    return page.evaluate(LAST)


def check(found, networks):
    """What the page says of the picture as it is now is what PyTorch says of it."""
    gray = np.array(found["gray"], np.float32).reshape(1, 1, 48, 48)
    for told, net in zip(found["told"], networks.values(), strict=True):
        np.testing.assert_allclose(told["probs"], cxr.predict(net, gray)[0], atol=1e-3)
        ours = cxr.explain(net, gray, target=1, relu=False)[0].ravel()
        np.testing.assert_allclose(told["map"], ours, atol=5e-3 * np.abs(ours).max())
    return gray[0, 0]


def test_the_hand_changes_the_picture_and_the_networks_answer(open_page, networks, data):
    page = open_page()
    before = check(settled(page), networks)
    np.testing.assert_allclose(before, data.images[0, 0] / 255, atol=1e-6)

    page.get_by_label("Marker R").check()
    put = check(settled(page), networks)
    rows, columns = np.nonzero(put != before)
    assert rows.max() < 12 and columns.max() < 12 and (put >= before).all(), "a bright letter in the corner"

    box = page.locator("canvas.hand").bounding_box()
    x, y, side = box["x"], box["y"], box["width"]
    page.mouse.move(x + 0.1 * side, y + 0.1 * side)
    page.mouse.down()
    page.mouse.move(x + 0.7 * side, y + 0.8 * side, steps=4)
    page.mouse.up()
    moved = check(settled(page), networks)
    rows, columns = np.nonzero(moved != before)
    assert rows.min() > 33 and rows.max() < 43 and columns.min() > 29 and columns.max() < 38, "it went along"

    page.get_by_label("Cover a box").check()
    page.mouse.move(x + 0.25 * side, y + 0.25 * side)
    page.mouse.down()
    page.mouse.move(x + 0.5 * side, y + 0.5 * side, steps=3)
    page.mouse.up()
    assert (check(settled(page), networks)[13:23, 13:23] < 0.05).all(), "covered"
    page.get_by_label("Brightness").fill("0.2")
    page.get_by_label("Rotation").fill("10")
    page.get_by_label("Blur").fill("1")
    page.get_by_label("Crop").fill("1.3")
    check(settled(page), networks)

    page.get_by_role("button", name="Start again").click()
    assert (check(settled(page), networks) == before).all()
    page.get_by_label("Picture", exact=True).select_option("2")
    np.testing.assert_allclose(check(settled(page), networks), data.images[2, 0] / 255, atol=1e-6)


def test_the_keyboard_does_what_the_mouse_does(open_page, networks):
    page = open_page()
    before = check(settled(page), networks)
    page.locator("canvas.hand").focus()
    page.keyboard.press("Enter")
    for _ in range(5):
        page.keyboard.press("ArrowDown")
    moved = check(settled(page), networks)
    assert np.nonzero(moved != before)[0].min() >= 13, "put, and moved down by ten rows"
    page.keyboard.press("Delete")
    assert (check(settled(page), networks) == before).all()
    page.get_by_label("Paint white").check()
    page.locator("canvas.hand").focus()
    page.keyboard.press("Shift+ArrowLeft")
    page.keyboard.press("Space")
    assert check(settled(page), networks)[24, 18] == pytest.approx(0.95)


def test_a_finger_paints_on_a_phone_without_scrolling(open_page, networks):
    page = open_page(viewport={"width": 360, "height": 700}, has_touch=True, is_mobile=True)
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    page.get_by_label("Paint black").check()
    hand = page.locator("canvas.hand")
    hand.scroll_into_view_if_needed()
    box = hand.bounding_box()
    page.touchscreen.tap(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    assert check(settled(page), networks)[24, 24] == pytest.approx(0.02)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_is_accessible(open_page, scheme):
    page = open_page(color_scheme=scheme, reduced_motion="reduce")
    settled(page)
    found = [v["id"] for v in Axe().run(page).response["violations"] if v["id"] != "page-has-heading-one"]
    assert not found, found


def test_nothing_is_loaded_before_it_is_seen(networks, data, chromium, tmp_path):
    path = FoolIt(networks, data).save_html(tmp_path / "page.html")
    path.write_text(path.read_text().replace("<main>", "<main><div style='height:5000px'></div>"))
    page = chromium.new_page(viewport={"width": 800, "height": 600})
    page.goto(path.as_uri())
    page.wait_for_timeout(500)
    assert page.evaluate("typeof tf") == "undefined"
    page.locator(".cxr-fool").scroll_into_view_if_needed()
    page.get_by_text("Nothing leaves it").wait_for(timeout=60_000)
    page.close()


@pytest.mark.parametrize(
    ("networks_", "message"),
    [({}, "networks: give one or two"), ({"a": 64}, "networks: 'a' has 2 classes at 64 px; data are of .*, 48 px")],
)
def test_what_does_not_fit_is_refused(data, networks_, message):
    given = {name: cxr.build_model("CP", data.classes, size=size) for name, size in networks_.items()}
    with pytest.raises(ValueError, match=message):
        FoolIt(given, data)


def test_too_many_pictures_are_refused_not_dropped(data, networks):
    with pytest.raises(ValueError, match="images: give 1 to 12 positions, got 13"):
        FoolIt(networks, data, [0] * 13)
