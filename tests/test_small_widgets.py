"""The small widgets of the chapters: what they show is what the library computes."""

import base64
import io
import itertools

import numpy as np
import pytest
from PIL import Image
from test_playground import chest

from cxrlib import Report, build_model, summary
from cxrlib.phantom import make_phantoms
from cxrlib.widgets import AugmentationPlayground, LayerBuilder, PhantomDials, ThresholdExplorer


def make_report(seed=0, n=80, classes=("normal", "pneumonia")) -> Report:
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, len(classes), n)
    probs = rng.dirichlet(np.ones(len(classes)), n) + np.eye(len(classes))[labels]
    if len(classes) == 2:
        positive = np.round(probs[:, 1] / probs.sum(1), 2)  # with ties
        probs = np.stack([1 - positive, positive], 1)
    else:
        probs /= probs.sum(1, keepdims=True)
    return Report(labels, probs, classes, None)


def test_the_explorer_refuses_what_it_cannot_show():
    with pytest.raises(ValueError, match="give 2 classes, got .*'c'.*; for more there is ConfusionExplorer"):
        ThresholdExplorer(make_report(classes=("a", "b", "c")))
    with pytest.raises(ValueError, match="'other' has \\['b', 'a'\\]"):
        ThresholdExplorer({"one": make_report(), "other": make_report(classes=("b", "a"))})
    for nothing in ({}, None, [make_report()], {"one": 1}):
        with pytest.raises(ValueError, match="reports: give a Report"):
            ThresholdExplorer(nothing)
    for threshold in (1.5, "0.5", float("nan"), True):
        with pytest.raises(ValueError, match="threshold: give a number from 0 to 1"):
            ThresholdExplorer(make_report(), threshold=threshold)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"layers": "CPX"}, "unknown letter 'X'"),
        ({"layers": "CPFD", "examples": ["CPD"]}, "flatten"),
        ({"layers": 7}, "layers: give a text that is not empty, got 7"),
        ({"examples": "CPFD"}, "examples: give a sequence"),
        ({"filters": 32}, "filters: give a sequence"),
        ({"filters": ()}, "filters: give at least 1"),
        ({"filters": (32, 0)}, "filters: give a whole number"),
        ({"size": 64.5}, "size: give a whole number"),
        ({"hidden": "many"}, "hidden: give a whole number"),
    ],
)
def test_the_builder_refuses_what_it_cannot_show(arguments, message):
    with pytest.raises(ValueError, match=message):
        LayerBuilder(**arguments)


@pytest.mark.slow
@pytest.mark.browser
@pytest.mark.parametrize(("width", "scheme"), [(900, "light"), (360, "dark")])
def test_the_explorers_numbers_are_the_reports(show, width, scheme):
    reports = {"validation": make_report(), "test": make_report(1, 50)}
    page = show(ThresholdExplorer(reports), width, scheme)
    slider = page.get_by_role("slider")
    for name, report in reports.items():
        page.get_by_label("Images").select_option(label=f"{name} ({len(report.labels)} images)")
        for threshold in (0, 0.25, 0.5, 0.62, 1):
            slider.fill(str(threshold))
            judged = report.at(threshold)
            shown = [int(page.locator(f"[data-cell={key}]").inner_text()) for key in ("tn", "fp", "fn", "tp")]
            assert shown == judged.confusion.ravel().tolist()
            for label, metric in (
                ("accuracy", "accuracy"),
                ("recall of pneumonia", "recall[pneumonia]"),
                ("recall of normal", "recall[normal]"),
                ("F1 of pneumonia", "f1[pneumonia]"),
            ):
                row = page.locator("tr", has=page.get_by_role("rowheader", name=label, exact=True))
                assert row.locator("td").inner_text() == f"{judged[metric]:.3f}"


@pytest.mark.slow
@pytest.mark.browser
def test_the_cheapest_threshold_is_the_cheapest(show):
    report = make_report(3)
    page = show(ThresholdExplorer(report))
    for weight in (1, 5, 40):
        page.get_by_label("False alarms").fill(str(weight))
        page.get_by_role("button", name="Cheapest here").click()
        fp, fn = (int(page.locator(f"[data-cell={key}]").inner_text()) for key in ("fp", "fn"))
        costs = []
        for threshold in [*report.probs[:, 1], 1.01]:
            called = report.probs[:, 1] >= threshold
            costs.append(weight * (~called & (report.labels == 1)).sum() + (called & (report.labels == 0)).sum())
        assert weight * fn + fp == min(costs)
        assert f"cost {min(costs)}" in page.get_by_role("status").inner_text()


@pytest.mark.slow
@pytest.mark.browser
def test_a_cost_that_is_none_is_refused_and_not_replaced(show):
    page = show(ThresholdExplorer(make_report(3)))
    price, button = page.get_by_label("False alarms"), page.get_by_role("button", name="Cheapest here")
    said, problem = page.get_by_role("status"), page.get_by_role("alert")
    assert "cost" in said.inner_text() and not problem.is_visible()
    for value, reason in (("0", "0 cannot be a cost"), ("-3", "-3 cannot be a cost"), ("", "There is no number")):
        price.fill(value)
        assert f"{reason}: give a number above 0" in problem.inner_text()
        assert button.is_disabled() and said.inner_text() == ""
    price.fill("0.5")
    assert not problem.is_visible() and not button.is_disabled() and "cost" in said.inner_text()


@pytest.mark.slow
@pytest.mark.browser
def test_what_is_undefined_is_a_dash_and_no_curve(show):
    known = make_report(3)
    healthy = Report(np.zeros(80, int), known.probs, known.classes, None)
    page = show(ThresholdExplorer({"both": known, "one class": healthy}))
    page.get_by_label("Images").select_option(index=1)
    for name in ("recall of pneumonia", "precision of pneumonia", "F1 of pneumonia"):
        row = page.locator("tr", has=page.get_by_role("rowheader", name=name, exact=True))
        assert row.locator("td").inner_text() == "–"
    roc = page.get_by_role("img", name="ROC curve")
    assert "there is no image of pneumonia" in roc.inner_html() and "NaN" not in roc.inner_html()
    assert not roc.locator("circle").is_visible()


@pytest.mark.slow
@pytest.mark.browser
def test_two_histograms_have_one_scale(show):
    labels = np.arange(80) < 8  # 8 ill, 72 healthy, all with one probability
    report = Report(labels.astype(int), np.tile([0.5, 0.5], (80, 1)), ("normal", "pneumonia"), None)
    page = show(ThresholdExplorer(report))
    bars = page.get_by_role("img", name="Histograms").locator("rect")
    heights = sorted(float(bar.get_attribute("height")) for bar in bars.all())[-2:]
    assert heights[1] == pytest.approx(9 * heights[0])


@pytest.mark.slow
@pytest.mark.browser
@pytest.mark.parametrize("width", [900, 360])
def test_a_click_on_either_chart_sets_the_threshold(show, width):
    report = make_report()
    page = show(ThresholdExplorer(report), width)
    slider = page.get_by_label("Threshold", exact=True)
    chart = page.get_by_role("img", name="Histograms")
    chart.scroll_into_view_if_needed()
    box = chart.bounding_box()
    page.mouse.click(box["x"] + (4 + 0.3 * 360) / 368 * box["width"], box["y"] + box["height"] / 2)
    assert float(slider.input_value()) == pytest.approx(0.3, abs=0.011)
    roc = page.get_by_role("img", name="ROC curve")
    roc.scroll_into_view_if_needed()
    box = roc.bounding_box()
    page.mouse.click(
        box["x"] + 34 / 282 * box["width"], box["y"] + 8 / 284 * box["height"]
    )  # all found, no false alarm
    found = float(
        page.locator("tr", has=page.get_by_role("rowheader", name="recall of pneumonia")).locator("td").inner_text()
    )
    assert found > 0.9 and float(slider.input_value()) != pytest.approx(0.3, abs=0.011)


@pytest.mark.slow
@pytest.mark.browser
def test_the_picture_stays_in_sight_on_a_phone(show):
    page = show(AugmentationPlayground(chest()), 360)
    page.set_viewport_size({"width": 360, "height": 500})
    page.get_by_label("Noise").scroll_into_view_if_needed()
    picture, slider = page.locator("canvas").last.bounding_box(), page.get_by_label("Noise").bounding_box()
    assert picture["y"] >= 0 and picture["y"] + picture["height"] <= slider["y"] < 500


@pytest.mark.slow
@pytest.mark.browser
def test_the_builders_numbers_are_those_of_the_network(show):
    widget = LayerBuilder(size=64, filters=(6, 8, 12), hidden=16, outputs=3, examples=["CCPFDD", "CPC"])
    page = show(widget, 360, "dark")
    for word in ("CPCPCPFDD", "CCPFDD", "CPC", "PPCF", "CCPCCPFDD", "CPCPCPCPFD", "CPPCCF"):
        page.get_by_label("Your network").fill(word)
        net = build_model(word, ("a", "b", "c"), size=64, filters=(6, 8, 12), hidden=16)
        assert page.locator("[data-total]").inner_text().replace(",", "") == str(summary(net)["parameters"].iloc[-1])
        flat = (
            []
            if "F" not in word
            else [
                int(
                    np.prod(
                        [int(n) for n in summary(net).set_index("layer").loc["head.flatten", "output"].split(" x ")]
                    )
                )
            ]
        )
        cells = [text.replace(",", "") for text in page.locator("tbody td:nth-child(2)").all_inner_texts()]
        assert all(str(n) in cells for n in flat)
    page.get_by_role("button", name="CPC", exact=True).click()
    assert page.get_by_label("Your network").input_value() == "CPC"


@pytest.mark.slow
@pytest.mark.browser
@pytest.mark.parametrize("word", ["", "D", "CPD", "FD", "CFC", "CXP", "CPFDC", "PPPPPPPPP", "F"])
def test_a_word_that_is_no_network_is_explained(show, word):
    page = show(LayerBuilder(size=64), 360)
    height = page.locator(".cxr-layers").bounding_box()["height"]
    page.get_by_label("Your network").fill(word)
    assert page.locator(".cxr-layers").bounding_box()["height"] == pytest.approx(height, abs=1), "nothing jumps"
    assert len(page.get_by_role("alert").inner_text()) > 10
    assert not page.locator("table").is_visible()
    with pytest.raises(ValueError):
        build_model(word, ("a", "b"), size=64)


# --- phantom dials


def decode(address: str) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(address.split(",")[1]))).convert("L"), dtype=float)


@pytest.fixture(scope="module")
def dials():
    return PhantomDials(("viral", "tuberculosis"), size=64, seed=2)


def test_the_dials_hold_every_setting_of_the_phantom(dials):
    images, masks = dials.page["images"], dials.page["masks"]
    assert len(images) == 2 * 5 * 2 * 2 and len(masks) == 2 * 2 * 2
    for k, contrast in enumerate(dials.page["contrasts"]):
        made = make_phantoms(
            2,
            size=64,
            classes=("normal", "tuberculosis"),
            seed=2,
            lesion_contrast=contrast,
            age="adult",
            bedside=1,
            progress=False,
            workers=1,
        )
        assert sorted(made.labels) == [0, 1]
        ill = list(made.labels).index(1)
        assert np.abs(decode(images[f"tuberculosis/{k}/1/1"]) - made.images[ill, 0]).mean() < 3  # WebP is lossy
        assert ((decode(masks["tuberculosis/1/1"]) > 127) == made.masks[ill]).all()
    mask = decode(masks["viral/0/0"]) > 127
    change = np.abs(decode(images["viral/4/0/0"]) - decode(images["viral/0/0/0"]))
    assert change[mask].mean() > 4 * change[~mask].mean(), "the dial changes more than the lesion"


def test_every_disease_has_a_lesion_that_the_contrast_changes():
    page = PhantomDials(size=64).page
    for disease, age, bed in itertools.product(page["diseases"], range(2), range(2)):
        assert (decode(page["masks"][f"{disease}/{age}/{bed}"]) > 127).any(), f"{disease}: no lesion"
        none, full = (decode(page["images"][f"{disease}/{k}/{age}/{bed}"]) for k in (0, 4))
        assert np.abs(none - full).max() > 20, f"{disease}: the contrast changes nothing"


def test_the_dials_refuse_what_has_no_lesion():
    for diseases in (("normal",), ("measles",), "viral", 7, (), {"viral"}):
        with pytest.raises(ValueError, match="diseases: give"):
            PhantomDials(diseases)
    with pytest.raises(ValueError, match="size: give a whole number"):
        PhantomDials(("viral",), size="large")


@pytest.mark.slow
@pytest.mark.browser
@pytest.mark.parametrize(("width", "scheme"), [(900, "dark"), (360, "light")])
def test_every_dial_changes_the_picture(show, dials, width, scheme):
    page = show(dials, width, scheme)
    picture = page.locator("img")
    seen = [picture.get_attribute("src")]
    age = page.get_by_label("Age").and_(page.locator("select"))
    for act in (
        lambda: page.get_by_role("slider").fill("4"),
        lambda: age.select_option("adult"),
        lambda: page.get_by_label("image taken in bed").check(),
        lambda: page.get_by_label("Disease").select_option("tuberculosis"),
    ):
        act()
        assert picture.get_attribute("src") not in seen
        seen.append(picture.get_attribute("src"))
        assert picture.evaluate("image => image.decode().then(() => image.naturalWidth)") == 64
    assert seen[-1] == dials.page["images"]["tuberculosis/4/1/1"]
    assert "tuberculosis" in picture.get_attribute("alt") and "adult" in picture.get_attribute("alt")
    page.get_by_label("show where the lesion is").check()
    assert page.locator(".lesion").is_visible()


def nothing(images):
    return np.zeros((len(images), *images.shape[2:]), bool)


def everything(images):
    return ~nothing(images)


@pytest.fixture(scope="module")
def seekers():
    return PhantomDials(("viral",), size=64, find={"nothing": nothing, "everything": everything})


def test_the_dials_say_how_well_each_segmenter_finds_the_lungs(seekers):
    page = seekers.page
    assert len(page["images"]) == len(page["lungs"]) == 5 * 2 * 2 * 3
    for key, png in page["lungs"].items():
        area = (decode(f"data:,{png}") > 127).mean()
        assert 0.05 < area < 0.7, key
        assert page["found"]["nothing"][key] == {"mask": None, "dice": 0}
        assert page["found"]["everything"][key]["dice"] == pytest.approx(2 * area / (1 + area), abs=1e-4)
    straight, turned = (decode(page["images"][f"viral/2/0/0{end}"]) for end in ("", "/20"))
    assert np.abs(straight - turned).mean() > 10


def test_the_dials_refuse_what_finds_no_masks():
    for find in (nothing, ["lungs"], {"lungs": "cxr.lungs"}):
        with pytest.raises(ValueError, match="find: give functions by name"):
            PhantomDials(("viral",), size=64, find=find)
    for wrong in (lambda x: x[:, 0], lambda x: nothing(x)[:3], lambda x: None):
        with pytest.raises(ValueError, match="what wrong finds: give true or false of the shape"):
            PhantomDials(("viral",), size=64, find={"wrong": wrong})


@pytest.mark.slow
@pytest.mark.browser
@pytest.mark.parametrize(("width", "scheme"), [(900, "light"), (360, "dark")])
def test_the_outlines_and_the_score_follow_the_dials(show, seekers, width, scheme):
    page = show(seekers, width, scheme)
    said, drawn = page.get_by_role("status"), set()
    canvas = page.locator("canvas")
    for way, mask in (("nothing", "no lungs found, "), ("everything", "")):
        page.get_by_label("Who looks for the lungs").select_option(way)
        for turn, degrees in enumerate(seekers.page["turns"]):
            page.get_by_role("slider", name="Turned").fill(str(turn))
            key = f"viral/2/0/0/{degrees}" if degrees else "viral/2/0/0"
            dice = seekers.page["found"][way][key]["dice"]
            assert said.inner_text().endswith(f"{way}: {mask}Dice {dice:.3f}.")
            assert said.inner_text() in page.locator("img").get_attribute("alt")
            for _ in range(50):  # until the outlines are decoded
                if (seen := canvas.evaluate("canvas => canvas.toDataURL()")) not in drawn:
                    break
                page.wait_for_timeout(50)
            assert seen not in drawn
            drawn.add(seen)


@pytest.mark.slow
def test_a_widget_looks_the_same_beside_another_one(chromium, tmp_path):
    builder, dials = LayerBuilder("CPCPF", size=64), PhantomDials()
    sizes = []
    for name, widgets in {"alone": [builder], "first": [builder, dials], "last": [dials, builder]}.items():
        path = tmp_path / f"{name}.html"
        path.write_text("<!DOCTYPE html><html><body>" + "".join(w.to_html() for w in widgets), encoding="utf-8")
        page = chromium.new_page(viewport={"width": 320, "height": 800})
        page.goto(path.as_uri())
        cell = page.locator(".cxr-layers table td").first
        cell.wait_for(state="attached")
        sizes.append(cell.evaluate("cell => [getComputedStyle(cell).fontSize, getComputedStyle(cell).padding]"))
        page.close()
    assert sizes[0] == sizes[1] == sizes[2], sizes
