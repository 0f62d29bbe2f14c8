"""Train it here, in real Chromium from the disk: the page learns what PyTorch learns, in seconds."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

import cxrlib as cxr
from cxrlib.widgets import TrainHere

LISTEN = """globalThis.all = [];
  document.addEventListener("cxr-learned", ({ detail }) => all.push(detail), true)"""


def phantoms(n, size=32):
    data = cxr.load("phantom", size, n=3 * n, classes=("normal", "bacterial"), seed=1, progress=False)
    return data[np.concatenate([np.flatnonzero(data.labels == k)[: n // 2] for k in (0, 1)]).reshape(2, -1).T.ravel()]


@pytest.fixture
def open_page(chromium, tmp_path):
    def open_it(widget):
        context = chromium.new_context(viewport={"width": 360, "height": 700}, offline=True)
        contexts.append(context)
        page = context.new_page()
        page.add_init_script(LISTEN)
        page.on("pageerror", lambda error: pytest.fail(str(error)))
        page.goto(widget.save_html(tmp_path / "page.html").as_uri())
        page.get_by_role("button", name="Train").wait_for()
        return page

    contexts = []
    yield open_it
    for context in contexts:
        context.close()


@pytest.mark.browser
@pytest.mark.parametrize(("letters", "filters"), [("CPCPFD", (3, 5)), ("PCCPF", (4, 3))])
def test_the_page_learns_what_pytorch_learns(open_page, letters, filters):
    train, val = phantoms(60), phantoms(30)
    page = open_page(TrainHere(train, val, letters, filters=filters, hidden=7, epochs=2))
    page.get_by_label("Learning rate").fill("3")  # 0.003
    page.get_by_role("button", name="Train").click()
    page.get_by_text("2 epochs in").wait_for()
    net = cxr.build_model(letters, train.classes, size=32, filters=filters, hidden=7, dropout=0.0, seed=0)
    adam = torch.optim.Adam(net.parameters(), lr=0.003)
    (x, y), (v, w) = (
        (torch.from_numpy(d.images).float() / 255, torch.from_numpy(d.labels).long()) for d in (train, val)
    )
    start = F.cross_entropy(net(v), w).item()
    for found in page.evaluate("all"):
        losses = []
        for batch in torch.tensor(found["order"]).split(20):
            loss = F.cross_entropy(net(x[batch]), y[batch])
            adam.zero_grad()
            loss.backward()
            adam.step()
            losses.append(loss.item())
        with torch.no_grad():
            logits = net(v)
        assert found["seen"] == pytest.approx(np.mean(losses), abs=1e-3)
        assert found["unseen"] == pytest.approx(F.cross_entropy(logits, w).item(), abs=2e-3)
        assert found["right"] == pytest.approx((logits.argmax(1) == w).float().mean().item(), abs=0.04)
    assert abs(found["unseen"] - start) > 0.01, "something was learned"


@pytest.mark.slow
@pytest.mark.browser
def test_200_phantoms_are_learned_in_seconds_and_one_can_stop(open_page):
    page = open_page(TrainHere(phantoms(200, 48), phantoms(60, 48)))
    page.get_by_label("Learning rate").fill("3")
    page.get_by_role("button", name="Train").click()
    page.get_by_text("40 epochs in").wait_for(timeout=120_000)
    found = page.evaluate("all")
    assert len(found) == 40 and found[-1]["seen"] < 0.3 * found[0]["seen"] and found[-1]["right"] > 0.6
    assert found[-1]["seconds"] < 20
    assert page.get_by_role("button", name="Train").is_disabled()
    page.get_by_label("Training images").fill("40")
    page.get_by_role("button", name="Train").click()
    page.wait_for_function("() => all.length > 42")
    page.get_by_role("button", name="Stop").click()
    count = page.evaluate("all.length")
    page.wait_for_timeout(300)
    assert page.evaluate("all.length") <= count + 1 and len(page.evaluate("all.at(-1).order")) == 40
    assert page.locator("path.old.seen").get_attribute("d"), "the run before stays in sight"
    assert page.evaluate("document.documentElement.scrollWidth") <= 360


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (lambda: (phantoms(4), phantoms(4), "CP"), "letters: give a word with an F, such as 'PCPCPF', got 'CP'"),
        (lambda: (phantoms(4), [1]), "val: give a CxrDataset of 1 to 400 images, got"),
        (lambda: (phantoms(4), phantoms(4, 48)), "val: give images of normal, bacterial at 32 px, as train has"),
    ],
)
def test_what_it_cannot_learn_from_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        TrainHere(*arguments())


def test_no_epochs_are_no_training():
    with pytest.raises(ValueError, match="epochs: give a whole number"):
        TrainHere(phantoms(4), phantoms(4), epochs=0)
