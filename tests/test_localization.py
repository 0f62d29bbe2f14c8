"""Maps with known answers, oracles for the threshold, and models whose maps can be predicted by hand."""

import json

import numpy as np
import pandas as pd
import pytest
import torch

import cxrlib as cxr
from cxrlib.localization import (
    centered_blobs,
    compare_maps,
    deletion_insertion,
    enlarge,
    otsu,
    perfect_maps,
    sanity_check,
    score_maps,
    show_map,
    show_scale,
    tune_threshold,
)

SIDE, GRID = 32, 8


def square(top, left, height=8, width=8, side=SIDE):
    mask = np.zeros((side, side), bool)
    mask[top : top + height, left : left + width] = True
    return mask


@pytest.fixture
def masks():
    """Squares of 8 px that fill 2 x 2 cells of the grid exactly; the third image has no lesion."""
    return np.stack([square(0, 0), square(8, 16), np.zeros((SIDE, SIDE), bool), square(24, 24)])


def lit(*cells, grid=GRID):
    """Maps that are 1 in one cell each."""
    maps = np.zeros((len(cells), grid, grid), np.float32)
    for k, (row, column) in enumerate(cells):
        maps[k, row, column] = 1
    return maps


# ---- score_maps


def test_the_perfect_map_reaches_the_ceiling(masks):
    scores = score_maps(perfect_maps(masks, (GRID, GRID)), masks, threshold=0.5)
    pd.testing.assert_series_equal(scores.table["value"], scores.table["ceiling"], check_names=False)
    assert scores["pointing"] == 1


def test_the_blob_has_no_gain_over_the_floor(masks):
    scores = score_maps(centered_blobs(4, (GRID, GRID)), masks)
    assert np.allclose(scores.table["value"], scores.table["floor"])
    assert np.allclose(scores.table[["gain", "gain_low", "gain_high"]], 0)


def test_training_lesions_make_a_floor_that_knows_where_lesions_usually_are(masks):
    training = np.stack([square(24, 24), square(24, 24), square(0, 0)])
    scores = score_maps(perfect_maps(training, (GRID, GRID)).mean(0)[None].repeat(4, 0), masks, floor=training)
    assert np.allclose(scores.table["gain"], 0)
    assert scores.table.loc["pointing", "floor"] == pytest.approx(1 / 3)
    assert "mean of 3 training lesions" in scores._repr_html_() and scores.to_dict()["floor"] == scores.floor_is
    for wrong in (training[0], training.astype(float), training[:, :16], np.zeros_like(training)):
        with pytest.raises(ValueError, match="floor.*training images"):
            score_maps(lit((0, 0), (2, 4), (0, 0), (6, 6)), masks, floor=wrong)


def test_known_answers_on_the_grid_of_the_image():
    # Maps as large as the masks: nothing is interpolated, everything can be counted.
    mask = np.stack([square(0, 0, 2, 2, side=4), square(0, 0, 2, 2, side=4)])
    maps = np.zeros((2, 4, 4))
    maps[0, 0, 0], maps[0, 3, 3] = 3, 1  # peak inside; 3 of 4 units inside; Otsu and 0.2: 2 pixels, 1 inside
    maps[1, 3, 2], maps[1, 0, 1] = 2, -9  # peak outside; negative values do not count
    scores = score_maps(maps, mask, threshold=0.2, bootstrap=0)
    assert scores.per_image["pointing"].tolist() == [1, 0]
    assert np.allclose(scores.per_image["energy_lesion"], [0.75, 0])
    assert np.allclose(scores.per_image["iou_tuned"], [1 / 5, 0])  # 1 in common, 4 + 2 - 1 in the union
    assert np.allclose(score_maps(maps, mask, threshold=0.5).per_image["iou_tuned"], [1 / 4, 0])
    assert scores["hit@0.1"] == 0.5
    assert scores["hit@0.3"] == 0


def test_energy_in_regions_and_missing_markers(masks):
    lungs = np.zeros_like(masks)
    lungs[:, :, :16] = True
    boxes = np.array([[0, 0, 8, 8], [-1, -1, -1, -1], [0, 0, 4, 4], [0, 0, 8, 8]])
    maps = np.ones((4, GRID, GRID))
    scores = score_maps(maps, masks, lungs, boxes)
    assert scores["energy_lung"] == pytest.approx(0.5)
    assert scores["energy_marker"] == pytest.approx(64 / SIDE**2)
    assert scores.table.loc["energy_marker", "images"] == 2  # one marker absent, one image without lesion left out
    as_table = pd.DataFrame(boxes, columns=["marker_x0", "marker_y0", "marker_x1", "marker_y1"])
    assert score_maps(maps, masks, lungs, as_table)["energy_marker"] == scores["energy_marker"]
    assert "energy_marker" not in score_maps(maps, masks, markers=-np.ones((4, 4), int)).per_image


def test_a_uniform_map_scores_the_area_of_the_lesion(masks):
    scores = score_maps(np.full((4, GRID, GRID), 0.3), masks)
    area = 64 / SIDE**2
    assert scores["pointing"] == pytest.approx(area)  # every pixel is a largest one
    assert scores["energy_lesion"] == pytest.approx(area)
    assert scores["iou_otsu"] == pytest.approx(area)  # one value: all of the picture


def test_scores_do_not_depend_on_the_scale_of_the_map(masks):
    maps = np.random.default_rng(0).random((4, GRID, GRID))
    one, two = (score_maps(m, masks, threshold=0.4).table for m in (maps, 1e-4 * maps))
    assert np.allclose(one, two, atol=1e-6)


def test_blank_maps_are_counted_and_score_zero(masks):
    maps = perfect_maps(masks, (GRID, GRID))
    maps[1] = -1
    scores = score_maps(maps, masks, threshold=0.5)
    assert scores.blank == 1
    assert (scores.per_image.loc[1] == 0).all()
    assert "1 blank maps" in scores._repr_html_()


def test_images_without_lesion_are_left_out_and_counted(masks):
    scores = score_maps(lit((0, 0), (0, 0), (0, 0), (0, 0)), masks)
    assert scores.left_out == 1
    assert scores.per_image.index.tolist() == [0, 1, 3]


def test_the_threshold_is_tuned_on_other_images(masks):
    others = np.stack([square(8, 8)] * 3)
    maps = np.clip(enlarge(perfect_maps(others, (GRID, GRID)), (SIDE, SIDE)), 0, None)
    best = tune_threshold(maps, others)
    by_hand = [
        np.mean(
            [
                (m >= t * m.max()).__and__(k).sum() / ((m >= t * m.max()) | k).sum()
                for m, k in zip(maps, others, strict=True)
            ]
        )
        for t in np.arange(1, 20) / 20
    ]
    assert best == pytest.approx((np.argmax(by_hand) + 1) / 20)
    scores = score_maps(perfect_maps(masks, (GRID, GRID)), masks, threshold=(maps, others))
    assert scores.threshold == best
    assert "iou_tuned" not in score_maps(maps[:1], masks[:1]).per_image


def test_otsu_agrees_with_exhaustive_search_and_with_opencv():
    rng = np.random.default_rng(1)
    levels = np.concatenate([rng.normal(60, 12, (5, 20, 20)), rng.normal(180, 20, (5, 20, 12))], axis=2)
    values = np.clip(np.rint(levels), 0, 255).astype(np.float32)
    values[:, 0, 0] = 255  # so that a level is a gray value
    found = otsu(values)
    for value, cut in zip(values, found, strict=True):

        def within(t, value=value):
            return sum(part.var() * part.size for part in (value[value <= t], value[value > t]) if part.size)

        best = min(within(t) for t in range(255))
        assert within(cut) == pytest.approx(best)
    cv2 = pytest.importorskip("cv2")
    by_opencv = [cv2.threshold(v.astype(np.uint8), 0, 255, cv2.THRESH_OTSU)[0] for v in values]
    assert np.allclose(found, np.array(by_opencv) + 0.5, atol=1e-3)


def test_bilinear_enlargement_is_that_of_torch():
    maps = np.random.default_rng(0).random((2, 3, 5)).astype(np.float32)
    up = enlarge(maps, (12, 20))
    assert up.shape == (2, 12, 20)
    assert np.allclose(up.mean((1, 2)), maps.mean((1, 2)), atol=0.05)
    assert up.max() <= maps.max() + 1e-6
    assert up.min() >= maps.min() - 1e-6


def test_intervals_hold_patients_together():
    rng = np.random.default_rng(0)
    masks = np.repeat(np.stack([square(4 * k, 4 * k) for k in range(6)]), 8, axis=0)
    maps = np.repeat(rng.random((6, GRID, GRID)), 8, axis=0)  # all images of a patient are the same
    patients = np.repeat(np.arange(6), 8)
    apart, together = (score_maps(maps, masks, patients=p).table for p in (None, patients))
    assert np.allclose(apart["value"], together["value"])
    width = [t.loc["energy_lesion", "high"] - t.loc["energy_lesion", "low"] for t in (apart, together)]
    assert width[1] > 1.8 * width[0]
    again = score_maps(maps, masks, patients=patients).table
    pd.testing.assert_frame_equal(together, again)


def test_bootstrap_agrees_with_scipy():
    from scipy.stats import bootstrap

    rng = np.random.default_rng(3)
    masks = np.stack([square(rng.integers(0, 24), rng.integers(0, 24)) for _ in range(60)])
    scores = score_maps(rng.random((60, GRID, GRID)), masks, bootstrap=4000)
    values = scores.per_image["energy_lesion"].to_numpy()
    expected = bootstrap((values,), np.mean, n_resamples=4000, method="percentile", rng=1).confidence_interval
    assert scores.interval("energy_lesion")[1:] == pytest.approx(expected, abs=0.1 * (expected.high - expected.low))


def test_comparison_of_two_models_on_the_same_images(masks):
    good, bad = (score_maps(m, masks) for m in (perfect_maps(masks, (8, 8)), np.ones((4, 8, 8))))
    row = compare_maps(bad, good).loc["energy_lesion"]
    assert row["difference"] == pytest.approx(row["b"] - row["a"])
    assert 0 < row["low"] <= row["difference"] <= row["high"]
    with pytest.raises(ValueError, match="different images"):
        compare_maps(good, score_maps(np.ones((3, 8, 8)), masks[:3]))


def test_it_shows_itself_and_saves_plain_values(masks):
    scores = score_maps(lit((0, 0), (2, 4), (0, 0), (0, 0)), masks, threshold=0.5)
    page = scores._repr_html_()
    assert "ceiling" in page
    assert "1 images without a lesion" in page
    saved = json.loads(json.dumps(scores.to_dict()))
    assert saved["scores"]["pointing"]["value"] == pytest.approx(scores["pointing"], abs=1e-6)
    figure = scores.plot()
    assert f"{scores['pointing']:.2f}" in figure.alt
    assert figure.to_png().startswith(b"\x89PNG")
    with pytest.raises(KeyError, match="pointing"):
        scores["recall"]


def bad_cases():
    mask = np.stack([square(0, 0), square(8, 8)])
    maps = np.ones((2, GRID, GRID))
    nan = maps.copy()
    nan[1, 0, 0] = np.nan
    yield "one_class", "choose one class", {"maps": maps[:, None], "masks": mask}
    yield (
        "integer",
        "maps: give values of the shape .images, h, w., got int64",
        {"maps": maps.astype(int), "masks": mask},
    )
    yield "not_bool", "masks: give true or false", {"maps": maps, "masks": mask.astype(float)}
    yield "count", "2 maps of 8 x 8 do not fit 1 masks", {"maps": maps, "masks": mask[:1]}
    yield "nan", "maps: .*NaN or infinity", {"maps": nan, "masks": mask}
    yield "no_lesion", "none of the 2 images has a lesion", {"maps": maps, "masks": np.zeros_like(mask)}
    yield "small", "2 maps of 40 x 40 do not fit 2 masks of 32 x 32 px", {"maps": np.ones((2, 40, 40)), "masks": mask}
    yield "lungs", "lungs: give true or false", {"maps": maps, "masks": mask, "lungs": mask[:, :8]}
    yield "box", "markers: a box lies outside", {"maps": maps, "masks": mask, "markers": [[0, 0, 99, 5]] * 2}
    yield "columns", "no column marker_x0", {"maps": maps, "masks": mask, "markers": pd.DataFrame({"a": [1, 2]})}
    yield "boxes", "markers .x0, y0, x1, y1.: give numbers", {"maps": maps, "masks": mask, "markers": np.zeros((3, 4))}
    yield "patients", "patients: give values", {"maps": maps, "masks": mask, "patients": ["a"]}
    yield ("threshold", "threshold: give a number above 0 and", {"maps": maps, "masks": mask, "threshold": 1.5})
    yield "threshold_kind", "threshold: give a number", {"maps": maps, "masks": mask, "threshold": True}
    yield (
        "size",
        "masks: 2 masks of 32 x 32 px do not fit 2 images of 64 x 64",
        {"maps": maps, "masks": mask, "images": np.zeros((2, 1, 64, 64), np.uint8)},
    )


@pytest.mark.parametrize(("message", "arguments"), [pytest.param(m, a, id=name) for name, m, a in bad_cases()])
def test_bad_input_names_the_argument(message, arguments):
    with pytest.raises(ValueError, match=message):
        score_maps(**arguments)


# ---- deletion and insertion


def corner_model(side=16):
    """The probability of class 1 grows with the brightness of the upper left quarter, and of nothing else."""
    model = cxr.build_model("CF", ("a", "b"), size=side, filters=1, kernel=1, seed=0)
    with torch.no_grad():
        model.body.conv1.weight.fill_(1)
        model.body.conv1.bias.fill_(3)  # the normalized image is above -2: ReLU changes nothing
        weight = torch.zeros(2, side, side)
        weight[1, : side // 2, : side // 2] = 2 / (side // 2) ** 2
        model.head.output.weight.copy_(weight.flatten(1))
        model.head.output.bias.copy_(torch.tensor([0.0, -9.5]))
    return model.eval()


@pytest.fixture
def bright_corner():
    x = torch.full((4, 1, 16, 16), 0.2)
    x[:, :, :8, :8] = 1.0
    return x


def test_the_right_map_deletes_faster_and_inserts_faster_than_chance(bright_corner):
    right = np.zeros((4, 4, 4), np.float32)
    right[:, :2, :2] = 1
    model = corner_model()
    curves = deletion_insertion(model, bright_corner, right, "b", steps=8)
    assert curves.deletion.shape == (4, 9)
    assert curves.table.loc["deletion", "difference"] < -0.05
    assert curves.table.loc["insertion", "low"] > 0  # the blurred picture already shows most of it
    wrong = deletion_insertion(model, bright_corner, 1 - right, 1, steps=8)
    assert wrong.table["map"]["deletion"] > curves.table["map"]["deletion"]
    assert wrong.table["map"]["insertion"] < curves.table["map"]["insertion"]


def test_curves_start_and_end_where_they_must(bright_corner):
    model = corner_model()
    rng = np.random.default_rng(0)
    curves = deletion_insertion(model, bright_corner, rng.random((4, 4, 4)), 1, steps=4)
    with torch.no_grad():
        whole = model(bright_corner).softmax(1)[:, 1].numpy()
        gone = model(bright_corner.mean((1, 2, 3), keepdim=True).expand_as(bright_corner)).softmax(1)[:, 1].numpy()
    assert np.allclose(curves.deletion[:, 0], whole)
    assert np.allclose(curves.deletion[:, -1], gone)
    assert np.allclose(curves.insertion[:, -1], whole)
    assert np.allclose(curves.random_deletion[:, [0, -1]], curves.deletion[:, [0, -1]])
    assert "Deletion" in curves.plot().alt


def test_deletion_names_bad_input(bright_corner):
    model, maps = corner_model(), np.ones((4, 4, 4))
    for message, arguments in (
        ("maps: give numbers", (bright_corner, maps[:2], 1)),
        ("target: .*got 7", (bright_corner, maps, 7)),
        ("target: .*got 'c'", (bright_corner, maps, "c")),
        ("maps: .*NaN", (bright_corner, maps * np.nan, 1)),
        ("images: give", (255 * bright_corner, maps, 1)),
        ("target: give", (bright_corner, maps, None)),
    ):
        with pytest.raises(ValueError, match=message):
            deletion_insertion(model, *arguments)
    with pytest.raises(ValueError, match="steps"):
        deletion_insertion(model, bright_corner, maps, 1, steps=1)


# ---- sanity check


@pytest.fixture
def gap_model():
    return cxr.build_model("CPCPC", ("a", "b"), size=16, filters=(4, 8), seed=1)


def test_sanity_check_leaves_the_model_as_found(gap_model):
    before = {k: v.clone() for k, v in gap_model.state_dict().items()}
    gap_model.train()
    sanity_check(gap_model, torch.rand(5, 1, 16, 16), repeats=1)
    assert gap_model.training
    assert all(torch.equal(v, before[k]) for k, v in gap_model.state_dict().items())
    assert all(p.grad is None for p in gap_model.parameters())
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in gap_model.modules())


def test_sanity_check_goes_from_the_output_down(gap_model):
    check = sanity_check(gap_model, torch.rand(6, 1, 16, 16), target=1, repeats=2)
    stages = ["nothing", "head.output", "body.conv3", "body.conv2", "body.conv1"]
    assert check.table.index.tolist() == stages
    assert check.table["rank_correlation"].iloc[0] == pytest.approx(1)
    assert (check.table["rank_correlation"].iloc[1:] < 0.9).all()
    assert check.per_image.shape == (6, 5)
    assert "Rank correlation" in check.plot().alt


def test_a_map_that_ignores_the_head_passes_the_output_stage_unchanged(gap_model):
    # Eigen-CAM looks at the feature maps alone: the class and the output layer do not matter to it.
    check = sanity_check(gap_model, torch.rand(6, 1, 16, 16), target=1, method="eigen-cam", repeats=1)
    assert check.table.loc["head.output", "rank_correlation"] == pytest.approx(1)
    assert check.table["absolute"].iloc[-1] < 1


def test_random_weights_are_not_those_the_model_started_from():
    images = torch.rand(6, 1, 16, 16)
    for start in range(3):
        model = cxr.build_model("CPCPC", ("a", "b"), size=16, filters=(4, 8), seed=start)
        check = sanity_check(model, images, target=1, repeats=1, seed=start)
        assert check.table["rank_correlation"].iloc[-1] < 0.98


def test_sanity_check_works_with_batch_norm_and_keeps_patients_together():
    model = cxr.build_model("resnet18", ("a", "b"), size=64, seed=0)
    check = sanity_check(
        model,
        np.random.default_rng(0).integers(0, 255, (4, 1, 64, 64)).astype(np.uint8),
        patients=["p", "p", "q", "q"],
        repeats=1,
    )
    assert check.table.index[1] == "head.output"
    assert np.isfinite(check.table["rank_correlation"]).all()
    assert check.undefined == 0


def test_sanity_check_names_bad_input(gap_model):
    with pytest.raises(ValueError, match="at least 2"):
        sanity_check(gap_model, torch.rand(1, 1, 16, 16))
    with pytest.raises(ValueError, match="repeats"):
        sanity_check(gap_model, torch.rand(2, 1, 16, 16), repeats=0)
    with pytest.raises(ValueError, match="layer"):
        sanity_check(gap_model, torch.rand(2, 1, 16, 16), layer="nowhere")


@pytest.mark.parametrize("kind", ["uint8", "float", "no channel", "data set", "tensor"])
@pytest.mark.parametrize("target", [None, 1, "b", [0, 1, "b", 0], torch.tensor([1, 0, 1, 0])])
def test_the_tests_without_truth_take_what_explain_takes(gap_model, kind, target):
    x = np.random.default_rng(0).integers(0, 255, (4, 1, 16, 16)).astype(np.uint8)
    made = {"uint8": x, "float": x / 255, "no channel": x[:, 0], "tensor": torch.from_numpy(x)}
    made["data set"] = cxr.CxrDataset(x, np.array([0, 1, 0, 1]), ("a", "b"), ["p", "p", "q", "q"])
    check = sanity_check(gap_model, made[kind], target=target, repeats=1, bootstrap=20)
    assert check.table["images"].tolist() == [4] * 5
    if target is not None:
        maps = cxr.explain(gap_model, made[kind], target=target, relu=False)
        curves = deletion_insertion(gap_model, made[kind], maps, target, steps=2, bootstrap=20)
        assert curves.deletion.shape == (4, 3)


# ---- what is undefined


def test_maps_of_one_value_have_no_rank_correlation():
    # Filters of one pixel see no border: the map of a black image has one value.
    model = cxr.build_model("CPCPC", ("a", "b"), size=16, filters=(4, 8), kernel=1, seed=1)
    images = torch.cat([torch.rand(3, 1, 16, 16), torch.zeros(1, 1, 16, 16)])
    check = sanity_check(model, images, target=1, repeats=1, bootstrap=20)
    assert check.undefined == 1 and check.table["images"].max() == 3
    assert np.isfinite(check.table["rank_correlation"]).all()
    assert "1 maps have one value only" in check._repr_html_()
    blank = sanity_check(model, images[[3, 3]], target=1, repeats=1, bootstrap=20)
    assert blank.undefined == 2 and np.isnan(blank.reference)
    assert np.isnan(blank.table.loc["head.output", "rank_correlation"])
    assert "undefined" in blank.plot().alt and "nan" not in blank._repr_html_().split("base64")[0]


def test_no_threshold_is_chosen_on_blank_maps(masks):
    blank = -np.ones((4, GRID, GRID))
    assert np.isnan(tune_threshold(blank, masks))
    scores = score_maps(perfect_maps(masks, (GRID, GRID)), masks, threshold=(blank, masks))
    assert np.isnan(scores["iou_tuned"]) and np.isnan(scores["hit@0.1"])
    assert scores.to_dict()["threshold"] is None
    assert "tuned threshold –" in scores._repr_html_() and "iou_tuned" in scores.to_dict()["scores"]
    assert "undefined" in scores.plot().alt and "nan" not in str(scores)


def test_an_empty_lung_mask_and_a_comparison_with_gaps(masks):
    lungs = np.ones_like(masks)
    lungs[1] = False
    a, b = (score_maps(m, masks, lungs) for m in (perfect_maps(masks, (8, 8)), np.ones((4, 8, 8))))
    assert np.isnan(a.per_image.loc[1, "energy_lung"]) and a["energy_lung"] == 1
    assert compare_maps(a, b).loc["energy_lung", "images"] == 2
    nothing = score_maps(np.ones((4, 8, 8)), masks, np.zeros_like(masks))
    assert np.isnan(nothing["energy_lung"]) and nothing.table.loc["energy_lung", "images"] == 0
    assert nothing.to_dict()["scores"]["energy_lung"]["value"] is None


def test_maps_that_are_compared_share_one_scale_that_is_shown():
    fig, axes = cxr.plot.subplots(1, 2)
    for ax, strength in zip(axes, (0.3, 0.006), strict=True):
        show_map(ax, np.zeros((16, 16), np.uint8), np.full((4, 4), strength), top=0.3)
    show_scale(fig, axes, 0.3)
    assert [ax.images[1].get_clim() for ax in axes] == [(0, 0.3)] * 2
    assert fig.axes[-1].get_ylabel() == "value of the map" and fig.axes[-1].get_ylim() == (0, 0.3)
