"""Checks of exercise 08: scores of a map against the lesion, tests of a shortcut, rank correlation."""

import numpy as np
from scipy.stats import rankdata, spearmanr
from sklearn.metrics import roc_auc_score

from coursekit.grade.checks import array, check, close, describe, number
from cxrlib.localization import score_maps


def clear_case(make):
    """A case (inputs, right value, values of the mistakes) in which no two of the values are equal by chance."""
    for _ in range(200):
        inputs, want, mistakes = make()
        values = [want, *mistakes.values()]
        if all(abs(a - b) > 1e-3 for k, a in enumerate(values) for b in values[:k]):
            return inputs, want, mistakes
    raise RuntimeError("no inputs were found that tell the mistakes apart")


def boxes(rng, n, size):
    """n masks with one rectangle each, not in the middle of the image and not square."""
    masks = np.zeros((n, *size), dtype=bool)
    for mask in masks:
        y, x = rng.integers(0, size[0] - 3), rng.integers(0, size[1] - 4)
        mask[y : y + 2, x : x + rng.integers(3, 5)] = True
    return masks


def raw_maps(rng, n, size):
    """Maps with one largest value, about half of the other values negative."""
    maps = np.round(rng.normal(size=(n, *size)), 2)
    maps += np.sign(maps) * 0.25
    return maps


def point(maps, masks, rows, inside):
    """Put the largest value of the maps inside of or outside of the lesion."""
    for k, hit in zip(rows, inside, strict=True):
        places = np.argwhere(masks[k] == hit)
        maps[k][tuple(places[(7 * k + 3) % len(places)])] = 9 + k / 4


@check("pointing_game", points=2)
def hits_and_misses(student, rng):
    """Hits and misses are counted, over the images with a lesion only."""
    size = (9, 12)

    def make():
        n = int(rng.integers(16, 40))
        masks, maps = boxes(rng, n, size), raw_maps(rng, n, size)
        inside = rng.permutation(n) < int(rng.integers(5, n - 8))
        point(maps, masks, range(n), inside)
        for k in range(0, n, 2):  # a large negative value on the other side
            maps[k][tuple(np.argwhere(masks[k] != inside[k])[k % 5])] = -30
        masks[np.flatnonzero(~inside)[:4]] = False
        keep = masks.any((1, 2))
        scores = score_maps(maps[keep], masks[keep], bootstrap=0)
        want = scores["pointing"]
        y, x = np.unravel_index(maps.reshape(n, -1).argmax(1), size)
        largest = [m.flat[np.abs(v).argmax()] for v, m in zip(maps[keep], masks[keep], strict=True)]
        return (
            (maps, masks),
            want,
            {
                "images without a lesion were counted as misses; leave them out": inside.sum() / n,
                "images without a lesion were counted as hits; leave them out": (inside.sum() + 4) / n,
                "hits were added up; the mean was asked for": inside.sum(),
                "it is the fraction of misses": 1 - want,
                "it is the energy, the fraction of the positive values inside; only the largest value counts": scores[
                    "energy_lesion"
                ],
                "row and column were exchanged": masks[np.arange(n), x % size[0], y][keep].mean(),
                "the largest absolute value was taken; negative values do not count": np.mean(largest),
            },
        )

    for _ in range(2):
        inputs, want, mistakes = clear_case(make)
        close(number(student.pointing_game(*inputs), "the score"), want, "the score", mistakes)


@check("pointing_game", points=1)
def fraction_of_several_largest(student, rng):
    """Among several largest values, the fraction that is inside the lesion counts."""
    n, size = int(rng.integers(6, 13)), (8, 10)

    def make():
        masks, maps = boxes(rng, n, size), raw_maps(rng, n, size)
        want, first = [], []
        for k in range(n):
            a, b = int(rng.integers(1, 4)), int(rng.integers(1, 4))
            for hit, count in ((True, a), (False, b)):
                for y, x in rng.permutation(np.argwhere(masks[k] == hit))[:count]:
                    maps[k, y, x] = 8
            want.append(a / (a + b))
            first.append(masks[k].flat[maps[k].argmax()])
        return (
            (maps, masks),
            np.mean(want),
            {
                "only the first of the largest values was looked at; take the fraction that is inside": np.mean(first),
                "one largest value inside counted as a full hit; take the fraction that is inside": 1,
                "a map with a largest value outside counted as a miss; take the fraction that is inside": 0,
            },
        )

    for _ in range(2):
        inputs, want, mistakes = clear_case(make)
        close(
            number(student.pointing_game(*inputs), "the score"),
            want,
            "the score of maps with several largest values",
            mistakes,
        )


@check("pointing_game", points=1)
def blank_maps_and_no_lesion(student, rng):
    """A blank map scores 0, and a set without any lesion has no score."""
    size = (6, 8)
    for _ in range(2):
        n, zeros = int(rng.integers(10, 30)), int(rng.integers(1, 5))
        masks, maps = boxes(rng, n, size), raw_maps(rng, n, size)
        point(maps, masks, range(n), [True] * n)
        maps[:zeros] = 0
        maps[zeros] = -np.abs(maps[zeros]) - 0.1
        maps[zeros][tuple(np.argwhere(masks[zeros])[0])] = -0.05  # its largest value, negative, is inside
        hits, area = n - zeros - 1, masks[:zeros].mean((1, 2)).sum()
        close(
            number(student.pointing_game(maps, masks), "the score"),
            hits / n,
            "the score of a set with blank maps",
            {
                "a blank map of zeros was scored as if all of its pixels were largest values; it scores 0": (
                    hits + area
                )
                / n,
                "blank maps were scored as if all of their pixels were largest values; they score 0": (
                    hits + area + masks[zeros].mean()
                )
                / n,
                "a map without any positive value was scored by its largest value; it is blank and scores 0": (hits + 1)
                / n,
                "maps without any positive value were scored by their largest values; they are blank and score 0": (
                    hits + 1 + area
                )
                / n,
                "blank maps were left out or counted as hits; they count as 0": 1.0,
            },
        )
    got = number(student.pointing_game(maps, np.zeros_like(masks)), "the score without any lesion")
    assert np.isnan(got), f"no image has a lesion, so there is no score: return nan; got {got:g}"


@check("energy_inside", points=2)
def fraction_of_the_positive_values(student, rng):
    """The fraction of the positive values inside the lesion is right for every image."""
    n, size = 8, (7, 11)
    masks, maps = boxes(rng, n, size), raw_maps(rng, n, size) * rng.uniform(0.5, 4, n)[:, None, None]
    maps[masks] += 0.5
    positive = np.maximum(maps, 0)
    inside, total = (positive * masks).sum((1, 2)), positive.sum((1, 2))
    want = score_maps(maps, masks, bootstrap=0).per_image["energy_lesion"].to_numpy()
    area, size = masks.sum((1, 2)), masks[0].size
    absolute = np.abs(maps)
    close(
        student.energy_inside(maps, masks),
        want,
        "the array of fractions",
        {
            "negative values are still in the sums; set them to 0 first": (maps * masks).sum((1, 2)) / maps.sum((1, 2)),
            "absolute values were taken: what speaks against the class counts for it": (absolute * masks).sum((1, 2))
            / absolute.sum((1, 2)),
            "all images share one sum; every map has its own": inside / total.sum(),
            "it is the sum inside, not divided by the whole sum": inside,
            "it is the mean inside the lesion; take the sum inside, divided by the whole sum": inside / area,
            "means were divided by each other; divide sums": inside / area / (total / size),
            "the sum inside was divided by the sum outside; divide by the whole sum": inside / (total - inside),
            "it is the fraction outside the lesion": 1 - want,
            "pixels were counted, not their values added up": (masks & (maps > 0)).sum((1, 2)) / (maps > 0).sum((1, 2)),
        },
    )


@check("energy_inside", points=1)
def blank_maps_have_no_energy(student, rng):
    """A blank map scores 0, not nan."""
    masks, maps = boxes(rng, 4, (6, 9)), raw_maps(rng, 4, (6, 9))
    maps[0], maps[2] = 0, -np.abs(maps[2])
    got = array(student.energy_inside(maps, masks), (4,), "the array of fractions")
    assert not np.isnan(got[[0, 2]]).any(), "a blank map gave nan: it was divided by zero; it scores 0"
    assert got[2] == 0, f"a map with negative values only is blank and scores 0; got {got[2]:.4g}"
    assert got[0] == 0, f"a map of zeros is blank and scores 0; got {got[0]:.4g}"
    want = np.maximum(maps, 0)
    for k in (1, 3):
        close(got[k], want[k][masks[k]].sum() / want[k].sum(), "the fraction of a map beside a blank one")


@check("energy_inside", points=1)
def no_lesion_is_no_answer(student, rng):
    """An image without a lesion gets nan, the others their fraction."""
    masks, maps = boxes(rng, 5, (6, 9)), np.abs(raw_maps(rng, 5, (6, 9)))
    empty = np.sort(rng.permutation(5)[:2])
    masks[empty] = False
    maps[empty[1]] = 0  # blank and without a lesion
    got = array(student.energy_inside(maps, masks), what="the array of fractions")
    assert got.shape != (3,), "images without a lesion were dropped; keep all images and give these nan"
    got = array(got, (5,), "the array of fractions")
    assert not (got[empty] == 0).any(), "an image without a lesion scored 0, as if its map were wrong; give it nan"
    assert np.isnan(got[empty]).all(), "an image without a lesion has no score; give it nan"
    rest = np.setdiff1d(np.arange(5), empty)
    close(
        got[rest], (maps * masks).sum((1, 2))[rest] / maps.sum((1, 2))[rest], "the fraction of an image with a lesion"
    )


def ratio(a, b):
    return a / np.maximum(b, 1)


@check("iou_at", points=2)
def overlap_of_each_image(student, rng):
    """The intersection over union is right for every image, each with its own threshold."""
    n, size = 8, (8, 11)
    masks, maps = boxes(rng, n, size), raw_maps(rng, n, size)
    maps[masks] += rng.uniform(0.5, 2.5, masks.sum())
    maps[:, 0, 0] = maps.max((1, 2)) + 1e-3
    maps *= rng.uniform(0.2, 6, n)[:, None, None]
    fraction = float(rng.choice([0.15, 0.35, 0.55]))
    top = maps.max((1, 2), keepdims=True)

    def counts(found):
        return (found & masks).sum((1, 2)), (found | masks).sum((1, 2)), found.sum((1, 2)), masks.sum((1, 2))

    both, either, hot, lesion = counts(maps >= fraction * top)
    want = score_maps(maps, masks, threshold=fraction, bootstrap=0).per_image["iou_tuned"].to_numpy()
    low = maps.min((1, 2), keepdims=True)
    close(
        student.iou_at(maps, masks, fraction),
        want,
        "the array of IoU",
        {
            "the fraction was used as the threshold itself; multiply it by the map's maximum": ratio(
                *counts(maps >= fraction)[:2]
            ),
            "one maximum for all images was used; each map has its own": ratio(
                *counts(maps >= fraction * maps.max())[:2]
            ),
            "it is the Dice score (twice the intersection over the sum of both); the union was asked for": 2
            * both
            / (hot + lesion),
            "the intersection was divided by the lesion only (that is recall); divide by the union": both / lesion,
            "the intersection was divided by the found part only (that is precision); divide by the union": ratio(
                both, hot
            ),
            "the intersection was divided by the sum of both parts; the union counts their common pixels once": both
            / (hot + lesion),
            "it is the intersection, not divided by the union": both,
            "the intersection was divided by all pixels; divide by the union": both / masks[0].size,
            "the threshold lies between the minimum and the maximum of the map; take a fraction of the maximum": ratio(
                *counts(maps >= low + fraction * (top - low))[:2]
            ),
            "the pixels below the threshold were taken": ratio(*counts(maps < fraction * top)[:2]),
            "the threshold is a quantile of the map; take a fraction of its maximum": ratio(
                *counts(maps >= np.quantile(maps, fraction, axis=(1, 2), keepdims=True))[:2]
            ),
        },
    )


@check("iou_at", points=1)
def values_on_the_threshold(student, rng):
    """A pixel exactly on the threshold belongs to the found part."""
    n, size = 5, (6, 8)
    masks = boxes(rng, n, size)
    maps = rng.integers(-4, 8, (n, *size)).astype(float)
    for k in range(n):
        maps[k][tuple(np.argwhere(masks[k])[0])] = 8
        maps[k][tuple(np.argwhere(masks[k])[1])] = 4
    found, strict = maps >= 4, maps > 4

    def iou(part):
        return ratio((part & masks).sum((1, 2)), (part | masks).sum((1, 2)))

    close(
        student.iou_at(maps, masks, 0.5),
        iou(found),
        "the array of IoU",
        {"pixels exactly on the threshold are missing; use >=": iou(strict)},
    )


@check("iou_at", points=1)
def blank_maps_and_missing_lesions(student, rng):
    """A blank map scores 0, and an image without a lesion gets nan."""
    masks, maps = boxes(rng, 5, (6, 9)), raw_maps(rng, 5, (6, 9))
    maps[0], maps[1] = 0, -np.abs(maps[1])
    masks[3:] = False
    maps[4] = 0
    got = array(student.iou_at(maps, masks, 0.4), what="the array of IoU")
    assert got.shape != (3,), "images without a lesion were dropped; keep all images and give these nan"
    got = array(got, (5,), "the array of IoU")
    assert not np.isnan(got[:2]).any(), "a blank map gave nan; it finds nothing and scores 0"
    assert got[0] == 0, (
        "a map of zeros scored above 0: every pixel is at least a fraction of a maximum of 0; a blank map finds nothing"
    )
    assert got[1] == 0, "a map with negative values only scored above 0; it is blank and finds nothing"
    assert np.isnan(got[3:]).all(), "an image without a lesion has no score; give it nan"
    part = maps[2] >= 0.4 * maps[2].max()
    close(got[2], (part & masks[2]).sum() / (part | masks[2]).sum(), "the IoU of a map beside blank ones")


def with_rates(rng, ill, healthy, a, b):
    """Shuffled labels and markers: a of the ill and b of the healthy images carry the marker."""
    labels = np.r_[np.ones(ill, int), np.zeros(healthy, int)]
    marked = np.r_[np.arange(ill) < a, np.arange(healthy) < b]
    order = rng.permutation(len(labels))
    return labels[order], marked[order]


@check("marker_alone", points=2)
def auc_of_the_marker(student, rng):
    """The AUC of the marker alone is right."""

    def make():
        ill, healthy = int(rng.integers(25, 35)), int(rng.integers(70, 90))
        labels, marked = with_rates(rng, ill, healthy, int(0.75 * ill), int(rng.integers(12, 20)))
        want = roc_auc_score(labels, marked.astype(float))
        a, b = marked[labels == 1].mean(), marked[labels == 0].mean()
        return (
            (labels, marked),
            want,
            {
                "pairs in which both or neither have the marker count 0; they count one half": a * (1 - b),
                "pairs in which both or neither have the marker count 1; they count one half": 1 - (1 - a) * b,
                "pairs in which both or neither have the marker were left out; they count one half": a
                * (1 - b)
                / (a * (1 - b) + b * (1 - a)),
                "it is the accuracy of the marker; with more healthy than ill images that is another number": np.mean(
                    labels == marked
                ),
                "it is turned round: 1 minus the AUC": 1 - want,
                "it is the fraction of ill images with a marker (recall); the healthy ones count as well": a,
                "it is the fraction of ill among the marked images (precision)": labels[marked].mean(),
                "it is the difference of the two fractions; 0.5 stands for a marker that says nothing": a - b,
                "it is the correlation of label and marker": np.corrcoef(labels, marked)[0, 1],
            },
        )

    inputs, want, mistakes = clear_case(make)
    close(number(student.marker_alone(*inputs), "the AUC"), want, "the AUC", mistakes, rtol=1e-6)


@check("marker_alone", points=1)
def marker_of_the_healthy(student, rng):
    """A marker that goes with the healthy has an AUC below 0.5, and a marker that all images have says nothing."""
    labels, marked = with_rates(
        rng, *(int(n) for n in rng.integers((60, 90), (90, 130))), int(rng.integers(6, 25)), int(rng.integers(60, 88))
    )
    want = roc_auc_score(labels, marked.astype(float))
    close(
        number(student.marker_alone(labels, marked), "the AUC"),
        want,
        "the AUC of a marker of the healthy",
        {"it was turned to the side above 0.5; below 0.5 says that the marker goes with the healthy": 1 - want},
    )
    for everywhere in (True, False):
        got = number(student.marker_alone(labels, np.full(len(labels), everywhere)), "the AUC")
        close(
            got,
            0.5,
            f"the AUC of a marker that {'every' if everywhere else 'no'} image has",
            {"ties count 0; they count one half": 0, "ties count 1; they count one half": 1},
        )


@check("marker_alone", points=1)
def one_class_is_missing(student, rng):
    """Without ill or without healthy images there is no AUC."""
    for label in (0, 1):
        marked = rng.permutation(10) < 4
        got = number(student.marker_alone(np.full(10, label), marked), "the AUC")
        assert np.isnan(got), f"there is one class only, so there are no pairs: return nan; got {got:g}"
    ill, healthy = int(rng.integers(20, 60)), int(rng.integers(20, 60))
    labels, marked = with_rates(rng, ill, healthy, int(rng.integers(1, ill)), int(rng.integers(1, healthy)))
    close(number(student.marker_alone(labels, marked), "the AUC"), roc_auc_score(labels, marked), "the AUC")


def probabilities(rng, n):
    """Two versions of every image; most fall when the marker goes, some rise."""
    a = rng.uniform(0.05, 0.95, n)
    b = np.clip(a - rng.normal(0.15, 0.3, n), 0.02, 0.98)
    a[:6], b[:6] = [0.7, 0.8, 0.9, 0.6, 0.2, 0.3], [0.3, 0.2, 0.1, 0.4, 0.7, 0.8]  # flips both ways
    order = rng.permutation(n)
    return a[order], b[order]


def effect(value):
    ok = isinstance(value, dict) and {"shift", "flips"} <= set(value)
    assert ok, f"the result should be a dictionary with shift and flips, but it is {describe(value)}"
    return number(value["shift"], "shift"), number(value["flips"], "flips")


@check("counterfactual_effect", points=2)
def mean_change(student, rng):
    """The mean change of the probability when the marker is removed."""

    def make():
        a, b = probabilities(rng, 40)
        return (
            (a, b),
            (b - a).mean(),
            {
                "the sign is turned round: when the marker is removed, the change is without minus with": (
                    a - b
                ).mean(),
                "absolute changes were averaged; a rise and a fall must keep their signs": np.abs(b - a).mean(),
                "changes were added up; take the mean": (b - a).sum(),
                "the answers were compared, not the probabilities": np.mean((b >= 0.5) * 1 - (a >= 0.5) * 1),
                "it is the relative change; take the difference": ((b - a) / a).mean(),
                "it is the median; take the mean": np.median(b - a),
            },
        )

    inputs, want, mistakes = clear_case(make)
    shift, _ = effect(student.counterfactual_effect(*inputs))
    close(shift, want, "the value of shift", mistakes, rtol=1e-6)


@check("counterfactual_effect", points=2)
def changed_answers(student, rng):
    """The fraction of images whose answer changes, image by image."""

    def make():
        a, b = probabilities(rng, 41)
        a[:2], b[:2] = [0.9, 0.85], [0.2, 0.3]  # large changes, so that their count is not 0
        a[2] = b[2]  # and one that does not change at all
        x, y = a >= 0.5, b >= 0.5
        return (
            (a, b),
            (x != y).mean(),
            {
                "flips to ill and flips to healthy cancelled each other; compare image by image": abs(
                    x.mean() - y.mean()
                ),
                "it is the change of the fraction of ill answers; flips both ways cancel, so compare image by image": y.mean()
                - x.mean(),
                "only flips from ill to healthy were counted": (x & ~y).mean(),
                "only flips from healthy to ill were counted": (~x & y).mean(),
                "changes above 0.5 were counted, not changed answers": (np.abs(a - b) > 0.5).mean(),
                "every change of the probability was counted, not only changed answers": (a != b).mean(),
                "it is the fraction of answers that stay the same": (x == y).mean(),
                "it is a number of images; the fraction was asked for": (x != y).sum(),
                "it is in percent; give a fraction from 0 to 1": 100 * (x != y).mean(),
            },
        )

    inputs, want, mistakes = clear_case(make)
    _, flips = effect(student.counterfactual_effect(*inputs))
    close(flips, want, "the value of flips", mistakes, rtol=1e-6)


@check("counterfactual_effect", points=1)
def exactly_one_half(student, rng):
    """A probability of exactly 0.5 is the answer "ill", and no change gives 0."""
    n = int(rng.integers(40, 90))
    before, stay = np.full(n, 0.5), rng.permutation(n) < int(rng.integers(3, n - 3))
    _, flips = effect(student.counterfactual_effect(before, np.where(stay, 0.75, 0.25)))
    mistake = {"a probability of exactly 0.5 is the answer ill; use >=": stay.mean()}
    close(flips, 1 - stay.mean(), "the value of flips, from exactly 0.5 to 0.25 or 0.75,", mistake)
    p = rng.random(n)
    shift, flips = effect(student.counterfactual_effect(p, p.copy()))
    assert shift == 0 and flips == 0, "the marker changes nothing here: shift and flips should be 0"


def two_maps(rng, n, shape, step=None):
    """Related maps with a few large values, so that ranks and values tell different stories."""
    a = rng.normal(size=(n, *shape))
    sign = rng.permutation(np.resize([-1, 1], n))  # both signs occur
    b = (sign * rng.uniform(0.5, 0.9, n))[:, None, None] * a + 0.7 * rng.normal(size=a.shape)
    if step is None:
        return np.exp(1.5 * a) * rng.uniform(1, 9, n)[:, None, None], b + 3 * rng.normal(size=(n, 1, 1))
    return np.exp(np.round(a / step) * step), np.round(b / step) * step


def correlation(r, s):
    r, s = r - r.mean(1, keepdims=True), s - s.mean(1, keepdims=True)
    size = np.sqrt((r**2).sum(1) * (s**2).sum(1))
    return np.where(size > 0, (r * s).sum(1) / np.where(size > 0, size, 1), np.nan)


@check("rank_correlation", points=2)
def correlation_of_ranks(student, rng):
    """Spearman's correlation is right, image by image."""
    n = 6
    a, b = two_maps(rng, n, (5, 6))
    x, y = a.reshape(n, -1), b.reshape(n, -1)
    want = np.array([spearmanr(p, q).statistic for p, q in zip(x, y, strict=True)])
    got = array(student.rank_correlation(a, b), what="the result")
    assert got.size > 1, "one number came back for all images; give one for each image"
    close(
        got,
        want,
        "the array of correlations",
        {
            "the values were correlated, not their ranks (that is Pearson's correlation)": correlation(x, y),
            "argsort gives no ranks: it tells which pixel comes first, not the place of a pixel; use rankdata": correlation(
                x.argsort(1).astype(float), y.argsort(1).astype(float)
            ),
            "the ranks were taken over all images together; each map has its own ranks": correlation(
                rankdata(a).reshape(n, -1), rankdata(b).reshape(n, -1)
            ),
            "each map was compared with the map of another image": correlation(
                rankdata(x, axis=1), np.roll(rankdata(y, axis=1), 1, axis=0)
            ),
            "the sign is lost": np.abs(want),
            "negative values were set to 0 before; use the raw values": correlation(
                rankdata(np.maximum(x, 0), axis=1), rankdata(np.maximum(y, 0), axis=1)
            ),
            "it is not divided by the sizes (the square root below)": want * (30**2 - 1) * 30 / 12,
            "it is the squared correlation": want**2,
        },
    )


@check("rank_correlation", points=1)
def equal_values_share_a_rank(student, rng):
    """Equal values get the mean of their ranks."""
    n = 5
    a, b = two_maps(rng, n, (4, 6), step=1.0)
    x, y = a.reshape(n, -1), b.reshape(n, -1)
    want = np.array([spearmanr(p, q).statistic for p, q in zip(x, y, strict=True)])

    def ranked(method):
        return correlation(rankdata(x, method, axis=1), rankdata(y, method, axis=1))

    def sorted_twice(kind):
        return correlation(*(v.argsort(1, kind=kind).argsort(1, kind=kind).astype(float) for v in (x, y)))

    close(
        student.rank_correlation(a, b),
        want,
        "the array of correlations of maps with equal values",
        {
            "equal values got different ranks, by their position; they share the mean rank": ranked("ordinal"),
            "sorting twice gives equal values different ranks; they share the mean rank": sorted_twice(None),
            "equal values got the smallest of their ranks; they share the mean rank": ranked("min"),
            "equal values got the largest of their ranks; they share the mean rank": ranked("max"),
            "equal values got the same rank, but the next rank is too small (dense ranks); they share the mean rank": ranked(
                "dense"
            ),
            "the values were correlated, not their ranks (that is Pearson's correlation)": correlation(x, y),
            "the short formula with squared differences holds only without equal values": 1
            - 6 * ((rankdata(x, axis=1) - rankdata(y, axis=1)) ** 2).sum(1) / (24 * (24**2 - 1)),
        },
    )


@check("rank_correlation", points=1)
def maps_without_an_order(student, rng):
    """A map with one value everywhere gives nan, its neighbors a number."""
    a, b = two_maps(rng, 4, (4, 5))
    a[0], b[2] = 0, float(rng.integers(1, 9))
    got = array(student.rank_correlation(a, b), (4,), "the array of correlations")
    flat = got[[0, 2]]
    assert not (flat == 0).any(), "a map with the same value everywhere gave 0; it has no order: give it nan"
    assert np.isnan(flat).all(), "a map with the same value everywhere has no order: give it nan"
    want = [spearmanr(a[k].ravel(), b[k].ravel()).statistic for k in (1, 3)]
    close(got[[1, 3]], want, "the correlation of a map beside a flat one")
