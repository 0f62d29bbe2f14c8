"""The freeze explorer: what the page counts at a cut is what the network and torch do there."""

import pytest
import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.flop_counter import FlopCounterMode

from cxrlib import build_model, freeze, summary
from cxrlib.models import leaves
from cxrlib.widgets import FreezeExplorer

CLASSES = ("normal", "pneumonia")


@pytest.fixture(scope="module")
def nets():
    return {
        "resnet18": build_model("resnet18", CLASSES, size=64, seed=0, head_batchnorm=True),
        "efficientnet_lite0": build_model("efficientnet_lite0", CLASSES, size=64, seed=0),
    }


def multiplications(net):
    """(forward, backward) for one image, counted by torch; it counts two operations a multiplication."""
    with FlopCounterMode(display=False) as counter:
        loss = net(torch.zeros(2, 1, 64, 64)).sum()
        forward = counter.get_total_flops()
        loss.backward()
    return forward / 4, (counter.get_total_flops() - forward) / 4


def test_the_page_holds_the_layers_that_freeze_counts_and_leaves_the_model_alone(nets):
    for net in nets.values():
        freeze(net.train(), 3)
        before = {key: value.clone() for key, value in net.state_dict().items()}
        rows = FreezeExplorer(net, 2).page["layers"]
        assert [row["name"] for row in rows if not row["head"]] == list(leaves(net.body))
        table = summary(net).set_index("layer")
        for row in rows:
            told = table.loc[row["name"] if row["head"] else f"body.{row['name']}"]
            assert (row["kind"], row["output"], row["parameters"]) == (told["kind"], told["output"], told["parameters"])
        assert net.training and [p.requires_grad for p in net.body.parameters()].count(True) > 0
        assert all(torch.equal(value, before[key]) for key, value in net.state_dict().items())
        assert not any(layer._forward_hooks or layer._forward_pre_hooks for layer in net.modules())


def test_the_cuts_to_try_are_in_order_and_stand_once(nets):
    net = nets["resnet18"]
    assert FreezeExplorer(net, 5, cuts=(20, 8, 20)).page["cuts"] == [0, 8, 20, len(leaves(net.body))]


def test_the_work_grows_with_the_image(nets):
    small, large = (FreezeExplorer(nets["resnet18"], size=size).page["layers"] for size in (64, 128))
    body = [(a["work"], b["work"]) for a, b in zip(small, large, strict=True) if a["work"] and not a["head"]]
    assert all(b == 4 * a for a, b in body)
    assert small[-1]["work"] == large[-1]["work"] == 512 * 2, "the head sees one place"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"model": nn.Conv2d(1, 1, 1)}, "model: give a network made by build_model, got Conv2d"),
        ({"top": 6}, "top: give a whole number from 0 to 5, got 6"),
        ({"top": True}, "top: .*got True"),
        ({"cuts": (2, -1)}, "cuts: .*got -1"),
        ({"size": 1}, "at least"),
    ],
)
def test_what_it_cannot_show_is_refused(arguments, message):
    arguments = {"model": build_model("CPC", CLASSES, size=16, filters=4), **arguments}
    with pytest.raises(ValueError, match=message):
        FreezeExplorer(**arguments)


def test_a_gradient_passes_exactly_the_layers_that_torch_says(nets):
    net = nets["efficientnet_lite0"]
    rows = {f"body.{row['name']}": row for row in FreezeExplorer(net).page["layers"] if row["work"] and not row["head"]}
    found, deep, passes = leaves(net), len(leaves(net.body)), {}

    def note(name):
        return lambda layer, inputs: passes.update({name: inputs[0].requires_grad})

    hooks = [found[name].register_forward_pre_hook(note(name)) for name in rows]
    for k in (1, 2, 30, 77, deep):
        for hold in (False, True):
            freeze(net, k, freeze_norms=hold).train()
            net(torch.zeros(2, 1, 64, 64))
            last = "last_held" if hold else "last"
            assert {name: row[last] >= deep - k for name, row in rows.items()} == passes
    for hook in hooks:
        hook.remove()


# --- in the browser


def number(page, key):
    text = page.locator(f"[data-value={key}]").inner_text()
    return round(float(text.removesuffix(" M").replace(",", "")) * (1_000_000 if text.endswith("M") else 1))


@pytest.mark.slow
@pytest.mark.browser
@pytest.mark.parametrize(("name", "width", "scheme"), [("resnet18", 900, "light"), ("efficientnet_lite0", 360, "dark")])
def test_every_cut_is_what_freeze_does(nets, show, name, width, scheme):
    net = nets[name]
    norms = [layer for layer in net.body.modules() if isinstance(layer, _BatchNorm)]
    everything = multiplications(freeze(net, len(leaves(net.body))))[1]
    page = show(FreezeExplorer(net), width, scheme)
    ways = page.get_by_label("How it is frozen")
    for k in (0, 1, 4, 7, 19, 20, 21, 33, len(leaves(net.body))):
        page.get_by_role("slider").fill(str(k))
        for way, hold in (("free", False), ("held", True), ("hand", False)):
            ways.select_option(way)
            freeze(net, k, freeze_norms=hold).train()
            if way == "hand":
                nn.Module.train(net)  # what a plain module does: nothing protects the batch norms
            learn = sum(p.numel() for p in net.parameters() if p.requires_grad)
            assert number(page, "learn") == learn
            assert number(page, "frozen") == sum(p.numel() for p in net.parameters()) - learn
            assert number(page, "follow") == sum(norm.training for norm in norms)
            assert number(page, "keep") == sum(not norm.training for norm in norms)
            assert number(page, "drift") == sum(norm.training and not norm.weight.requires_grad for norm in norms)
            if name == "resnet18":  # torch's counter takes a depth-wise convolution for a full one on the way back
                forward, backward = multiplications(net)
                assert abs(number(page, "forward") - forward) <= 5000, "shown to 0.01 million"
                assert abs(number(page, "backward") - backward) <= 5000
                assert abs(number(page, "saved") - (everything - backward)) <= 5000
    assert page.locator("g.learn").count() > page.locator("g.frozen").count()


@pytest.mark.slow
@pytest.mark.browser
def test_the_cut_moves_by_button_click_and_key(nets, show):
    deep = len(leaves(nets["resnet18"].body))
    page = show(FreezeExplorer(nets["resnet18"], 4, cuts=(10,)))
    slider, said = page.get_by_role("slider"), page.get_by_role("status")
    assert slider.input_value() == "4"
    page.get_by_role("button", name="top 10", exact=True).click()
    assert slider.input_value() == "10" and f"top 10 layers of {deep}" in said.inner_text()
    slider.focus()
    slider.press("ArrowLeft")  # away from the head: one layer more
    assert slider.input_value() == "11"
    page.locator('g[data-layer="layer4.1.conv2"]').click()
    below = list(leaves(nets["resnet18"].body)).index("layer4.1.conv2")
    assert slider.input_value() == str(deep - below) and "below layer4.1.conv2" in said.inner_text()
    page.get_by_role("button", name="the head alone").click()
    page.get_by_label("How it is frozen").select_option("hand")
    assert "cannot learn, yet" in said.inner_text() and page.locator("g.follow").count() == 20
