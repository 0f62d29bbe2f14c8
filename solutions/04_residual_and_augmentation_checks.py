"""Checks of exercise 4: a residual block and a batched augmentation."""

import numpy as np
import torch
from torch import nn

from coursekit.grade.checks import array, check, close


def _normal(rng, *shape):
    return rng.normal(size=shape).astype(np.float32)


def _norm(rng, channels):
    """Scale, offset, mean, variance (4, channels)."""
    return np.stack(
        [
            rng.uniform(0.5, 1.5, channels),
            rng.normal(0, 0.5, channels),
            rng.normal(0, 0.5, channels),
            rng.uniform(0.5, 2, channels),
        ]
    ).astype(np.float32)


def _conv(weight, stride=1):
    out, channels, side, _ = weight.shape
    layer = nn.Conv2d(channels, out, side, stride, side // 2, bias=False)
    layer.weight.data = torch.from_numpy(weight)
    return layer


def _bn(values):
    layer = nn.BatchNorm2d(values.shape[1]).eval()
    for name, row in zip(("weight", "bias", "running_mean", "running_var"), values, strict=True):
        getattr(layer, name).data = torch.from_numpy(row.copy())
    return layer


@torch.no_grad()
def _block(x, w1, bn1, w2, bn2, stride=1, w_short=None, bn_short=None, wrong=""):
    """The block with layers instead of functions; `wrong` builds in a known mistake."""
    x = torch.from_numpy(x)
    relu = nn.ReLU()
    first, second = (1, stride) if wrong == "stride" else (stride, 1)
    none = nn.Identity()
    h = nn.Sequential(
        _conv(w1, first),
        none if wrong == "no norm" else _bn(bn1),
        none if wrong == "no middle" else relu,
        _conv(w2, second),
        none if wrong == "no norm" else _bn(bn2),
    )(x)
    if wrong == "early":
        h = relu(h)
    short = x
    if w_short is not None:
        short = _conv(w_short, stride)(x)
        short = short if wrong == "bare projection" else _bn(bn_short)(short)
        short = relu(short) if wrong == "relu in projection" else short
    if wrong == "no shortcut":
        short = 0
    h = h + short
    return (h if wrong in ("early", "no last") else relu(h)).numpy()


_BLOCK_MISTAKES = {
    "the shortcut is missing: add x (or its projection) before the last relu": "no shortcut",
    "the last relu comes before the sum: add first, then relu": "early",
    "the relu after the sum is missing": "no last",
    "the relu between the first batch norm and the second convolution is missing": "no middle",
    "the batch norm of the main branch is missing": "no norm",
}
_PROJECTION_MISTAKES = _BLOCK_MISTAKES | {
    "the stride is in the second convolution of the main branch; it belongs to the first": "stride",
    "the batch norm of the projection is missing": "bare projection",
    "there is a relu in the shortcut: the projection is only a convolution and a batch norm": "relu in projection",
}


def _torch(*arrays):
    return [torch.from_numpy(np.ascontiguousarray(a)) for a in arrays]


def _judge_block(student, args, options, mistakes, what):
    want = _block(*args, **options)
    got = student.residual_block(
        *_torch(*args), **{k: v if isinstance(v, int) else _torch(v)[0] for k, v in options.items()}
    )
    wrong = {text: _block(*args, **options, wrong=name) for text, name in mistakes.items()}
    close(array(got, want.shape, what), want, what, wrong, rtol=1e-3, atol=1e-4)


@check("residual_block", points=2)
def block_with_the_input_as_shortcut(student, rng):
    """A block that keeps the shape adds its input."""
    c = int(rng.integers(3, 6))
    args = (
        _normal(rng, 2, c, 7, 6),
        0.5 * _normal(rng, c, c, 3, 3),
        _norm(rng, c),
        0.5 * _normal(rng, c, c, 3, 3),
        _norm(rng, c),
    )
    _judge_block(student, args, {}, _BLOCK_MISTAKES, "the output of the block")


@check("residual_block", points=2)
def block_with_a_projection(student, rng):
    """A block that changes the shape projects its input."""
    c, d = int(rng.integers(2, 4)), int(rng.integers(4, 7))
    for stride in (2, 1):
        args = (
            _normal(rng, 2, c, 8, 6),
            0.5 * _normal(rng, d, c, 3, 3),
            _norm(rng, d),
            0.5 * _normal(rng, d, d, 3, 3),
            _norm(rng, d),
        )
        options = {"stride": stride, "w_short": _normal(rng, d, c, 1, 1), "bn_short": _norm(rng, d)}
        _judge_block(student, args, options, _PROJECTION_MISTAKES, f"the output with a projection and stride {stride}")


@check("residual_block", points=1)
def block_that_has_learned_nothing(student, rng):
    """Where the main branch is 0, the input gets through."""
    c = 3
    x = _normal(rng, 2, c, 5, 5)
    silent = np.stack([np.zeros(c), np.zeros(c), np.zeros(c), np.ones(c)]).astype(np.float32)
    got = student.residual_block(*_torch(x, _normal(rng, c, c, 3, 3), _norm(rng, c), _normal(rng, c, c, 3, 3), silent))
    what = "the output of a block whose main branch is 0"
    close(
        array(got, x.shape, what),
        np.maximum(x, 0),
        what,
        {"the shortcut is missing: all is 0": 0 * x, "the relu after the sum is missing": x},
    )


def _flip_case(rng):
    """Images with one bright box each (two without), and about half of them to flip."""
    n, h, w = 10, 12, 17
    images = rng.uniform(0, 0.5, (n, 1, h, w)).astype(np.float32)
    x0, y0 = rng.integers(0, 5, n), rng.integers(0, 6, n)
    boxes = np.stack([x0, y0, x0 + rng.integers(2, 4, n), y0 + rng.integers(2, 6, n)], 1)
    flip = np.arange(n) % 2 == 0
    missing = np.array([0, 1])
    boxes[missing] = -1
    for image, (a, b, c, d) in zip(images[2:], boxes[2:], strict=True):
        image[0, b:d, a:c] = 1
    order = rng.permutation(n)
    return images[order], boxes[order], flip[order], w


def _flipped(student, images, boxes, flip):
    got = student.flip_some(*_torch(images, boxes, flip))
    assert isinstance(got, list) and len(got) == 2, "the function should return two things: (images, boxes)"
    return array(got[0], images.shape, "the images"), array(got[1], boxes.shape, "the boxes")


def _mirror(images, flip, axis=3):
    return np.where(flip[:, None, None, None], np.flip(images, axis), images)


@check("flip_some", points=1)
def images_are_mirrored(student, rng):
    """The images with flip = True are mirrored left to right, no others."""
    images, boxes, flip, _ = _flip_case(rng)
    got, _ = _flipped(student, images, boxes, flip)
    everyone = np.ones_like(flip)
    close(
        got,
        _mirror(images, flip),
        "the batch after the flip",
        {
            "every image is mirrored: the mask is not used": _mirror(images, everyone),
            "the images with flip = False are mirrored, and the others are not": _mirror(images, ~flip),
            "the images are mirrored top to bottom; a horizontal flip goes left to right": _mirror(images, flip, 2),
            "no image is mirrored": images,
        },
    )


@check("flip_some", points=2)
def boxes_move_with_their_images(student, rng):
    """A box marks the same thing before and after the flip."""
    images, boxes, flip, w = _flip_case(rng)
    has = boxes[:, 0] >= 0
    _, got = _flipped(student, images, boxes, flip)
    x0, y0, x1, y1 = boxes[has].T
    hit = flip[has][:, None]

    def moved(a, b, where=hit):
        return np.where(where, np.stack([a, y0, b, y1], 1), boxes[has])

    want = moved(w - x1, w - x0)
    close(
        got[has],
        want,
        "the table of boxes",
        {
            "the boxes did not move: they still mark the place of the marker before the flip": boxes[has],
            "x0 and x1 are in the wrong order: after a mirror, the right edge of the box is the left one": moved(
                w - x0, w - x1
            ),
            "x0 and x1 are in the wrong order, and one pixel off": moved(w - 1 - x0, w - 1 - x1),
            "the boxes are one pixel off: x1 is the first column outside of the box, so the new x0 is W - x1": moved(
                w - 1 - x1, w - 1 - x0
            ),
            "the boxes of all images moved, also where flip is False": moved(w - x1, w - x0, np.ones_like(hit)),
            "x1 was made from the new x0: keep the old x0 before you change it": moved(w - x1, x1),
            "the height was taken for the width": moved(images.shape[2] - x1, images.shape[2] - x0),
            "the rows changed, too: a mirror from left to right leaves y0 and y1 alone": np.where(
                hit, np.stack([w - x1, w - y1, w - x0, w - y0], 1), boxes[has]
            ),
            "the boxes kept their left edge and only changed their width": moved(x0, w - x0),
        },
    )


@check("flip_some", points=1)
def no_marker_no_box(student, rng):
    """A box of -1 (no marker) stays -1."""
    images, boxes, flip, _ = _flip_case(rng)
    none = boxes[:, 0] < 0
    _, got = _flipped(student, images, boxes, flip)
    assert (got[~none & flip] != boxes[~none & flip]).any(), (
        "no box moved: the boxes move with the images that are mirrored"
    )
    assert (got[none] == -1).all(), (
        f"an image without a marker got the box {got[none][(got[none] != -1).any(1)][0].astype(int).tolist()}: "
        "the row of -1 was mirrored as if it were a box"
    )


def _shift(images, dx, dy):
    """One image at a time: cut a rectangle out of a large black frame."""
    n, _, h, w = images.shape
    out = []
    for image, x, y in zip(images, dx, dy, strict=True):
        x, y = int(np.clip(x, -w, w)), int(np.clip(y, -h, h))
        frame = np.zeros((image.shape[0], 3 * h, 3 * w), images.dtype)
        frame[:, h + y : 2 * h + y, w + x : 2 * w + x] = image
        out.append(frame[:, h : 2 * h, w : 2 * w])
    return np.stack(out)


def _rolled(images, dx, dy):
    return np.stack([np.roll(i, (y, x), (1, 2)) for i, x, y in zip(images, dx, dy, strict=True)])


def _edges(images, dx, dy):
    h, w = images.shape[2:]
    rows = [np.clip(np.arange(h) - y, 0, h - 1) for y in dy]
    columns = [np.clip(np.arange(w) - x, 0, w - 1) for x in dx]
    return np.stack([i[:, r][:, :, c] for i, r, c in zip(images, rows, columns, strict=True)])


@check("shift_batch", points=2)
def shifted_images(student, rng):
    """Every image moves by its own dx and dy, and black comes in."""
    images = rng.uniform(0.1, 1, (8, 2, 11, 9)).astype(np.float32)
    dx = rng.permutation([-4, -3, -1, 0, 1, 2, 3, 5])
    dy = np.roll(dx, 3)
    got = student.shift_batch(*_torch(images, dx, dy))
    close(
        array(got, images.shape, "the shifted batch"),
        _shift(images, dx, dy),
        "the shifted batch",
        {
            "what leaves on one side comes in on the other side (as with roll); black should come in": _rolled(
                images, dx, dy
            ),
            "the direction is wrong: a positive dx moves to the right, a positive dy moves down": _shift(
                images, -dx, -dy
            ),
            "the direction of dx is wrong: a positive dx moves the image to the right": _shift(images, -dx, dy),
            "the direction of dy is wrong: a positive dy moves the image down": _shift(images, dx, -dy),
            "dx and dy are exchanged: dx moves along the columns (the last axis)": _shift(images, dy, dx),
            "all images moved like the first one": _shift(images, dx * 0 + dx[0], dy * 0 + dy[0]),
            "the edge pixels are repeated where black (0) should come in": _edges(images, dx, dy),
            "nothing moved": images,
        },
    )


@check("shift_batch", points=1)
def shifted_out_of_the_frame(student, rng):
    """A shift by the whole side or more leaves a black image; a shift by 0 changes nothing."""
    h, w = 6, 8
    images = rng.uniform(0.1, 1, (6, 1, h, w)).astype(np.float32)
    dx, dy = np.array([w, -w - 3, 0, 0, 0, w - 1]), np.array([0, 0, h, -h - 5, 0, 0])
    got = array(student.shift_batch(*_torch(images, dx, dy)), images.shape, "the shifted batch")
    left = [f"dx = {x}, dy = {y}" for g, x, y in zip(got[:4], dx, dy, strict=False) if np.any(g)]
    assert not left, f"images of {h} x {w} pixels that moved out of the frame are not black ({'; '.join(left)})"
    close(got[4:], _shift(images, dx, dy)[4:], "an image with the smallest or the largest visible shift")


def _jitter(x, factor, added, wrong=""):
    f, a = factor[:, None, None, None], added[:, None, None, None]
    mean = x.mean((1, 2, 3), keepdims=True)
    if wrong == "channel":
        mean = x.mean((2, 3), keepdims=True)
    if wrong == "batch":
        mean = x.mean()
    if wrong == "zero":
        mean = 0
    if wrong == "half":
        mean = 0.5
    y = mean + f * (x - mean)
    y = np.clip(y, 0, 1) if wrong == "early" else y
    y = mean + a * (x - mean) + f if wrong == "exchanged" else y + a
    return y if wrong == "no cut" else np.clip(y, 0, 1)


@check("jitter", points=2)
def contrast_around_the_own_mean(student, rng):
    """Contrast changes around the mean of each image, and brightness is added."""
    x = (rng.uniform(0.3, 0.7, (5, 2, 1, 1)) + rng.uniform(-0.1, 0.1, (5, 2, 6, 7))).astype(np.float32)
    factor, added = rng.uniform(0.5, 1.5, 5).astype(np.float32), rng.uniform(-0.1, 0.1, 5).astype(np.float32)
    got = array(student.jitter(*_torch(x, factor, added)), x.shape, "the batch")
    close(
        got,
        _jitter(x, factor, added),
        "the batch",
        {
            "the mean of the whole batch was used; every image has its own mean": _jitter(x, factor, added, "batch"),
            "the contrast changed around 0 instead of around the mean: this makes the image brighter or darker, too": _jitter(
                x, factor, added, "zero"
            ),
            "the contrast changed around 0.5 instead of around the mean of the image": _jitter(
                x, factor, added, "half"
            ),
            "each channel has its own mean here; take the mean over all channels of an image": _jitter(
                x, factor, added, "channel"
            ),
            "factor and added are exchanged": _jitter(x, factor, added, "exchanged"),
            "factor of the first image was used for all": _jitter(x, factor * 0 + factor[0], added),
        },
        atol=1e-5,
    )


@check("jitter", points=1)
def cut_at_the_end(student, rng):
    """Values outside of 0 to 1 are cut, once, at the end."""
    x = rng.uniform(0, 1, (4, 1, 6, 7)).astype(np.float32)
    factor = rng.uniform(1.8, 2.5, 4).astype(np.float32)
    added = np.array([0.4, -0.4, 0.3, -0.3], np.float32)
    close(
        array(student.jitter(*_torch(x, factor, added)), x.shape, "the batch"),
        _jitter(x, factor, added),
        "a batch with strong changes",
        {
            "the values are not cut to the range from 0 to 1": _jitter(x, factor, added, "no cut"),
            "the values are cut after the contrast and again at the end: cut only once": _jitter(
                x, factor, added, "early"
            ),
            "the contrast changed around 0 instead of around the mean": _jitter(x, factor, added, "zero"),
            "the mean of the whole batch was used; every image has its own mean": _jitter(x, factor, added, "batch"),
        },
        atol=1e-5,
    )


def _mix_case(rng):
    n, k = 8, 4
    images = rng.uniform(0, 1, (n, 1, 5, 6)).astype(np.float32)
    labels = rng.permutation(np.arange(n) % (k - 1))  # the last class does not occur
    partner = np.roll(np.arange(n), int(rng.integers(1, n)))
    first, second = np.flatnonzero(labels == 0)[:2]  # at least one pair of the same class, and one of two classes
    partner[first], partner[second] = second, np.flatnonzero(labels == 1)[0]
    fraction = (rng.permutation(np.linspace(0.05, 0.9, n)) + rng.uniform(0, 0.02)).astype(np.float32)
    return images, labels, partner, fraction, k


def _mixed(student, case):
    got = student.mixup(*_torch(*case[:4]), case[4])
    assert isinstance(got, list) and len(got) == 2, "the function should return two things: (images, fractions)"
    return array(got[0], case[0].shape, "the images"), array(got[1], (len(case[1]), case[4]), "the fractions")


def _between(values, partner, fraction):
    fraction = fraction.reshape(-1, *[1] * (values.ndim - 1)).astype(np.float64)
    return fraction * values + (1 - fraction) * values[partner]


@check("mixup", points=1)
def images_are_mixed(student, rng):
    """Every image is mixed with its partner by its own fraction."""
    case = images, labels, partner, fraction, k = _mix_case(rng)
    got, _ = _mixed(student, case)
    close(
        got,
        _between(images, partner, fraction),
        "the batch of mixed images",
        {
            "the fractions are exchanged: `fraction` is the part of the image itself, 1 - fraction that of its partner": _between(
                images, partner, 1 - fraction
            ),
            "all images have the fraction of the first one": _between(images, partner, fraction * 0 + fraction[0]),
            "the images are not mixed": images,
        },
        atol=1e-5,
    )


@check("mixup", points=2)
def labels_are_mixed(student, rng):
    """The label is mixed as the image is."""
    case = images, labels, partner, fraction, k = _mix_case(rng)
    _, got = _mixed(student, case)
    one_hot = np.eye(k)[labels]
    half = np.zeros((len(labels), k))  # the rest is written, not added: wrong where both have the same class
    rows = np.arange(len(labels))
    half[rows, labels] = fraction
    half[rows, labels[partner]] = 1 - fraction
    close(
        got,
        _between(one_hot, partner, fraction),
        "the table of fractions",
        {
            "only the images are mixed, the labels are not: the label now lies about the image": one_hot,
            "the fractions are exchanged: the image's own class gets `fraction`": _between(
                one_hot, partner, 1 - fraction
            ),
            "where an image and its partner have the same class, the two parts must be added": half,
            "each of the two classes got a fraction of 0.5": _between(one_hot, partner, fraction * 0 + 0.5),
        },
        atol=1e-5,
    )
