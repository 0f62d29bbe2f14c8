"""The ladder explorer: what counts as a change, what is a clear step, and nothing shown before the guess."""

import numpy as np
import pytest

from cxrlib import Recipe
from cxrlib.widgets import LadderExplorer

SCORES = [(0.700, 0.704), (0.702, 0.703), (0.760, 0.750), (0.752, 0.757), (0.700, 0.709), (0.703, 0.714)]
SETTINGS = [{"lr": 1e-5, "top": 0, "model_options": {"pretrained": True, "dropout": 0.3}, "schedule": None}]
SETTINGS += [SETTINGS[-1] | {"top": 50}]
SETTINGS += [SETTINGS[-1] | {"lr": 1e-6, "schedule": "plateau"}]
SETTINGS += [SETTINGS[-1] | {"model_options": {"pretrained": True, "dropout": 0.5}}]
SETTINGS += [SETTINGS[-1] | {"model_options": {"pretrained": False}}]
SETTINGS += [dict(SETTINGS[-1])]


def steps(scores=SCORES, low=0.02):
    return [
        {
            "name": f"v{i}",
            "text": f"change {i}",
            "settings": settings,
            "scores": {0: (a, a - low, a + low), 7: b},
            "reported": [0.62, None, float("nan"), 0.84, 0.9, 1][i],
        }
        for i, ((a, b), settings) in enumerate(zip(scores, SETTINGS, strict=True))
    ]


def test_the_changes_are_those_of_the_settings_also_inside_a_dict():
    page = LadderExplorer(steps()).page
    assert [step["settings"] for step in page["steps"]] == [
        [],
        [["top", "0", "50"]],
        [["lr", "1e-05", "1e-06"], ["schedule", "none", "plateau"]],
        [["model_options.dropout", "0.3", "0.5"]],
        [["model_options.pretrained", "yes", "no"], ["model_options.dropout", "0.5", "–"]],
        [],
    ]
    assert [step["reported"] for step in page["steps"]] == [0.62, None, None, 0.84, 0.9, 1.0]


def test_a_recipe_gives_settings():
    recipe = Recipe(model="resnet18")
    a, b = (
        {"name": n, "settings": r.to_dict(), "scores": {0: 1, 1: 2}}
        for n, r in (("a", recipe), ("b", recipe.replace(lr=0.5, class_weights="balanced")))
    )
    changed = {row[0]: row[2] for row in LadderExplorer([a, b]).page["steps"][1]["settings"]}
    assert changed == {"lr": "0.5", "class_weights": "balanced"}


def larger_spread(i):
    return max(np.ptp(SCORES[i]), np.ptp(SCORES[max(i - 1, 0)]))


def plain(*scores):
    return [{"name": f"v{i}", "settings": {}, "scores": dict(enumerate(row))} for i, row in enumerate(scores)]


def test_a_step_is_clear_when_the_seeds_agree_and_the_mean_is_above_the_spread_of_its_two_recipes():
    page = LadderExplorer(steps()).page["steps"]
    assert [step["spread"] for step in page] == pytest.approx([0.004, 0.004, 0.01, 0.01, 0.009, 0.011])
    assert [step["spread"] for step in page] == pytest.approx([larger_spread(i) for i in range(6)])
    # opposite signs; clear; opposite signs; clear; same sign, but smaller than the spread
    assert [step["verdict"] for step in page[1:]] == ["none", "higher", "none", "lower", "none"]
    assert page[5]["change"] == pytest.approx([0.003, 0.005])


def test_seeds_that_lie_close_in_other_steps_do_not_make_a_step_clear():
    close = [(0.7, 0.7)] * 4
    page = LadderExplorer(plain(*close, (0.8, 0.7), (0.83, 0.73))).page["steps"]
    assert page[-1]["change"] == pytest.approx([0.03, 0.03]) and page[-1]["verdict"] == "none"
    page = LadderExplorer(plain((0.5, 0.9), *close, (0.71, 0.71))).page["steps"]
    assert page[-1]["verdict"] == "higher", "nor do seeds that lie apart in other steps hide one"


def test_a_mean_above_the_spread_is_not_enough():
    page = LadderExplorer(plain((0.70, 0.70, 0.71), (0.718, 0.718, 0.708))).page["steps"]
    assert np.mean(page[1]["change"]) > page[1]["spread"] and page[1]["verdict"] == "none"


def without(step, key):
    return {k: v for k, v in step.items() if k != key}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s[:1], "steps: give at least 2"),
        (lambda s: [s[0], s[1] | {"name": "v0"}], "give each name once, got v0, v0"),
        (lambda s: [s[0], without(s[1], "scores")], "'v1': give name, settings, scores.*got .'name'"),
        (lambda s: [s[0], s[1] | {"color": 1}], "'v1': give name.*color"),
        (lambda s: [x | {"scores": {0: 1.0}} for x in s], "one seed has no spread"),
        (lambda s: [s[0], s[1] | {"scores": {0: 1.0, 1: 1.0}}], r"'v1' has the seeds \[0, 1\], the first one \[0, 7\]"),
        (lambda s: [s[0], s[1] | {"scores": {0: 1.0, 7: float("nan")}}], "'v1', seed 7: give a number"),
        (lambda s: [s[0], s[1] | {"scores": {0: (1.0, 0.9), 7: 1.0}}], "'v1', seed 0: give a number or"),
        (lambda s: [s[0], s[1] | {"scores": {0: (1.0, 1.1, 0.9), 7: 1.0}}], "seed 0: give a number or .*low <= high"),
        (lambda s: [s[0], s[1] | {"reported": "0.9"}], "'v1': reported: give a number, got '0.9'"),
        (lambda s: 7, "steps: give a sequence"),
        (lambda s: [s[0], 7], "steps: give dicts, got 7"),
        (lambda s: [s[0], s[1] | {"scores": None}], "'v1': give a dict of scores, got None"),
        (lambda s: [s[0], s[1] | {"name": ""}], "name: give a text"),
    ],
)
def test_what_it_cannot_show_is_refused(change, message):
    with pytest.raises(ValueError, match=message):
        LadderExplorer(change(steps()))


# --- in the browser


@pytest.mark.slow
@pytest.mark.browser
@pytest.mark.parametrize(("width", "scheme"), [(900, "light"), (360, "dark")])
def test_a_result_comes_after_the_guess_and_is_the_measured_one(show, width, scheme):
    page = show(LadderExplorer(steps(), score="AUC", source="source A, accuracy"), width, scheme)
    said, main = page.get_by_role("status"), page.locator("button.main")
    right = 0
    for i, pair in enumerate(SCORES):
        step = np.subtract(pair, SCORES[i - 1]) if i else np.zeros(2)
        clear = bool(i) and abs(np.sign(step).sum()) == 2 and abs(step.mean()) > larger_spread(i)
        verdict = "no difference seen" if not clear else "higher" if step.mean() > 0 else "lower"
        assert page.get_by_role("heading", name=f"v{i}").is_visible()
        if i:
            table = page.locator("tbody").first
            for setting, *sides in LadderExplorer(steps()).page["steps"][i]["settings"]:
                cells = table.locator("tr", has=page.get_by_role("rowheader", name=setting, exact=True)).locator("td")
                assert cells.all_inner_texts() == sides
            hidden = page.locator("tbody").nth(1).inner_text()
            assert not any(f"{v:.3f}" in hidden for v in pair) and "?" in hidden
            assert page.locator("svg circle").count() == 2 * i
            assert page.locator("[data-value=spread]").inner_text() == "?" and not page.locator("rect.band").count()
            guess = ("higher", "no difference seen", "lower")[i % 3]
            page.get_by_label(guess, exact=True).check()
            right += guess == verdict
            main.click()
            assert verdict in said.inner_text()
            assert f"Right guesses: {right} of {i}" in page.locator(".line").inner_text()
            assert page.get_by_label(guess, exact=True).is_disabled()
            assert float(page.locator("[data-value=change]").inner_text().replace("−", "-")) == pytest.approx(
                step.mean(), abs=6e-4
            )
        rows = [text.split("\t") for text in page.locator("tbody").nth(1).inner_text().splitlines()]
        assert [row[1] for row in rows[:2]] == [f"{v:.3f}" for v in pair]
        assert [row[2] for row in rows[:2]] == [f"{pair[0] - 0.02:.3f} to {pair[0] + 0.02:.3f}", "–"]
        assert page.locator("[data-value=spread]").inner_text() == f"{larger_spread(i):.3f}"
        reported = (0.62, None, None, 0.84, 0.9, 1)[i]
        told = page.locator("[data-value=reported]").inner_text()
        assert told == ("not known" if reported is None else f"{reported:.3f}")
        assert page.locator("svg circle").count() == 2 * (i + 1)
        if i < len(SCORES) - 1:
            main.click()
    assert main.inner_text() == "Start again"
    main.click()
    assert page.get_by_role("heading", name="v0").is_visible() and page.locator("svg circle").count() == 2


@pytest.mark.slow
@pytest.mark.browser
def test_back_and_forth_with_the_keyboard(show):
    page = show(LadderExplorer(steps()))
    main, back = page.locator("button.main"), page.get_by_role("button", name="Back")
    main.focus()
    for _ in range(4):  # next, show, next, show
        page.keyboard.press("Enter")
    assert page.get_by_role("heading", name="v2").is_visible() and "higher" in page.get_by_role("status").inner_text()
    for name in ("v1", "v0", "v0"):
        back.press("Enter")
        assert page.get_by_role("heading", name=name).is_visible()
    assert back.get_attribute("aria-disabled") == "true" and "compared with" in page.get_by_role("status").inner_text()
    main.press("Enter")
    assert "no difference seen" in page.get_by_role("status").inner_text(), "a step that was shown stays shown"


@pytest.mark.slow
@pytest.mark.browser
def test_a_mean_outside_of_the_band_is_a_step_above_the_spread(show):
    page = show(LadderExplorer(steps()))
    main = page.locator("button.main")
    for i, ((a, b), before) in enumerate(zip(SCORES[1:], SCORES, strict=False), 1):
        main.click()
        main.click()
        top, height = (float(page.locator("rect.band").get_attribute(key)) for key in ("y", "height"))
        dots = [
            float(y) for y in page.locator("svg circle").evaluate_all("list => list.map(dot => dot.getAttribute('cy'))")
        ][2 * i :]
        outside = not top <= np.mean(dots) <= top + height
        assert outside == (abs((a + b) / 2 - np.mean(before)) > larger_spread(i))
