"""Checks of exercise 09: macro F1, the pair confused most, merged classes, and what the source alone knows."""

import numpy as np
from sklearn.metrics import f1_score
from sklearn.model_selection import LeaveOneGroupOut

from coursekit.grade.checks import array, check, close, describe, number

LIBRARIES = ("numpy",)


def parts(value, count, asked):
    """A returned tuple, list or array as a list of `count` values."""
    many = isinstance(value, list) or (isinstance(value, np.ndarray) and value.ndim > 0)
    assert many and len(value) == count, f"asked are {asked}; got {describe(value)}"
    return list(value)


# Task 1


def counts(rng, k=4):
    """A confusion matrix with rare and frequent classes, and no empty row, column or diagonal cell."""
    sizes = rng.permutation([12, 40, 90, 300, 25][:k])
    matrix = np.stack([rng.multinomial(n, rng.dirichlet(np.ones(k))) for n in sizes])
    return matrix + np.diag(rng.integers(3, 20, k)) + 1


def labels_of(matrix):
    """Labels and predictions that have this confusion matrix."""
    truth, said = (np.repeat(index.ravel(), matrix.ravel()) for index in np.indices(matrix.shape))
    return truth, said


def sklearn_f1(matrix, average):
    truth, said = labels_of(matrix)
    return f1_score(truth, said, labels=range(len(matrix)), average=average, zero_division=0)


def scores(value, k):
    f1, macro = parts(value, 2, "two results, f1 and macro")
    return array(f1, (k,), "f1"), number(macro, "macro")


@check("f1_scores", points=2)
def every_class_by_itself(student, rng):
    """F1 of every class."""
    matrix = counts(rng)
    f1, _ = scores(student.f1_scores(matrix), 4)
    hits, both = np.diag(matrix), matrix.sum(0) + matrix.sum(1)
    recall, precision = hits / matrix.sum(1), hits / matrix.sum(0)
    close(
        f1,
        sklearn_f1(matrix, None),
        "F1",
        {
            "this is the recall of every class": recall,
            "this is the precision of every class": precision,
            "this is the plain mean of precision and recall; F1 is the harmonic mean": (precision + recall) / 2,
            "the factor 2 is missing above the line": hits / both,
            "the factor 2 is missing in front of TP; this is the Jaccard index": hits / (both - hits),
        },
    )


@check("f1_scores", points=2)
def mean_of_the_classes(student, rng):
    """Macro F1: every class counts the same."""
    matrix = counts(rng)
    matrix[0, 0] += 500  # one frequent, easy class: the mistakes lie far apart
    order = rng.permutation(4)
    matrix = matrix[np.ix_(order, order)]
    _, macro = scores(student.f1_scores(matrix), 4)
    hits = np.diag(matrix)
    recall, precision = (hits / matrix.sum(1)).mean(), (hits / matrix.sum(0)).mean()
    close(
        macro,
        sklearn_f1(matrix, "macro"),
        "macro F1",
        {
            "this is the accuracy (micro F1), where every image counts the same": hits.sum() / matrix.sum(),
            "the classes were weighted by their number of images; every class must count the same": sklearn_f1(
                matrix, "weighted"
            ),
            "precision and recall were averaged first, and F1 computed from the two means; take the mean of the F1": 2
            * precision
            * recall
            / (precision + recall),
            "this is the mean of the recalls (balanced accuracy)": recall,
            "this is the mean of the precisions": precision,
        },
    )


@check("f1_scores", points=1)
def rare_class_ignored(student, rng):
    """A class that the model never says has F1 = 0, and counts in the mean."""
    matrix = counts(rng)
    c = int(rng.integers(4))
    matrix[:, c] = 0
    f1, macro = scores(student.f1_scores(matrix), 4)
    want = sklearn_f1(matrix, None)
    assert np.isfinite(f1[c]), f"F1 of a class that was never said is {f1[c]}: it is 0; take care of 0/0"
    close(f1, want, "F1 with a class that was never said")
    close(macro, want.mean(), "macro F1", {"the class that was never said was left out of the mean": want.sum() / 3})


@check("f1_scores", points=1)
def class_without_images(student, rng):
    """A class that does not occur at all has F1 = 0, and counts in the mean."""
    matrix = counts(rng, 5)
    c = int(rng.integers(5))
    matrix[:, c] = matrix[c] = 0
    f1, macro = scores(student.f1_scores(matrix), 5)
    want = sklearn_f1(matrix, None)
    assert np.isfinite(f1[c]), f"F1 of a class that does not occur is {f1[c]}: it counts as 0; take care of 0/0"
    assert f1[c] < 0.5, "F1 of a class that does not occur should count as 0, but it is 1"
    close(f1, want, "F1 with a class that does not occur")
    close(macro, want.mean(), "macro F1", {"the class that does not occur was left out of the mean": want.sum() / 4})


# Task 2


def confused(value):
    i, j, fraction = (
        number(v, what)
        for v, what in zip(parts(value, 3, "three results, i, j and fraction"), ("i", "j", "fraction"), strict=True)
    )
    assert i != j, f"the pair ({i:g}, {j:g}) is on the diagonal: these images were called right"
    return (i, j), fraction


def largest(values):
    values = np.where(np.eye(len(values), dtype=bool), -1, values)
    return tuple(int(v) for v in np.argwhere(values == values.max())[0])


def distinct(rng):
    """A confusion matrix whose largest count, fraction of the row and fraction of the column are at different places."""
    while True:
        m = counts(rng)
        rows, columns = m / m.sum(1, keepdims=True), m / m.sum(0, keepdims=True)
        i, j = largest(rows)
        fractions = np.sort(rows[~np.eye(len(m), dtype=bool)])
        others = {(j, i), largest(m), largest(columns)}
        clear = fractions[-1] - fractions[-2] > 0.01 and np.diag(rows).max() > fractions[-1]
        if len(others) == 3 and (i, j) not in others and clear:
            return m


@check("most_confused", points=2)
def largest_fraction_of_a_row(student, rng):
    """The pair with the largest fraction of the true class."""
    matrix = distinct(rng)
    pair, fraction = confused(student.most_confused(matrix))
    rows = matrix / matrix.sum(1, keepdims=True)
    want = largest(rows)
    if pair != want:
        assert pair != want[::-1], "the pair is the wrong way round: first the true class (row), then what was said"
        assert pair != largest(matrix), "this is the largest count; asked is the largest fraction of the row"
        assert pair != largest(matrix / matrix.sum(0)), (
            "this is the largest fraction of a column; divide by the row sums"
        )
        raise AssertionError(f"the pair ({pair[0]:g}, {pair[1]:g}) does not have the largest fraction of its row")
    close(
        fraction,
        rows[want],
        "the fraction",
        {
            "this is the count, not the fraction": matrix[want],
            "this is the fraction of all images; divide by the images of the true class": matrix[want] / matrix.sum(),
            "this is the fraction of the column; divide by the images of the true class": matrix[want]
            / matrix[:, want[1]].sum(),
            "this is the fraction of the wrongly called images of the class; divide by all its images": matrix[want]
            / (matrix[want[0]].sum() - matrix[want[0], want[0]]),
        },
    )


@check("most_confused", points=1)
def direction_counts(student, rng):
    """ "Viral called bacterial" is not "bacterial called viral"."""
    for k in (4, int(rng.integers(5, 9)), 6):
        matrix = np.diag(np.full(k, rng.integers(60, 90))) + 1
        i, j, a, b = (int(v) for v in rng.permutation(k)[:4])
        matrix[i, j] = 40  # the largest fraction of a row in one direction
        matrix[a, b] = matrix[b, a] = 30  # the largest one when both directions are added
        pair, _ = confused(student.most_confused(matrix))
        assert pair not in ((a, b), (b, a)), "both directions were added up; a pair has a direction: (true class, said)"
        assert pair != (j, i), "the pair is the wrong way round: first the true class (row), then what was said"
        assert pair == (i, j), f"the pair ({pair[0]:g}, {pair[1]:g}) does not have the largest fraction of its row"


@check("most_confused", points=1)
def equal_fractions(student, rng):
    """Of equal fractions the first counts, and an empty row does no harm."""
    for _ in range(2):
        k = int(rng.integers(5, 9))
        n, most = int(rng.integers(5, 9)), int(rng.integers(20, 60))
        matrix = np.diag([most] * k)
        empty, *used = rng.permutation(k)[:4].tolist()
        cells = sorted((row, int(rng.choice([c for c in range(k) if c != row]))) for row in used)
        for cell in cells:
            matrix[cell] = n
            matrix[cell[0], cell[0]] -= n
        matrix[empty] = 0
        pair, fraction = confused(student.most_confused(matrix))
        assert pair[0] != empty, "the answer is a class without images: its fraction is 0 (0/0 gave nan, and nan won)"
        assert pair == cells[0] or pair[::-1] != cells[0], "the pair is the wrong way round: first the true class (row)"
        columns = pair == largest(matrix / np.maximum(matrix.sum(0), 1))
        assert pair != cells[-1], "of equal fractions the last one was taken; asked is the first, read row by row" + (
            " (or the columns were taken: divide by the row sums)" if columns else ""
        )
        assert pair == cells[0] or not columns, "this is the largest fraction of a column; divide by the row sums"
        assert pair == cells[0], (
            f"of equal fractions the first one is asked, read row by row; got ({pair[0]:g}, {pair[1]:g})"
        )
        close(fraction, n / most, "the fraction")


# Task 3


def merging_mistakes(probs, new):
    m = int(new.max()) + 1
    top = np.stack([probs[:, new == g].max(1) for g in range(m)], 1)
    last = np.stack([probs[:, np.flatnonzero(new == g)[-1]] for g in range(m)], 1)
    mean = np.stack([probs[:, new == g].mean(1) for g in range(m)], 1)
    total = np.stack([probs[:, new == g].sum(1) for g in range(m)], 1)
    return {
        "the largest probability of the group was taken; the probability of 'or' is the sum": top,
        "the largest probability of the group was taken (and the rows scaled to 1); the probability of 'or' is the sum": top
        / top.sum(1, keepdims=True),
        "the mean of the group was taken; the probability of 'or' is the sum": mean,
        "only the last class of each group is counted: `merged[:, new] += probs` does not add up": last,
        "the answers were merged (0 and 1); asked are the merged probabilities": np.eye(m)[new[probs.argmax(1)]],
        "the answers were merged after adding (0 and 1); asked are the probabilities": np.eye(m)[total.argmax(1)],
    }


def merged(probs, new):
    return probs @ (new[:, None] == np.arange(new.max() + 1)).astype(float)


@check("merge_classes", points=2)
def ill_or_not(student, rng):
    """Four classes become two: the probabilities are added."""
    probs, new = rng.dirichlet(np.ones(4), 60), np.array([0, 1, 1, 1])
    got = array(student.merge_classes(probs, new), (60, 2), "the array of merged probabilities")
    close(got, merged(probs, new), "the array of merged probabilities", merging_mistakes(probs, new))


@check("merge_classes", points=2)
def any_grouping(student, rng):
    """Any number of groups, in any order."""
    new = np.array([2, 0, 1, 2, 0, 2])
    while new[0] == 2 or list(dict.fromkeys(new.tolist())) == [0, 1, 2]:
        new = rng.permutation(new)
    probs = rng.dirichlet(np.ones(6), 40)
    got = array(student.merge_classes(probs, new), (40, 3), "the merged probabilities of three groups")
    mistakes = merging_mistakes(probs, new)
    for order in ([0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]):
        mistakes[f"the new classes stand in another order {tuple(order)}; column g belongs to the number g"] = merged(
            probs, new
        )[:, order]
    ends = np.cumsum(np.bincount(new))[:-1]
    mistakes["neighboring columns were added; the classes of a group need not stand side by side"] = np.stack(
        [part.sum(1) for part in np.split(probs, ends, axis=1)], 1
    )
    close(got, merged(probs, new), "the array of merged probabilities", mistakes)


# Task 4


def by_source(train_sources, train_labels, sources, other):
    """The answer for each of `sources`: the class most frequent at that source, `other` where it is unknown."""
    table = {}
    for source, label in zip(train_sources.tolist(), train_labels.tolist(), strict=True):
        table.setdefault(source, []).append(label)
    noted = {s: max(sorted(set(v)), key=v.count) for s, v in table.items()}
    return np.array([noted.get(s, other) for s in sources.tolist()])


def confounded(rng, n, names, mix):
    sources = rng.choice(names, n, p=rng.dirichlet(np.full(len(names), 20)))
    row = {name: k for k, name in enumerate(names)}
    return sources, np.array([rng.choice(4, p=mix[row[s]]) for s in sources])


def two_sets(rng):
    """Training and test images from five sources, without ties, and such that the known mistakes differ."""
    names = rng.permutation(["Avon", "Brook", "Cork", "Dale", "Esk", "Firth", "Glen"])[:5]
    while True:
        mix, later = rng.dirichlet(np.full(4, 0.6), 5), rng.dirichlet(np.full(4, 0.6), 5)
        a, y = confounded(rng, 240, names, mix)
        b, z = confounded(rng, 170, names, 0.7 * mix + 0.3 * later)
        tops = [
            np.sort(np.bincount(part, minlength=4))
            for part in [y, z, *(y[a == s] for s in names), *(z[b == s] for s in names)]
        ]
        common, late = np.bincount(y).argmax(), np.bincount(z).argmax()
        values = [
            np.mean(by_source(a, y, b, common) == z),
            np.mean(by_source(a, y, a, common) == y),
            np.mean(by_source(b, z, b, late) == z),
            np.mean(z == common),
            np.mean(z == late),
            np.mean(y == common),
            0.25,
        ]
        if set(b) <= set(a) and all(t[-1] > t[-2] for t in tops) and np.diff(np.sort(values)).min() > 0.002:
            return a, y, b, z, values


def two_numbers(value):
    accuracy, baseline = parts(value, 2, "two results, accuracy and baseline")
    return number(accuracy, "the accuracy"), number(baseline, "the baseline")


@check("source_only", points=2)
def known_without_a_pixel(student, rng):
    """The accuracy of the source alone, on images that were held out."""
    a, y, b, z, (right, on_train, learned_late, base, *_) = two_sets(rng)
    accuracy, _ = two_numbers(student.source_only(a, y, b, z))
    close(
        accuracy,
        right,
        "the accuracy",
        {
            "it was measured on the training images; use the test images": on_train,
            "the most frequent class of every source was taken from the test images: that is learning from the test": learned_late,
            "this is the baseline; look at each source by itself": base,
            "this is the error; the accuracy is the fraction of right answers": 1 - right,
        },
    )


@check("source_only", points=1)
def compared_with_one_answer(student, rng):
    """The baseline: always the most frequent class of the training images."""
    a, y, b, z, (_, _, _, base, late, on_train, chance) = two_sets(rng)
    _, baseline = two_numbers(student.source_only(a, y, b, z))
    close(
        baseline,
        base,
        "the baseline",
        {
            "the most frequent class was taken from the test images; take it from the training images": late,
            "it was measured on the training images; use the test images": on_train,
            "this is one divided by the number of classes; asked is the most frequent class as the only answer": chance,
        },
    )


@check("source_only", points=1)
def unknown_source(student, rng):
    """A source without training images gets the most frequent class of all training images."""
    a, y, b, z, _ = two_sets(rng)
    b = b.copy()
    common = np.bincount(y).argmax()
    strange = rng.random(len(b)) < 0.25
    strange[np.flatnonzero(z == common)[:3]] = strange[np.flatnonzero(z != common)[:2]] = True
    b[strange] = "Yarrow"
    accuracy, _ = two_numbers(student.source_only(a, y, b, z))
    answers = by_source(a, y, b, common)
    close(
        accuracy,
        np.mean(answers == z),
        "the accuracy with an unknown source",
        {
            "images of an unknown source were counted as wrong": np.mean((answers == z) & ~strange),
            "images of an unknown source were left out": np.mean((answers == z)[~strange]),
            "images of an unknown source got class 0; answer the most frequent class of all training images": np.mean(
                np.where(strange, 0, answers) == z
            ),
            "the unknown source got the most frequent class of its test images": np.mean(
                np.where(strange, np.bincount(z[strange]).argmax(), answers) == z
            ),
        },
    )


@check("source_only", points=1)
def smallest_of_a_tie(student, rng):
    """A tie goes to the class with the smallest number."""
    low, high = sorted(int(v) for v in rng.permutation(5)[:2])
    a = np.array(["x"] * 4 + ["y"] * 3)
    y = np.array([high, low, high, low, high, high, low])  # "x" has a tie
    right, wrong, other = int(rng.integers(20, 60)), int(rng.integers(3, 15)), int(rng.integers(3, 15))
    b, z = np.repeat(["x", "y"], [right + wrong, other]), np.repeat([low, high, high], [right, wrong, other])
    order, n = rng.permutation(7), right + wrong + other
    accuracy, _ = two_numbers(student.source_only(a[order], y[order], b, z))
    close(
        accuracy,
        (right + other) / n,
        "the accuracy",
        {
            "a tie went to the largest class number, or to the most frequent class of all; the smallest number wins": (
                wrong + other
            )
            / n
        },
    )


# Task 5


def cuts_of(value):
    many = isinstance(value, list) or (isinstance(value, np.ndarray) and value.ndim > 0)
    assert many, f"a list of pairs (train, test) was asked for; got {describe(value)}"
    splits = []
    for pair in value:
        pair = parts(pair, 2, "pairs (train, test)")
        for part in pair:
            assert not (isinstance(part, np.ndarray) and part.dtype == bool), (
                "a part holds True and False; asked are positions: np.flatnonzero turns one into the other"
            )
        splits.append(tuple(array(part, (None,), "a part of a split").tolist() for part in pair))
    return splits


def some_sources(rng, n=60):
    """Images of four sources, each with every class, in mixed order. The first one is not the first by its name."""
    while True:
        names = rng.permutation(["Avon", "Brook", "Cork", "Dale", "Esk", "Firth", "Glen"])[:4]
        sources = np.concatenate([np.repeat(names, 3), rng.choice(names, n - 12, p=[0.1, 0.2, 0.3, 0.4])])
        labels = np.concatenate([np.tile([0, 1, 2], 4), rng.integers(0, 3, n - 12)])
        order = rng.permutation(n)
        sources, labels = sources[order], labels[order]
        seen = list(dict.fromkeys(sources.tolist()))
        if seen != sorted(seen):
            return sources, labels


def judge_cuts(got, want):
    """Compare lists of (train, test) and name the mistake."""
    for train, test in got:
        shared = len(set(train) & set(test))
        assert not shared, f"{shared} images are in both parts of a split"
    if got == want:
        return
    swapped = [(test, train) for train, test in want]
    assert got != swapped, "the two parts are swapped: test on the one source, train on the others"
    assert sorted(got) != sorted(want), "the splits are right, but not in the alphabetical order of the sources"
    rising = [(sorted(train), sorted(test)) for train, test in got]
    assert rising != want, "the positions of a part should be in rising order"
    assert len(got) == len(want), f"the number of splits is wrong: got {len(got)}"
    assert [c[1] for c in got] == [c[1] for c in want], "the test part of a split is not one whole source"
    raise AssertionError("the training part must hold all images of the other sources, and only those")


@check("leave_one_source_out", points=2)
def whole_sources(student, rng):
    """Test on all images of one source, train on all others."""
    sources, labels = some_sources(rng)
    got = cuts_of(student.leave_one_source_out(sources, labels))
    want = [(train.tolist(), test.tolist()) for train, test in LeaveOneGroupOut().split(labels, labels, sources)]
    judge_cuts(got, want)


@check("leave_one_source_out", points=2)
def class_from_one_source(student, rng):
    """A source with a class of its own cannot be tested."""
    sources, labels = some_sources(rng)
    alone = rng.choice(np.unique(sources))
    labels[np.flatnonzero(sources == alone)[: int(rng.integers(1, 3))]] = 3
    short = rng.choice(np.setdiff1d(sources, [alone]))
    labels[(sources == short) & (labels == 2)] = 1  # this one has fewer classes than the others: no harm
    got = cuts_of(student.leave_one_source_out(sources, labels))
    every = [(train.tolist(), test.tolist()) for train, test in LeaveOneGroupOut().split(labels, labels, sources)]
    want = [(train, test) for train, test in every if set(labels[test]) <= set(labels[train])]
    assert got != every, "a split was kept although a class of its test images occurs in no other source"
    assert got != [c for c in every if set(labels[c[0]]) == set(labels[c[1]])], (
        "splits were left out because the test images lack a class; only a class that the *training* images lack matters"
    )
    trained = [(train, sorted(i for i in test if labels[i] in set(labels[train]))) for train, test in every]
    assert got != trained, "single images were left out; leave out the whole split"
    judge_cuts(got, want)


@check("leave_one_source_out", points=1)
def nothing_left_to_test(student, rng):
    """If every source has its own class, no split is left; if all have all classes, every split is."""
    names = ["Avon", "Brook", "Cork", "Dale", "Esk", "Firth", "Glen"]
    for alone in rng.permutation([True, False]):
        count = int(rng.integers(3, 6))
        order = rng.permutation(4 * count)
        sources = np.repeat(rng.permutation(names)[:count], 4)[order]
        labels = np.repeat(rng.permutation(count), 4)[order] if alone else np.tile([0, 1], 2 * count)[order]
        got = cuts_of(student.leave_one_source_out(sources, labels))
        if alone:
            assert got == [], f"every class occurs in one source only, so no split is of use; got {len(got)}"
            continue
        assert len(got) == count, f"{count} sources with all classes give {count} splits; got {len(got)}"
        every = LeaveOneGroupOut().split(labels, labels, sources)
        judge_cuts(got, [(train.tolist(), test.tolist()) for train, test in every])
