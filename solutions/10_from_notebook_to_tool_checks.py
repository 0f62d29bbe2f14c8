"""Checks of exercise 10: test-time augmentation, ensembles, calibration, and the DICOM window."""

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax

from coursekit.grade.checks import array, check, close, describe, number

LIBRARIES = ("numpy",)
SHIFT = 2  # as in the notebook


def parts(value, count, asked):
    """A returned tuple, list or array as a list of `count` values."""
    many = isinstance(value, list) or (isinstance(value, np.ndarray) and value.ndim > 0)
    assert many and len(value) == count, f"asked are {asked}; got {describe(value)}"
    return list(value)


# Tasks 1 and 2: each view is a reordering of the columns, written as such


def columns(name, width):
    """Which column of the image stands at each place of the view."""
    order = np.arange(width)
    for step in name.split():
        if step == "flip":
            order = order[::-1]
        elif step != "same":
            order = order[(np.arange(width) + (SHIFT if step == "left" else -SHIFT)) % width]
    return order


def made_up(rng, k=3, n=8):
    """Images that are not square, and weights with logits of a few units."""
    h, w = int(rng.integers(9, 12)), int(rng.integers(13, 17))
    return rng.random((n, h, w)), rng.normal(size=(k, h, w)) * 5 / np.sqrt(h * w)


def logits_of(images, weights, name):
    return np.tensordot(images[:, :, columns(name, images.shape[2])], weights, axes=([1, 2], [1, 2]))


def views(rng):
    """Four views: the image itself, a shift, a flip, and both in either order."""
    shift = str(rng.choice(["left", "right"]))
    return [
        str(name)
        for name in rng.permutation(["same", shift, "flip", rng.choice([f"flip {shift}", f"{shift} {shift} flip"])])
    ]


def tta_mistakes(logits):
    each = softmax(logits, axis=-1)
    votes = np.eye(logits.shape[-1])[logits.argmax(-1)]
    return {
        "the logits were averaged; take each softmax first, then the mean of the probabilities": softmax(
            logits.mean(0), axis=-1
        ),
        "these are mean logits; the softmax is missing": logits.mean(0),
        "the probabilities were added up, not averaged": each.sum(0),
        "the votes were counted; take the mean of the probabilities": votes.mean(0),
        "the probabilities were multiplied; take their mean": each.prod(0),
        "only the first of them was used": each[0],
        "only the last of them was used": each[-1],
        "the softmax was applied twice": softmax(each.mean(0), axis=-1),
        "the softmax goes along the wrong axis; it goes along the classes": softmax(logits, axis=1).mean(0),
    }


@check("tta_probabilities", points=2)
def mean_over_the_views(student, rng):
    """The mean of the probabilities of all views."""
    images, weights = made_up(rng)
    names = views(rng)
    logits = np.stack([logits_of(images, weights, name) for name in names])
    got = array(student.tta_probabilities(images, weights, names), (8, 3), "the mean probabilities")
    original = logits_of(images, weights, "same")
    close(
        got,
        softmax(logits, axis=-1).mean(0),
        "the mean of the probabilities",
        {
            "the images were not changed: every view is the image itself": softmax(original, axis=-1),
            "the unchanged image was added as one more view; use only the views of the list": softmax(
                np.concatenate([logits, original[None]]), axis=-1
            ).mean(0),
            **tta_mistakes(logits),
        },
    )


@check("tta_probabilities", points=1)
def any_number_of_views(student, rng):
    """One view, or the same view more than once."""
    images, weights = made_up(rng, n=3)
    single = str(rng.choice(["flip", "left", "right"]))
    got = array(student.tta_probabilities(images, weights, [single]), (3, 3), "the probabilities of one view")
    same, want = (softmax(logits_of(images, weights, name), axis=-1) for name in ("same", single))
    close(
        got,
        want,
        "the answer for a single view",
        {"the unchanged image was added as one more view": (want + same) / 2, "the view was not applied": same},
    )
    names = [single, "same", "same"]
    got = array(student.tta_probabilities(images, weights, names), (3, 3), "the mean probabilities")
    close(
        got,
        (want + 2 * same) / 3,
        "the mean when a view is named twice",
        {
            "a view that is named twice counts twice": (want + same) / 2,
            "divide by the number of views in the list": (want + 2 * same) / 4,
        },
    )


def maps_of(images, weights, name, c, back="undone"):
    order = columns(name, images.shape[2])
    seen = np.maximum(images[:, :, order] * weights[c], 0)
    return seen[:, :, np.argsort(order)] if back == "undone" else seen[:, :, columns(back, images.shape[2])]


@check("tta_map", points=2)
def maps_over_the_image(student, rng):
    """The map of each view is undone before the mean."""
    images, weights = made_up(rng)
    c, shift = int(rng.integers(3)), str(rng.choice(["left", "right"]))
    names = [str(name) for name in rng.permutation(["same", shift, "flip"])]

    def mean(back):
        return np.mean([maps_of(images, weights, name, c, back(name)) for name in names], axis=0)

    got = array(student.tta_map(images, weights, names, c), images.shape, "the mean map")
    want = mean(lambda name: "undone")
    other = np.mean([maps_of(images, weights, name, (c + 1) % 3) for name in names], axis=0)
    close(
        got,
        want,
        "the mean map",
        {
            "the maps of the views were not undone: the map of a flipped image is flipped": mean(lambda name: "same"),
            "only the flip was undone, not the shift": mean(lambda name: "flip" if name == "flip" else "same"),
            "only the shift was undone, not the flip": mean(
                lambda name: {"left": "right", "right": "left"}.get(name, "same")
            ),
            "the shift was done once more in place of its opposite": mean(lambda name: name),
            "the images were not changed: every view is the image itself": maps_of(images, weights, "same", c),
            "the maps were added up, not averaged": 3 * want,
            "it is the map of another class": other,
            "the largest value of the views was taken, not the mean": np.max(
                [maps_of(images, weights, name, c) for name in names], axis=0
            ),
        },
    )


@check("tta_map", points=1)
def last_step_first(student, rng):
    """The steps of a view are undone in reverse order."""
    images, weights = made_up(rng, n=4)
    c, shift = int(rng.integers(3)), str(rng.choice(["left", "right"]))
    back = {"left": "right", "right": "left"}[shift]
    name, wrong, right = [
        (f"flip {shift}", f"flip {back}", f"{back} flip"),
        (f"{shift} flip", f"{back} flip", f"flip {back}"),
    ][int(rng.integers(2))]
    want = maps_of(images, weights, name, c)
    assert np.array_equal(want, maps_of(images, weights, name, c, right))
    got = array(student.tta_map(images, weights, [name], c), images.shape, "the map of a view with two steps")
    close(
        got,
        want,
        "the map of a view with two steps",
        {
            "the steps were undone in the order they were done; undo the last step first": maps_of(
                images, weights, name, c, wrong
            ),
            "the map was not undone": maps_of(images, weights, name, c, "same"),
            "the view was done once more in place of its opposite": maps_of(images, weights, name, c, name),
            "only the flip was undone": maps_of(images, weights, name, c, "flip"),
            "only the shift was undone": maps_of(images, weights, name, c, back),
        },
    )


# Task 3


def disagreeing(rng, m=5, n=80, k=3):
    return 2.5 * rng.normal(size=(n, k)) + 2.5 * rng.normal(size=(m, n, k))


def answer_of(value, n, k):
    probs, dissent = parts(value, 2, "two results, probs and dissent")
    return array(probs, (n, k), "probs"), array(dissent, (n,), "dissent")


@check("ensemble", points=2)
def mean_over_the_networks(student, rng):
    """The mean of the networks' probabilities."""
    logits = disagreeing(rng)
    probs, _ = answer_of(student.ensemble(logits), 80, 3)
    mistakes = tta_mistakes(logits)
    mistakes["the softmax goes along the networks; it goes along the classes"] = softmax(logits, axis=0).mean(0)
    close(probs, softmax(logits, axis=-1).mean(0), "the mean of the networks' probabilities", mistakes)


@check("ensemble", points=2)
def fraction_of_other_answers(student, rng):
    """Dissent: the fraction of the networks whose answer is not the ensemble's."""
    while True:
        logits = disagreeing(rng, m=int(rng.integers(4, 7)))
        each = softmax(logits, axis=-1)
        own, common = logits.argmax(-1), each.mean(0).argmax(-1)
        votes = np.stack([(own == c).sum(0) for c in range(3)], axis=1)
        other = (own != logits.mean(0).argmax(-1)).mean(0)
        if (votes[np.arange(80), common] < votes.max(1)).any() and ((own != common).mean(0) != other).any():
            break
    _, dissent = answer_of(student.ensemble(logits), 80, 3)
    close(
        dissent,
        (own != common).mean(0),
        "the dissent",
        {
            "this is the fraction that agrees; asked is the fraction that does not": (own == common).mean(0),
            "this is the number of networks; asked is their fraction": (own != common).sum(0),
            "the answers were compared with the majority of the votes; the ensemble's answer has the highest mean "
            "probability": 1 - votes.max(1) / len(logits),
            "the answers were compared with the answer of the mean logits": other,
            "this is the spread (standard deviation) of the probabilities, not a fraction of answers": each.std(0).max(
                1
            ),
            "this is one minus the largest mean probability, not a fraction of answers": 1 - each.mean(0).max(1),
        },
    )


# Task 4


def drawn(rng, n, scale, k=3):
    """Logits and labels drawn from softmax(logits / scale): the best temperature is close to `scale`."""
    honest = 1.5 * rng.normal(size=(n, k))
    labels = (softmax(honest, axis=1).cumsum(1) < rng.random((n, 1))).sum(1).clip(max=k - 1)
    return scale * honest, labels


def lowest(function):
    return float(
        np.exp(
            minimize_scalar(
                lambda u: function(np.exp(u)),
                bounds=(np.log(0.05), np.log(20)),
                method="bounded",
                options={"xatol": 1e-7},
            ).x
        )
    )


def mean_loss(logits, labels):
    return -np.mean(log_softmax(logits, axis=1)[np.arange(len(labels)), labels])


def best_temperature(logits, labels):
    return lowest(lambda t: mean_loss(logits / t, labels))


def judge_temperature(got, logits, labels):
    t = number(got, "the temperature")
    assert not np.isnan(t), "the temperature is nan: an exp or log went out of range; subtract the largest logit first"
    assert t > 0, f"a temperature must be above 0, or the order of the classes turns around; got {t:.4g}"
    want, truth = best_temperature(logits, labels), np.eye(logits.shape[1])[labels]
    mistakes = {
        "this is one end of the range: the loss has the wrong sign, is nan, does not depend on T (as the accuracy), or "
        "the softmax was applied twice": 0.05 if t < 1 else 20.0,
        "this is one divided by the right T: the logits were multiplied by T; divide them": 1 / want,
        "this is no change at all": 1.0,
        "the softmax was applied twice; the loss is the log of a single softmax": lowest(
            lambda t: mean_loss(softmax(logits / t, axis=1), labels)
        ),
        "the probabilities were divided by T; divide the logits": lowest(
            lambda t: mean_loss(softmax(logits, axis=1) / t, labels)
        ),
        "the squared error was made small; asked is the negative log likelihood": lowest(
            lambda t: ((softmax(logits / t, axis=1) - truth) ** 2).sum()
        ),
    }
    mistakes = {text: np.log(value) for text, value in mistakes.items() if abs(np.log(value / want)) > 0.03}
    close(np.log(t), np.log(want), "the logarithm of T", mistakes, rtol=0, atol=0.0105)


@check("fit_temperature", points=2)
def too_sure(student, rng):
    """A network that is too sure of itself: T above 1."""
    logits, labels = drawn(rng, 500, rng.uniform(2, 5))
    judge_temperature(student.fit_temperature(logits, labels), logits, labels)


@check("fit_temperature", points=1)
def too_modest(student, rng):
    """A network that is too modest: T below 1."""
    logits, labels = drawn(rng, 400, rng.uniform(0.15, 0.4), k=4)
    judge_temperature(student.fit_temperature(logits, labels), logits, labels)


@check("fit_temperature", points=1)
def huge_logits(student, rng):
    """Very large logits do no harm."""
    logits, labels = drawn(rng, 300, rng.uniform(6, 12))
    offset = rng.choice([-1, 1], (300, 1)) * rng.uniform(16_000, 20_000, (300, 1))
    t = number(student.fit_temperature(logits + offset, labels), "the temperature")
    if 0.051 < t < 19.6:  # not the end of the range, where a loss of nan ends up
        judge_temperature(t, logits, labels)
    assert t > 0 and abs(np.log(t / best_temperature(logits, labels))) < 0.0105, (
        f"with very large logits the result is {t:.4g}, and that is not the best T: exp overflows to inf, and the loss "
        "becomes nan. Subtract the largest logit of each image before"
    )


# Task 5


def gaps(confidence, right, edges, left=False):
    """(fraction of images, fraction right, mean confidence) of each bin that is not empty."""
    bins = np.searchsorted(edges, confidence, side="right" if left else "left")
    return np.array([[np.mean(bins == b), right[bins == b].mean(), confidence[bins == b].mean()] for b in set(bins)])


def ece(confidence, right, count=10, left=False):
    fraction, hit, sure = gaps(confidence, right, np.arange(1, count) / count, left).T
    return float(fraction @ np.abs(hit - sure))


def ece_mistakes(probs, labels):
    confidence, right = probs.max(1), probs.argmax(1) == labels
    fraction, hit, sure = gaps(confidence, right, np.arange(1, 10) / 10).T
    gap = np.abs(hit - sure)
    middle = (np.ceil(sure * 10) - 0.5) / 10
    true = probs[np.arange(len(labels)), labels]
    return {
        "every bin counts the same here; each bin must count by its number of images": gap.mean(),
        "divide by the number of images, not by the number of bins": gap.sum() / 10,
        "the gaps were added up without their fractions of the images": gap.sum(),
        "this is the gap over all images at once; take the gap of each bin first": abs(
            right.mean() - confidence.mean()
        ),
        "gaps of opposite sign cancel; take the absolute value of each bin's gap": fraction @ (sure - hit),
        "gaps of opposite sign cancel; take the absolute value of every bin's gap": fraction @ (hit - sure),
        "this is the largest gap (maximum calibration error); take the mean over the images": gap.max(),
        "the square of the gaps was used; use the absolute value": fraction @ gap**2,
        "the root of the mean square was used; use the mean of the absolute values": np.sqrt(fraction @ gap**2),
        "the middle of the bin was used in place of the mean confidence of its images": fraction @ np.abs(hit - middle),
        "the confidence is the largest probability, not the probability of the true class": ece(true, right),
        "the confidence is the largest probability, not the probability of class 1": ece(probs[:, 1], labels == 1),
        "15 bins were used; asked are 10": ece(confidence, right, 15),
        "the result is in percent; asked is a number from 0 to 1": 100 * fraction @ gap,
    }


def answered(rng, confidence, right, k=3):
    """Probabilities (n, k) with these confidences, and labels that make the answers right or wrong."""
    n = len(confidence)
    rest = rng.uniform(0.4, 0.6, n)
    probs = np.stack([confidence, (1 - confidence) * rest, (1 - confidence) * (1 - rest)], axis=1)
    labels = np.where(right, 0, rng.integers(1, k, n))
    order = np.stack([rng.permutation(k) for _ in range(n)])  # column j of an image goes to order[j]
    moved = np.empty_like(probs)
    np.put_along_axis(moved, order, probs, axis=1)
    return moved, order[np.arange(n), labels]


@check("calibration_error", points=2)
def gaps_by_images(student, rng):
    """Ten bins, each counted by its images."""
    confidence = 0.4 + 0.59 * np.sqrt(rng.random(400))
    right = rng.random(400) < np.where(confidence < 0.6, confidence + 0.25, confidence - 0.25)
    probs, labels = answered(rng, confidence, right)
    close(student.calibration_error(probs, labels), ece(confidence, right), "the ECE", ece_mistakes(probs, labels))


@check("calibration_error", points=1)
def bins_without_images(student, rng):
    """Bins without images add nothing."""
    confidence = np.concatenate([rng.uniform(0.92, 0.99, 60), rng.uniform(0.61, 0.69, 20)])
    right = rng.random(80) < 0.5
    probs, labels = answered(rng, confidence, right)
    got = number(student.calibration_error(probs, labels), "the ECE")
    assert not np.isnan(got), "the ECE is nan: the mean of a bin without images is nan; skip such bins"
    close(got, ece(confidence, right), "the ECE with bins that are empty", ece_mistakes(probs, labels))


@check("calibration_error", points=1)
def on_the_edge(student, rng):
    """A confidence on the edge belongs to the lower bin, and 1 to the last bin."""
    n = rng.integers(6, 12, 5) + [0, 8, 0, 0, 0]  # many right ones on the edge: the gaps do not cancel
    confidence = np.repeat([0.46, 0.5, 0.56, 0.95, 1.0], n)
    right = np.repeat([False, True, False, True, False], n)
    probs, labels = answered(rng, confidence, right)
    kept = confidence < 1
    dropped = kept.mean() * ece(confidence[kept], right[kept])
    dropped_left = kept.mean() * ece(confidence[kept], right[kept], left=True)
    close(
        student.calibration_error(probs, labels),
        ece(confidence, right),
        "the ECE with confidences on an edge",
        {
            "a confidence on an edge was put into the upper bin; the right edge belongs to the bin": ece(
                confidence, right, left=True
            ),
            "a confidence of exactly 1 fell out of the last bin": dropped,
            "a confidence of exactly 1 fell out of the last bin, and the right edge belongs to the bin": dropped_left,
            "a confidence of exactly 1 got a bin of its own, and edges went to the upper bin; the right edge belongs to "
            "the bin": eleven_bins(confidence, right),
        },
    )


def eleven_bins(confidence, right):
    """The ECE with np.floor(10 * confidence) as the bin: edges go up, and 1 gets an eleventh bin."""
    fraction, hit, sure = gaps(confidence, right, np.arange(1, 11) / 10, left=True).T
    return float(fraction @ np.abs(hit - sure))


# Task 6


def gray(x, center, width, inverted=False, minus=0.5, less=1.0, clip=True):
    """The standard's formula in floats: 0 to 255."""
    middle, span = center - minus, width - less
    y = ((x - middle) / span + 0.5) * 255
    if clip:
        y = np.clip(y, 0, 255)
    return 255 - y if inverted else y


NOT_CUT = "values outside of the window were not cut to 0 and 255"


def judge_gray(got, want, mistakes):
    """uint8 pixels that are `want` (floats) to the nearest; each mistake is given in floats, too."""
    pixels = array(got, want.shape, "the image")
    for mistake, other in mistakes.items():
        if (np.abs(pixels - other) <= 0.5 + 1e-6).all() and (np.abs(want - other) > 1.1).any():
            raise AssertionError(f"the image is wrong: {mistake}")
    assert not np.isnan(pixels).any(), "the image holds nan: 0 was divided by 0"
    assert isinstance(got, np.ndarray) and got.dtype == np.uint8, (
        f"the image should have the type uint8; got {describe(got)}"
    )
    good = np.abs(pixels - want) <= 0.5 + 1e-6
    if good.all():
        return
    uncut = mistakes.get(NOT_CUT, want)
    assert not any(np.array_equal(pixels, whole(uncut) % 256) for whole in (np.floor, np.ceil, np.rint)), (
        "values outside of the window wrap around in uint8: cut to 0 and 255 first"
    )
    assert set(np.unique(want)) != {0.0, 255.0} or set(np.unique(pixels)) <= {0.0, 255.0}, (
        "there is nothing between black and white here: a width of 1 is a threshold, and a value on it is below"
    )
    assert not any(np.array_equal(pixels, whole(want)) for whole in (np.floor, np.ceil)), (
        "the decimals were cut off: round to the nearest number before uint8"
    )
    raise AssertionError(f"the image is not what was asked for ({np.mean(~good):.0%} of the pixels are wrong)")


def window_mistakes(x, center, width, inverted=False):
    low, high = x.min(), x.max()
    return {
        NOT_CUT: gray(x, center, width, inverted, clip=False),
        "the formula of the standard has c - 0.5 and w - 1; here both are missing": gray(
            x, center, width, inverted, minus=0, less=0
        ),
        "the formula of the standard has w - 1, not w": gray(x, center, width, inverted, less=0),
        "the formula of the standard has c - 0.5, not c": gray(x, center, width, inverted, minus=0),
        "the window was ignored: the smallest and largest pixel were taken": gray(
            x, (low + high) / 2, high - low, inverted, minus=0, less=0
        ),
        "the center was taken as the lower end of the window": gray(x, center + width / 2, width, inverted),
        "the width was taken to each side of the center; half of it lies on each side": gray(
            x, center, 2 * width - 1, inverted
        ),
        "the range is 0 to 256; white is 255": gray(x, center, width, inverted) / 255 * 256,
        "the range is 0 to 1; asked is 0 to 255": gray(x, center, width, inverted) / 255,
    }


def stored(rng, center, width):
    """Pixels of 12 bits: many inside of the window, some outside."""
    inside = rng.integers(int(center - width / 2), int(center + width / 2) + 1, 120)
    return rng.permutation(np.concatenate([inside, rng.integers(0, 4096, 48)])).reshape(12, 14).astype(np.uint16)


@check("dicom_window", points=2)
def formula_of_the_standard(student, rng):
    """The linear window of the standard, in uint8."""
    center, width = float(rng.integers(600, 3000)), float(rng.integers(20, 60))
    pixels = stored(rng, center, width)
    header = {"slope": 1.0, "intercept": 0.0, "center": center, "width": width, "photometric": "MONOCHROME2"}
    x = pixels.astype(float)
    mistakes = window_mistakes(x, center, width)
    mistakes["it is inverted: in MONOCHROME2 small values are dark"] = gray(x, center, width, inverted=True)
    judge_gray(student.dicom_window(pixels, header), gray(x, center, width), mistakes)


@check("dicom_window", points=1)
def rescaled_before(student, rng):
    """Slope and intercept come before the window."""
    center, width = float(rng.integers(-100, 300)), float(rng.integers(1500, 2500))
    slope, intercept = float(rng.choice([0.25, 0.5, 2.0, 4.0])), -float(rng.integers(200, 400))
    values = rng.uniform(center - width, center + width, (9, 16))
    pixels = np.rint((values - intercept) / slope).astype(np.int16)
    header = {"slope": slope, "intercept": intercept, "center": center, "width": width, "photometric": "MONOCHROME2"}
    raw = pixels.astype(float)
    x = slope * raw + intercept
    mistakes = {
        "slope and intercept were not used": gray(raw, center, width),
        "the intercept was added before the slope was multiplied": gray((raw + intercept) * slope, center, width),
        "the intercept was left out": gray(slope * raw, center, width),
        "the slope was left out": gray(raw + intercept, center, width),
        "the intercept was subtracted; it is added": gray(slope * raw - intercept, center, width),
        **window_mistakes(x, center, width),
    }
    judge_gray(student.dicom_window(pixels, header), gray(x, center, width), mistakes)


@check("dicom_window", points=2)
def small_values_bright(student, rng):
    """MONOCHROME1: the result is inverted."""
    center, width = float(rng.integers(900, 1800)), float(rng.integers(30, 80))
    pixels = stored(rng, center, width)
    header = {"slope": 1.0, "intercept": 0.0, "center": center, "width": width, "photometric": "MONOCHROME1"}
    x = pixels.astype(float)
    turned = x.max() - x
    mistakes = {
        "MONOCHROME1 was not inverted: small values are bright": gray(x, center, width),
        "the stored pixels were inverted before the window; invert the result": gray(turned, center, width),
        "the stored pixels were inverted (4095 - x) before the window; invert the result": gray(
            4095 - x, center, width
        ),
        "the result was subtracted from 256; white is 255": np.round(gray(x, center, width, inverted=True) + 1) % 256,
        "the result was negated, so it wraps around; it is 255 minus the result": (
            256 - np.rint(gray(x, center, width))
        )
        % 256,
        **window_mistakes(x, center, width, inverted=True),
    }
    judge_gray(student.dicom_window(pixels, header), gray(x, center, width, inverted=True), mistakes)


@check("dicom_window", points=1)
def width_of_one(student, rng):
    """A width of 1 is a threshold."""
    photometric = str(rng.choice(["MONOCHROME1", "MONOCHROME2"]))
    whole = int(rng.integers(20, 60))
    for center in (float(whole), whole + 0.5):
        pixels = rng.integers(whole - 4, whole + 5, (10, 12)).astype(np.uint16)
        pixels[0, :3] = whole - 1, whole, whole + 1
        header = {"slope": 1.0, "intercept": 0.0, "center": center, "width": 1.0, "photometric": photometric}

        def cut(bright):
            return np.where(bright != (photometric == "MONOCHROME1"), 255.0, 0.0)

        want = cut(pixels > center - 0.5)
        judge_gray(
            student.dicom_window(pixels, header),
            want,
            {
                "with a width of 1 all pixels became black": np.zeros(want.shape),
                "with a width of 1 all pixels became white": np.full(want.shape, 255.0),
                "it is not inverted the way the header says": 255 - want,
                "with a width of 1 the threshold is c - 0.5, not c": cut(pixels > center),
                "with a width of 1 a value of exactly c - 0.5 is below the window (the first case has a <=)": cut(
                    pixels >= center - 0.5
                ),
            },
        )
