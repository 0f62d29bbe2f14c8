"""Checks of exercise 03: confusion matrix, class scores, AUC, threshold, a bootstrap over patients, a fall apart."""

import numpy as np
from sklearn import metrics

from coursekit.grade.checks import array, check, close, describe, number

LIBRARIES = ("numpy",)


def pair(value, what):
    """The two numbers of a returned tuple, list or array."""
    many = isinstance(value, list) or (isinstance(value, np.ndarray) and value.ndim > 0)
    assert many and len(value) == 2, f"two numbers were asked for, {what}; got {describe(value)}"
    first, second = (number(v, name) for v, name in zip(value, what.split(" and "), strict=True))
    assert np.isfinite(first) and np.isfinite(second), f"a value is not a finite number (nan or inf): {what}"
    return first, second


# Task 1


def answers(rng, counts, fraction):
    """True classes, `counts[k]` of class k, and predictions of which `fraction` are right and the others too high by 1."""
    labels = rng.permutation(np.repeat(np.arange(len(counts)), counts))
    predicted = np.where(rng.random(len(labels)) < fraction, labels, (labels + 1) % len(counts))
    return labels, predicted


@check("confusion_matrix", points=2)
def rows_are_the_truth(student, rng):
    """Rows are true classes, columns are what the model said."""
    labels, predicted = answers(rng, [30, 50, 20, 10], 0.7)
    want = metrics.confusion_matrix(labels, predicted)
    got = student.confusion_matrix(labels, predicted, 4)
    close(
        got,
        want,
        "the matrix",
        {
            "rows and columns are swapped: rows are the truth, columns are what the model said": want.T,
            "only the images that were called right are counted": np.diag(np.diag(want)),
            "each pair of classes was counted once only: `matrix[labels, predicted] += 1` does not add up": want > 0,
            "it holds fractions of each row; asked are whole numbers": want / want.sum(1, keepdims=True),
            "it holds fractions of all images; asked are whole numbers": want / want.sum(),
            "the classes stand in reverse order": want[::-1, ::-1],
        },
    )


@check("confusion_matrix", points=1)
def classes_without_images(student, rng):
    """A class that never occurs keeps its row and its column."""
    present = np.sort(rng.permutation(6)[:4])
    labels, predicted = present[1:][rng.integers(0, 3, 40)], present[[0, 1, 3]][rng.integers(0, 3, 40)]
    got = array(student.confusion_matrix(labels, predicted, 6), (None, None), "the matrix")
    assert len(got) == 6, (
        f"with 6 classes the matrix needs 6 rows and columns, also for a class without images; it has {len(got)} rows"
    )
    want = metrics.confusion_matrix(labels, predicted, labels=range(6))
    close(
        got,
        want,
        "the matrix",
        {"rows and columns are swapped": want.T, "each pair of classes was counted once only": want > 0},
    )


# Task 2


def three(value, classes):
    """Precision, recall and F1 as the rows of an array."""
    many = isinstance(value, list) or (isinstance(value, np.ndarray) and value.ndim > 0)
    assert many and len(value) == 3, f"three arrays were asked for: precision, recall, F1; got {describe(value)}"
    return [
        array(v, (classes,), name) for v, name in zip(value, ("the precision", "the recall", "the F1"), strict=True)
    ]


def oracle(matrix):
    """The three scores by scikit-learn."""
    k = len(matrix)
    labels, predicted = (grid.ravel() for grid in np.indices((k, k)))
    return metrics.precision_recall_fscore_support(
        labels, predicted, labels=range(k), sample_weight=matrix.ravel(), zero_division=0
    )[:3]


def unequal_matrix(rng):
    """Rows and columns have clearly different sums, so that no two ideas give the same values."""
    return rng.integers(5, 30, (4, 4)) + np.diag([90, 60, 45, 20]) + 40 * np.eye(4, k=1, dtype=int)


@check("class_scores", points=1)
def recall_of_each_class(student, rng):
    """Recall divides by the images of the class."""
    matrix = unequal_matrix(rng)
    precision, recall, f1 = oracle(matrix)
    hits, total = np.diag(matrix), matrix.sum()
    accuracy = (total - matrix.sum(0) - matrix.sum(1) + 2 * hits) / total
    close(
        three(student.class_scores(matrix), 4)[1],
        recall,
        "the recall",
        {
            "this is the precision: recall divides by the images of the class, a row of the matrix": precision,
            "this is the accuracy of each class against the rest; recall looks only at the images of the class": accuracy,
            "this is the accuracy of all classes together": np.full(4, hits.sum() / total),
            "it was divided by the number of all images, not by those of the class": hits / total,
            "this is F1": f1,
        },
    )


@check("class_scores", points=1)
def precision_of_each_class(student, rng):
    """Precision divides by the images that were called so."""
    matrix = unequal_matrix(rng)
    precision, recall, f1 = oracle(matrix)
    close(
        three(student.class_scores(matrix), 4)[0],
        precision,
        "the precision",
        {
            "this is the recall: precision divides by the images that were called so, a column of the matrix": recall,
            "it was divided by the number of all images, not by those called so": np.diag(matrix) / matrix.sum(),
            "this is F1": f1,
        },
    )


@check("class_scores", points=1)
def harmonic_mean(student, rng):
    """F1 is the harmonic mean of precision and recall."""
    matrix = unequal_matrix(rng)
    precision, recall, f1 = oracle(matrix)
    close(
        three(student.class_scores(matrix), 4)[2],
        f1,
        "the F1",
        {
            "it is the plain mean (precision + recall) / 2; F1 is the harmonic mean": (precision + recall) / 2,
            "the factor 2 is missing": f1 / 2,
            "it is the geometric mean, a square root; F1 is the harmonic mean": np.sqrt(precision * recall),
            "it is precision times recall": precision * recall,
            "it is the F1 of all classes together": np.full(4, np.diag(matrix).sum() / matrix.sum()),
        },
    )


@check("class_scores", points=2)
def zero_by_zero(student, rng):
    """A class never called, and a class without images: 0/0 counts as 0."""
    matrix = rng.integers(3, 30, (5, 5))
    never_called, no_image = rng.permutation(5)[:2]
    matrix[:, never_called] = 0
    matrix[no_image] = 0
    right, called = np.diag(matrix), matrix.sum(0)
    precision, recall, harmonic = oracle(matrix)
    mistakes = {
        "precision and recall are swapped": recall,
        "it was divided by the number of all images": right / matrix.sum(),
        "0/0 counts as 0 here; it became 1": np.where(called > 0, precision, 1.0),
        "it is the plain mean (precision + recall) / 2; F1 is the harmonic mean": (precision + recall) / 2,
        "1 was added to every number of images; only 0 needs another divisor (np.maximum)": right / (called + 1),
    }
    for got, want, name in zip(
        three(student.class_scores(matrix), 5),
        (precision, recall, harmonic),
        ("the precision", "the recall", "the F1"),
        strict=True,
    ):
        assert not np.isnan(got).any(), (
            f"{name} of a class that was never called or has no image is nan; 0/0 counts as 0"
        )
        close(got, want, name, mistakes)


# Task 3


@check("auc", points=1)
def fraction_of_ordered_pairs(student, rng):
    """The fraction of pairs in the right order, for distinct scores of any range."""
    labels = rng.permutation(np.repeat([0, 1], [70, 40]))
    scores = rng.normal(labels * 0.9, 1) * 3 + 2
    want, said = metrics.roc_auc_score(labels, scores), scores >= 0.5
    close(
        student.auc(labels, scores),
        want,
        "the AUC",
        {
            "ill and healthy are swapped (1 minus the AUC)": 1 - want,
            "it is the accuracy at the threshold 0.5; the AUC needs no threshold": np.mean(said == labels),
            "it is the area of a curve with a single threshold (0.5); compare all pairs": metrics.roc_auc_score(
                labels, said
            ),
            "the pairs were counted, not averaged": want * 70 * 40,
            "the sum over the pairs was divided by all pairs of images, not by the pairs of one ill and one healthy image": want
            * 70
            * 40
            / 110**2,
            "it is the mean of the signs, from -1 to 1; a pair in the wrong order counts 0, not -1": 2 * want - 1,
            "it is the average precision, the area under another curve": metrics.average_precision_score(
                labels, scores
            ),
        },
    )


def by_place(scores):
    """Ranks in which equal scores keep the order of some sorting."""
    orders = {f"sorted list{' ' * i}": np.argsort(scores, kind=kind) for i, kind in enumerate((None, "stable"))}
    orders["list sorted from above"] = np.argsort(-scores)[::-1]
    return {name: np.argsort(order) for name, order in orders.items()}


@check("auc", points=2)
def equal_scores_count_half(student, rng):
    """Two equal scores count one half."""
    labels = rng.permutation(np.repeat([0, 1], [60, 45]))
    scores = np.clip(np.round(rng.normal(2 + labels, 1.2)), 0, 5) / 5
    ill, healthy = scores[labels == 1][:, None], scores[labels == 0]
    got = number(student.auc(labels, scores), "the AUC")
    wanted = metrics.roc_auc_score(labels, scores)
    close(
        got,
        wanted,
        "the AUC",
        {
            "the number of pairs comes back; divide by it": wanted * 60 * 45,
            "it is the accuracy at the threshold 0.5; the AUC needs no threshold": np.mean((scores >= 0.5) == labels),
            "it is the area of a curve with a single threshold (0.5); compare all pairs": metrics.roc_auc_score(
                labels, scores >= 0.5
            ),
            **{
                f"equal scores count 0 or 1 by their place in the {name}; each such pair counts one half": np.mean(
                    rank[labels == 1][:, None] > rank[labels == 0]
                )
                for name, rank in by_place(scores).items()
            },
            "two equal scores count 0; they should count one half": np.mean(ill > healthy),
            "two equal scores count 1; they should count one half": np.mean(ill >= healthy),
            "pairs with equal scores were left out; they should count one half": np.sum(ill > healthy)
            / np.sum(ill != healthy),
            "ill and healthy are swapped (1 minus the AUC)": 1 - metrics.roc_auc_score(labels, scores),
        },
    )


@check("auc", points=1)
def best_worst_and_no_idea(student, rng):
    """1 for a perfect order, 0 for the reversed one, 1/2 for equal scores everywhere."""
    labels = rng.permutation(np.repeat([0, 1], [9, 14]))
    noise = rng.random(23)
    some = np.round(noise + 0.3 * labels, 1)
    cases = (
        (labels + noise, 1, "all ill images have higher scores, so the AUC is 1"),
        (noise - 2 * labels, 0, "all ill images have lower scores, so the AUC is 0"),
        (np.full(23, 0.3), 0.5, "all scores are equal, so the AUC is 1/2"),
        (some, metrics.roc_auc_score(labels, some), "between the best and the worst order the AUC is not right"),
    )
    for scores, want, what in (cases[i] for i in rng.permutation(4)):
        got = number(student.auc(labels, scores), "the AUC")
        assert abs(got - want) < 1e-6, f"{what}; got {got:.4g}"


# Task 4


def balanced(labels, said):
    return (said[labels == 1].mean() + (~said[labels == 0]).mean()) / 2


def every_threshold(labels, scores, measure):
    return np.array([measure(labels, scores >= t) for t in np.unique(scores)])


def accuracy(labels, said):
    return np.mean(said == labels)


def f1(labels, said):
    return 2 * np.sum(said & (labels == 1)) / (said.sum() + labels.sum())


def threshold_case(rng):
    """Validation and test scores with one best threshold, which is not that of accuracy, of F1, or of the test."""
    while True:
        val = rng.permutation(np.repeat([0, 1], [160, 40]))
        test = rng.permutation(np.repeat([0, 1], [90, 60]))
        # shifted and scaled anew: the best threshold of another seed is not the best one here
        scale, shift = rng.uniform(0.7, 1.4), rng.uniform(-2, 0.5)
        val_scores = np.round(rng.normal(val * 1.3, 1), 1) * scale + shift
        test_scores = np.round(rng.normal(test * 1.3 + 1.8, 1), 1) * scale + shift
        cuts = np.unique(val_scores)
        by = [every_threshold(val, val_scores, measure) for measure in (balanced, accuracy, f1)]
        best, by_accuracy, by_f1 = (cuts[values.argmax()] for values in by)
        on_test = every_threshold(test, test_scores, balanced)
        by_test = np.unique(test_scores)[on_test.argmax()]
        before = cuts[by[0].argmax() - 1]  # the best one if "ill" were said where score > threshold
        if (
            np.diff(np.sort(by[0])[-2:])[0] > 1e-3
            and np.diff(np.sort(by[1])[-2:])[0] > 1e-3
            and len({best, before, by_accuracy, by_f1, by_test, 0.5}) == 6
            and abs(best - by_test) > 0.3
            and on_test.max() - max(balanced(test, test_scores >= t) for t in (best, by_accuracy, by_f1)) > 0.01
        ):
            return val, val_scores, test, test_scores


def judge_threshold(threshold, val, val_scores, test, test_scores):
    """Say why `threshold` is not the best one on the validation images, if it is not."""
    values = every_threshold(val, val_scores, balanced)
    best, cuts = values.max(), np.unique(val_scores)
    if balanced(val, val_scores >= threshold) > best - 1e-9:
        return
    assert not (threshold in (0, 1) and threshold not in cuts), (
        f"the threshold is {threshold:g}: try the scores that occur, not a fixed grid from 0 to 1"
    )
    assert threshold not in (np.arange(len(cuts))[values == best]), (
        "the threshold is a position in the list of scores; give the score at this position"
    )
    assert cuts[0] < threshold <= cuts[-1], (
        "with this threshold every validation image gets the same answer. Is it the mean of *both* recalls that is made "
        "large, and in the right direction?"
    )
    assert threshold != 0.5, "the threshold is 0.5; that is a habit, not a choice"
    assert balanced(val, val_scores > threshold) < best - 1e-9, (
        "this threshold would be right for score > threshold; asked is score >= threshold"
    )
    assert balanced(test, test_scores >= threshold) < every_threshold(test, test_scores, balanced).max() - 1e-9, (
        "the threshold was chosen on the test images: then the test is no test any more. Use the validation images"
    )
    for measure, name in ((accuracy, "accuracy"), (f1, "F1")):
        assert measure(val, val_scores >= threshold) < every_threshold(val, val_scores, measure).max() - 1e-9, (
            f"this threshold has the highest {name} on the validation images; asked is the highest balanced accuracy"
        )
    raise AssertionError("another threshold has a higher balanced accuracy on the validation images")


@check("choose_threshold", points=2)
def chosen_on_validation(student, rng):
    """The threshold has the highest balanced accuracy on the validation images."""
    for _ in range(2):
        case = threshold_case(rng)
        threshold, _ = pair(student.choose_threshold(*case), "the threshold and the balanced accuracy")
        judge_threshold(threshold, *case)


@check("choose_threshold", points=2)
def measured_on_test(student, rng):
    """The number is the balanced accuracy of this threshold on the test images."""
    for _ in range(2):
        val, val_scores, test, test_scores = threshold_case(rng)
        threshold, got = pair(
            student.choose_threshold(val, val_scores, test, test_scores), "the threshold and the balanced accuracy"
        )
        assert got not in val_scores or 0 <= got <= 1, "the threshold comes first, then the balanced accuracy"
        assert val_scores.min() < threshold <= val_scores.max(), (
            "with this threshold every validation image gets the same answer: nothing was chosen that could be measured"
        )
        said = test_scores >= threshold
        close(
            got,
            balanced(test, said),
            "the balanced accuracy",
            {
                "it was measured on the validation images; the threshold must be carried over to the test images": balanced(
                    val, val_scores >= threshold
                ),
                "it is the best value that any threshold reaches on the test images; use the one that was chosen on validation": every_threshold(
                    test, test_scores, balanced
                ).max(),
                "it is the accuracy; balanced accuracy is the mean of the two recalls": accuracy(test, said),
                "it is the recall of the ill alone; balanced accuracy is the mean of the two recalls": said[
                    test == 1
                ].mean(),
                "the two recalls were added; take their mean": 2 * balanced(test, said),
                "it belongs to score > threshold; asked is score >= threshold": balanced(test, test_scores > threshold),
            },
        )


@check("choose_threshold", points=1)
def scores_of_any_range(student, rng):
    """Works for scores outside 0 to 1, and for scores very close together."""
    for scale, shift in ((20, -60), (1e-4, 0.97)):
        val, val_scores, test, test_scores = threshold_case(rng)
        case = val, val_scores * scale + shift, test, test_scores * scale + shift
        threshold, _ = pair(student.choose_threshold(*case), "the threshold and the balanced accuracy")
        best = every_threshold(case[0], case[1], balanced).max()
        if balanced(case[0], case[1] >= threshold) < best - 1e-9:
            assert not 0 <= threshold <= 1, (
                "for scores outside 0 to 1, or very close together, the threshold is not the best one: try the scores "
                "that occur, not a fixed grid from 0 to 1"
            )
            judge_threshold(threshold, *case)


# Task 5


def bootstrap(correct, patients, rng, draws=6000, how="patients", level=95):
    """Percentile interval of the accuracy; `how` says which (right or wrong) idea of a draw is used."""
    _, group = np.unique(np.arange(len(patients)) if how == "images" else patients, return_inverse=True)
    right, images = np.bincount(group, correct), np.bincount(group)
    weights = rng.multinomial(len(images), np.full(len(images), 1 / len(images)), size=draws)
    if how == "each once":
        weights = (weights > 0).astype(int)
    values = weights @ (right / images) / len(images) if how == "means" else weights @ right / (weights @ images)
    return np.percentile(values, [50 - level / 2, 50 + level / 2])


@check("patient_interval", points=3)
def patients_not_images(student, rng):
    """The interval is as wide as the number of patients, not of images, allows."""
    for most in (40, 90):
        people, images = int(rng.integers(most - 10, most + 10)), int(rng.integers(8, 14))
        correct = (np.arange(people) < int(people * rng.uniform(0.35, 0.8))).astype(int).repeat(images)
        order = rng.permutation(people * images)
        correct, patients = correct[order], rng.permutation(5000)[:people].repeat(images)[order]
        low, high = pair(student.patient_interval(correct, patients, 800, int(rng.integers(1000))), "low and high")
        assert low <= high, "low is larger than high"
        want = bootstrap(correct, patients, rng)
        right, wrong = np.ptp(want), np.ptp(bootstrap(correct, patients, rng, how="images"))
        got = high - low
        assert high < 1.5, "the accuracies are percentages; give fractions from 0 to 1"
        assert got > 0, (
            "the interval has no width: every draw is the same. Draw with replacement; make the generator once"
        )
        assert low <= correct.mean() <= high, (
            "the accuracy itself is not in the interval; np.percentile wants 2.5 and 97.5, np.quantile 0.025 and 0.975"
        )
        for how, why in (("each once", "a patient who was drawn twice counts only once"),):
            idea = np.ptp(bootstrap(correct, patients, rng, how=how))
            assert abs(got / idea - 1) > 0.1 or abs(got / right - 1) < 0.15, f"the interval is too narrow: {why}"
        assert got > 1.6 * wrong, (
            f"the interval is much too narrow ({got / right:.2f} of the width it should have): images were drawn, not "
            "patients"
        )
        assert 0.8 * right < got < 1.25 * right, (
            f"the width of the interval is {got / right:.2f} times what drawing whole patients gives"
        )
        apart = np.abs([low - want[0], high - want[1]]).max() / right
        assert apart < 0.15, "the interval has the right width, but lies at the wrong place"


@check("patient_interval", points=2)
def patients_of_unequal_size(student, rng):
    """A drawn patient brings all images, twice if drawn twice; the middle 95 % is taken."""
    sizes = np.repeat([1, 2, 15], [30, 20, 20])
    easy = np.repeat([0.95, 0.9, 0.6], [30, 20, 20])
    names = np.array([f"p{i}" for i in rng.permutation(900)[:70]])
    correct = np.concatenate(
        [(rng.random(n) < rng.beta(3 * p, 3 * (1 - p))).astype(int) for n, p in zip(sizes, easy, strict=True)]
    )
    got = np.array(
        pair(student.patient_interval(correct, names.repeat(sizes), 4000, int(rng.integers(1000))), "low and high")
    )
    assert not (got > 1.5).any(), "the accuracies are percentages; give fractions from 0 to 1"
    want = bootstrap(correct, names.repeat(sizes), rng, 12_000)
    apart = np.abs(got - want).max() / np.ptp(want)
    if apart < 0.06:
        return
    ideas = {
        "images were drawn, not patients": {"how": "images"},
        "a patient who was drawn twice counts only once: repeat the images of this patient": {"how": "each once"},
        "the mean of the patients' accuracies was taken, so that a patient with one image counts as much as one with "
        "fifteen; divide all right images by all images": {"how": "means"},
        "this is not the middle 95 %: take the percentiles 2.5 and 97.5, not 5 and 95": {"level": 90},
    }
    distance = {
        idea: np.abs(got - bootstrap(correct, names.repeat(sizes), rng, **options)).max() / np.ptp(want)
        for idea, options in ideas.items()
    }
    nearest = min(distance, key=distance.get)
    assert distance[nearest] > min(apart, 0.06), f"the interval is wrong: {nearest}"
    raise AssertionError("the interval is not the one that drawing whole patients gives")


@check("patient_interval", points=1)
def certain_cases(student, rng):
    """All right, one patient only, nearly all right; and the same seed gives the same interval."""

    def interval(correct, patients, draws, seed):
        return pair(student.patient_interval(correct, patients, draws, seed), "low and high")

    low, high = interval(np.ones(30, dtype=int), np.arange(30) // 3, 200, 1)
    assert (low, high) == (1, 1), f"if all answers are right, every draw has accuracy 1; got {low:.4g} to {high:.4g}"
    n = int(rng.integers(20, 60))
    correct = rng.permutation((np.arange(n) < n * rng.uniform(0.2, 0.8)).astype(int))
    low, high = interval(correct, np.repeat("only", n), 200, 2)
    assert max(abs(low - correct.mean()), abs(high - correct.mean())) < 1e-6, (
        "with one patient every draw holds the same images, so low and high are the accuracy; "
        f"got {'an interval, so images were drawn' if high > low else 'another number'}"
    )
    correct, patients = (np.arange(60) > 1).astype(int).repeat(2), np.arange(60).repeat(2)
    low, high = interval(correct, patients, 500, int(rng.integers(1000)))
    assert 0 <= low <= high <= 1, (
        "the interval leaves 0 to 1; an accuracy cannot. Take percentiles of the draws, not "
        "a mean and a standard deviation"
    )
    lows = [low, *(interval(correct, patients, 500, int(s))[0] for s in rng.integers(0, 1000, 3))]
    assert any(abs(60 * v - round(60 * v)) < 1e-3 for v in lows), (
        "60 patients with two equal images each have an accuracy of a whole number of sixtieths, and so has a percentile; "
        "this is another interval: not a mean and a standard deviation"
    )
    patients = np.arange(60).repeat(rng.integers(1, 30, 60))
    correct = (rng.random(len(patients)) < rng.uniform(0.3, 0.7)).astype(int)
    seed = int(rng.integers(1000))
    first = interval(correct, patients, 300, seed)
    assert first[0] < correct.mean() < first[1], "the interval has no width, or the accuracy is not in it"
    other = interval(1 - correct, patients, 300, seed)
    assert other[0] < 1 - correct.mean() < other[1], "for other answers with the same seed the accuracy is not in it"
    student.restart()  # an interval that is only remembered is forgotten now
    assert interval(correct, patients, 300, seed) == first, "the same seed gave two different intervals"


# Task 6


def parts(before, after, how=""):
    """The three parts of the change, or those of a known mistake."""

    def three(matrix):
        by = matrix.T if how == "precision" else matrix
        return matrix[1].sum() / matrix.sum(), by[0, 0] / by[0].sum(), by[1, 1] / by[1].sum()

    (mix, h, i), (mix2, h2, i2) = three(before), three(after)
    m = mix if how == "old mix" else mix2
    return np.array([(mix2 - mix) * (i2 - h2 if how == "new recalls" else i - h), (1 - m) * (h2 - h), m * (i2 - i)])


def two_matrices(rng):
    """Two confusion matrices of other sizes and another mix, each class with mistakes."""
    return [rng.integers([[30, 10], [5, 60]], [[60, 30], [25, 120]]) for _ in range(2)]


@check("fall_apart", points=2)
def three_parts(student, rng):
    """The mix first, then each recall, with the new mix."""
    before, after = two_matrices(rng)
    want = parts(before, after)
    close(
        student.fall_apart(before, after),
        want,
        "the three parts",
        {
            "the signs are wrong: a fall is negative": -want,
            "these are the precisions; a recall divides by the images that are of the class": parts(
                before, after, "precision"
            ),
            "in the second and third step the mix has its new value already": parts(before, after, "old mix"),
            "in the first step only the mix changes: take the recalls of before": parts(before, after, "new recalls"),
            "the order is: mix, healthy, ill": want[[0, 2, 1]],
            "these are percentages; give fractions": 100 * want,
        },
    )


@check("fall_apart", points=1)
def they_add_up(student, rng):
    """The parts add up to the change of the accuracy; what has not changed has no part."""
    before, after = two_matrices(rng)
    got = array(student.fall_apart(before, after), (3,), "the three parts")
    change = np.trace(after) / after.sum() - np.trace(before) / before.sum()
    assert abs(got.sum() - change) < 1e-4, "the parts do not add up to the change of the accuracy"
    got = array(student.fall_apart(before, 3 * before), (3,), "the three parts")
    assert np.abs(got).max() < 1e-6, (
        "with three times the images and the same rates nothing has changed, so all parts are 0"
    )
