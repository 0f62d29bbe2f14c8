"""What was chosen in a saved widget is still chosen after the page is loaded again, in real Chromium."""

import pytest
from test_accessibility import WIDGETS, settle
from test_accessibility import saved as saved
from test_book import Reader

pytestmark = [pytest.mark.slow, pytest.mark.browser]
SHOWN = """() => JSON.stringify([
  [...document.querySelectorAll(".cxr-kit :is(input:not([type=file]), select)")].map((c) => [c.value, c.checked]),
  [...document.querySelectorAll(".cxr-kit :is(td, th, h3, .verdict, .claims, .answer)")].map((e) => e.innerText)])"""


def change(page):
    """Change every control; what a choice disables or takes away is passed over."""
    for step in page.locator("button.main").all():  # to the next step of a series
        for _ in range(3):
            step.click()
    controls, k = page.locator(".cxr-kit :is(input:not([type=file], [readonly]), select)"), -1
    while (k := k + 1) < min(controls.count(), 40):  # a choice may bring other controls
        control = controls.nth(k)
        if not control.is_enabled() or not control.is_visible():
            continue
        kind = control.evaluate("e => e.type")
        if kind in ("checkbox", "radio"):
            control.check(force=True)
        elif kind == "select-one":
            options = control.evaluate("e => [...e.options].filter(o => !o.disabled).map(o => o.index)")
            control.select_option(index=options[-1])
        elif kind == "range":
            low, high, step = (float(control.get_attribute(key)) for key in ("min", "max", "step"))
            control.fill(f"{low + step * round(0.7 * (high - low) / step):.6g}")
        else:
            control.fill("CPC" if kind == "text" else "3")
    for hand in page.locator("canvas.hand").all():
        hand.press("ArrowDown")  # the last tool rubs out; the marker is still where it was put


@pytest.mark.parametrize("name", WIDGETS)
def test_what_was_chosen_stays_when_the_page_is_loaded_again(saved, chromium, name):
    with Reader(chromium) as reader:
        page = reader.open(saved(name))
        settle(page)
        page.wait_for_timeout(700)
        before = page.evaluate(SHOWN)
        change(page)
        page.wait_for_timeout(1500)
        shown = page.evaluate(SHOWN)
        assert shown != before
        page.reload()
        settle(page)
        page.wait_for_timeout(1500)
        assert page.evaluate(SHOWN) == shown
        assert not reader.faults
        page = reader.context.new_page()  # another tab starts anew
        page.goto(saved(name).as_uri())
        settle(page)
        page.wait_for_timeout(700)
        assert page.evaluate(SHOWN) == before
