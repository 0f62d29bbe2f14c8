"""Answers that the checks of exercise 04 must judge rightly."""

WRONG = {
    "relu before the sum": {
        "task": "residual_block",
        "check": "block_with_the_input_as_shortcut",
        "says": "before the sum",
        "code": """
def residual_block(x, w1, bn1, w2, bn2, stride=1, w_short=None, bn_short=None):
    h = F.relu(batch_norm(F.conv2d(x, w1, stride=stride, padding=1), bn1))
    h = F.relu(batch_norm(F.conv2d(h, w2, padding=1), bn2))
    shortcut = x if w_short is None else batch_norm(F.conv2d(x, w_short, stride=stride), bn_short)
    return h + shortcut
""",
    },
    "no shortcut": {
        "task": "residual_block",
        "check": "block_that_has_learned_nothing",
        "says": "the shortcut is missing",
        "code": """
def residual_block(x, w1, bn1, w2, bn2, stride=1, w_short=None, bn_short=None):
    h = F.relu(batch_norm(F.conv2d(x, w1, stride=stride, padding=1), bn1))
    return F.relu(batch_norm(F.conv2d(h, w2, padding=1), bn2))
""",
    },
    "stride in the second convolution": {
        "task": "residual_block",
        "check": "block_with_a_projection",
        "says": "it belongs to the first",
        "code": """
def residual_block(x, w1, bn1, w2, bn2, stride=1, w_short=None, bn_short=None):
    h = F.relu(batch_norm(F.conv2d(x, w1, padding=1), bn1))
    h = batch_norm(F.conv2d(h, w2, stride=stride, padding=1), bn2)
    if w_short is not None:
        x = batch_norm(F.conv2d(x, w_short, stride=stride), bn_short)
    return F.relu(h + x)
""",
    },
    "projection without batch norm": {
        "task": "residual_block",
        "check": "block_with_a_projection",
        "says": "batch norm of the projection",
        "code": """
def residual_block(x, w1, bn1, w2, bn2, stride=1, w_short=None, bn_short=None):
    h = F.relu(batch_norm(F.conv2d(x, w1, stride=stride, padding=1), bn1))
    h = batch_norm(F.conv2d(h, w2, padding=1), bn2)
    return F.relu(h + (x if w_short is None else F.conv2d(x, w_short, stride=stride)))
""",
    },
    "flips every image": {
        "task": "flip_some",
        "check": "images_are_mirrored",
        "says": "the mask is not used",
        "code": """
def flip_some(images, boxes, flip):
    width = images.shape[-1]
    new = boxes.clone()
    new[:, 0], new[:, 2] = width - boxes[:, 2], width - boxes[:, 0]
    return images.flip(-1), torch.where((flip & (boxes[:, 0] >= 0))[:, None], new, boxes)
""",
    },
    "flips top to bottom": {
        "task": "flip_some",
        "check": "images_are_mirrored",
        "says": "top to bottom",
        "code": """
def flip_some(images, boxes, flip):
    images = images.clone()
    images[flip] = images[flip].flip(2)
    return images, boxes
""",
    },
    "forgets the boxes": {
        "task": "flip_some",
        "check": "boxes_move_with_their_images",
        "says": "the boxes did not move",
        "code": """
def flip_some(images, boxes, flip):
    return torch.where(flip.view(-1, 1, 1, 1), images.flip(-1), images), boxes
""",
    },
    "box off by one": {
        "task": "flip_some",
        "check": "boxes_move_with_their_images",
        "says": "one pixel off",
        "code": """
def flip_some(images, boxes, flip):
    last = images.shape[-1] - 1
    out = boxes.clone()
    moves = flip & (boxes[:, 0] >= 0)
    out[moves, 0] = last - boxes[moves, 2]
    out[moves, 2] = last - boxes[moves, 0]
    return torch.where(flip.view(-1, 1, 1, 1), images.flip(-1), images), out
""",
    },
    "left and right edge exchanged": {
        "task": "flip_some",
        "check": "boxes_move_with_their_images",
        "says": "in the wrong order",
        "code": """
def flip_some(images, boxes, flip):
    width = images.shape[-1]
    out = boxes.clone()
    moves = flip & (boxes[:, 0] >= 0)
    out[moves, 0] = width - boxes[moves, 0]
    out[moves, 2] = width - boxes[moves, 2]
    return torch.where(flip.view(-1, 1, 1, 1), images.flip(-1), images), out
""",
    },
    "mirrors the box of no marker": {
        "task": "flip_some",
        "check": "no_marker_no_box",
        "says": "without a marker",
        "code": """
def flip_some(images, boxes, flip):
    width = images.shape[-1]
    out = boxes.clone()
    out[flip, 0] = width - boxes[flip, 2]
    out[flip, 2] = width - boxes[flip, 0]
    return torch.where(flip.view(-1, 1, 1, 1), images.flip(-1), images), out
""",
    },
    "shift with roll": {
        "task": "shift_batch",
        "check": "shifted_images",
        "says": "comes in on the other side",
        "code": """
def shift_batch(images, dx, dy):
    return torch.stack([i.roll((int(y), int(x)), (1, 2)) for i, x, y in zip(images, dx, dy)])
""",
    },
    "shift in the wrong direction": {
        "task": "shift_batch",
        "check": "shifted_images",
        "says": "direction is wrong",
        "code": """
def shift_batch(images, dx, dy):
    height, width = images.shape[2:]
    out = torch.zeros_like(images)
    for b in range(len(images)):
        for y in range(height):
            row = y + int(dy[b])
            if 0 <= row < height:
                columns = torch.arange(width) + int(dx[b])
                ok = (columns >= 0) & (columns < width)
                out[b, :, y, ok] = images[b, :, row, columns[ok]]
    return out
""",
    },
    "dx and dy exchanged": {
        "task": "shift_batch",
        "check": "shifted_images",
        "says": "exchanged",
        "code": """
def shift_batch(images, dx, dy):
    height, width = images.shape[2:]
    rows = torch.arange(height) - dx[:, None]
    columns = torch.arange(width) - dy[:, None]
    inside = ((rows >= 0) & (rows < height))[:, :, None] & ((columns >= 0) & (columns < width))[:, None, :]
    return torch.stack([image[:, r.clamp(0, height - 1)][:, :, c.clamp(0, width - 1)] * ok
                        for image, r, c, ok in zip(images, rows, columns, inside)])
""",
    },
    "repeats the edge": {
        "task": "shift_batch",
        "check": "shifted_images",
        "says": "edge pixels are repeated",
        "code": """
def shift_batch(images, dx, dy):
    height, width = images.shape[2:]
    rows = (torch.arange(height) - dy[:, None]).clamp(0, height - 1)
    columns = (torch.arange(width) - dx[:, None]).clamp(0, width - 1)
    return torch.stack([image[:, r][:, :, c] for image, r, c in zip(images, rows, columns)])
""",
    },
    "large shifts wrap around": {
        "task": "shift_batch",
        "check": "shifted_out_of_the_frame",
        "says": "not black",
        "code": """
def shift_batch(images, dx, dy):
    height, width = images.shape[2:]
    out = images.clone()
    for b, (x, y) in enumerate(zip(dx.tolist(), dy.tolist())):
        x = x % width if x >= 0 else -(-x % width)
        y = y % height if y >= 0 else -(-y % height)
        out[b] = out[b].roll((y, x), (1, 2))
        if x > 0:
            out[b, :, :, :x] = 0
        if x < 0:
            out[b, :, :, x:] = 0
        if y > 0:
            out[b, :, :y] = 0
        if y < 0:
            out[b, :, y:] = 0
    return out
""",
    },
    "contrast around 0": {
        "task": "jitter",
        "check": "contrast_around_the_own_mean",
        "says": "around 0 instead",
        "code": """
def jitter(images, factor, added):
    return (images * factor.view(-1, 1, 1, 1) + added.view(-1, 1, 1, 1)).clamp(0, 1)
""",
    },
    "mean of the batch": {
        "task": "jitter",
        "check": "contrast_around_the_own_mean",
        "says": "mean of the whole batch",
        "code": """
def jitter(images, factor, added):
    mean = images.mean()
    return (mean + factor.view(-1, 1, 1, 1) * (images - mean) + added.view(-1, 1, 1, 1)).clamp(0, 1)
""",
    },
    "not cut": {
        "task": "jitter",
        "check": "cut_at_the_end",
        "says": "not cut",
        "code": """
def jitter(images, factor, added):
    mean = images.mean((1, 2, 3), keepdim=True)
    return mean + factor.view(-1, 1, 1, 1) * (images - mean) + added.view(-1, 1, 1, 1)
""",
    },
    "labels not mixed": {
        "task": "mixup",
        "check": "labels_are_mixed",
        "says": "the labels are not",
        "code": """
def mixup(images, labels, partner, fraction, classes):
    part = fraction.view(-1, 1, 1, 1)
    return part * images + (1 - part) * images[partner], F.one_hot(labels, classes).float()
""",
    },
    "fractions exchanged": {
        "task": "mixup",
        "check": "images_are_mixed",
        "says": "exchanged",
        "code": """
def mixup(images, labels, partner, fraction, classes):
    y = F.one_hot(labels, classes).float()
    part = fraction.view(-1, 1, 1, 1)
    return torch.lerp(images, images[partner], part), torch.lerp(y[partner], y, fraction.view(-1, 1))
""",
    },
    "same class twice": {
        "task": "mixup",
        "check": "labels_are_mixed",
        "says": "must be added",
        "code": """
def mixup(images, labels, partner, fraction, classes):
    part = fraction.view(-1, 1, 1, 1)
    fractions = torch.zeros(len(labels), classes)
    rows = torch.arange(len(labels))
    fractions[rows, labels] = fraction
    fractions[rows, labels[partner]] = 1 - fraction
    return part * images + (1 - part) * images[partner], fractions
""",
    },
    "the new x0": {
        "task": "flip_some",
        "check": "boxes_move_with_their_images",
        "says": "keep the old x0",
        "code": """
def flip_some(images, boxes, flip):
    W = images.shape[-1]
    images[flip] = images[flip].flip(-1)
    m = flip & (boxes[:, 0] >= 0)
    boxes[m, 0] = W - boxes[m, 2]
    boxes[m, 2] = W - boxes[m, 0]
    return images, boxes
""",
    },
    "the height": {
        "task": "flip_some",
        "check": "boxes_move_with_their_images",
        "says": "the height was taken",
        "code": """
def flip_some(images, boxes, flip):
    W = images.shape[-2]
    out, b = images.clone(), boxes.clone()
    out[flip] = images[flip].flip(-1)
    m = flip & (boxes[:, 0] >= 0)
    b[m, 0] = W - boxes[m, 2]
    b[m, 2] = W - boxes[m, 0]
    return out, b
""",
    },
    "every channel has its own mean": {
        "task": "jitter",
        "check": "contrast_around_the_own_mean",
        "says": "mean over all channels",
        "code": """
def jitter(images, factor, added):
    m = images.mean((2, 3), keepdim=True)
    return (m + factor.view(-1, 1, 1, 1) * (images - m) + added.view(-1, 1, 1, 1)).clamp(0, 1)
""",
    },
}

CORRECT = {
    "a module and explicit batch norm": {
        "task": "residual_block",
        "code": """
def residual_block(x, w1, bn1, w2, bn2, stride=1, w_short=None, bn_short=None):
    def norm(h, bn):
        scale, offset, mean, variance = (row.view(1, -1, 1, 1) for row in bn)
        return (h - mean) / torch.sqrt(variance + 1e-5) * scale + offset

    with torch.no_grad():
        conv = torch.nn.Conv2d(w1.shape[1], w1.shape[0], 3, stride, 1, bias=False)
        conv.weight.copy_(w1)
        out = norm(F.conv2d(norm(conv(x), bn1).clamp(min=0), w2, padding="same"), bn2)
        if w_short is not None:
            # A 1 x 1 convolution with a stride is a matrix product on every stride-th pixel.
            x = norm(torch.einsum("dc,bchw->bdhw", w_short[:, :, 0, 0], x[:, :, ::stride, ::stride]), bn_short)
        return torch.maximum(out + x, torch.zeros(()))
""",
    },
    "numpy, and a list is returned": {
        "task": "flip_some",
        "code": """
def flip_some(images, boxes, flip):
    images, boxes, flip = images.numpy().copy(), boxes.numpy().copy(), flip.numpy()
    for b in np.flatnonzero(flip):
        images[b] = images[b, :, :, ::-1]
        if boxes[b, 0] != -1:
            inside = np.zeros(images.shape[-1], bool)
            inside[boxes[b, 0] : boxes[b, 2]] = True
            where = np.flatnonzero(inside[::-1])
            boxes[b, [0, 2]] = where[0], where[-1] + 1
    return [torch.from_numpy(images), torch.from_numpy(boxes).float()]
""",
    },
    "shift by padding and slicing, in float64": {
        "task": "shift_batch",
        "code": """
def shift_batch(images, dx, dy):
    height, width = images.shape[2:]
    framed = F.pad(images, (width, width, height, height))
    out = []
    for image, x, y in zip(framed, dx.clamp(-width, width), dy.clamp(-height, height)):
        out.append(image[:, height - y : 2 * height - y, width - x : 2 * width - x])
    return torch.stack(out).double()
""",
    },
    "shift with a sampling grid": {
        "task": "shift_batch",
        "code": """
def shift_batch(images, dx, dy):
    batch, _, height, width = images.shape
    theta = torch.eye(2, 3, dtype=torch.float64).repeat(batch, 1, 1)
    theta[:, 0, 2] = -2 * dx / width
    theta[:, 1, 2] = -2 * dy / height
    grid = F.affine_grid(theta, images.shape, align_corners=False)
    return F.grid_sample(images.double(), grid, mode="nearest", padding_mode="zeros", align_corners=False)
""",
    },
    "brightness first": {
        "task": "jitter",
        "code": """
def jitter(images, factor, added):
    def change(image, f, a):
        image = image.double() + a.double()
        return torch.clip(torch.lerp(image.mean(), image, f.double()), 0, 1)

    return torch.stack([change(*row) for row in zip(images, factor, added)])
""",
    },
    "mixup with a matrix": {
        "task": "mixup",
        "code": """
def mixup(images, labels, partner, fraction, classes):
    n = len(labels)
    mix = torch.diag(fraction)
    mix[torch.arange(n), partner] += 1 - fraction
    flat = mix @ images.reshape(n, -1)
    return flat.view_as(images), mix @ torch.eye(classes)[labels]
""",
    },
    "in place": {
        "task": "flip_some",
        "code": """
def flip_some(images, boxes, flip):
    W = images.shape[-1]
    images[flip] = images[flip].flip(-1)
    m = flip & (boxes[:, 0] >= 0)
    boxes[m] = torch.stack([W - boxes[m, 2], boxes[m, 1], W - boxes[m, 0], boxes[m, 3]], 1)
    return images, boxes
""",
    },
}
