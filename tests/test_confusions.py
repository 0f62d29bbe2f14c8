"""The confusion explorer: what it shows at any weights is what the library computes."""

import numpy as np
import pytest

from cxrlib import Report
from cxrlib.widgets.confusions import ConfusionExplorer

CLASSES = ("normal", "bacterial", "viral", "covid-19")


def make_report(seed=0, n=90, classes=CLASSES) -> Report:
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, len(classes), n)
    probs = rng.dirichlet(np.ones(len(classes)), n) + 0.6 * np.eye(len(classes))[labels]
    probs = np.round(probs / probs.sum(1, keepdims=True), 6)
    return Report(labels, probs, classes, None, bootstrap=0)


def weighted(report, weights) -> Report:
    probs = report.probs * weights
    return Report(report.labels, probs / probs.sum(1, keepdims=True), report.classes, None, bootstrap=0)


def test_the_page_holds_labels_and_probabilities_and_nothing_else():
    report = make_report()
    widget = ConfusionExplorer(report)
    (held,) = widget.page["sets"]
    assert set(held) == {"name", "labels", "probs"} and widget.page["classes"] == list(CLASSES)
    assert held["labels"] == report.labels.tolist() and np.allclose(held["probs"], report.probs)


def test_it_refuses_what_it_cannot_show():
    with pytest.raises(ValueError, match="reports: give a Report"):
        ConfusionExplorer({})
    with pytest.raises(ValueError, match="ThresholdExplorer"):
        ConfusionExplorer(make_report(classes=("normal", "pneumonia")))
    with pytest.raises(ValueError, match="the same classes.*'other'"):
        ConfusionExplorer({"one": make_report(), "other": make_report(classes=CLASSES[:3])})


@pytest.mark.slow
@pytest.mark.browser
@pytest.mark.parametrize(("width", "scheme"), [(900, "light"), (360, "dark")])
def test_the_numbers_are_those_of_the_report(show, width, scheme):
    reports = {"validation": make_report(), "test": make_report(1, 50)}
    page = show(ConfusionExplorer(reports), width, scheme)
    for name, report in reports.items():
        page.get_by_label("Images").select_option(label=f"{name} ({len(report.labels)} images)")
        for steps in ((0, 0, 0, 0), (0, -1, 0.5, 2), (4, 0, 0, -4), (-4, -4, -4, 4)):
            for c, step in zip(CLASSES, steps, strict=True):
                page.get_by_label(f"Weight of {c}").fill(str(step))
            judged = weighted(report, 2.0 ** np.array(steps))
            cells = page.locator("[data-cell]").all_inner_texts()
            assert [int(cell.split()[0]) for cell in cells] == judged.confusion.ravel().tolist()
            for value in ("accuracy", "macro_f1"):
                assert abs(float(page.locator(f"[data-value={value}]").inner_text()) - judged[value]) < 6e-4
            for c in CLASSES:
                row = page.locator("tr", has=page.get_by_role("rowheader", name=c, exact=True))
                shown = [float(cell.replace("–", "nan")) for cell in row.locator("td").all_inner_texts()]
                wanted = [judged[f"{m}[{c}]"] for m in ("recall", "precision", "f1")]
                assert np.allclose(shown, wanted, atol=6e-4, equal_nan=True)
    page.get_by_role("button", name="All weights 1").click()
    assert page.locator("[data-value=accuracy]").inner_text() == f"{report['accuracy']:.3f}"
    assert all(s.input_value() == "0" for s in page.get_by_role("slider").all())


@pytest.mark.slow
@pytest.mark.browser
def test_a_class_without_images_has_dashes_and_is_left_out_of_the_mean(show):
    known = make_report()
    keep = known.labels != 3
    page = show(ConfusionExplorer(Report(known.labels[keep], known.probs[keep], known.classes, None)))
    rows = page.get_by_role("group", name="Class by class").locator("tbody tr").all()
    cells = [row.locator("td").all_inner_texts() for row in rows]
    assert cells[3] == ["–"] * 3 and "–" not in cells[0]
    mean = np.mean([float(row[2]) for row in cells[:3]])
    assert float(page.locator("[data-value=macro_f1]").inner_text()) == pytest.approx(mean, abs=1e-3)


@pytest.mark.slow
@pytest.mark.browser
def test_a_slider_moves_with_the_keyboard(show):
    page = show(ConfusionExplorer(make_report()), 360)
    before = page.locator('[data-cell="0-3"]').inner_text()
    slider = page.get_by_label("Weight of covid-19")
    slider.focus()
    for _ in range(16):
        slider.press("ArrowRight")
    assert slider.input_value() == "4" and page.locator('[data-cell="0-3"]').inner_text() != before
    assert "called covid-19" in page.get_by_role("status").inner_text()
