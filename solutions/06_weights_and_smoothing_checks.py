"""Checks of exercise 6: class weights, label smoothing and learning rates."""

import numpy as np
import torch
from torch.nn import functional as F

from coursekit.grade.checks import array, check, close, describe, number


def _pair(value, what):
    many = isinstance(value, list) or (isinstance(value, np.ndarray) and value.ndim > 0)
    assert many and len(value) == 2, f"the function should return two things, {what}; got {describe(value)}"
    return value


# Task 1


def _labels(rng, counts):
    return rng.permutation(np.repeat(np.arange(len(counts)), counts))


def _counts(rng):
    return rng.permutation([int(rng.integers(2, 6)), int(rng.integers(10, 20)), int(rng.integers(30, 60)), 7])


@check("balanced_weights", points=2)
def rare_classes_weigh_more(student, rng):
    """A class with half the images has twice the weight."""
    counts = _counts(rng)
    n, k = counts.sum(), len(counts)
    got = array(student.balanced_weights(_labels(rng, counts), k), (k,), "the weights")
    want = n / (k * counts)
    close(
        got,
        want,
        "the list of weights",
        {
            "frequent classes weigh more; it should be the rare ones": k * counts / n,
            "these are the fractions of the classes; a rare class should weigh more": counts / n,
            "n / n_c was not divided by the number of classes, so the mean weight of an image is not 1": n / counts,
            "this is 1 / n_c; multiply by n / K, so that the mean weight of an image is 1": 1 / counts,
            "the weights sum to 1; the mean weight of an *image* should be 1": want / want.sum(),
            "the weights of the classes have the mean 1; the mean weight of an *image* should be 1": want / want.mean(),
            "the largest class has the weight 1; the mean weight of an image should be 1": counts.max() / counts,
            "the square root was taken": np.sqrt(want),
            "these are the counts": counts,
        },
    )


@check("balanced_weights", points=1)
def class_without_images(student, rng):
    """A class without images gets the weight 0, and the others are not disturbed."""
    for empty in (4, int(rng.integers(1, 4))):
        counts = np.insert(_counts(rng), empty, 0)
        got = array(student.balanced_weights(_labels(rng, counts), 5), (5,), "the weights")
        assert np.isfinite(got).all(), "a class without images gets an infinite weight or nan; it should be 0"
        with np.errstate(divide="ignore"):
            every, present = (np.where(counts > 0, counts.sum() / (k * counts), 0) for k in (5, 4))
        close(
            got,
            every,
            "the list of weights with an empty class",
            {
                "K was taken as the number of classes that occur; it is the argument `classes`": present,
                "the class without images has a weight that is not 0": np.where(counts > 0, every, counts.sum() / 5),
            },
        )


# Tasks 2 and 3


def _batch(rng, n=9, k=4):
    logits = rng.normal(0, 2, (n, k))
    return logits, rng.permutation(np.arange(n) % k)


def _weighted(logits, labels, weights=None):
    weights = None if weights is None else torch.from_numpy(weights)
    return F.cross_entropy(torch.from_numpy(logits), torch.from_numpy(labels), weight=weights).item()


def _softmax(z):
    return torch.from_numpy(z).softmax(1).numpy()


@check("weighted_cross_entropy", points=2)
def weighted_mean(student, rng):
    """The loss is the weighted mean over the batch, with one softmax."""
    logits, labels = _batch(rng)
    weights = rng.permutation([0.3, 0.9, 1.7, 3.2]) * rng.uniform(0.9, 1.1, 4)
    labels[:3] = int(np.argmax(weights))  # so that the weights of the batch do not sum to its size
    got = number(student.weighted_cross_entropy(logits, labels, weights), "the loss")
    rows, w = np.arange(len(labels)), weights[labels]
    want = _weighted(logits, labels, weights)
    p = _softmax(logits)[rows, labels]
    losses = -np.log(p)
    close(
        got,
        want,
        "the loss",
        {
            "the softmax was applied twice": _weighted(_softmax(logits), labels, weights),
            "the weighted losses were divided by the number of images, not by the sum of their weights": (
                w * losses
            ).sum()
            / len(w),
            "the weights were not used": losses.mean(),
            "the sum was taken, not the mean": (w * losses).sum(),
            "the sum was divided by the sum of the class weights; each image counts with its own weight": (
                w * losses
            ).sum()
            / weights.sum(),
            "the sign is wrong: a loss is positive": -want,
            "this is the mean probability; the logarithm is missing": (w * p).sum() / w.sum(),
            "one minus the probability was taken instead of the logarithm": (w * (1 - p)).sum() / w.sum(),
            "there is no softmax: the logits themselves were taken": -(w * logits[rows, labels]).sum() / w.sum(),
            "the logarithm to the base 2 was taken": want / np.log(2),
            "the logarithm to the base 10 was taken": want / np.log(10),
            "the weight of the most probable class was used instead of the weight of the true class": (
                weights[logits.argmax(1)] * losses
            ).sum()
            / weights[logits.argmax(1)].sum(),
        },
    )


@check("weighted_cross_entropy", points=1)
def equal_weights(student, rng):
    """With equal weights, whatever their size, it is the plain mean."""
    logits, labels = _batch(rng)
    size = float(rng.uniform(3, 9))
    got = number(student.weighted_cross_entropy(logits, labels, np.full(4, size)), "the loss")
    plain = _weighted(logits, labels)
    close(
        got,
        plain,
        "the loss with equal weights",
        {
            "the softmax was applied twice": _weighted(_softmax(logits), labels),
            "it grows with the size of the weights: divide by the sum of the weights of the images": size * plain,
            "the sum was taken, not the mean": size * plain * len(labels),
        },
    )


@check("weighted_cross_entropy", points=1)
def large_logits(student, rng):
    """Logits of a thousand give a finite loss."""
    logits, labels = _batch(rng)
    logits = 700 * logits + 2000 * np.sign(rng.normal(size=(len(labels), 1)))
    weights = np.array([1.0, 2.0, 0.5, 1.5])
    got = number(student.weighted_cross_entropy(logits, labels, weights), "the loss of large logits")
    assert np.isfinite(got), f"large logits give the loss {got}: subtract the largest logit of each row before exp"
    p = _softmax(logits)[np.arange(len(labels)), labels]
    cut = {
        f"the probability is cut at {eps:g} before the logarithm; use z_y - log(sum(exp(z))) instead": -(
            weights[labels] * np.log(f(p, eps))
        ).sum()
        / weights[labels].sum()
        for eps in (1e-15, 1e-12, 1e-10, 1e-9, 1e-8, 1e-7, 1e-6)
        for f in (np.maximum,)
    }
    close(
        got,
        _weighted(logits, labels, weights),
        "the loss of large logits",
        cut | {"the softmax was applied twice": _weighted(_softmax(logits), labels, weights)},
    )


def _smooth(rng):
    logits, labels = _batch(rng)
    return logits, labels, float(rng.uniform(0.15, 0.4))


@check("smoothed_loss", points=1)
def smoothed_targets(student, rng):
    """The part eps is spread over all classes."""
    logits, labels, eps = _smooth(rng)
    got = array(_pair(student.smoothed_loss(logits, labels, eps), "(targets, loss)")[0], (9, 4), "the targets")
    one_hot = np.eye(4)[labels]
    close(
        got,
        (1 - eps) * one_hot + eps / 4,
        "the table of targets",
        {
            "eps was spread only over the three other classes; the true one gets its part, too": (1 - eps) * one_hot
            + eps / 3 * (1 - one_hot),
            "the targets are not smoothed": one_hot,
            "the true class lost eps, but nobody got it: the rows do not sum to 1": (1 - eps) * one_hot,
            "eps / K was added, but the true class did not lose eps: the rows do not sum to 1": one_hot + eps / 4,
            "every other class got eps; it should be eps / K": np.where(one_hot, 1 - eps, eps),
            "the true class has only 1 - eps; it gets eps / K, too": np.where(one_hot, 1 - eps, eps / 4),
            "eps and 1 - eps are exchanged": eps * one_hot + (1 - eps) / 4,
        },
    )


def _against(targets, log_p):
    return -(targets * log_p).sum(1).mean()


@check("smoothed_loss", points=2)
def smoothed_cross_entropy(student, rng):
    """The loss against the smoothed targets, with one softmax."""
    logits, labels, eps = _smooth(rng)
    got = number(_pair(student.smoothed_loss(logits, labels, eps), "(targets, loss)")[1], "the loss")
    z, y = torch.from_numpy(logits), torch.from_numpy(labels)
    want = F.cross_entropy(z, y, label_smoothing=eps).item()
    one_hot, p = np.eye(4)[labels], _softmax(logits)
    targets = (1 - eps) * one_hot + eps / 4
    mistakes = {
        "the softmax was applied twice": F.cross_entropy(z.softmax(1), y, label_smoothing=eps).item(),
        "it is the loss without smoothing: use the targets": F.cross_entropy(z, y).item(),
        "eps was spread only over the other classes": _against(
            (1 - eps) * one_hot + eps / 3 * (1 - one_hot), np.log(p)
        ),
        "the sum over the images was taken, not the mean": want * len(labels),
        "the mean over all images and classes was taken: sum over the classes, mean over the images": want / 4,
        "the sign is wrong: a loss is positive": -want,
        "there is no softmax: the logits themselves were taken": _against(targets, logits),
        "this is the divergence from the targets: the entropy of the targets was subtracted": want
        + (targets * np.log(targets)).sum(1).mean(),
        "only the true class was used, with its smoothed target": _against(targets * one_hot, np.log(p)),
    }
    close(got, want, "the smoothed loss", mistakes)


@check("smoothed_loss", points=1)
def no_and_full_smoothing(student, rng):
    """eps = 0 is plain cross-entropy; eps = 1 asks for the same probability of all classes."""
    logits, labels, _ = _smooth(rng)
    for eps in (0.0, 1.0):
        targets, loss = _pair(student.smoothed_loss(logits, labels, eps), "(targets, loss)")
        want = F.cross_entropy(torch.from_numpy(logits), torch.from_numpy(labels), label_smoothing=eps).item()
        close(
            array(targets, (9, 4), "the targets"),
            np.eye(4)[labels] if eps == 0 else np.full((9, 4), 0.25),
            f"the table of targets for eps = {eps:g}",
        )
        close(
            number(loss, "the loss"),
            want,
            f"the loss for eps = {eps:g}",
            {
                "the softmax was applied twice": F.cross_entropy(
                    torch.from_numpy(_softmax(logits)), torch.from_numpy(labels), label_smoothing=eps
                ).item()
            },
        )
    loss = number(_pair(student.smoothed_loss(1000 * logits, labels, 0.1), "(targets, loss)")[1], "the loss")
    assert np.isfinite(loss), f"large logits give the loss {loss}: subtract the largest logit of each row before exp"


# Task 4. (The schedules of torch say the same: tests/answers hands them in as correct answers. They are not used
# here, because the first optimizer of a process takes more than a second.)


def _seen(before, after, wrong=""):
    """What the rule says; `wrong` builds in a known mistake."""
    steps, spreads = after - before, (np.ptp(before), np.ptp(after))
    change = steps.mean() if wrong == "upward" else abs(steps.mean())
    spread = {"one": spreads[0], "least": min(spreads), "sum": sum(spreads), "size": 0.0}.get(wrong, max(spreads))
    agree = wrong == "sign" or (steps > 0).all() or (steps < 0).all()
    return bool(agree and change > spread)


def _verdict(value):
    change, seen = _pair(value, "the mean change and whether a difference is seen")
    assert isinstance(seen, (bool, np.bool_)), (
        f"whether a difference is seen should be True or False; got {describe(seen)}"
    )
    return number(change, "the mean change"), bool(seen)


@check("difference_seen", points=1)
def change_with_its_sign(student, rng):
    """The mean change goes from before to after, and has its sign."""
    for _ in range(6):
        before, after = rng.uniform(0.5, 1, (2, int(rng.integers(2, 6))))
        got, _ = _verdict(student.difference_seen(before, after))
        want = (after - before).mean()
        close(
            got,
            want,
            "the mean change",
            {
                "the sign is turned: the change is after minus before": -want,
                "the sign is lost": abs(want),
                "it is the change of the best scores, not the mean change": after.max() - before.max(),
                "the changes were added; take their mean": want * len(before),
            },
        )


@check("difference_seen", points=2)
def seen_or_not(student, rng):
    """A difference is seen when all seeds agree and the mean change is larger than both spreads."""
    wrong = {
        "upward": "a fall with every seed is a difference, too: compare the size of the change with the spreads",
        "sign": "the seeds do not agree about the sign, so no difference is seen",
        "size": "the mean change is not larger than the spread, so no difference is seen",
        "one": "the change must be larger than the spread of *each* recipe, of the second one, too",
        "least": "the change must be larger than the spread of *each* recipe, not only than the smaller one",
        "sum": "compare with the larger one of the two spreads, not with their sum",
    }
    cases = []
    for mistake in rng.permutation([*wrong] * 3):  # in any order, so that the answers of another batch do not fit
        for _ in range(2000):  # draw until this mistake would show
            n = int(rng.integers(2, 5))
            before = 0.8 + rng.uniform(0, 0.06) * rng.uniform(-1, 1, n)
            after = 0.8 + rng.uniform(-0.1, 0.1) + rng.uniform(0, 0.06) * rng.uniform(-1, 1, n)
            if _seen(before, after, mistake) != _seen(before, after):
                break
        cases.append((mistake, before, after, _verdict(student.difference_seen(before.copy(), after.copy()))[1]))
    missed = [case for case in cases if case[-1] != _seen(*case[1:3])]
    # the mistake that gives all these answers, or else the first one that shows
    explains = (m for m in wrong if all(got == _seen(before, after, m) for _, before, after, got in cases))
    shown = (m for m in wrong if m in {case[0] for case in missed})
    if missed:
        named = next(explains, None) or next(shown)
        _, before, after, got = next(case for case in missed if _seen(*case[1:3], named) == case[-1])
        scores = f"the scores {before.round(3).tolist()} and {after.round(3).tolist()}"
        raise AssertionError(f"for {scores} it should be {not got}, got {got}: {wrong[named]}")


# Tasks 5 and 6


def _plateau(losses, lr, factor, wait, wrong=""):
    """The rates; `wrong` builds in a known mistake."""
    rates, best, waited = [], np.inf, 0
    for loss in losses:
        old = lr
        better = loss <= best if wrong == "equal" else loss < best
        best = loss if wrong == "before" else min(best, loss)
        waited = 0 if better else waited + 1
        if waited >= wait if wrong == "early" else waited > wait:
            lr = lr - factor if wrong == "minus" else lr * factor
            waited = waited if wrong == "keeps counting" else 0
        rates.append(lr if wrong == "at once" else old)
    return np.array(rates)


_PLATEAU = {
    "compare with the lowest loss of all epochs before, not with the loss of the epoch before": "before",
    "it reacts one epoch too early: *more than* `wait` epochs without an improvement are needed": "early",
    "the lower rate is used one epoch too early: it comes with the next epoch": "at once",
    "an equal loss was taken for an improvement": "equal",
    "after a reduction, the count must begin at 0 again": "keeps counting",
}


def _up_and_down(rng, n):
    """A loss that falls twice and stays above its lowest value in between; all values differ."""
    cut = n // 4
    first = np.linspace(2, 1.5, cut)
    second = 1.6 + 0.02 * np.abs(rng.permutation(n - 2 * cut)) + rng.uniform(0, 0.01)
    return np.concatenate([first, second, np.linspace(1.45, 1.2, cut)])


@check("plateau_rates", points=2)
def rate_falls_on_a_plateau(student, rng):
    """The rate falls after more than `wait` epochs without a new lowest loss."""
    for wait in (2, 3):
        losses = _up_and_down(rng, 28)
        lr, factor = float(rng.uniform(0.01, 0.1)), float(rng.uniform(0.2, 0.6))
        got = array(student.plateau_rates(losses, lr, factor, wait), losses.shape, "the rates")
        wrong = {text: _plateau(losses, lr, factor, wait, name) for text, name in _PLATEAU.items()}
        close(
            got,
            _plateau(losses, lr, factor, wait),
            "the list of rates",
            wrong | {"the rate never falls": np.full(len(losses), lr)},
            rtol=1e-6,
            atol=1e-15,
        )


@check("plateau_rates", points=1)
def ties_and_no_patience(student, rng):
    """An equal loss is no improvement; with wait = 0, one epoch without an improvement is enough."""
    losses = np.repeat(np.sort(rng.permutation(50)[:4])[::-1] / 10.0, [1, 4, 1, 5])
    lr, factor = float(rng.uniform(0.01, 0.1)), float(rng.uniform(0.2, 0.6))
    for wait in (1, 0):
        got = array(student.plateau_rates(losses, lr, factor, wait), losses.shape, "the rates")
        wrong = {text: _plateau(losses, lr, factor, wait, name) for text, name in _PLATEAU.items()}
        close(
            got,
            _plateau(losses, lr, factor, wait),
            f"the list of rates with equal losses and wait = {wait}",
            wrong,
            rtol=1e-6,
            atol=1e-15,
        )


def _stop(losses, patience):
    """Look for the first epoch at the end of `patience` epochs that do not get below the lowest loss before them."""
    losses = np.asarray(losses)
    for ran in range(patience + 1, len(losses) + 1):
        if losses[ran - patience : ran].min() >= losses[: ran - patience].min():
            return ran, int(np.argmin(losses[:ran]))
    return len(losses), int(np.argmin(losses))


def _stop_from_one_before(losses, patience):
    """Wrong: an epoch counts as better when it is below the one before it."""
    waited = 0
    for ran in range(2, len(losses) + 1):
        waited = 0 if losses[ran - 1] < losses[ran - 2] else waited + 1
        if waited >= patience:
            return ran
    return len(losses)


def _judge_stop(student, losses, patience, told=""):
    ran, kept = (
        number(v, n)
        for v, n in zip(_pair(student.early_stopping(losses, patience), "(ran, kept)"), ("ran", "kept"), strict=True)
    )
    want_ran, want_kept = _stop(losses, patience)
    n, before = len(losses), _stop_from_one_before(losses, patience)
    close(
        ran,
        want_ran,
        f"the number of epochs that ran{told}",
        {
            "compare with the lowest loss of all epochs before, not with the loss of the epoch before": before
            if before != min(want_ran + 1, n)
            else -1,
            "it is the number of the last epoch; counted from 0, that is one less than the epochs that ran": want_ran
            - 1,
            "it ran one epoch too long: stop as soon as `patience` epochs in a row brought no improvement": min(
                want_ran + 1, n
            )
            if want_ran < n
            else -1,
            "the training never stopped": n if want_ran < n else -1,
            "it is the number of the kept epoch": want_kept,
        },
    )
    close(
        kept,
        want_kept,
        f"the number of the kept epoch{told}",
        {
            "of equal losses, the earlier epoch is kept": int(
                np.flatnonzero(losses[:want_ran] == losses[want_kept])[-1]
            ),
            "the last epoch was kept; keep the one with the lowest loss": want_ran - 1,
            "it is the lowest loss of the whole list, but this epoch never ran": int(np.argmin(losses)),
            "epochs count from 0, so it is one less": want_kept + 1,
            "it is the highest loss": int(np.argmax(losses[:want_ran])),
        },
    )


@check("early_stopping", points=2)
def stops_and_keeps_the_best(student, rng):
    """It stops in time, and keeps the best epoch of those that ran."""
    for _ in range(2):
        patience = int(rng.integers(3, 8))
        fall = np.sort(rng.uniform(1, 2, int(rng.integers(4, 20))))[::-1]
        bump = np.array([2.5, 2.3])  # two epochs without an improvement are too few to stop
        # Above the best, but falling: who compares with the epoch before goes on.
        late = np.linspace(0.99, 0.91, patience + 3)
        losses = np.concatenate([fall, bump, [0.9], late, [0.1, 0.05], np.linspace(0.2, 0.8, patience + 2)])
        _judge_stop(student, losses, patience)


@check("early_stopping", points=1)
def never_stops(student, rng):
    """Where the loss keeps improving, all epochs run."""
    losses = np.sort(rng.uniform(0, 1, int(rng.integers(8, 60))))[::-1].copy()
    _judge_stop(student, losses, 1, " when every epoch improves")
    losses = np.concatenate([losses, [2.0, 3.0]])
    _judge_stop(student, losses, 3, " when the list ends before patience does")
    _judge_stop(student, losses[:1], 2, " when there is only one epoch")


@check("early_stopping", points=1)
def equal_losses(student, rng):
    """An equal loss is no improvement, and the earlier of two equal epochs is kept."""
    best = float(rng.uniform(0.2, 0.5))
    for patience in rng.permutation([3, 5, 4]).tolist():
        fall = np.sort(rng.uniform(0.8, 1, int(rng.integers(2, 30))))[::-1]
        losses = np.array([*fall, best, 0.9, best, best, 0.7, best, best])
        _judge_stop(student, losses, patience, " with equal losses")
