"""Checks of exercise 07: Grad-CAM from hooks and in closed form, scaling, enlarging, batches."""

import numpy as np
import torch
import torch.nn.functional as F

from coursekit.grade.checks import array, check, close, number

SHAPE = (1, 24, 16)  # of an image: the maps are then 12 x 8 (early) and 6 x 4 (late)


class Net:
    """The small network of the exercise, built again: the same layers from the same seed."""

    def __init__(self, seed):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            first = torch.nn.Conv2d(1, 6, 3, stride=2, padding=1)
            second = torch.nn.Conv2d(6, 8, 3, stride=2, padding=1)
            last = torch.nn.Linear(8, 3)
        self.p = [2.5 * t.detach() for m in (first, second, last) for t in (m.weight, m.bias)]

    def early(self, x):
        return F.relu(F.conv2d(x, self.p[0], self.p[1], stride=2, padding=1))

    def late(self, a):
        return F.relu(F.conv2d(a, self.p[2], self.p[3], stride=2, padding=1))

    def head(self, a):
        return F.linear(a.mean((2, 3)), self.p[4], self.p[5])

    def parts(self, images, layer):
        """Feature maps, their logits (with a graph between the two)."""
        x = torch.as_tensor(images, dtype=torch.float32)
        a = self.early(x) if layer == "early" else self.late(self.early(x))
        a = a.detach().requires_grad_()
        return a, self.head(self.late(a) if layer == "early" else a)


def gradient_of(score, features):
    return torch.autograd.grad(score.sum(), features, retain_graph=True)[0]


def weighted(features, weights):
    return (weights * features).sum(1).detach().numpy()


def draw(rng, n=1, layer="early"):
    """A seed and images whose maps tell the mistakes apart; the feature maps and the logits."""
    for _ in range(500):
        seed, images = int(rng.integers(1, 10**6)), rng.standard_normal((n, *SHAPE)).astype(np.float32)
        features, logits = Net(seed).parts(images, layer)
        spread = (logits.max(1).values - logits.min(1).values).min()
        maps = [weighted(features, gradient_of(logits[:, k], features).mean((2, 3), keepdim=True)) for k in range(3)]
        clear = all(np.abs(maps[j] - maps[k]).max((1, 2)).min() > 0.01 for j in range(3) for k in range(j))
        if spread > 0.1 and clear and all(m.min() < -0.01 for m in maps):
            return seed, images, features, logits
    raise RuntimeError("no network was found whose maps tell the mistakes apart")


@check("grad_cam", points=2)
def map_at_an_early_layer(student, rng):
    """The map at a layer in the middle of the network is right."""
    seed, images, features, logits = draw(rng)
    target = int(logits.argmax())
    gradient = gradient_of(logits[:, target], features)
    soft = gradient_of(logits.softmax(1)[:, target], features)
    log = gradient_of(logits.log_softmax(1)[:, target], features)
    want = weighted(features, gradient.mean((2, 3), keepdim=True))[0]
    got = student.map_by_hooks(seed, images, target)["map"]
    got = array(got, (12, 8), "the map")
    close(
        got,
        want,
        "the map",
        {
            "it is the gradient of the probability; take the logit, before the softmax": weighted(
                features, soft.mean((2, 3), keepdim=True)
            )[0],
            "it is the gradient of the logarithm of the probability; take the logit, before the softmax": weighted(
                features, log.mean((2, 3), keepdim=True)
            )[0],
            "it is the gradient of all logits together; take the logit of the target only": weighted(
                features, gradient_of(logits, features).mean((2, 3), keepdim=True)
            )[0],
            "the gradient was averaged over the feature maps (the wrong axis); average it over the pixels of each map": weighted(
                features, gradient.mean(1, keepdim=True)
            )[0],
            "the gradient was averaged over the rows only; average over rows and columns": weighted(
                features, gradient.mean(2, keepdim=True)
            )[0],
            "the gradient was averaged over the columns only; average over rows and columns": weighted(
                features, gradient.mean(3, keepdim=True)
            )[0],
            "the gradient was averaged over everything; each feature map has its own weight": weighted(
                features, gradient.mean().expand(1, 6, 1, 1)
            )[0],
            "the gradient was not averaged at all: every pixel has its own weight (that is another method)": weighted(
                features, gradient
            )[0],
            "the gradient was added up over the pixels; take the mean": weighted(
                features, gradient.sum((2, 3), keepdim=True)
            )[0],
            "the feature maps were averaged, not added up": want / 6,
            "the ReLU was applied; return the raw values": np.maximum(want, 0),
            "the feature maps are not in it; multiply them by their weights": gradient.mean(1)[0].numpy(),
        },
        atol=1e-5,
    )


@check("grad_cam", points=1)
def map_of_the_class_asked_for(student, rng):
    """Each class has its own map, also the classes that the network does not predict."""
    seed, images, features, logits = draw(rng)
    maps = [weighted(features, gradient_of(logits[:, k], features).mean((2, 3), keepdim=True))[0] for k in range(3)]
    predicted = int(logits.argmax())
    order = [k for k in rng.permutation(3) if k != predicted]
    for target in order:
        got = array(student.map_by_hooks(seed, images, int(target))["map"], (12, 8), "the map")
        close(
            got,
            maps[target],
            "the map of a class that is not the predicted one",
            {
                "it is the map of the predicted class; take the target": maps[predicted],
                "it is the map of another class": maps[next(k for k in order if k != target)],
                "the ReLU was applied; return the raw values": np.maximum(maps[target], 0),
            },
            atol=1e-5,
        )


@check("grad_cam", points=1)
def hooks_are_removed(student, rng):
    """No hook is left on the network, and the last layer works as well."""
    seed, images, features, logits = draw(rng, layer="late")
    target = int(rng.integers(3))
    result = student.map_by_hooks(seed, images, target, layer="late")
    left = number(result["hooks"], "the number of hooks left")
    assert left == 0, f"hooks were not removed: {left:g} left on the network after the call; use handle.remove()"
    want = weighted(features, gradient_of(logits[:, target], features).mean((2, 3), keepdim=True))[0]
    close(
        array(result["map"], (6, 4), "the map at the last layer"),
        want,
        "the map at the last layer",
        {"the ReLU was applied; return the raw values": np.maximum(want, 0)},
        atol=1e-5,
    )


@check("class_activation_map", points=2)
def closed_form(student, rng):
    """The map of a class in closed form is right."""
    k = c = 5  # as many classes as maps: a transposed table of weights does not show in the shapes
    features, weights = rng.normal(size=(c, 4, 6)), rng.normal(size=(k, c))
    target = int(rng.integers(1, k))
    want = np.tensordot(weights[target], features, 1) / 24
    means = features.mean((1, 2))
    close(
        student.class_activation_map(features, weights, target),
        want,
        "the map",
        {
            "it was not divided by the number of pixels, h w": want * 24,
            "it was divided by the number of feature maps, not by the number of pixels h w": want * 24 / c,
            "the weights are those of a column; each class has a row": np.tensordot(weights[:, target], features, 1)
            / 24,
            "the weights are those of class 0, not of the target": np.tensordot(weights[0], features, 1) / 24,
            "the weights of all classes were added up": np.tensordot(weights.sum(0), features, 1) / 24,
            "the ReLU was applied; return the raw values": np.maximum(want, 0),
            "the feature maps were averaged over the pixels first: the places are lost": np.full(
                want.shape, weights[target] @ means / 24
            ),
            "every pixel holds the whole logit: the places are lost": np.full(want.shape, weights[target] @ means),
        },
    )


@check("class_activation_map", points=1)
def adds_up_to_the_logit(student, rng):
    """The values of the map add up to the logit without the bias, and fit the gradient of a network."""
    seed, images, features, logits = draw(rng, layer="late")
    net = Net(seed)
    weights, bias = (p.numpy() for p in net.p[4:])
    for target in range(3):
        got = array(student.class_activation_map(features[0].detach().numpy(), weights, target), (6, 4), "the map")
        logit = logits[0, target].item()
        gradient = gradient_of(logits[:, target], features)
        want = weighted(features, gradient.mean((2, 3), keepdim=True))[0]
        close(
            got.sum(),
            logit - float(bias[target]),
            "the sum of the map",
            {
                "the bias is in the map; leave it out": logit,
                "it was not divided by the number of pixels, h w": 24 * (logit - float(bias[target])),
                "the ReLU was applied; return the raw values": np.maximum(want, 0).sum(),
            },
            rtol=1e-3,
            atol=1e-4,
        )
        close(
            got,
            want,
            "the map (its sum is right)",
            {"every pixel has the same value: the places are lost": np.full(want.shape, want.mean())},
            atol=1e-5,
        )


@check("positive_part", points=2)
def scaled_to_one(student, rng):
    """Negative values become 0, and every map has its own maximum of 1."""
    maps = rng.normal(size=(5, 4, 6)) * np.array([1, 5, 0.2, 30, 2])[:, None, None]
    maps[:, 0, 0] = np.abs(maps).max((1, 2)) / 2  # at least one positive value
    maps[:, 0, 1] = -1.2 * np.abs(maps).max((1, 2))  # and the largest absolute value is negative
    positive = np.maximum(maps, 0)
    top, low = maps.max((1, 2), keepdims=True), maps.min((1, 2), keepdims=True)
    close(
        student.positive_part(maps),
        positive / top,
        "the array of maps",
        {
            "the ReLU is missing: negative values are still there": maps / top,
            "each map was stretched from its minimum to its maximum; set negative values to 0 instead": (maps - low)
            / (top - low),
            "all maps were divided by the largest value of the batch; each has its own maximum": positive / maps.max(),
            "they were not scaled": positive,
            "absolute values were taken: what speaks against the class looks as if it spoke for it": np.abs(maps)
            / np.abs(maps).max((1, 2), keepdims=True),
            "they were divided by the largest absolute value, not by the largest value": positive
            / np.abs(maps).max((1, 2), keepdims=True),
            "they were divided by their sum, not by their maximum": positive / positive.sum((1, 2), keepdims=True),
        },
    )


@check("positive_part", points=1)
def blank_maps_stay_blank(student, rng):
    """A map without any positive value becomes all zeros, and does not disturb its neighbors."""
    maps = rng.random((4, 3, 5)) + 0.5
    maps[1], maps[2] = 0, -maps[2]
    got = array(student.positive_part(maps), (4, 3, 5), "the array of maps")
    assert not np.isnan(got[1:3]).any(), "a blank map became nan: it was divided by zero"
    assert np.isfinite(got).all(), "a blank map became infinite: it was divided by zero"
    assert not got[2].any(), "a map with negative values only must become all zeros; it has other values"
    assert not got[1].any(), "a map of zeros must stay all zeros; it has other values"
    close(got[[0, 3]], maps[[0, 3]] / maps[[0, 3]].max((1, 2), keepdims=True), "a map beside a blank one")


@check("positive_part", points=1)
def weak_maps_are_scaled_too(student, rng):
    """A weak map is no blank map: its maximum becomes 1."""
    maps = rng.normal(size=(3, 4, 4))
    maps[:, 1, 2] = 5
    maps *= 10.0 ** -rng.integers(6, 9, 3)[:, None, None]
    got = array(student.positive_part(maps), (3, 4, 4), "the array of maps")
    peak = got.max((1, 2))
    assert (peak > 0).all(), "a weak map became blank; only a map without any positive value is blank"
    close(
        peak,
        np.ones(3),
        "the maximum of a weak map",
        {
            f"a small number ({e:g}) was added to the maximum, and a weak map suffers from it": 5
            / (5 + e / (maps[:, 1, 2] / 5))
            for e in (1e-6, 1e-7, 1e-8, 1e-5, 1e-9, 1e-10)
        },
        rtol=1e-5,
    )
    close(got, np.maximum(maps, 0) / maps.max((1, 2), keepdims=True), "the array of weak maps")


def resized(coarse, size, **options):
    return F.interpolate(torch.as_tensor(coarse)[None, None], size, **options)[0, 0].numpy()


def by_places(coarse, size, place):
    """Bilinear with any rule for the places; beyond the border the line goes on."""
    for axis, length in enumerate(size):
        n = coarse.shape[axis]
        s = place(np.arange(length), n, length)
        low = np.clip(np.floor(s), 0, max(n - 2, 0)).astype(int)
        fraction = np.expand_dims(s - low, 1 - axis)
        coarse = (1 - fraction) * coarse.take(low, axis) + fraction * coarse.take(np.minimum(low + 1, n - 1), axis)
    return coarse


@check("enlarge", points=2)
def bilinear_with_aligned_middles(student, rng):
    """The large map is bilinear, and the middles of the pixels are aligned."""
    h, w = (int(v) for v in rng.choice([3, 4, 5, 6], 2, replace=False))
    size = (h * int(rng.integers(2, 4)) + 1, w * int(rng.integers(3, 5)) + 2)  # no whole factor
    size = (size[0], size[1] + (size[0] == size[1]))  # nor a square
    coarse = rng.normal(size=(h, w))
    got = student.enlarge(coarse, size)
    assert array(got, what="the large map").shape != (size[1], size[0]), "size is (height, width), not (width, height)"
    close(
        array(got, size, "the large map"),
        resized(coarse, size, mode="bilinear", align_corners=False),
        "the large map",
        {
            "the corners were aligned (align_corners=True), not the middles of the pixels": resized(
                coarse, size, mode="bilinear", align_corners=True
            ),
            "each pixel is a copy of the nearest one; neighbors must be mixed": resized(coarse, size, mode="nearest"),
            "each pixel is a copy of the nearest one; neighbors are not mixed": resized(
                coarse, size, mode="nearest-exact"
            ),
            "the curve is bicubic; bilinear was asked for": resized(coarse, size, mode="bicubic", align_corners=False),
            "the two halves are missing: the left edges of the pixels were aligned, not the middles": by_places(
                coarse, size, lambda i, n, m: np.minimum(i * n / m, n - 1)
            ),
            "beyond the outermost middles the line goes on; keep the place between 0 and h - 1": by_places(
                coarse, size, lambda i, n, m: (i + 0.5) * n / m - 0.5
            ),
        },
    )


@check("enlarge", points=1)
def border_and_single_pixels(student, rng):
    """The border holds no larger value than the map, and maps of one row or one pixel work."""
    coarse = np.zeros((4, 4))
    coarse[0, 0], coarse[3, 3] = 1, rng.uniform(2, 3)
    got = array(student.enlarge(coarse, (16, 20)), (16, 20), "the large map")
    assert got.min() >= -1e-6 and got.max() <= coarse.max() + 1e-6, (
        "at the border the large map leaves the range of the small one: the place must stay between 0 and h - 1"
    )
    assert np.isclose(got[0, 0], 1) and np.isclose(got[-1, -1], coarse[3, 3]), (
        "the corners of the large map should keep the values of the small map's corners"
    )
    for shape, size in (((1, 1), (3, 5)), ((1, 4), (2, 12)), ((3, 1), (12, 3))):
        small = rng.normal(size=shape)
        close(
            array(student.enlarge(small, size), size, f"a map of {shape[0]} x {shape[1]}, enlarged"),
            resized(small, size, mode="bilinear", align_corners=False),
            f"a map of {shape[0]} x {shape[1]}, enlarged",
        )


@check("enlarge", points=1)
def same_size_and_symmetry(student, rng):
    """The same size changes nothing, and a mirrored map gives the mirrored result."""
    coarse = rng.normal(size=(5, 3))
    close(student.enlarge(coarse, (5, 3)), coarse, "a map enlarged to its own size")
    a = array(student.enlarge(coarse, (15, 12)), (15, 12), "the large map")
    b = array(student.enlarge(np.ascontiguousarray(coarse[::-1, ::-1]), (15, 12)), (15, 12), "the large map")
    assert np.allclose(a, b[::-1, ::-1], atol=1e-5), (
        "a map turned upside down gives another result: the large map is shifted to one side"
    )
    assert np.ptp(a) > 0.5 * np.ptp(coarse), "the large map has lost the differences between the pixels"


def batch_of(rng, n):
    """As draw, with mixed targets."""
    seed, images, features, logits = draw(rng, n)
    first = (int(logits[0].argmax()) + int(rng.integers(1, 3))) % 3  # not the predicted class
    others = rng.permutation([k for k in range(3) if k != first])
    targets = np.resize([first, *others], n)
    return seed, images, targets, features, logits


@check("grad_cam_batch", points=2)
def maps_of_a_batch(student, rng):
    """All maps of a batch with different targets are right."""
    n = 5
    seed, images, targets, features, logits = batch_of(rng, n)
    row, to = torch.arange(n), torch.as_tensor(targets)
    gradient = gradient_of(logits[row, to], features)
    weights = gradient.mean((2, 3), keepdim=True)

    def with_score(score):
        return weighted(features, gradient_of(score, features).mean((2, 3), keepdim=True))

    want = weighted(features, weights)
    result = student.maps_of_batch(seed, images, targets)
    close(
        array(result["maps"], (n, 12, 8), "the array of maps"),
        want,
        "the array of maps",
        {
            "the gradients were averaged over the batch; each image has its own weights": weighted(
                features, weights.mean(0, keepdim=True)
            ),
            "they are too small by the number of images: the logits were averaged, but they must be added up": want / n,
            "the target of the first image was used for all images": with_score(logits[:, targets[0]]),
            "logits[:, targets] takes the targets of all images for every image; take one logit from each row": with_score(
                logits[:, to]
            ),
            "the predicted class was used, not the target": with_score(logits.max(1).values),
            "it is the gradient of the probability; take the logit, before the softmax": with_score(
                logits.softmax(1)[row, to]
            ),
            "it is the gradient of all logits together; take one logit from each row": with_score(logits),
            "the ReLU was applied; return the raw values": np.maximum(want, 0),
            "the gradient was averaged over the feature maps (the wrong axis); average it over the pixels of each map": weighted(
                features, gradient.mean(1, keepdim=True)
            ),
        },
        atol=1e-5,
    )


@check("grad_cam_batch", points=1)
def batch_equals_one_by_one(student, rng):
    """An image has the same map alone and among others."""
    seed, images, targets, features, logits = batch_of(rng, 4)
    gradient = gradient_of(logits[torch.arange(4), torch.as_tensor(targets)], features)
    want = weighted(features, gradient.mean((2, 3), keepdim=True))
    together = array(student.maps_of_batch(seed, images, targets)["maps"], (4, 12, 8), "the array of 4 maps")
    pick = int(rng.integers(1, 4))
    part = slice(pick, pick + 1)
    alone = array(student.maps_of_batch(seed, images[part], targets[part])["maps"], (1, 12, 8), "the array of 1 map")
    assert np.allclose(alone, together[part], rtol=1e-3, atol=1e-5), (
        "an image has another map in a batch than alone: its map depends on the other images"
    )
    close(
        alone,
        want[part],
        "the map of one image",
        {"the ReLU was applied; return the raw values": np.maximum(want[part], 0)},
        atol=1e-5,
    )


@check("grad_cam_batch", points=1)
def one_run_for_all(student, rng):
    """The network runs once for all images, and no hook is left."""
    n = int(rng.integers(3, 7))
    seed, images, targets, features, logits = batch_of(rng, n)
    result = student.maps_of_batch(seed, images, targets)
    left, passes = number(result["hooks"], "the number of hooks left"), number(result["passes"], "the number of runs")
    assert left == 0, f"hooks were not removed: {left:g} left on the network after the call; use handle.remove()"
    assert passes == 1, f"the network was run {passes:g} times for {n} images; give it all images at once"
    # the count can be set by anybody; in a coupled network the maps themselves tell which images were run together
    net, row = Net(seed), (torch.arange(n), torch.as_tensor(targets))

    def coupled(groups):
        early = net.early(torch.as_tensor(images, dtype=torch.float32))
        early = torch.cat([F.batch_norm(early[g], None, None, training=True) for g in groups]).detach().requires_grad_()
        gradient = gradient_of(net.head(net.late(early))[row], early)
        return weighted(early, gradient.mean((2, 3), keepdim=True))

    close(
        array(student.maps_of_batch(seed, images, targets, "early", True)["maps"], (n, 12, 8), "the array of maps"),
        coupled([slice(None)]),
        "the array of maps of a network with a batch norm",
        {"the images were run one by one; give the network all at once": coupled([slice(i, i + 1) for i in range(n)])},
        rtol=1e-3,
        atol=1e-4,
    )
