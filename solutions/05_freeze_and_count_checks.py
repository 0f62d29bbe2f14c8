"""Checks of exercise 5: freeze and count parameters."""

import numpy as np
import torch
from torch import nn

from coursekit.grade.checks import array, check, close, describe, number

MEAN, STD = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])


def _widths(rng, blocks):
    return [int(w) for w in rng.choice(np.arange(3, 14), blocks, replace=False)]


def _pair(value, what):
    many = isinstance(value, list) or (isinstance(value, np.ndarray) and value.ndim > 0)
    assert many and len(value) == 2, f"the function should return two things, {what}; got {describe(value)}"
    return value


# Task 1


def _sizes(widths, classes):
    """The sizes of the parameter tensors of every block, and those of the head."""
    channels = [1, *widths]
    blocks = [[9 * a * b, b, b] for a, b in zip(channels, channels[1:], strict=False)]
    return blocks, [widths[-1] * classes, classes]


def _count_case(student, rng, frozen):
    widths, classes = _widths(rng, 4), int(rng.integers(2, 8))
    got = [
        number(n, "each of the two numbers") for n in _pair(student.counts(widths, classes, frozen), "(trainable, all)")
    ]
    blocks, head = _sizes(widths, classes)
    return got, blocks, head, sum(widths)


@check("count_parameters", points=1)
def all_parameters(student, rng):
    """The number of all parameters, frozen or not."""
    for frozen in ([], [0, 2]):
        got, blocks, head, channels = _count_case(student, rng, frozen)
        body = sum(map(sum, blocks))
        close(
            got[1],
            body + sum(head),
            "the number of all parameters",
            {
                "the running means and variances of the batch norms are counted; they are buffers, not parameters": body
                + sum(head)
                + 2 * channels,
                "the buffers of the batch norms (running values, number of batches) are counted, as in state_dict": body
                + sum(head)
                + 2 * channels
                + len(blocks),
                "the parameter tensors are counted, not the numbers in them": 3 * len(blocks) + 2,
                "parameters are counted several times: modules() also gives the containers of a layer": 4 * body
                + 3 * sum(head),
                "only the tensors called `weight` are counted; a bias is a parameter, too": body - channels + head[0],
                "only the trainable parameters are counted": body + sum(head) - sum(sum(blocks[b]) for b in frozen),
            },
            rtol=0,
        )


@check("count_parameters", points=2)
def trainable_parameters(student, rng):
    """The number of trainable parameters when some blocks are frozen."""
    for frozen in ([0, 1], [0, 1, 2, 3], [2]):
        got, blocks, head, channels = _count_case(student, rng, frozen)
        every = sum(map(sum, blocks)) + sum(head)
        stopped = sum(sum(blocks[b]) for b in frozen)
        close(
            got[0],
            every - stopped,
            f"the number of trainable parameters with {len(frozen)} of 4 blocks frozen",
            {
                "frozen parameters are counted, too: look at requires_grad": every,
                "the frozen parameters are counted instead of the trainable ones": stopped,
                "the tensors are counted, not the numbers in them": 3 * (4 - len(frozen)) + 2,
                "only the head is counted": sum(head),
                "parameters are counted several times: modules() also gives the containers of a layer": 3 * sum(head)
                + 4 * (every - sum(head) - stopped),
            },
            rtol=0,
        )


# Task 2


def _released(student, rng, blocks, ks):
    """The trainable blocks and the state of the head after freeze_all_but was called with each of ks."""
    widths = _widths(rng, blocks)
    found = array(student.trainable_after(widths, 3, ks), (3 * blocks + 2,), "the list of trainable parameters") > 0
    body = found[:-2].reshape(blocks, 3)
    half = np.flatnonzero(body.any(1) & ~body.all(1))
    if len(half):
        kinds = ["the convolution" if body[half[0], 0] else "", "the batch norm" if body[half[0], 1:].any() else ""]
        raise AssertionError(
            f"block {half[0]} is frozen only in part: {' '.join(filter(None, kinds))} still trains "
            f"(k = {ks[-1]} of {blocks} blocks)"
        )
    return body.all(1).tolist(), found[-2:]


def _judge_released(got, k, told):
    blocks = len(got)
    if got == [b >= blocks - k for b in range(blocks)]:
        return
    n = sum(got)
    last = [b >= blocks - n for b in range(blocks)]
    if k == 0 and n == blocks:
        reason = "the whole body is trainable: blocks[-0:] is the whole list, not an empty one"
    elif got == [b < k for b in range(blocks)]:
        reason = "the first k blocks are released; the last ones are next to the head"
    elif got == [b < blocks - k for b in range(blocks)]:
        reason = "it is the wrong way round: the last k blocks are frozen, and the others are trainable"
    elif got == last and abs(n - k) == 1:
        reason = f"off by one: the number of released blocks is {n}"
    else:
        reason = f"the released blocks are {[b for b in range(blocks) if got[b]]}"
    raise AssertionError(f"{told}: {reason}")


@check("freeze_all_but", points=2)
def last_blocks_are_released(student, rng):
    """The last k blocks train, no others."""
    for place in (0, *rng.permutation([1, 2, 3])):  # k = 2 tells layers from blocks
        blocks = int(rng.integers(4, 9))
        k = (2, 1, blocks - 1, blocks)[place]
        got, _ = _released(student, rng, blocks, [k])
        _judge_released(got, k, f"k = {k} of {blocks} blocks")


@check("freeze_all_but", points=1)
def no_block_is_released(student, rng):
    """k = 0 freezes the whole body, and the head still trains."""
    for some in rng.permutation([0, 1, 1, 1]):
        blocks = int(rng.integers(3, 9))
        k = int(some * rng.integers(1, blocks))
        got, head = _released(student, rng, blocks, [k])
        assert head.all(), f"k = {k}: the head is frozen; it is new and must always be trained"
        _judge_released(got, k, f"k = {k} of {blocks} blocks")


@check("freeze_all_but", points=1)
def only_the_last_call_counts(student, rng):
    """A second call with another k undoes the first one."""
    for case in rng.permutation(4):
        blocks = int(rng.integers(5, 9))
        low = int(rng.integers(1, blocks - 2))
        high = int(rng.integers(low + 2, blocks))  # two apart: who is off by one is not taken for one who forgets
        ks = ((low, high), (high, low), (0, blocks), (blocks, 0))[case]
        got, head = _released(student, rng, blocks, ks)
        want = [b >= blocks - ks[1] for b in range(blocks)]
        told = f"first k = {ks[0]}, then k = {ks[1]}"
        if got != want and ks[1] > ks[0]:
            assert sum(got) != ks[0], f"{told}: blocks that were frozen by the first call are not released again"
        if got != want and 0 < ks[1] < ks[0]:
            assert sum(got) != ks[0], f"{told}: blocks that were released by the first call are not frozen again"
        _judge_released(got, ks[1], told)
        assert head.all(), f"{told}: the head is frozen"


# Task 3


def _net(widths, seed):
    """The bodies' layers, drawn in the order of the exercise's network."""
    torch.manual_seed(seed)
    layers, channels = [], 1
    for width in widths:
        norm = nn.BatchNorm2d(width)
        norm.running_mean.uniform_(-0.5, 0.5)
        layers.append((nn.Conv2d(channels, width, 3, padding=1, bias=False), norm))
        channels = width
    return layers


@torch.no_grad()
def _step(widths, seed, images, frozen):
    """Running means and variances after a step, and the features, if the blocks `frozen` are in eval mode."""
    layers = _net(widths, seed)
    for b, (_, norm) in enumerate(layers):
        norm.train(b not in frozen)
    x = images
    for conv, norm in layers:
        x = torch.relu(norm(conv(x)))
    return (
        [norm.running_mean.numpy() for _, norm in layers],
        [norm.running_var.numpy() for _, norm in layers],
        x.numpy(),
    )


def _some(rng, blocks):
    """Some of the blocks, in order; not all of them."""
    return sorted(int(b) for b in rng.permutation(blocks)[: int(rng.integers(1, blocks))])


def _step_case(student, rng, blocks, frozen):
    """What one_step gives for this many blocks, and what it gives with these, no and all blocks frozen."""
    widths, seed = _widths(rng, blocks), int(rng.integers(1000))
    images = torch.from_numpy(rng.uniform(0.5, 1.5, (6, 1, 7, 7)).astype(np.float32))
    labels = torch.from_numpy(rng.integers(0, 3, 6))
    with torch.random.fork_rng(devices=[]):
        want, everything, nothing = (_step(widths, seed, images, f) for f in (frozen, [], range(blocks)))
    got = student.one_step(widths, 3, frozen, images, labels, seed)
    assert isinstance(got, list) and len(got) == 3, "one_step should return running means, variances and features"
    for values in got[:2]:
        assert isinstance(values, list) and len(values) == blocks, (
            "one_step should return one array per block in a list"
        )
    return got, want, everything, nothing, widths


@check("set_train_mode", points=2)
def frozen_norms_stand_still(student, rng):
    """In a training step, the running values of a frozen batch norm do not move."""
    for part in (False, *rng.permutation([True, True])):
        blocks = int(rng.integers(3, 9))
        frozen = _some(rng, blocks) if part else list(range(blocks))
        got, want, everything, nothing, widths = _step_case(student, rng, blocks, frozen)
        for b in frozen:
            for k, name in enumerate(("running mean", "running variance")):
                what = f"the {name} of the frozen block {b}"
                close(
                    array(got[k][b], (widths[b],), what),
                    want[k][b],
                    what,
                    {
                        "it moved with the batch. requires_grad = False does not stop it, eval mode does": everything[
                            k
                        ][b],
                        "it was set back to its start value": np.full(widths[b], float(k)),
                    },
                )
        for b in set(range(blocks)) - set(frozen):  # and the others must move, or standing still is no achievement
            what = f"the running mean of the block {b}, which is not frozen"
            close(
                array(got[0][b], (widths[b],), what),
                want[0][b],
                what,
                {
                    "it stands still, too: put everything into training mode, and only the frozen batch norms into eval mode": nothing[
                        0
                    ][b]
                },
                rtol=1e-3,
                atol=1e-4,
            )
        if not part:  # nothing in the body trains: its features come from the running values
            close(
                array(got[2], want[2].shape, "the output of the body"),
                want[2],
                "the output of a frozen body",
                {
                    "a frozen batch norm still normalizes with the mean and variance of the batch: put it into eval mode": everything[
                        2
                    ]
                },
                rtol=1e-3,
                atol=1e-4,
            )


@check("set_train_mode", points=1)
def other_norms_learn(student, rng):
    """The running values of a batch norm that is not frozen move."""
    for some in rng.permutation([1, 1, 1, 0]):
        blocks = int(rng.integers(3, 9))
        frozen = _some(rng, blocks) if some else []
        got, want, everything, nothing, widths = _step_case(student, rng, blocks, frozen)
        # A frozen block in training mode changes what comes in here; that is a mistake of another check.
        as_if_none = all(
            np.allclose(array(got[0][b], (widths[b],), "the running mean"), everything[0][b], rtol=1e-3, atol=1e-4)
            for b in range(blocks)
        )
        for b in set(range(blocks)) - set(frozen):
            for k, name in enumerate(("running mean", "running variance")):
                close(
                    array(got[k][b], (widths[b],), f"the {name}"),
                    (everything if as_if_none else want)[k][b],
                    f"the {name} of a block that trains",
                    {"it did not move. Only frozen batch norms belong into eval mode": nothing[k][b]},
                    rtol=1e-3,
                    atol=1e-4,
                )


@check("set_train_mode", points=1)
def modes_follow_the_freezing(student, rng):
    """Every layer is in the mode it should be in, also when other blocks were frozen before."""
    for case in rng.permutation(3):
        blocks = int(rng.integers(4, 9))
        some = sorted(int(b) for b in rng.permutation(blocks)[: int(rng.integers(1, blocks))])
        first, then = ((list(range(blocks)), some), (some, []), (some, [some[0]]))[case]
        got = student.modes(_widths(rng, blocks), first, then)
        assert isinstance(got, list) and len(got) == 2, "modes should return the modes of the norms and of the dropout"
        norms, dropout = array(got[0], (blocks,), "the modes of the batch norms") > 0, got[1]
        assert dropout, (
            "the dropout is in eval mode: the network outside of the frozen batch norms belongs into training mode"
        )
        for b in range(blocks):
            if b in then:
                assert not norms[b], f"the batch norm of block {b} is frozen, but in training mode"
            else:
                assert norms[b], (
                    f"the batch norm of block {b} is not frozen, but in eval mode: "
                    "put everything into training mode first, and then only the frozen batch norms into eval mode"
                )


# Task 4


def _channels(x):
    return np.repeat(x, 3, 1)


def _normalize(x, mean=MEAN, std=STD):
    return (x - np.reshape(mean, (-1, 1, 1))) / np.reshape(std, (-1, 1, 1))


@check("for_imagenet", points=2)
def normalized_once(student, rng):
    """Gray images become three channels, from 0 to 1, normalized once."""
    images = rng.integers(0, 256, (4, 1, 6, 5)).astype(np.uint8)
    images[0, 0, 0, :2] = 0, 255
    got = student.for_imagenet(torch.from_numpy(images))
    if np.ndim(got) == 4 and np.shape(got)[-1] == 3:
        raise AssertionError("the channels are the last axis; torch wants (B, 3, H, W)")
    if np.ndim(got) == 4 and np.shape(got)[1] == 1:
        raise AssertionError("the result has one channel; the network expects three")
    x = _channels(images / 255)
    raw = _channels(images.astype(float))
    own = _channels((images / 255 - (images / 255).mean()) / (images / 255).std())
    close(
        array(got, (4, 3, 6, 5), "the batch"),
        _normalize(x),
        "the batch",
        {
            "it was normalized twice": _normalize(_normalize(x)),
            "the values were not divided by 255 before the normalization": _normalize(raw),
            "the values were divided by 255 after the normalization; do it before": _normalize(raw) / 255,
            "the values were divided by 255 twice": _normalize(x / 255),
            "the values were divided by 256": _normalize(_channels(images / 256)),
            "it was not normalized": x,
            "the mean was subtracted, but nothing was divided by the standard deviation": _normalize(x, std=np.ones(3)),
            "it was divided by the variance; divide by the standard deviation": _normalize(x, std=STD**2),
            "it was multiplied by the standard deviation; divide by it": _normalize(x, std=1 / STD),
            "the channels are in the order blue, green, red": _normalize(x, MEAN[::-1], STD[::-1]),
            "one mean and one standard deviation were used for all three channels": _normalize(
                x, MEAN.mean(), STD.mean()
            ),
            "the mean and standard deviation of these images were used, not those of ImageNet": own,
            "the values were brought to the range from -1 to 1; use the numbers of ImageNet": 2 * x - 1,
        },
        atol=1e-4,
    )


@check("for_imagenet", points=1)
def independent_of_the_batch(student, rng):
    """A black and a white image keep their values, whatever else is in the batch."""
    n = int(rng.integers(5, 10))
    images = rng.integers(90, 120, (n, 1, 3, 4)).astype(np.uint8)
    black, white, other = rng.permutation(n)[:3]
    images[black], images[white] = 0, 255
    got = student.for_imagenet(torch.from_numpy(images))
    assert not isinstance(got, np.ndarray) or got.dtype == np.float32, (
        f"the type should be float32, as the weights of a network; got {got.dtype}"
    )
    got = array(got, (n, 3, 3, 4), "the batch")
    for row, name in ((black, "a black image"), (white, "a white image"), (other, "a gray image")):
        x = _channels(images[row : row + 1] / 255)[0]
        close(
            got[row],
            _normalize(x),
            name,
            {
                "it was normalized twice": _normalize(_normalize(x)),
                "the values were not divided by 255 before the normalization": _normalize(255 * x),
            },
            atol=1e-4,
        )
    part = slice(other, other + 1)
    alone = array(student.for_imagenet(torch.from_numpy(images[part])), (1, 3, 3, 4), "one image")
    close(alone, got[part], "an image alone in its batch", {}, atol=1e-4)


# Task 5


def _table(student, rng, frozen, blocks=4):
    """Times and rates of the blocks (blocks, 3) and of the head (2,)."""
    lr, decay = float(rng.uniform(0.01, 0.1)), float(rng.uniform(0.3, 0.7))
    table = array(student.group_table(_widths(rng, blocks), 3, frozen, lr, decay), (3 * blocks + 2, 2), "the table")
    body = table[:-2].reshape(blocks, 3, 2)
    return body[..., 0], body[..., 1], table[-2:, 0], table[-2:, 1], lr, decay


@check("parameter_groups", points=2)
def rates_fall_away_from_the_head(student, rng):
    """The head has the full rate, and every step away from it one factor more."""
    for frozen in ([], [0, 1]):
        times, rates, _, head, lr, decay = _table(student, rng, frozen)
        assert times.max() <= 1, "a parameter is in two groups, so its rate is not clear"
        free = np.arange(len(frozen), 4)
        got = np.append(rates[free].mean(1), head.mean())
        assert np.allclose(rates[free], got[:-1, None]) and np.allclose(head, got[-1]), (
            "the parameters of one block (or of the head) do not all have the same rate, or one of them has none"
        )
        steps = np.append(4 - free, 0)
        close(
            got,
            lr * decay**steps,
            "the list of rates",
            {
                "the blocks are off by one: the last block is one step away from the head, so it has lr * decay": lr
                * decay ** np.maximum(steps - 1, 0),
                "all rates are off by one: the head has lr, without the factor": lr * decay ** (steps + 1),
                "the head has the rate lr * decay; it has lr": lr * decay ** np.maximum(steps, 1),
                "the order is reversed: the first block got the largest rate of the body": lr
                * decay ** np.append(free + 1.0, 0),
                "the order is reversed: the head has the smallest rate, the first block the largest": lr
                * decay ** np.append(free + 0.0, 4),
                "all rates are the same": lr * decay ** (0 * steps),
                "all blocks have the rate lr * decay; it is one factor for each step": lr
                * decay ** np.minimum(steps, 1),
            },
            rtol=1e-4,
            atol=1e-9,
        )


@check("parameter_groups", points=1)
def every_trainable_parameter_once(student, rng):
    """No trainable parameter is missing, and none is in two groups."""
    for frozen in ([], [0]):
        times, _, head, *_ = _table(student, rng, frozen)
        free = np.append(times[len(frozen) :].ravel(), head)
        assert free.max() <= 1, "a parameter is in two groups; torch refuses such a list"
        assert head.min() == 1, "the head is in no group: it would never be trained"
        assert times[len(frozen) :, 1:].min() == 1, "a trainable batch norm is in no group: it would never be trained"
        assert free.min() == 1, "a trainable parameter is in no group: it would never be trained"


@check("parameter_groups", points=1)
def frozen_parameters_are_left_out(student, rng):
    """Frozen parameters are in no group."""
    frozen = [[0], [0, 1, 2], [1]][int(rng.integers(3))]
    times, _, head, *_ = _table(student, rng, frozen)
    free = [b for b in range(4) if b not in frozen]
    assert times[frozen].max() == 0, "a frozen parameter is in a group: take only those with requires_grad"
    assert times[free].min() >= 1 and head.min() >= 1, "with some blocks frozen, a trainable parameter is in no group"


# Task 6


def _printout(student, rng, frozen):
    """What read_summary says of a network whose blocks ``frozen`` did not learn, and the sizes behind the printout."""
    widths, classes = _widths(rng, 4), int(rng.integers(2, 8))
    blocks, head = _sizes(widths, classes)
    body, stopped, running = sum(map(sum, blocks)), sum(sum(blocks[b]) for b in frozen), 2 * sum(widths)
    trainable = body - stopped + sum(head)
    found = student.from_printout(widths, classes, body + sum(head) + running, trainable)
    got = [number(n, "each of the two numbers") for n in _pair(found, "(learned, frozen)")]
    return got, body, stopped, sum(head), running


@check("read_summary", points=2)
def body_that_learned(student, rng):
    """The parameters of the body that learned, told from the printout."""
    for frozen in ([int(rng.integers(4))], [0, 1], [], [0, 1, 2, 3]):  # first a part: 0 is not yet ambiguous
        got, body, stopped, head, running = _printout(student, rng, frozen)
        close(
            got[0],
            body - stopped,
            f"what learned of the body, {len(frozen)} of 4 blocks frozen",
            {
                "the head is counted; the question is the body": body - stopped + head,
                "this is the whole body: the network in your hands tells nothing, the printout does": body,
                "this is the whole network, body and head": body + head,
                "the two numbers are exchanged": stopped,
                "the running values are subtracted; they are not among the trainable ones": body - stopped - running,
            },
            rtol=0,
        )


@check("read_summary", points=1)
def body_that_was_frozen(student, rng):
    """The parameters of the body that did not learn, without the running values."""
    for frozen in ([0], [1, 2], [], [0, 1, 2, 3]):
        got, body, stopped, head, running = _printout(student, rng, frozen)
        close(
            got[1],
            stopped,
            f"what did not learn of the body, {len(frozen)} of 4 blocks frozen",
            {
                "the running values are counted as frozen parameters; in Keras's summary they are never trainable": stopped
                + running,
                "the number of batches of each batch norm is subtracted, too; Keras has none": stopped - 4,
                "the two numbers are exchanged": body - stopped,
                "the head is taken for frozen; it always learns": stopped + head,
            },
            rtol=0,
        )
