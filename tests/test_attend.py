"""Training with attention: the penalty is what it says, masks move with images, all else stays as it was."""

import warnings

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from conftest import toy

import cxrlib as cxr
from cxrlib.attend import Attention, outside, touched
from cxrlib.augment import Augment
from cxrlib.cli import main

TINY = cxr.Recipe(
    model="CPC", model_options={"filters": (4,)}, size=16, epochs=2, batch_size=16, lr=3e-3, precision="fp32",
    attend="lungs", attend_weight=1.0,
)  # fmt: skip
GEOMETRY = {"flip": 0.5, "rotate": 20, "shift": 0.1, "zoom": 0.2, "crop": 0.7}


def masked(n=48, seed=0, place=slice(0, 8)):
    """Toy images with a region: the upper half, where the bar of the first class is."""
    data = toy(n, seed=seed)
    masks = np.zeros((n, 16, 16), bool)
    masks[:, place] = True
    return cxr.CxrDataset(data.images, data.labels, data.classes, data.patients, masks=masks, lungs=masks)


def trained(data=None, recipe=TINY, **options):
    """Train the recipe's network on toy images; its history and weights."""
    model = cxr.build(recipe, ("normal", "pneumonia"))
    history = cxr.fit(model, data or masked(), None, recipe, progress=False, **options)
    return history, torch.cat([p.detach().flatten() for p in model.state_dict().values()])


@pytest.mark.parametrize("inside, expected", [(slice(0, 4), 0.0), (slice(4, 8), 1.0), (slice(2, 4), 0.0)])
def test_the_fraction_outside_of_a_known_map(inside, expected):
    maps, masks = torch.zeros(1, 2, 2, 2), torch.zeros(1, 8, 8, dtype=torch.bool)
    maps[0, :, 0] = 3.0  # both maps are bright in the upper half
    masks[0, inside] = True
    fractions, there = outside(maps, torch.tensor([[1.0, -0.5]]), masks)
    assert fractions.tolist() == [expected] and there.all()
    assert touched(masks, (2, 2)).sum() == 2


def test_part_of_a_map_outside_and_nothing_where_there_is_no_region_or_no_positive_value():
    maps = torch.tensor([1.0, 3.0]).view(1, 1, 1, 2).repeat(3, 1, 1, 1)
    masks = torch.zeros(3, 4, 8, dtype=torch.bool)
    masks[::2, 0, 0] = True  # one pixel of the left cell, in the first and the last image
    weights = torch.tensor([[2.0], [2.0], [-1.0]], requires_grad=True)
    fractions, there = outside(maps, weights, masks)
    assert fractions.tolist() == [0.75, 0, 0] and there.tolist() == [True, False, True]
    fractions.sum().backward()
    assert weights.grad.isfinite().all()


@pytest.mark.parametrize("bright, expected", [(slice(8, 16), 1.0), (slice(0, 8), 0.0)])
@pytest.mark.parametrize("own, other", [(1.0, 0.0), (0.0, -1.0)])
def test_the_penalty_of_a_known_network(bright, expected, own, other):
    """The map of the class is its difference from the others: evidence cannot hide in their negative values."""
    recipe = TINY.replace(model="C", model_options={"filters": (1,)}, attend_weight=3.0)
    data = masked(4)
    model = cxr.build(recipe, data.classes)
    with torch.no_grad():
        for p in model.parameters():
            p.zero_()
        model.body.conv1.weight[0, 0, 1, 1] = 1.0  # the map is the image
        model.head.output.weight.copy_(torch.tensor([[own], [other]]))
    model.input.forward = lambda x: x
    x = torch.zeros(4, 1, 16, 16)
    x[:, :, bright] = 0.7
    attention = Attention(model, data, recipe)
    attention.open()
    model(x)
    total, count, penalty = attention.penalty(torch.tensor([[1.0, 0.0]] * 4), torch.from_numpy(data.lungs))
    attention.close()
    assert (float(total), int(count), float(penalty.detach())) == pytest.approx((4 * expected, 4, 3 * expected))


def test_a_small_step_against_the_penalty_makes_it_smaller():
    data = masked(32)
    model = cxr.build(TINY, data.classes)
    attention = Attention(model, data, TINY)
    images, labels, masks = attention.__getitems__(list(range(32)))
    y = torch.nn.functional.one_hot(labels, 2).float()
    sums = []
    attention.open()
    for _ in range(2):
        model.zero_grad()
        model(images.float().div(255))
        total, count, penalty = attention.penalty(y, masks)
        assert count == 32 and torch.isclose(penalty, total / 32)
        penalty.backward()
        sums.append(float(total))
        with torch.no_grad():
            for p in model.parameters():
                p -= 0.01 * p.grad if p.grad is not None else 0
    attention.close()
    assert 0 < sums[1] < sums[0] and not model.body._forward_hooks


@pytest.mark.parametrize("name", [None, *GEOMETRY])
def test_masks_move_as_images_do(name):
    augment = Augment(**(GEOMETRY if name is None else {name: GEOMETRY[name]}))
    masks = torch.rand(16, 1, 6, 6, generator=torch.Generator().manual_seed(0)) > 0.5
    masks = masks.repeat_interleave(8, 2).repeat_interleave(8, 3)[:, 0]
    out, y, moved = augment(masks[:, None].float(), None, torch.Generator().manual_seed(3), masks)
    assert y is None and moved.dtype == torch.bool and (moved != masks).any()
    assert torch.equal(moved, out[:, 0] > 0.5)


def test_masks_change_nothing_else_and_gray_levels_do_not_change_masks():
    gray = {"brightness": 0.3, "contrast": 0.4, "gamma": 0.5, "blur": 1.5, "noise": 0.1}
    x, masks = torch.rand(8, 1, 16, 16), torch.rand(8, 16, 16) > 0.5
    y = torch.eye(2).repeat(4, 1)
    augment = Augment(**GEOMETRY, **gray, mixup=0.4)
    plain, with_masks = augment(x, y, torch.Generator().manual_seed(1)), augment(
        x, y, torch.Generator().manual_seed(1), masks
    )  # fmt: skip
    assert torch.equal(plain[0], with_masks[0]) and torch.equal(plain[1], with_masks[1])
    assert torch.equal(Augment(**gray)(x, y, None, masks)[2], masks)
    assert torch.equal(Augment()(x, y, None, masks)[2], masks)


def test_mixup_joins_the_masks_of_both_images():
    masks = torch.zeros(3, 4, 4, dtype=torch.bool)
    masks[0, 0], masks[1, 1] = True, True
    allowed = [[], [0], [1], [0, 1]]
    for seed in range(8):
        generator = torch.Generator().manual_seed(seed)
        _, _, joined = Augment(mixup=1)(torch.rand(3, 1, 4, 4), torch.eye(3), generator, masks)
        rows = [mask.any(1).nonzero().flatten().tolist() for mask in joined]
        assert rows[2] == [] and all(found in allowed for found in rows)
    assert masks.sum() == 8


@pytest.mark.parametrize("wrong", [torch.zeros(4, 8, 8), torch.zeros(4, 1, 8, 8, dtype=torch.bool)])
def test_masks_of_another_kind_are_refused(wrong):
    with pytest.raises(ValueError, match="masks: give bool masks"):
        Augment(flip=1)(torch.rand(4, 1, 8, 8), None, None, wrong)


@pytest.mark.parametrize(
    "changes", [{"augment": cxr.recipes["best"].augment, "ema_decay": 0.9}, {"head_epochs": 1, "schedule": "onecycle"}]
)
def test_a_weight_of_zero_trains_as_without_attention(changes):
    recipe = TINY.replace(attend_weight=0, **changes)
    looked, weights = trained(recipe=recipe)
    plain, expected = trained(recipe=recipe.replace(attend=None))
    assert torch.equal(weights, expected) and looked.frame["loss"].equals(plain.frame["loss"])
    assert "outside" not in plain.frame and looked.frame["outside"].between(0, 1).all()
    assert not torch.equal(trained(recipe=recipe.replace(attend_weight=1.0))[1], expected)


def test_attention_brings_the_map_inside():
    recipe = TINY.replace(epochs=8, attend_weight=0)
    without, with_it = (trained(recipe=recipe.replace(attend_weight=w))[0].frame["outside"].iloc[-1] for w in (0, 2))
    assert with_it < 0.5 * without


def test_a_resumed_run_ends_with_the_same_weights(tmp_path):
    recipe = TINY.replace(epochs=4, augment=Augment(flip=0.5, shift=0.1, mixup=0.2))
    _, whole = trained(recipe=recipe)

    class Stopped(Exception):
        pass

    class Stops(cxr.CxrDataset):
        left = 8  # in the middle of the third epoch

        def __getitems__(self, rows):
            Stops.left -= 1
            if Stops.left < 0:
                raise Stopped
            return super().__getitems__(rows)

    stopping = masked()
    stopping.__class__ = Stops
    with pytest.raises(Stopped):
        trained(stopping, recipe, checkpoint=tmp_path / "c.pt")
    history, resumed = trained(recipe=recipe, checkpoint=tmp_path / "c.pt")
    assert history.resumed_at == 2 and torch.equal(whole, resumed)
    assert "outside" in str(history)


def test_lungs_are_looked_for_where_the_data_have_none_and_images_without_are_counted():
    data = cxr.load("phantom", 64, n=60, progress=False)[:20]
    images = np.where(np.arange(20)[:, None, None, None] < 3, 90, data.images).astype(np.uint8)
    bare = cxr.CxrDataset(images, data.labels, data.classes, data.patients)
    recipe = TINY.replace(model="CPCPCP", size=64)
    with pytest.warns(UserWarning, match="of 20 training images 3 have no lung"):
        attention = Attention(cxr.build(recipe, data.classes), bare, recipe)
    assert not attention.masks[:3].any() and attention.masks[3:].any((1, 2)).all()


def test_healthy_images_have_no_lesion_and_are_counted():
    data = masked()
    data = cxr.CxrDataset(
        data.images, data.labels, data.classes, data.patients, masks=data.masks & (data.labels == 1)[:, None, None]
    )
    with pytest.warns(UserWarning, match="24 have no lesion mask: nothing is penalized"):
        history, _ = trained(data, TINY.replace(attend="lesion"))
    assert np.isfinite(history.frame["outside"]).all()


def test_a_map_too_coarse_to_have_an_outside_is_told():
    with pytest.warns(UserWarning, match="in 48 all cells of the 4 x 4 map"):
        history, _ = trained(masked(place=slice(2, 14)), TINY.replace(model="CPPC"))
    assert (history.frame["outside"] == 0).all()


def test_no_region_at_all_is_undefined_and_not_zero():
    with pytest.warns(UserWarning, match="48 have no lung mask: nothing is penalized"):
        history, _ = trained(masked(place=slice(0, 0)))
    assert history.frame["outside"].isna().all() and history.to_dict()["epochs"][0]["outside"] is None


@pytest.mark.parametrize(
    "data, recipe, message",
    [
        (masked(), TINY.replace(model="CPFD"), "recipe: attend needs a network .*'CPFD' does not: take"),
        (toy(), TINY.replace(attend="lesion"), 'attend="lesion" needs lesion masks, and train has none'),
    ],
)  # fmt: skip
def test_what_cannot_be_attended_is_refused(data, recipe, message):
    model = cxr.build_model(recipe.model, data.classes, size=16, filters=(4,))
    with pytest.raises(ValueError, match=message):
        cxr.fit(model, data, None, recipe, progress=False)
    assert not model.body._forward_hooks


@pytest.mark.parametrize("change", [{"attend": "heart"}, {"attend": 1}, {"attend_weight": -1}])
def test_a_recipe_names_a_wrong_field(change):
    with pytest.raises(ValueError, match=f"recipe: {next(iter(change))}: give"):
        TINY.replace(**change)


def test_a_recipe_equals_itself_after_json_and_a_cut_image_keeps_its_lungs():
    assert cxr.Recipe.from_dict(TINY.to_dict()) == TINY
    data = cxr.load("phantom", 64, n=60, progress=False)[:24]
    recipe = TINY.replace(model="CPCPC", size=48, crop="lungs", epochs=1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        cut = cxr.crop_to_lungs(data, 48)
        attention = Attention(cxr.build(recipe, data.classes), cut, recipe)
    assert np.array_equal(attention.masks, cut.lungs) and cut.lungs.mean() > data.lungs.mean()


def test_the_command_records_it(tmp_path):
    how = ["--model", "CPCPC", "--size", "32", "--epochs", "1", "--attend", "lungs", "--attend-weight", "0.5"]
    done = CliRunner().invoke(main, ["train", *how, "-o", "n=60", "--quiet", "--out", str(tmp_path / "run")])
    assert done.exit_code == 0, done.output
    opened = cxr.Run.open(tmp_path / "run")
    assert (opened.recipe.attend, opened.recipe.attend_weight) == ("lungs", 0.5)
    assert "--attend lungs --attend-weight 0.5" in opened.record["command"]
    assert 0 <= opened.record["training"]["epochs"][0]["outside"] <= 1
