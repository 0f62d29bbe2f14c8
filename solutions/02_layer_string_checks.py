"""Checks of exercise 02: what a layer string means, the network that it builds, one step of learning, and seeds."""

import numpy as np
import torch
from torch.nn import functional

import cxrlib as cxr
from coursekit.grade.checks import array, check, close, describe, number


def reference(layers, size, filters, hidden, classes):
    """The network of cxrlib, without its normalization of the input."""
    model = cxr.build_model(layers, [str(k) for k in range(classes)], size=size, filters=filters, hidden=hidden, seed=0)
    return torch.nn.Sequential(*model.body, *model.head).eval()


def layer_of_each_letter(layers, net):
    """The convolution, pooling, flatten or dense layer of each letter, and the output layer at the end."""
    kinds = {"C": torch.nn.Conv2d, "P": torch.nn.MaxPool2d, "F": torch.nn.Flatten, "D": torch.nn.Linear}
    found, modules = [], iter(net)
    for letter in layers:
        found.append(next(m for m in modules if isinstance(m, kinds[letter])))
    return [*found, net[-1]]


def true_shapes(layers, size, filters, hidden, classes):
    """Shapes measured on cxrlib's network."""
    net, shapes = reference(layers, size, filters, hidden, classes), {}
    x = torch.zeros(1, 1, size, size)
    with torch.no_grad():
        for module in net:
            x = module(x)
            shapes[module] = tuple(x.shape[1:])
    return [shapes[layer] for layer in layer_of_each_letter(layers, net)]


def walk(layers, size, filters, hidden, classes, rule=""):
    """Shapes with one wrong rule."""
    shapes, maps, side, index = [], 1, size, 0
    for position, letter in enumerate(layers):
        last = layers[position - 1] if position else ""
        if letter == "C":
            maps = filters[index % len(filters) if rule == "around" else min(index, len(filters) - 1)]
            side -= 2 if rule == "no padding" else 0
            index += rule == "each C"
            shapes.append((maps, side, side))
        elif letter == "P":
            side = -(-side // 2) if rule == "up" else side // 2
            index += rule == "each P" or (rule != "each C" and last == "C" and rule != "never")
            shapes.append((maps, side, side))
        else:
            shapes.append((maps * side * side,) if letter == "F" else (hidden,))
    if rule == "average" and "F" not in layers:
        shapes.append((maps,))
    return [*shapes, (classes,)]


RULES = {
    "each C": "each C took the next number of filters; all convolutions of a block have the same number, and only a P "
    "after a C moves on",
    "each P": "each P moved on to the next number of filters; only a P that stands directly after a C does",
    "never": "all convolutions got the same number of filters; a P after a C moves on to the next one",
    "around": "after the last number of filters it started again with the first one; the last one is used again",
    "up": "pooling rounded an odd side up; it rounds down",
    "no padding": "each C made the map smaller by 2; with padding 1 it keeps the side",
    "average": "the average of a word without F got a shape of its own; there is one shape for each letter and one for "
    "the output layer",
}


def as_shapes(value, what="the shapes"):
    """A returned list of shapes as tuples of int."""
    assert isinstance(value, list), f"{what} should be a list of tuples, but it is {describe(value)}"
    assert all(np.ndim(shape) == 1 for shape in value), (
        f"{what} should be tuples; a list of 64 numbers has the shape (64,), with a comma"
    )
    shapes = [array(shape, (None,), "a shape") for shape in value]
    assert all((np.abs(shape) < 1e9).all() for shape in shapes), f"{what} should hold whole numbers"
    return [tuple(int(n) if n == int(n) else float(n) for n in shape) for shape in shapes]


def compare_shapes(student, cases):
    for case in cases:
        got, want = as_shapes(student.output_shapes(*case)), true_shapes(*case)
        if got == want:
            continue
        for rule, text in RULES.items():
            assert got != walk(*case, rule), f"the shapes are wrong: {text}"
        letters = [*case[0], "output"]
        assert len(got) != len(want) - 1, "one shape is missing: is the output layer there?"
        assert len(got) == len(want), (
            f"{len(want) - 1} letters and the output layer give {len(want)} shapes; got {len(got)}"
        )
        place = next(i for i, pair in enumerate(zip(got, want, strict=True)) if pair[0] != pair[1])
        letter = letters[place]
        raise AssertionError(
            f"the shape after {'the output layer' if letter == 'output' else f'a letter {letter}'} is "
            f"wrong; got {got[place][:4]}"
            + (": the maps come first, (maps, side, side)" if got[place] == (*want[place][1:], want[place][0]) else "")
            + (": without the number of images" if got[place] == (1, *want[place]) else "")
            + (": half the side, rounded down" if any(n % 1 for n in got[place]) else "")
        )


def some_filters(rng, n):
    """A tuple, as in the visible tests."""
    return tuple(int(f) for f in np.sort(rng.permutation(np.arange(3, 14))[:n]))


# Task 1


@check("output_shapes", points=1)
def side_of_the_maps(student, rng):
    """C keeps the side, P halves it and rounds down, F multiplies, D and the output layer replace."""
    filters, hidden = some_filters(rng, 3), int(rng.integers(20, 40))
    compare_shapes(student, [("CPCPCPFDD", size, filters, hidden, 3) for size in (32, 47, int(rng.integers(50, 70)))])


@check("output_shapes", points=2)
def filters_follow_blocks(student, rng):
    """A block of convolutions has the same number of filters; only a P after a C moves on."""
    filters = some_filters(rng, 2)
    compare_shapes(
        student,
        [
            ("CCPCCPFD", 16, filters, 9, 2),
            ("CPPCFD", 24, filters, 9, 2),
            ("PCPCF", 16, filters, 9, 4),
            ("CPCPCPCPF", 32, filters, 9, 2),
            ("PCCPC", 24, filters, 9, 2),  # begins with P, ends with C
            ("CPPPCCPCFDD", 49, some_filters(rng, 3), 15, 5),
        ],
    )


@check("output_shapes", points=1)
def words_without_f_or_d(student, rng):
    """Words without F, and words with F but without D."""
    filters, classes = some_filters(rng, 3), int(rng.integers(2, 6))
    compare_shapes(
        student,
        [("CPCPC", 20, filters, 16, classes), ("C", 5, filters, 16, classes), ("CCPF", 13, filters, 16, classes)],
    )


# Task 2


def counts(layers, size, filters, hidden, classes, change=""):
    """Parameters of each letter and of the output layer, by formula; `change` names a mistake or a rule of the shapes."""
    result, before = [], (1, size, size)
    rule = change if change in RULES else ""
    for letter, after in zip([*layers, "O"], walk(layers, size, filters, hidden, classes, rule), strict=True):
        if letter in "PF":
            result.append(0)
        elif letter == "C":
            maps, kernel = 1 if change == "one map" else before[0], 1 if change == "no kernel" else 9
            result.append(maps * kernel * after[0] + after[0])
        else:
            numbers = int(np.prod(before)) if change == "not averaged" else before[0]
            result.append(numbers * after[0] + after[0])
        if change == "no bias of C" and letter == "C" or change == "no bias of D" and letter in "DO":
            result[-1] -= after[0]
        if change == "no bias" and letter not in "PF":
            result[-1] -= after[0]
        if change == "bias once" and letter not in "PF":
            result[-1] += 1 - after[0]
        before = after
    return result


def compare_counts(student, cases):
    for case in cases:
        layers = layer_of_each_letter(case[0], reference(*case))
        want = [sum(p.numel() for p in layer.parameters()) for layer in layers]
        got = array(student.parameter_counts(*case), (None,), "the list of counts")
        assert len(got) == len(want), (
            f"{len(want) - 1} letters and the output layer give {len(want)} numbers; got {len(got)}"
        )
        mistakes = {
            text: counts(*case, change)
            for change, text in {
                **{rule: text for rule, text in RULES.items() if rule != "average"},
                "no bias of C": "the biases of the convolutions are missing",
                "no bias of D": "the biases of the dense layers are missing",
                "no bias": "the biases are missing: one for each outgoing map or number",
                "bias once": "there is one bias for the whole layer; each outgoing map or number has its own",
                "one map": "a filter of a convolution has 9 weights for each incoming map, not 9 altogether",
                "no kernel": "a filter has 3 times 3 weights for each incoming map, not one",
                "not averaged": "without F the maps are averaged: the output layer gets one number for each map, not all "
                "pixels",
            }.items()
        }
        close(
            got,
            want,
            "the number of parameters",
            {text: m for text, m in mistakes.items() if m != want},
            rtol=0,
            atol=0.1,
        )


@check("parameter_counts", points=2)
def weights_and_biases(student, rng):
    """Convolutions and dense layers: weights for each pair, one bias for each output."""
    compare_counts(
        student,
        [
            ("CPCPCPFDD", int(rng.integers(16, 30)), some_filters(rng, 3), 17, 3),
            ("CCPCPPCF", int(rng.integers(20, 30)), some_filters(rng, 2), 8, 2),
        ],
    )


@check("parameter_counts", points=1)
def output_after_the_average(student, rng):
    """A word without F: the output layer gets one number for each map."""
    compare_counts(student, [("CPCC", int(rng.integers(10, 20)), some_filters(rng, 2), 8, int(rng.integers(2, 6)))])


# Task 3


@check("build_network", points=2)
def shapes_of_the_weights(student, rng):
    """Every layer has the right number of inputs and outputs."""
    for layers, size, n in (("CPCPFDD", 13, 2), ("CCPPCPFD", 25, 2), ("PCPCPCF", 19, 2), ("CPCPC", 11, 3)):
        case = layers, size, some_filters(rng, n), int(rng.integers(10, 20)), int(rng.integers(2, 5))
        want = [tuple(p.shape) for p in reference(*case).parameters()]
        got = as_shapes(student.parameter_shapes(*case), "the shapes of the weights")
        if got == want:
            continue
        assert got != [s for s in want if len(s) > 1], "the layers have no biases; leave bias=True, the default"
        for rule, text in RULES.items():
            before, wrong = (1, size, size), []
            for letter, after in zip([*layers, "O"], walk(*case, rule if rule != "average" else ""), strict=True):
                if letter not in "PF":
                    wrong += [(after[0], before[0], 3, 3) if letter == "C" else (after[0], before[0]), (after[0],)]
                before = after
            assert got != wrong, f"the weights have wrong shapes: {text}"
        assert got[:-2] != want and got != want[:-2], (
            "the output layer is there twice" if len(got) > len(want) else "the output layer is missing"
        )
        assert len(got) == len(want), (
            f"{len(want) // 2} layers with weights were asked for (each with a bias); got {len(got)} weights and biases"
        )
        assert got[:-2] != want[:-2], "the output layer has a wrong shape" + (
            ": without F it gets one number for each map (global average pooling)" if "F" not in layers else ""
        )
        raise AssertionError("a layer has the wrong number of inputs or outputs, or another filter size than 3 by 3")


def fill(net, seed):
    """The same weights as the notebook's `weighted`."""
    rng = np.random.default_rng(seed)
    with torch.no_grad():
        for p in net.parameters():
            spread = (2 / p[0].numel()) ** 0.5 if p.ndim > 1 else 0.1
            p.copy_(torch.from_numpy(rng.normal(0, spread, tuple(p.shape))))
    return net


def forward(layers, net, images, mistake=""):
    """Logits by plain function calls with the weights of `net`; `mistake` says what is done wrongly."""
    weights, x = list(net.parameters()), images
    pairs = iter(zip(weights[::2], weights[1::2], strict=True))
    for letter in layers:
        if letter == "C":
            x = functional.conv2d(x, *next(pairs), padding=1)
            x = x if mistake in ("no relu after C", "no relu") else x.relu()
        elif letter == "P":
            x = functional.avg_pool2d(x, 2) if mistake == "mean" else functional.max_pool2d(x, 2)
        elif letter == "F":
            x = x.flatten(1)
        else:
            x = functional.linear(x, *next(pairs))
            x = x if mistake in ("no relu after D", "no relu") else x.relu()
    if "F" not in layers:
        x = x.amax((2, 3)) if mistake == "max at the end" else x.mean((2, 3))
    x = functional.linear(x, *next(pairs))
    return {"softmax": x.softmax(1), "log": x.log_softmax(1), "relu": x.relu(), "sigmoid": x.sigmoid()}.get(mistake, x)


MISTAKES = {
    "softmax": "there is a softmax at the end; the network must give logits, and the cross entropy applies the softmax",
    "log": "there is a log-softmax at the end; the network must give logits",
    "sigmoid": "there is a sigmoid at the end; the network must give logits",
    "relu": "there is a ReLU after the output layer; nothing comes after it",
    "no relu": "there is no ReLU; it comes after each C and each D",
    "no relu after C": "the ReLU after C is missing",
    "no relu after D": "the ReLU after D is missing",
    "mean": "the pooling takes the mean; asked is the maximum (nn.MaxPool2d)",
    "max at the end": "a word without F takes the largest value of each map; asked is the average",
}


def logits_and_mistakes(case, images, seed):
    """What the network gives, and what it gives with each mistake."""
    net, x = fill(reference(*case), seed), torch.from_numpy(images).float()
    with torch.no_grad():
        want = net(x).numpy()
        wrong = {text: forward(case[0], net, x, mistake).numpy() for mistake, text in MISTAKES.items()}
    return want, {text: w for text, w in wrong.items() if not np.allclose(w, want, rtol=1e-2, atol=1e-3)}


def compare_logits(student, case, rng):
    images, seed = rng.random((8, 1, case[1], case[1])), int(rng.integers(10_000))
    want, wrong = logits_and_mistakes(case, images, seed)
    got = array(student.network_logits(*case, images, seed), (8, case[4]), "the output of the network")
    close(got, want, "the output of the network", wrong, rtol=2e-3, atol=2e-4)


@check("build_network", points=2)
def logits_of_the_network(student, rng):
    """With the same weights, the same logits as the library's network."""
    compare_logits(student, ("CCPCPFDD", 22, some_filters(rng, 2), 24, 3), rng)
    compare_logits(student, ("PCPPCF", 17, some_filters(rng, 2), 10, 4), rng)


@check("build_network", points=1)
def average_without_f(student, rng):
    """A word without F: global average pooling and the output layer."""
    compare_logits(student, ("CPCC", 14, some_filters(rng, 2), 10, 3), rng)


@check("build_network", points=2)
def dropout_after_each_d(student, rng):
    """Dropout 0.3 is at work after D in training, and nowhere else."""
    images, seed = rng.random((80, 1, 8, 8)), int(rng.integers(10_000))
    filters = some_filters(rng, 1)
    hidden = int(rng.integers(150, 250))
    case = ("CPFD", 8, filters, hidden, 3)
    calm = array(student.network_logits(*case, images, seed), (80, 3), "the output")
    again = array(student.network_logits(*case, images, seed), (80, 3), "the output")
    assert np.allclose(calm, again), "the dropout is also at work in a test: use nn.Dropout, which net.eval() turns off"
    want, wrong = logits_and_mistakes(case, images, seed)
    close(calm, want, "the output of the network", wrong, rtol=2e-3, atol=2e-4)
    first, second = array(
        student.training_logits("CPCF", 8, filters, hidden, 3, images, seed), (2, 80, 3), "the output"
    )
    assert np.all((first != 0) & (second != 0)), "there is a dropout after the output layer; nothing comes after it"
    assert np.allclose(first, second, atol=1e-6), "a word without D gives random answers: dropout comes only after D"
    first, second = array(student.training_logits(*case, images, seed), (2, 80, 3), "the output in training")
    assert not np.allclose(first, second, atol=1e-6), "the dropout after D is missing: two answers in training agree"
    assert (np.stack([first, second]) != 0).all(), "there is a dropout after the output layer; nothing comes after it"
    # The variance that dropout p adds to a logit is p / (1 - p) times the sum of (weight * value) ** 2.
    net = fill(reference(*case), seed)
    with torch.no_grad():
        values = net[:-1](torch.from_numpy(images).float())
        size = (values**2 @ net[-1].weight.T ** 2).numpy()
    odds = ((first - second) ** 2 / 2).sum() / size.sum()
    fraction = odds / (1 + odds)
    assert 0.2 < fraction < 0.4, (
        f"the dropout after D should leave out a fraction of 0.3; it seems to be about {fraction:.1f}"
    )
    # With a single number after D, dropout leaves of an answer either its bias, or the rest of it divided by 0.7.
    case = ("CPFD", 8, filters, 1, 3)
    for more in range(100):
        want, _ = logits_and_mistakes(case, images, seed + more)
        if np.ptp(want, axis=0).min() > 0.05:
            break
    bias = list(fill(reference(*case), seed + more).parameters())[-1].detach().numpy()
    got = array(student.training_logits(*case, images, seed + more), (2, 80, 3), "the output in training")
    kept = np.isclose(got, bias + (want - bias) / 0.7, rtol=1e-3, atol=1e-3)
    assert (kept | np.isclose(got, bias, rtol=1e-3, atol=1e-3)).all(), (
        "the dropout is at another place: it comes after the dense layer and the ReLU of a D"
    )


# Task 4


def field(layers):
    """From the last map back to the image: the first and the last pixel that one value depends on."""
    first = last = 0
    for letter in reversed(layers):
        first, last = (first - 1, last + 1) if letter == "C" else (2 * first, 2 * last + 1)
    return last - first + 1


def wrong_field(layers, mistake):
    side = step = 1
    for letter in layers:
        if mistake == "early" and letter == "P":
            step *= 2
        if letter == "C":
            side += {"no step": 2, "three": 3 * step, "one side": step}.get(mistake, 2 * step)
        else:
            side = (
                2 * side
                if mistake in ("double", "both")
                else side + {"narrow": 0, "no step": 1, "three": 2 * step}.get(mistake, step)
            )
            step = step + 1 if mistake == "adds" else step * (1 if mistake in ("no step", "early", "double") else 2)
    return side


@check("receptive_field", points=1)
def only_convolutions(student, rng):
    """Words of C only, and the empty word."""
    for n in rng.permutation(np.arange(3, 60))[:3].tolist():
        close(
            student.receptive_field("C" * n),
            2 * n + 1,
            "the receptive field",
            {
                "each C adds 3 pixels; it adds one on each side, so 2": 3 * n + 1,
                "each C adds 3 pixels; it adds one on each side, so 2, and the value itself is 1": 3 * n,
                "each C adds 1 pixel; it adds one on each side, so 2": n + 1,
                "the value itself is missing: start with 1": 2 * n,
                "it is the number of pixels; asked is the side of the square": (2 * n + 1) ** 2,
            },
            rtol=0,
        )
    assert number(student.receptive_field(""), "the receptive field") == 1, "without a letter a value sees one pixel"


@check("receptive_field", points=2)
def poolings_widen_the_step(student, rng):
    """After a P the next letters reach twice as far."""
    drawn = ["".join(rng.permutation(list("CCCPP" + "C" * int(rng.integers(1, 9))))) + "PC" for _ in range(3)]
    for layers in ("CCPCPC", "CPPCCP", *drawn):
        close(
            student.receptive_field(layers),
            field(layers),
            "the receptive field",
            {
                "after a P the step between neighboring values is 2, 4, 8 …; each letter was counted with step 1": wrong_field(
                    layers, "no step"
                ),
                "a P doubled the step before its own two values were counted; first widen the field, then double the step": wrong_field(
                    layers, "early"
                ),
                "a P itself also looks at two neighboring values: it widens the field by one step": wrong_field(
                    layers, "narrow"
                ),
                "a P doubled the field; it widens the field by one step and doubles the step": wrong_field(
                    layers, "double"
                ),
                "a P adds to the step; it doubles it (1, 2, 4, 8 …)": wrong_field(layers, "adds"),
                "a P doubled the field and the step; it widens the field by one step": wrong_field(layers, "both"),
                "the value itself is missing: start with 1": field(layers) - 1,
                "it is the number of pixels; asked is the side of the square": field(layers) ** 2,
                "the sides of the filters were added; neighboring filters overlap, so C adds 2 steps and P adds 1": wrong_field(
                    layers, "three"
                ),
                "a C reaches one step further on each side, so it adds 2 steps": wrong_field(layers, "one side"),
            },
            rtol=0,
        )


# Task 5


def logits_and_labels(rng, n=14, k=4):
    logits, labels = rng.normal(0, 2, (n, k)), rng.integers(0, k, n)
    z = torch.tensor(logits, requires_grad=True)
    loss = functional.cross_entropy(z, torch.from_numpy(labels))
    loss.backward()
    return logits, labels, loss.item(), z.grad.numpy()


def loss_and_gradient(value, shape):
    many = isinstance(value, list) and len(value) == 2
    assert many, f"two values were asked for, the loss and the gradient; got {describe(value)}"
    return number(value[0], "the loss"), array(value[1], shape, "the gradient")


@check("cross_entropy", points=1)
def mean_loss(student, rng):
    """The loss is the mean cross entropy of the softmax."""
    logits, labels, want, _ = logits_and_labels(rng)
    p = torch.from_numpy(logits).softmax(1)
    y, own = torch.from_numpy(labels), p.numpy()[np.arange(len(labels)), labels]
    got, _ = loss_and_gradient(student.cross_entropy(logits, labels), logits.shape)
    close(
        got,
        want,
        "the loss",
        {
            "it is the sum over the images; asked is the mean": want * len(labels),
            "it was divided by the number of images times classes; divide by the number of images": want / 4,
            "the softmax was applied twice": functional.cross_entropy(p, y).item(),
            "the logarithm has the base 2; asked is the natural one": want / np.log(2),
            "the logarithm has the base 10; asked is the natural one": want / np.log(10),
            "the minus sign is missing": -want,
            "it is the mean over all images and classes; only the true class of each image counts": -np.log(
                p.numpy()
            ).mean(),
            "log_p[:, labels] takes the classes of all images for every image; take log_p[np.arange(N), labels]": -np.log(
                p.numpy()
            )[:, labels].mean(),
            "it is the logarithm of the mean probability; asked is the mean of the logarithms": -np.log(own.mean()),
            "it is 1 minus the probability; asked is the negative logarithm": 1 - own.mean(),
            "the softmax goes over the images (axis 0); it goes over the classes of each image (axis 1)": functional.nll_loss(
                torch.from_numpy(logits).log_softmax(0), y
            ).item(),
        },
    )


@check("cross_entropy", points=2)
def gradient_by_the_logits(student, rng):
    """The gradient is (softmax minus truth) divided by the number of images."""
    logits, labels, _, want = logits_and_labels(rng)
    p, truth, n = torch.from_numpy(logits).softmax(1).numpy(), np.eye(4)[labels], len(labels)
    _, got = loss_and_gradient(student.cross_entropy(logits, labels), logits.shape)
    close(
        got,
        want,
        "the gradient",
        {
            "it was not divided by the number of images; the loss is a mean": want * n,
            "it has the wrong sign: it is softmax minus truth": -want,
            "the 1 of the true class was not subtracted; this is only the softmax": p / n,
            "it is the softmax, without the truth and without the division by the number of images": p,
            "it is the derivative by the probabilities; asked is the derivative by the logits": -truth / p / n,
            "it was divided by the number of images times classes; divide by the number of images": want / 4,
            "the raw logits stand where the softmax belongs": (logits - truth) / n,
            "the softmax was applied twice": (torch.from_numpy(p).softmax(1).numpy() - truth) / n,
        },
    )


@check("cross_entropy", points=1)
def large_logits(student, rng):
    """Logits of plus and minus 1000 give finite numbers."""
    logits, labels, _, _ = logits_and_labels(rng, 9, 3)
    logits = logits * 400 + 1000
    logits[0] = [-1000, -1003, -1001]
    z = torch.tensor(logits, requires_grad=True)
    want = functional.cross_entropy(z, torch.from_numpy(labels))
    want.backward()
    loss, gradient = loss_and_gradient(student.cross_entropy(logits, labels), logits.shape)
    assert np.isfinite(loss) and np.isfinite(gradient).all(), (
        "with large logits the result is nan or inf: subtract the largest logit of each image before taking exp, and "
        "do not take the logarithm of a probability that is 0"
    )
    assert not (loss < want.item() and loss < 40), (
        "a small number was added to the probability before the logarithm, so the loss can never be large: use "
        "z_k - log(sum(exp(z)))"
    )
    many, minus = len(labels), {"it is the sum over the images; asked is the mean": want.item() * len(labels)}
    close(loss, want.item(), "the loss for large logits", minus)
    close(
        gradient,
        z.grad.numpy(),
        "the gradient for large logits",
        {
            "it was not divided by the number of images; the loss is a mean": z.grad.numpy() * many,
            "it has the wrong sign: it is softmax minus truth": -z.grad.numpy(),
        },
    )


# Task 6


def seeds_of_two(rng, apart):
    """Accuracies of two layouts whose means are `apart`; they overlap where it is small. The first is often the better."""
    one, other = (rng.uniform(0.7, 0.8, int(rng.integers(3, 7))) for _ in range(2))
    pair = [one, other + apart]
    return pair if rng.random() < 0.5 else pair[::-1]


@check("compare_seeds", points=2)
def difference_and_gap(student, rng):
    """The difference of the means, and the gap between the lowest of the better and the highest of the worse."""
    cases = [seeds_of_two(rng, apart) for apart in (0.15, 0.15, 0.15, 0.03, 0.03, 0.03)]
    cases[0] = sorted(cases[0], key=np.mean)  # here a sign that is always positive is right, and a turned one is not
    for one, other in [*cases, cases[0][::-1], cases[-1][::-1]]:
        worse, better = sorted((one, other), key=np.mean)
        difference, gap = np.mean(other) - np.mean(one), better.min() - worse.max()
        close(
            student.compare_seeds(one, other),
            [difference, gap],
            "the difference and the gap",
            {
                "the difference is never negative here; it should say which layout is better": [abs(difference), gap],
                "the difference has the wrong sign: it is the mean of `other` minus that of `one`": [-difference, gap],
                "the gap is taken as if `other` were always the better layout": [difference, other.min() - one.max()],
                "the gap is the distance of the best seeds": [difference, better.max() - worse.max()],
                "the gap is the distance of the two extremes: take the *lowest* of the better layout": [
                    difference,
                    better.max() - worse.min(),
                ],
                "they are percentages; give fractions": [100 * difference, 100 * gap],
            },
        )
