"""Checks of exercise 11: scores of a mask, its largest components and holes, the box around it, maps inside it."""

import numpy as np
from scipy.ndimage import binary_fill_holes, distance_transform_edt, label
from scipy.spatial.distance import cdist

from coursekit.grade.checks import array, check, close, describe, number

EVERY_NEIGHBOR = np.ones((3, 3), dtype=int)  # corners connect, too


def clear_case(make):
    """A case (inputs, right value, values of the mistakes) in which no two of the values are equal by chance."""
    for _ in range(300):
        inputs, want, mistakes = make()
        values = [np.asarray(value, float) for value in (want, *mistakes.values())]
        same = (
            a.shape == b.shape and np.allclose(a, b, rtol=1e-3, atol=1e-3, equal_nan=True)
            for k, a in enumerate(values)
            for b in values[:k]
        )
        if not any(same):
            return inputs, want, mistakes
    raise RuntimeError("no inputs were found that tell the mistakes apart")


def mask_of(value, shape):
    """The mask that came back, as numbers; an AssertionError where it is something else."""
    found = array(value, what="the mask")
    size = " x ".join(map(str, found.shape)) or "one number"
    assert found.shape == shape, f"the mask that came back has another size than the one that was given: {size}"
    assert set(np.unique(found)) <= {0, 1}, "the mask holds other values than True and False"
    return found


def pair_of_masks(rng, n, size):
    """Masks of a rectangle each, and rectangles moved a little, with frayed edges."""
    found, truth = (np.zeros((n, *size), dtype=bool) for _ in range(2))
    for k in range(n):
        y, x = (int(rng.integers(1, side // 3)) for side in size)
        h, w = (int(rng.integers(side // 3, side // 2)) for side in size)
        truth[k, y : y + h, x : x + w] = True
        y, x = y + int(rng.integers(0, 3)), x + int(rng.integers(0, 3))
        found[k, y : y + h + int(rng.integers(-1, 3)), x : x + w] = True
    return found & (rng.random(found.shape) < 0.9), truth


# Task 1


@check("dice", points=2)
def overlap_of_each_image(student, rng):
    """The Dice score is right for every image."""

    def make():
        found, truth = pair_of_masks(rng, int(rng.integers(5, 9)), (12, 15))
        both, either, a, b = ((m.sum((1, 2))) for m in (found & truth, found | truth, found, truth))
        return (
            (found, truth),
            2 * both / (a + b),
            {
                "it is the intersection over union (IoU); divide by the sum of the two sizes": both / either,
                "the pixels in both masks count twice; the 2 is missing": both / (a + b),
                "found + truth of bool arrays means or; count each mask by itself": 2 * both / either,
                "it was divided by the true pixels only (that is recall)": both / b,
                "it was divided by the found pixels only (that is precision)": both / a,
                "it was divided by the product of the sizes": 2 * both / (a * b),
                "the pixels in both masks were counted, not divided by anything": 2 * both,
                "it is the fraction of the pixels that are right; background counts nothing here": (
                    found == truth
                ).mean((1, 2)),
                "all images share one score; each image has its own": np.full(
                    len(found), 2 * both.sum() / (a + b).sum()
                ),
                "it is 1 minus the score": 1 - 2 * both / (a + b),
            },
        )

    (found, truth), want, mistakes = clear_case(make)
    got = array(student.dice(found, truth), what="the result")
    assert got.size > 1, "one number came back for all images; give one score for each image"
    close(got, want, "the array of scores", mistakes)


@check("dice", points=1)
def empty_masks(student, rng):
    """Two empty masks have no score, one empty mask scores 0."""
    for _ in range(2):
        n = int(rng.integers(7, 12))
        found, truth = pair_of_masks(rng, n, (10, 13))
        one, other, none = rng.permutation(n)[:3]
        found[[one, none]] = False
        truth[[other, none]] = False
        got = array(student.dice(found, truth), what="the array of scores")
        assert got.shape != (n - 1,), "the image with two empty masks was dropped; keep all images and give it nan"
        got = array(got, (n,), "the array of scores")
        assert not np.isnan(got[[one, other]]).any(), "one of two masks is empty: the score is 0, not nan"
        assert (got[[one, other]] == 0).all(), "one of two masks is empty: no pixel is in common, so the score is 0"
        assert got[none] != 1, "two empty masks scored 1; there was nothing to find, so there is no answer: give nan"
        assert got[none] != 0, "two empty masks scored 0; there was nothing to find, so there is no answer: give nan"
        assert np.isnan(got[none]), "both masks are empty, so there is no answer: give nan"
        rest = np.setdiff1d(np.arange(n), (one, other, none))
        found, truth = found[rest], truth[rest]
        want = 2 * (found & truth).sum((1, 2)) / (found.sum((1, 2)) + truth.sum((1, 2)))
        close(got[rest], want, "the score of an image beside empty masks")


# Task 2


def outline(mask):
    padded = np.pad(mask, 1)
    inner = padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]
    return mask & ~inner


def distances(found, truth, metric="euclidean"):
    """From every pixel of each mask to the nearest one of the other: two arrays."""
    table = cdist(np.argwhere(found), np.argwhere(truth), metric)
    return table.min(1), table.min(0)


def two_outlines(rng):
    """A truth, and a found mask that is moved and has a thin piece sticking out on one side."""
    truth, found = (np.zeros((30, 36), dtype=bool) for _ in range(2))
    y, x, h, w = (int(rng.integers(*between)) for between in ((3, 7), (3, 7), (9, 14), (9, 14)))
    truth[y : y + h, x : x + w] = True
    y, x = y + int(rng.integers(1, 4)), x + int(rng.integers(1, 4))
    found[y : y + h, x : x + w] = True
    row = int(rng.integers(y + 1, y + h - 1))
    found[row, x + w : x + w + int(rng.integers(5, 10))] = True
    turn, flip = int(rng.integers(4)), bool(rng.integers(2))
    truth, found = (np.rot90(m[:, ::-1] if flip else m, turn).copy() for m in (truth, found))
    return found, truth


@check("hausdorff95", points=2)
def larger_of_both_directions(student, rng):
    """The 95th percentile of the distances between the edges, the larger one of both directions."""

    def make(there_is_larger):
        found, truth = two_outlines(rng)
        there, back = distances(outline(found), outline(truth))
        if (np.percentile(there, 95) > np.percentile(back, 95)) != there_is_larger:
            found, truth, there, back = truth, found, back, there
        steps = distances(outline(found), outline(truth), "cityblock")
        pixels = distances(found, truth)
        a, b = np.percentile(there, 95), np.percentile(back, 95)
        both = np.concatenate([there, back])
        edges = outline(found), outline(truth)
        inverted = [np.percentile(distance_transform_edt(a)[b], 95) for a, b in (edges, edges[::-1])]
        return (
            (found, truth),
            max(a, b),
            {
                "it is the smaller one of the two directions; take the larger one": min(a, b),
                "it is the mean of the two directions; take the larger one": (a + b) / 2,
                "it is the largest distance; take the 95th percentile": both.max(),
                "the distances of both directions were put together; take a percentile for each": np.percentile(
                    both, 95
                ),
                "all pixels of the masks were compared; only those at the edge count": max(
                    np.percentile(d, 95) for d in pixels
                ),
                "np.percentile counts from 0 to 100: 0.95 is nearly the smallest distance": max(
                    np.percentile(there, 0.95), np.percentile(back, 0.95)
                ),
                "distance_transform_edt measures to False pixels: give it ~edge(mask)": max(inverted),
                "it is the mean distance; take the 95th percentile": max(there.mean(), back.mean()),
                "it is the median distance; take the 95th percentile": max(np.median(there), np.median(back)),
                "the distance was counted in steps; measure it in a straight line": max(
                    np.percentile(d, 95) for d in steps
                ),
                "it is the squared distance": max(a, b) ** 2,
            },
        )

    for direction in rng.permutation([True, False]):  # the larger distance is once there and once back
        inputs, want, mistakes = clear_case(lambda direction=direction: make(direction))
        close(number(student.hausdorff95(*inputs), "the distance"), want, "the distance", mistakes)


@check("hausdorff95", points=1)
def masks_without_an_outline(student, rng):
    """An empty mask has no distance; equal masks have the distance 0, and masks side by side the one between them."""
    for case in rng.permutation(5):
        found, truth = two_outlines(rng)
        if case < 3:
            found[:] &= case == 1
            truth[:] &= case == 2
            got = number(student.hausdorff95(found, truth), "the distance to an empty mask")
            assert got != 0, "an empty mask has the distance 0, as if it were a perfect match; give nan"
            assert np.isnan(got), f"an empty mask has no outline, so there is no distance: give nan; got {got:g}"
        elif case == 3:
            got = number(student.hausdorff95(truth, truth.copy()), "the distance")
            assert got == 0, f"two equal masks have the distance 0; got {got:g}"
        else:
            want = max(np.percentile(d, 95) for d in distances(outline(found), outline(truth)))
            close(number(student.hausdorff95(found, truth), "the distance"), want, "the distance beside empty masks")


# Task 3


def islands(rng, sizes, cells=(3, 4), side=8):
    """Components of the given sizes (up to 36) that touch nobody: bool (components, H, W), in the order of reading."""
    places = rng.permutation(cells[0] * cells[1])[: len(sizes)]
    made = np.zeros((len(sizes), cells[0] * side, cells[1] * side), dtype=bool)
    for one, place, size in zip(made, places, sizes, strict=True):
        width = int(rng.integers(max(1, -(-size // 6)), min(6, size) + 1))
        height = -(-size // width)
        y, x = (int(rng.integers(0, side - extent)) for extent in (height, width))
        y, x = y + side * (place // cells[1]), x + side * (place % cells[1])
        pixel = np.arange(size)
        one[y + pixel // width, x + pixel % width] = True
    return made[np.argsort(made.reshape(len(made), -1).argmax(1))]


def best(made, order, n):
    return made[order[:n]].any(0)


@check("keep_largest", points=2)
def largest_components(student, rng):
    """The n largest components are kept, and nothing else."""

    def make():
        sizes = rng.choice(np.arange(2, 30), 7, replace=False)
        made, n = islands(rng, sizes), int(rng.integers(2, 5))
        mask, order = made.any(0), np.argsort(-made.sum((1, 2)))
        want = best(made, order, n)
        numbers = np.arange(1, len(made) + 1)[:, None, None]
        return (
            (mask, n),
            want,
            {
                "only the largest component was kept; keep n of them": best(made, order, 1),
                "one component too few was kept; does the background, with the number 0, count as one?": best(
                    made, order, n - 1
                ),
                "one component too many was kept": best(made, order, n + 1),
                "the background counts as a component here, and was kept": best(made, order, n - 1) | ~mask,
                "the background was kept": ~mask,
                "the smallest components were kept; keep the largest": best(made, order[::-1], n),
                "the first n components were kept, not the largest": best(made, np.arange(len(made)), n),
                "the largest components were removed; keep them": mask & ~want,
                "the numbers of the components came back; give True and False": (want * made * numbers).max(0),
                "nothing was removed": mask,
                "each number is one too small: without the background, sizes[0] belongs to component 1": np.isin(
                    (made * numbers).max(0), order[:n]
                ),
            },
        )

    for _ in range(2):
        (mask, n), want, mistakes = clear_case(make)
        close(student.keep_largest(mask, n), want, "the mask", mistakes)


@check("keep_largest", points=1)
def corners_do_not_connect(student, rng):
    """Two components that touch at a corner are two."""
    for _ in range(2):
        a, b = int(rng.integers(2, 4)), int(rng.integers(2, 5))
        small, other = a * b, (a + 1) * b
        made = islands(rng, [min(small + other - 1, other + int(rng.integers(1, 4)))], cells=(2, 2), side=9)
        free = np.flatnonzero([not made[:, y : y + 9, x : x + 9].any() for y in (0, 9) for x in (0, 9)])
        y, x = (9 * int(v) for v in divmod(int(rng.choice(free)), 2))
        touching = np.zeros(made.shape[1:], dtype=bool)
        touching[y : y + a, x : x + b] = True
        touching[y + a : y + 2 * a + 1, x + b : x + 2 * b] = True
        if rng.integers(2):
            touching[y : y + 9, x : x + 8] = touching[y : y + 9, x : x + 8][:, ::-1].copy()
        mask = made[0] | touching
        close(
            student.keep_largest(mask, 1),
            made[0],
            "the mask",
            {"two components that touch at a corner were taken as one": touching, "nothing was removed": mask},
        )


@check("keep_largest", points=1)
def equally_large_components(student, rng):
    """Of equally large components the first ones are kept."""

    def make():
        tied, n = int(rng.integers(4, 13)), int(rng.integers(2, 4))
        made = islands(rng, [tied] * 4 + [tied + int(rng.integers(2, 9)), 2])
        sizes, mask = made.sum((1, 2)), made.any(0)
        order = np.argsort(-sizes, kind="stable")
        late = np.argsort(sizes, kind="stable")[::-1]
        left = np.argsort(made.transpose(0, 2, 1).reshape(len(made), -1).argmax(1))
        left = left[np.argsort(-sizes[left], kind="stable")]
        return (
            (mask, n),
            best(made, order, n),
            {
                "of equally large components the last one was kept; keep the one that comes first": best(made, late, n),
                "all of the equally large components were kept; keep n components": made[sizes >= tied].any(0),
                "of equally large components that on the left was kept; the order is row by row": best(made, left, n),
            },
        )

    for _ in range(2):
        (mask, n), want, mistakes = clear_case(make)
        close(student.keep_largest(mask, n), want, "the mask of equally large components", mistakes)


@check("keep_largest", points=1)
def fewer_components_than_asked_for(student, rng):
    """Where there are fewer components than n, all are kept, and an empty mask stays empty."""
    for case in rng.permutation(4):
        made = islands(rng, rng.choice(np.arange(2, 30), int(rng.integers(2, 5)), replace=False))
        mask = made.any(0)
        if case == 0:
            got = mask_of(student.keep_largest(np.zeros_like(mask), int(rng.integers(1, 4))), mask.shape)
            assert not got.any(), "an empty mask has no component, but background was kept"
        elif case == 1:
            largest = best(made, np.argsort(-made.sum((1, 2))), 1)
            close(student.keep_largest(mask, 1), largest, "the mask with one component", {"all were kept": mask})
        else:
            got = mask_of(student.keep_largest(mask, len(made) + case - 2), mask.shape)
            assert not (got.astype(bool) & ~mask).any(), (
                "there are fewer components than n, or as many, and background was kept"
            )
            close(got, mask, "the mask with no more than n components", {"nothing was kept; keep all": 0 * mask})


# Task 4


def with_holes(rng, size=(26, 30)):
    """Rings with islands in them, cups that are open to one side, and blobs at the border: a mask and its holes."""
    mask, holes = np.zeros(size, dtype=bool), np.zeros(size, dtype=bool)
    places = rng.permutation([(y, x) for y in (2, 14) for x in (2, 11, 20)])
    for k, (y, x) in enumerate(places):
        h, w = int(rng.integers(5, 9)), int(rng.integers(5, 8))
        y, x = y + int(rng.integers(0, 3)), x + int(rng.integers(0, 2))
        mask[y : y + h, x : x + w] = True
        mask[y + 1 : y + h - 1, x + 1 : x + w - 1] = False
        if k < 3:
            holes[y + 1 : y + h - 1, x + 1 : x + w - 1] = True
            if k == 0:  # an island
                mask[y + 2, x + 2] = True
                holes[y + 2, x + 2] = False
        else:
            mask[y, x + 1 : x + w - 1] = rng.integers(2, size=w - 2) > 0  # a cup, open upwards
            mask[y, x + int(rng.integers(1, w - 1))] = False
    return mask, holes


def between(mask):
    """Everything between the first and the last pixel of each row."""
    return np.logical_or.accumulate(mask, 1) & np.logical_or.accumulate(mask[:, ::-1], 1)[:, ::-1]


def kept_outside(mask, pick, structure=None):
    """The mask when only the background component that `pick` chooses is outside."""
    numbers, _ = label(~mask, structure)
    return mask | (numbers != pick(numbers))


def largest_piece(numbers):
    return np.bincount(numbers.ravel())[1:].argmax() + 1


@check("fill_holes", points=2)
def holes_become_lung(student, rng):
    """Holes are filled; what is open to the border stays background."""

    def make():
        mask, holes = with_holes(rng)
        return (
            (mask,),
            mask | holes,
            {
                "nothing was filled": mask,
                "only the holes came back; return the mask together with them": holes,
                "it is the outside; return the mask with its holes": ~(mask | holes),
                "mask and background changed places": ~mask,
                "holes were cut out, and the rest is filled": ~holes,
                "each row was filled from its first to its last pixel; a hole is closed on all sides": between(mask),
                "each column was filled from its first to its last pixel; a hole is closed on all sides": between(
                    mask.T
                ).T,
                "everything was filled": np.ones_like(mask),
            },
        )

    for _ in range(2):
        (mask,), want, mistakes = clear_case(make)
        if rng.integers(2):
            mask, want = mask[::-1, ::-1], want[::-1, ::-1]
            mistakes = {name: value[::-1, ::-1] for name, value in mistakes.items()}
        close(mask_of(student.fill_holes(mask.copy()), mask.shape), want, "the filled mask", mistakes)


@check("fill_holes", points=1)
def background_in_several_pieces(student, rng):
    """All background at the border stays background, although the mask divides it into pieces."""

    def make():
        mask, _ = with_holes(rng)
        mask = np.pad(mask, ((0, 0), (4, 4)))
        mask[:, rng.choice([3, -4])] = True  # from top to bottom: the piece beside it is small
        corner = int(rng.integers(3, 6))
        mask[corner, :corner] = mask[:corner, corner - 1] = True  # a corner is cut off
        return (
            (mask,),
            binary_fill_holes(mask),
            {
                "only the largest piece of background was taken as the outside; every piece at the border is": (
                    kept_outside(mask, largest_piece)
                ),
                "only the background in a corner was taken as the outside; look at the whole border": kept_outside(
                    mask, lambda numbers: numbers[0, 0]
                ),
                "nothing was filled": mask,
            },
        )

    for _ in range(2):
        (mask,), want, mistakes = clear_case(make)
        close(mask_of(student.fill_holes(mask), mask.shape), want, "the filled mask", mistakes)


@check("fill_holes", points=1)
def holes_between_corners(student, rng):
    """Background that touches other background only at a corner is a hole."""
    for _ in range(2):
        size = (18, 21)
        y, x = np.indices(size)
        mask = np.zeros(size, dtype=bool)
        want = np.zeros(size, dtype=bool)
        for place in rng.permutation([4, 15])[: int(rng.integers(1, 3))]:
            radius, row, column = int(rng.integers(2, 4)), int(rng.integers(4, 14)), int(place + rng.integers(0, 2))
            away = np.abs(y - row) + np.abs(x - column)
            mask |= away == radius
            want |= away <= radius
        block = int(rng.integers(0, 15))
        mask[0, block : block + 3] = want[0, block : block + 3] = True
        close(
            mask_of(student.fill_holes(mask), mask.shape),
            want,
            "the filled mask",
            {
                "holes that touch other background at a corner were left open: a corner is no way": kept_outside(
                    mask, largest_piece, EVERY_NEIGHBOR
                )
            },
        )


# Task 5


def four(value):
    """The box as four numbers."""
    assert value is not None, "the box is None; is there a return statement?"
    many = isinstance(value, list) or (isinstance(value, np.ndarray) and value.ndim > 0)
    assert many and len(value) == 4, f"four numbers were asked for, x0, y0, x1, y1; got {describe(value)}"
    box = array(value, (4,), "the box")
    assert np.array_equal(box, np.round(box)), "the box holds numbers that are not whole; round the margins"
    return box


def lungs_and_box(rng, size, corner=None):
    """A mask of two lungs and the box x0, y0, x1, y1 around it; corner: near the first or the last one, 0 or 1."""
    height, width = size
    w, h = int(rng.integers(width // 4, width // 3)), int(rng.integers(height // 4, height // 3))
    if corner is None:
        x0, y0 = (int(rng.integers(side // 3, side // 2 - 4)) for side in (width, height))
    else:
        x0, y0 = (int(v) for v in rng.integers(2, 5, 2))
    if corner == 1:
        x0, y0 = width - w - x0, height - h - y0
    mask = np.zeros(size, dtype=bool)
    third, lower = w // 3, int(rng.integers(1, 4))
    mask[y0 : y0 + h - lower, x0 : x0 + third] = True
    mask[y0 + lower : y0 + h, x0 + w - third : x0 + w] = True
    return mask, (x0, y0, x0 + w, y0 + h)


def grown(box, across, down):
    x0, y0, x1, y1 = box
    return np.array([x0 - across, y0 - down, x1 + across, y1 + down])


def clipped(box, size):
    return np.clip(box, 0, np.array([size[1], size[0]] * 2))


def clear_margin(rng, low, high, sides):
    """A margin of which no product with a side lies near a half, where rounding is in doubt."""
    for _ in range(500):
        margin = round(float(rng.uniform(low, high)), 3)
        if all(abs(margin * side % 1 - 0.5) > 0.12 and 0.1 < margin * side % 1 < 0.9 for side in sides):
            return margin
    return None


@check("lung_box", points=2)
def box_with_a_margin(student, rng):
    """The box around the mask and its margin are right."""

    def make():
        size = int(rng.integers(60, 80)), int(rng.integers(84, 110))
        mask, box = lungs_and_box(rng, size)
        w, h = box[2] - box[0], box[3] - box[1]
        margin = clear_margin(rng, 0.08, 0.35, (w, h))
        if margin is None:
            return make()
        across, down = round(margin * w), round(margin * h)
        want = grown(box, across, down)
        inside = np.array(box) - [0, 0, 1, 1]
        return (
            (mask, margin),
            want,
            {
                "the margin is missing": np.array(box),
                "x and y changed places: columns are x, and x0 comes first": want[[1, 0, 3, 2]],
                "the order is x0, y0, x1, y1": want[[0, 2, 1, 3]],
                "the order is x0, y0, x1, y1, and x counts columns": want[[1, 3, 0, 2]],
                "width and height came back; give x1 and y1": np.array([*want[:2], *(want[2:] - want[:2])]),
                "x1 and y1 are one too small: they are the first column and row that do not belong to the box": grown(
                    inside, across, down
                ),
                "the margin is a fraction of the box, not of the image": clipped(
                    grown(box, round(margin * size[1]), round(margin * size[0])), size
                ),
                "half of the margin was added on each side; add the whole one": grown(
                    box, round(margin * w / 2), round(margin * h / 2)
                ),
                "the margin of the width was added above and below, too; each has its own": grown(box, across, across),
                "the margin of the height was added to the sides, too; each has its own": grown(box, down, down),
                "margins of width and height changed places": grown(box, down, across),
                "the margin was added at the right and below only": np.array([*box[:2], *want[2:]]),
                "the margin was added at the left and above only": np.array([*want[:2], *box[2:]]),
                "the margins were cut off to whole pixels; round them": grown(box, int(margin * w), int(margin * h)),
                "the margins were rounded up; round them": grown(box, int(margin * w) + 1, int(margin * h) + 1),
                "the margin moved the box inwards": grown(box, -across, -down),
            },
        )

    for _ in range(2):
        (mask, margin), want, mistakes = clear_case(lambda: likely(make))
        close(four(student.lung_box(mask, margin)), want, "the box", mistakes)


def likely(make):
    """A case in which the box stays inside the image, and rounding up and down differ from rounding."""
    for _ in range(500):
        (mask, margin), want, mistakes = make()
        if (want == clipped(want, mask.shape)).all():
            return (mask, margin), want, mistakes
    raise RuntimeError("no box stays inside the image")


@check("lung_box", points=1)
def box_at_the_border(student, rng):
    """A box that would leave the image is cut off at its border."""
    for corner in rng.permutation(2):
        size = int(rng.integers(40, 60)), int(rng.integers(61, 90))
        margin = None
        while margin is None:
            mask, box = lungs_and_box(rng, size, corner)
            w, h = box[2] - box[0], box[3] - box[1]
            margin = clear_margin(rng, 0.6, 0.95, (w, h))
        free = grown(box, round(margin * w), round(margin * h))
        want = clipped(free, size)
        got = four(student.lung_box(mask, margin))
        assert (got >= 0).all(), "the box has a number below 0; such a part would be empty. Cut it off at 0"
        moved = free + np.tile(np.maximum(-free[:2], 0) - np.maximum(free[2:] - [size[1], size[0]], 0), 2)
        close(
            got,
            want,
            "the box at the border",
            {
                "it sticks out at the right or below; cut it off at the width and the height of the image": np.maximum(
                    free, 0
                ),
                "it was moved into the image; cut off what sticks out": clipped(moved, size),
                "it ends one pixel before the border; x1 may be the width of the image, y1 its height": np.minimum(
                    want, [size[1] - 1, size[0] - 1] * 2
                ),
                "width and height of the image changed places": np.clip(free, 0, np.array([size[0], size[1]] * 2)),
                "without room for the whole margin it was left out; add what fits": np.array(box),
            },
        )


@check("lung_box", points=1)
def no_lungs_in_the_image(student, rng):
    """An empty mask gives the whole image, a single pixel a box of its own."""
    for case in rng.permutation(4):
        size = int(rng.integers(20, 50)), int(rng.integers(51, 90))
        height, width = size
        mask = np.zeros(size, dtype=bool)
        margin = float(rng.choice([0, 0.1, 0.3]))
        if case < 2:
            y, x = int(rng.integers(0, height)), int(rng.integers(0, width))
            mask[y, x] = True
            close(four(student.lung_box(mask, margin)), [x, y, x + 1, y + 1], "the box around one pixel")
            continue
        got = four(student.lung_box(mask, margin))
        close(
            got,
            [0, 0, width, height],
            "the box of an empty mask",
            {
                "it is empty; give the whole image, so that nothing is lost": [0, 0, 0, 0],
                "width and height of the image changed places: x1 is the width": [0, 0, height, width],
                "it ends one pixel too early: x1 is the width, y1 the height": [0, 0, width - 1, height - 1],
            },
        )


# Task 6


def case_of_maps(rng, n, k, size=(7, 9)):
    """Maps, lungs and labels; every class has at least two images."""
    maps = np.round(rng.normal(size=(n, *size)), 2) * rng.uniform(0.4, 5, (n, 1, 1))
    lungs = np.zeros((n, *size), dtype=bool)
    for mask in lungs:
        y, x = int(rng.integers(0, size[0] - 3)), int(rng.integers(0, size[1] - 3))
        mask[y : y + int(rng.integers(2, 4)), x : x + int(rng.integers(2, 4))] = True
    return maps, lungs, rng.permutation(np.concatenate([np.repeat(np.arange(k), 2), rng.integers(0, k, n - 2 * k)]))


def fractions(maps, lungs):
    """The energy of each image by the rules of the task; nan without lungs."""
    positive = np.maximum(maps, 0)
    total = positive.sum((1, 2))
    energy = (positive * lungs).sum((1, 2)) / np.where(total > 0, total, 1)
    return np.where(lungs.any((1, 2)), energy, np.nan)


def by_class(values, labels, k):
    """The mean of each class, without nan; nan for a class without values."""
    rows = [values[(labels == c) & ~np.isnan(values)] for c in range(k)]
    return np.array([part.mean() if len(part) else np.nan for part in rows])


def triple(value, k):
    """Energy, area and count, each with one value for each class."""
    many = isinstance(value, list) or (isinstance(value, np.ndarray) and value.ndim > 0)
    assert many and len(value) == 3, f"three arrays were asked for, energy, area, count; got {describe(value)}"
    return [array(part, (k,), name) for part, name in zip(value, ("energy", "area", "count"), strict=True)]


@check("energy_where", points=2)
def mean_energy_of_each_class(student, rng):
    """The mean energy inside the lungs is right for each class."""

    def make():
        k = int(rng.integers(2, 5))
        maps, lungs, labels = case_of_maps(rng, int(rng.integers(20, 30)), k)
        positive, absolute = np.maximum(maps, 0), np.abs(maps)
        inside, total = (positive * lungs).sum((1, 2)), positive.sum((1, 2))
        want = by_class(inside / total, labels, k)

        def pooled(a, b):
            return np.bincount(labels, a, k) / np.bincount(labels, b, k)

        return (
            (maps, lungs, labels, k),
            want,
            {
                "the values of a class were added up first; take the energy of each image, then the mean": pooled(
                    inside, total
                ),
                "negative values are still in the sums; set them to 0 first": by_class(
                    (maps * lungs).sum((1, 2)) / maps.sum((1, 2)), labels, k
                ),
                "absolute values were taken: what speaks against the class counts for it": by_class(
                    (absolute * lungs).sum((1, 2)) / absolute.sum((1, 2)), labels, k
                ),
                "it is the fraction outside of the lungs": 1 - want,
                "it is the sum over the images; take the mean": want * np.bincount(labels, minlength=k),
                "each class was divided by the number of all images": want
                * np.bincount(labels, minlength=k)
                / len(labels),
                "the sum inside was divided by the sum outside; divide by the whole sum": by_class(
                    inside / (total - inside), labels, k
                ),
                "pixels were counted, not their values added up": by_class(
                    (lungs & (maps > 0)).sum((1, 2)) / (maps > 0).sum((1, 2)), labels, k
                ),
                "it is the mean value inside the lungs; take the sum inside, divided by the whole sum": by_class(
                    inside / lungs.sum((1, 2)), labels, k
                ),
                "it is the area of the lungs; energy comes first": by_class(lungs.mean((1, 2)), labels, k),
                "it is the energy divided by the area; give both, each by itself": want
                / by_class(lungs.mean((1, 2)), labels, k),
                "all classes have the mean of all images; each class has its own": np.full(k, (inside / total).mean()),
            },
        )

    inputs, want, mistakes = clear_case(make)
    close(triple(student.energy_where(*inputs), inputs[-1])[0], want, "energy", mistakes)


@check("energy_where", points=1)
def area_and_number_of_images(student, rng):
    """The mean area of the lungs and the number of images are right for each class."""

    def make():
        k = int(rng.integers(2, 5))
        maps, lungs, labels = case_of_maps(rng, int(rng.integers(18, 30)), k)
        lungs[rng.permutation(len(lungs))[:4]] = False
        area = np.where(lungs.any((1, 2)), lungs.mean((1, 2)), np.nan)
        want = by_class(area, labels, k)
        return (
            (maps, lungs, labels, k),
            want,
            {
                "images with an empty mask were counted as an area of 0; leave them out": by_class(
                    lungs.mean((1, 2)), labels, k
                ),
                "it is a number of pixels; give a fraction of the image's pixels": want * lungs[0].size,
                "it is the fraction of the image that is not lung": 1 - want,
                "all classes have the mean of all images; each class has its own": np.full(k, np.nanmean(area)),
            },
        )

    inputs, want, mistakes = clear_case(make)
    maps, lungs, labels, k = inputs
    _, area, count = triple(student.energy_where(*inputs), k)
    close(area, want, "area", mistakes)
    number_of = np.bincount(labels[lungs.any((1, 2))], minlength=k)
    close(
        count,
        number_of,
        "count",
        {"images with an empty mask were counted, too; leave them out": np.bincount(labels, minlength=k)},
    )


@check("energy_where", points=2)
def blank_maps_and_empty_masks(student, rng):
    """A blank map has the energy 0 and counts; an image with an empty mask is left out."""

    def make():
        k = int(rng.integers(2, 4))
        maps, lungs, labels = case_of_maps(rng, int(rng.integers(20, 30)), k)
        rows = rng.permutation(len(maps))[:8]
        for c in range(k):  # both kinds in every class
            rows[c], rows[4 + c] = np.flatnonzero(labels == c)[:2]
        maps[rows[:4]] = -np.abs(maps[rows[:4]])
        maps[rows[0]] = 0
        lungs[rows[4:]] = False
        lungs[rows[:4], 0, 0] = True
        energy = fractions(maps, lungs)
        kept, blank = ~np.isnan(energy), (maps <= 0).all((1, 2))
        left = np.where(blank, np.nan, energy)
        return (
            (maps, lungs, labels, k),
            by_class(energy, labels, k),
            {
                "images with an empty mask were counted as 0; leave them out": by_class(
                    np.nan_to_num(energy), labels, k
                ),
                "blank maps were left out; each counts, with the energy 0": by_class(left, labels, k),
                "blank maps were left out and empty masks counted as 0; it is the other way round": by_class(
                    np.where(blank, np.nan, np.nan_to_num(energy)), labels, k
                ),
                "a blank map was scored by the area of the lungs; its energy is 0": by_class(
                    np.where(blank & kept, lungs.mean((1, 2)), energy), labels, k
                ),
                "blank maps have the energy 1; it is 0": by_class(np.where(blank & kept, 1, energy), labels, k),
            },
        )

    inputs, want, mistakes = clear_case(make)
    energy, _, count = triple(student.energy_where(*inputs), inputs[-1])
    assert not np.isnan(energy).any(), (
        "an energy is nan, although the class has images: a blank map has the energy 0, and an image with an "
        "empty mask belongs in no mean"
    )
    close(energy, want, "energy", mistakes)
    maps, lungs, labels, k = inputs
    close(count, np.bincount(labels[lungs.any((1, 2))], minlength=k), "count")


@check("energy_where", points=1)
def classes_without_images(student, rng):
    """A class without images, or with empty masks only, has nan as its energy and area, and the count 0."""
    k = int(rng.integers(4, 7))
    maps, lungs, labels = case_of_maps(rng, int(rng.integers(20, 30)), k)
    none, empty = rng.permutation(k)[:2]
    other = int(np.setdiff1d(np.arange(k), (none, empty))[0])
    labels[labels == none] = other
    lungs[labels == empty] = False
    value = student.energy_where(maps, lungs, labels, k)
    energy, area, count = triple(value, k)
    for found, name in ((energy, "energy"), (area, "area")):
        assert found[none] != 0, f"a class without images has the {name} 0; there is nothing to measure: give nan"
        assert np.isnan(found[none]), f"a class without images has no {name}: give nan"
        assert np.isnan(found[empty]), f"a class with empty masks only has no {name}: give nan"
    assert count[none] == 0, "a class without images has the count 0"
    assert count[empty] == 0, "a class with empty masks only has the count 0: these images are left out"
    close(energy, by_class(fractions(maps, lungs), labels, k), "energy beside a class without images")
