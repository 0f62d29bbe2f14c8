"""Look inside, in real Chromium from the disk: every number is PyTorch's, and its arithmetic adds up."""

import numpy as np
import pytest
import torch
from axe_playwright_python.sync_playwright import Axe

import cxrlib as cxr
from cxrlib.widgets import LookInside

LISTEN = """document.addEventListener("cxr-looked", ({ detail }) => (globalThis.last = detail), true)"""
LAST = (
    """() => ({ ...last, layers: last.layers.map(({ values, shape }) => ({ shape, values: Array.from(values) })) })"""
)
AT = "() => ({ ...last, layers: [] })"


@pytest.fixture(scope="module")
def data():
    return cxr.load("phantom", 32, n=6, classes=("normal", "viral"), progress=False)


def network(name, data, **options):
    """A network with biases and answers that are not all alike."""
    net = cxr.build_model(name, data.classes, size=32, seed=3, **options).eval()
    with torch.no_grad():
        for layer in net.modules():
            if getattr(layer, "bias", None) is not None:
                layer.bias.uniform_(-0.3, 0.3)
    return net


@pytest.fixture(scope="module")
def five(data):
    return network("CPCPCPFDD", data, filters=(4, 6, 8), hidden=10)


@pytest.fixture
def open_page(data, chromium, tmp_path):
    def open_it(net, **options):
        context = chromium.new_context(**{"viewport": {"width": 900, "height": 1000}, "offline": True} | options)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(30_000)
        page.add_init_script(LISTEN)
        page.on("pageerror", lambda error: pytest.fail(str(error)))
        page.on("console", lambda message: pytest.fail(message.text))
        page.route(
            "**/*", lambda r: r.continue_() if r.request.url[:5] in ("file:", "data:") else pytest.fail(r.request.url)
        )
        page.goto(LookInside(net, data).save_html(tmp_path / "page.html").as_uri())
        page.wait_for_function("() => globalThis.last")
        return page

    contexts = []
    yield open_it
    for context in contexts:
        context.close()


def chip(page, name):
    return page.get_by_role("radio", name=f": {name}")


def hooked(net, image):
    """What each layer gives in PyTorch, ReLU done, in the page's order; and the sums before ReLU."""
    values, sums = [], []

    def keep(layer, _, out):
        if isinstance(layer, torch.nn.ReLU):
            values[-1] = out
        elif not isinstance(layer, torch.nn.Dropout):
            values.append(out)
            sums.append(out)

    parts = [net.input, *net.body, *net.head]
    handles = [part.register_forward_hook(keep) for part in parts]
    with torch.no_grad():
        logits = net(torch.from_numpy(image[None]).float() / 255)
    for handle in handles:
        handle.remove()
    pooled = hasattr(net.head, "pool")  # whose flattening changes nothing
    kept = [k for k in range(len(values)) if not (pooled and values[k].ndim == 2 and values[k - 1].ndim == 4)]
    values, sums = ([each[k][0].numpy() for k in kept] for each in (values, sums))
    return [*values, logits.softmax(1)[0].numpy()], sums


KINDS = {
    "as in chapter 2": ("CPCPCPFDD", {"filters": (4, 6, 8), "hidden": 10}),
    "averaged": ("CCPC", {"filters": (3, 5), "padding": "valid", "kernel": 5, "normalize": "image"}),
    "pixels": ("PFD", {"hidden": 7}),
}


@pytest.mark.browser
@pytest.mark.parametrize(
    "kind", [kind if k == 0 else pytest.param(kind, marks=pytest.mark.slow) for k, kind in enumerate(KINDS)]
)
def test_every_value_is_that_of_pytorch_and_adds_up(open_page, data, kind):
    name, options = KINDS[kind]
    net = network(name, data, **options)
    values, sums = hooked(net, data.images[0])
    page = open_page(net)
    layers = page.evaluate(LAST)["layers"]
    assert len(layers) == len(values)
    for k, (ours, theirs) in enumerate(zip(values, layers, strict=True)):
        got = np.array(theirs["values"]).reshape(theirs["shape"])
        got = np.moveaxis(got, -1, 0) if got.ndim == 3 else got
        np.testing.assert_allclose(got, ours.reshape(got.shape), atol=1e-3, err_msg=f"layer {k}")
    for k in range(len(layers)):
        page.locator(".chips input").nth(k).check()
        at = page.evaluate(AT)
        assert at["layer"] == k and np.isfinite(at["total"])
        place = at["place"]
        if k < len(sums):
            total = sums[k].squeeze() if at["kind"] == "mean" else sums[k]
            columns = int(np.ceil(np.sqrt(total.size))) if total.size > 8 else total.size
            where = (place["map"], place["row"], place["column"])
            expected = total[where] if total.ndim == 3 else total[place["row"] * columns + place["column"]]
            assert at["total"] == pytest.approx(expected, abs=1e-3), (k, at["kind"])
        relu = at["kind"] in ("conv", "dense")
        assert at["value"] == pytest.approx(max(at["total"], 0) if relu else at["total"], abs=1e-3), (k, at["kind"])


@pytest.mark.slow
@pytest.mark.browser
def test_mouse_keyboard_and_pictures(open_page, data, five):
    page = open_page(five)
    chip(page, "Convolution 2").check()
    canvas = page.locator("canvas.hand")
    box = canvas.bounding_box()
    page.mouse.click(box["x"] + box["width"] * 3.5 / 16, box["y"] + box["height"] * 9.5 / 16)
    place = page.evaluate(AT)["place"]
    assert (place["row"], place["column"]) == (9, 3)
    assert "row 10, column 4" in page.locator(".cxr-inside figcaption").nth(1).inner_text()
    canvas.focus()
    for key in ("ArrowUp", "ArrowRight", "ArrowRight", "Shift+ArrowDown"):
        page.keyboard.press(key)
    place = page.evaluate(AT)["place"]
    assert (place["row"], place["column"]) == (13, 5)
    for _ in range(4):
        page.keyboard.press("Shift+ArrowDown")
    assert page.evaluate(AT)["place"]["row"] == 15, "the border holds"

    before = page.evaluate(AT)
    page.get_by_label("Map before it").fill("3")
    after = page.evaluate(AT)
    assert after["place"]["input"] == 2 and after["total"] == before["total"], "another part of the same sum"
    assert "of map 3" in page.locator(".ledger").inner_text()
    page.get_by_label("Map 5", exact=True).check()
    assert "map 5 of 6" in page.locator(".cxr-inside figcaption").nth(1).inner_text()

    page.get_by_label("Picture", exact=True).select_option("4")
    page.wait_for_function("() => true")
    page.wait_for_timeout(200)
    values, _ = hooked(five, data.images[4])
    softmax = page.evaluate(LAST)["layers"][-1]["values"]
    np.testing.assert_allclose(softmax, values[-1], atol=1e-3)
    assert page.evaluate(AT)["place"]["map"] == 4, "the place stays where it was"
    page.get_by_role("button", name="Next layer").click()
    assert chip(page, "Pooling 2").is_checked()
    chip(page, "Pooling 2").press("ArrowRight")
    assert chip(page, "Convolution 3").is_checked()


@pytest.mark.slow
@pytest.mark.browser
def test_the_filter_slides_and_stops(open_page, five):
    page = open_page(five)
    page.get_by_role("button", name="Let it slide").click()
    page.wait_for_function("() => last.place.row === 0 && last.place.column > 3")
    page.get_by_role("button", name="Stop").click()
    at = page.evaluate(AT)["place"]
    page.wait_for_timeout(200)
    assert page.evaluate(AT)["place"] == at


@pytest.mark.slow
@pytest.mark.browser
def test_with_reduced_motion_it_goes_place_by_place(open_page, five):
    page = open_page(five, reduced_motion="reduce")
    before = page.evaluate(AT)["place"]
    page.get_by_role("button", name="Next place").click()
    after = page.evaluate(AT)["place"]
    assert after["row"] * 32 + after["column"] == before["row"] * 32 + before["column"] + 1


@pytest.mark.slow
@pytest.mark.browser
def test_a_finger_on_a_phone(open_page, five):
    page = open_page(five, viewport={"width": 360, "height": 700}, has_touch=True, is_mobile=True)
    chip(page, "Convolution 3").tap()
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    page.get_by_label("Map 8", exact=True).tap()
    box = page.locator("canvas.hand").bounding_box()
    assert 0 <= box["y"] < 700, "the enlarged map stays in sight"
    page.touchscreen.tap(box["x"] + box["width"] * 6.5 / 8, box["y"] + box["height"] * 2.5 / 8)
    assert page.evaluate(AT)["place"] | {"input": 0} == {"map": 7, "row": 2, "column": 6, "input": 0}


@pytest.mark.slow
@pytest.mark.browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_layer_is_accessible(open_page, five, scheme):
    page = open_page(five, color_scheme=scheme)
    for k in (1, 3, 4, 8, 10, 11):
        page.locator(".chips input").nth(k).check()
        found = [v["id"] for v in Axe().run(page).response["violations"] if v["id"] != "page-has-heading-one"]
        assert not found, (k, found)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        (
            "resnet18",
            {},
            "model: give a network written as a string of layers, such as 'CPCPCPFDD'; 'resnet18' is none",
        ),
        ("CP", {"kernel": 9}, "model: give one with kernels of at most 7 x 7 pixels, got 9"),
    ],
)
def test_what_it_cannot_show_is_refused(data, name, options, message):
    with pytest.raises(ValueError, match=message):
        LookInside(cxr.build_model(name, data.classes, size=32, **options), data)
