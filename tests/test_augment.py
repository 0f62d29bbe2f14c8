"""Augmentation: exact where it can be exact, within range everywhere, the same for the same generator."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy import ndimage

from cxrlib.augment import Augment, gaussian_blur

EVERYTHING = dict(
    flip=0.5, rotate=10, shift=0.05, zoom=0.1, crop=0.8, brightness=0.1, contrast=0.2, gamma=0.25, blur=1.5,
    noise=0.02, mixup=0.4,
)  # fmt: skip


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def x():
    # Smooth images: a bright blob at another place in every image.
    y, x = torch.meshgrid(torch.linspace(-1, 1, 48), torch.linspace(-1, 1, 48), indexing="ij")
    center = torch.rand(12, 2, generator=generator(1)) - 0.5
    blobs = [torch.exp(-((x - a) ** 2 + (y - b) ** 2) * 6) for a, b in center.tolist()]
    return torch.stack(blobs).unsqueeze(1) * 0.8 + 0.1


@pytest.fixture
def y():
    return F.one_hot(torch.arange(12) % 3, 3).float()


def centroid(image):
    """Center of mass (x, y) in pixels."""
    return np.array(ndimage.center_of_mass(image.squeeze().numpy()))[::-1]


def test_off_by_default(x, y):
    augment = Augment()
    assert not augment
    out, labels = augment(x, y)
    assert out is x and labels is y


@pytest.mark.parametrize("name", EVERYTHING)
def test_every_operation_changes_images_and_nothing_else(name, x, y):
    before, labels_before = x.clone(), y.clone()
    augment = Augment(**{name: EVERYTHING[name]})
    assert augment
    out, labels = augment(x, y, generator(3))
    assert out.shape == x.shape and out.dtype == x.dtype
    assert out.min() >= 0 and out.max() <= 1
    assert (out - x).abs().amax((1, 2, 3)).max() > 1e-3
    assert torch.equal(x, before) and torch.equal(y, labels_before), "the input was changed in place"
    assert torch.allclose(labels.sum(1), torch.ones(len(y)))
    assert (labels is y) == (name != "mixup")


def test_images_differ_from_each_other_in_what_is_done():
    same = torch.full((16, 1, 8, 8), 0.5)
    out, _ = Augment(brightness=0.2)(same, None, generator())
    assert out[:, 0, 0, 0].unique().numel() == 16
    assert (out - 0.5).abs().max() <= 0.2


def test_same_generator_same_result(x, y):
    augment = Augment(**EVERYTHING)
    first, second, other = (augment(x, y, generator(s)) for s in (5, 5, 6))
    assert torch.equal(first[0], second[0]) and torch.equal(first[1], second[1])
    assert not torch.equal(first[0], other[0])


def test_without_a_generator_the_global_seed_counts(x, y):
    augment = Augment(**EVERYTHING)
    torch.manual_seed(9)
    first = augment(x, y)[0]
    torch.manual_seed(9)
    assert torch.equal(first, augment(x, y)[0])


def test_switching_one_operation_on_leaves_the_others_as_they_were(x):
    plain = Augment(flip=0.5)(x, None, generator(2))[0]
    brighter = Augment(flip=0.5, brightness=0.05)(x, None, generator(2))[0]
    added = brighter - plain
    assert torch.allclose(added, added[:, :, :1, :1].expand_as(added), atol=1e-6)


def test_flip_is_exact_and_has_its_probability(x):
    assert torch.equal(Augment(flip=1)(x)[0], x.flip(-1))
    many = torch.rand(4000, 1, 2, 2, generator=generator(4))
    out = Augment(flip=0.3)(many, None, generator())[0]
    share = (out != many).flatten(1).any(1).double().mean()
    assert abs(share - 0.3) < 4 * math.sqrt(0.3 * 0.7 / 4000)


def test_flip_inside_the_affine_step_is_the_same_flip(x):
    # A shift too small to see sends the flip through the interpolation.
    assert torch.allclose(Augment(flip=1, shift=1e-9)(x)[0], x.flip(-1), atol=1e-5)


def test_shift_stays_within_its_range():
    image = torch.zeros(64, 1, 41, 41)
    image[:, :, 19:22, 19:22] = 1
    out = Augment(shift=0.2)(image, None, generator())[0]
    moved = np.array([centroid(o) for o in out]) - 20
    assert np.abs(moved).max() <= 0.2 * 41 + 1e-3
    assert np.abs(moved).max(0).min() > 0.1 * 41, "both axes move"


def test_rotation_keeps_lengths_and_stays_within_its_range():
    image = torch.zeros(64, 1, 61, 41)  # not square: lengths in pixels must be kept all the same
    image[:, :, 30, 30] = image[:, :, 29, 30] = image[:, :, 31, 30] = 1
    image[:, :, 30, 29] = image[:, :, 30, 31] = 1
    out = Augment(rotate=30)(image, None, generator())[0]
    arm = np.array([centroid(o) for o in out]) - [20, 30]
    assert np.allclose(np.hypot(*arm.T), 10, atol=0.15)
    angle = np.degrees(np.arctan2(arm[:, 1], arm[:, 0]))
    assert np.abs(angle).max() <= 31 and angle.min() < -15 and angle.max() > 15


def test_zoom_scales_within_its_range():
    y, x = torch.meshgrid(torch.arange(64) - 31.5, torch.arange(64) - 31.5, indexing="ij")
    disk = (x**2 + y**2 <= 100).float().expand(64, 1, 64, 64)
    area = Augment(zoom=0.2)(disk, None, generator())[0].sum((1, 2, 3)) / disk[0].sum()
    assert area.sqrt().min() >= 0.79 and area.sqrt().max() <= 1.21
    assert area.sqrt().min() < 0.85 and area.sqrt().max() > 1.15


def test_crop_enlarges_and_never_shows_the_outside():
    white = torch.ones(64, 1, 32, 32)
    out = Augment(crop=0.5)(white, None, generator())[0]
    # Only half of the outermost pixel may be mixed with the black outside.
    assert out[:, :, 1:-1, 1:-1].min() > 0.999
    assert torch.equal(Augment(crop=1.0)(white)[0], white)


def test_outside_is_black(x):
    out = Augment(shift=0.5)(torch.ones(32, 1, 16, 16), None, generator())[0]
    assert (out == 0).any()


def test_contrast_keeps_the_mean_and_brightness_the_spread(x):
    middle = x * 0.4 + 0.3
    contrast = Augment(contrast=0.2)(middle, None, generator())[0]
    assert torch.allclose(contrast.mean((1, 2, 3)), middle.mean((1, 2, 3)), atol=1e-5)
    ratio = contrast.std((1, 2, 3)) / middle.std((1, 2, 3))
    assert ratio.min() >= 0.8 - 1e-5 and ratio.max() <= 1.2 + 1e-5 and ratio.std() > 0.05
    brightness = Augment(brightness=0.1)(middle, None, generator())[0]
    assert torch.allclose(brightness.std((1, 2, 3)), middle.std((1, 2, 3)), atol=1e-5)


def test_gamma_is_a_power_within_its_range(x):
    out = Augment(gamma=0.5)(x, None, generator())[0]
    exponent = out.log() / x.log()
    assert torch.allclose(exponent, exponent[:, :, :1, :1].expand_as(exponent), atol=1e-3)
    assert exponent.min() >= 1 / 1.5 - 1e-3 and exponent.max() <= 1.5 + 1e-3


def test_blur_agrees_with_scipy():
    images = torch.rand(5, 1, 40, 32, generator=generator())
    sigma = torch.tensor([0.0, 0.4, 1.0, 2.0, 3.0])
    out = gaussian_blur(images, sigma)
    assert torch.allclose(out[0], images[0])
    for image, result, s in zip(images[1:], out[1:], sigma[1:], strict=True):
        expected = ndimage.gaussian_filter(image[0].numpy(), float(s), mode="nearest", radius=9)
        assert np.allclose(result[0].numpy(), expected, atol=1e-5)


def test_noise_has_the_standard_deviation_drawn_for_each_image():
    gray = torch.full((200, 1, 32, 32), 0.5)
    sd = Augment(noise=0.1)(gray, None, generator())[0].std((1, 2, 3))
    assert sd.max() <= 0.11 and sd.min() < 0.02
    assert abs(sd.mean() - 0.05) < 0.01, "uniform from 0 to 0.1"


def test_mixup_mixes_labels_as_it_mixes_images(y):
    # Image i holds the constant i / 12, so a mixed image says which share it took of which label.
    x = (torch.arange(12) / 12).view(-1, 1, 1, 1).expand(12, 1, 4, 4).clone()
    labels = torch.eye(12)
    out, mixed = Augment(mixup=1.0)(x, labels, generator())
    assert torch.allclose(out[:, 0, 0, 0], mixed @ (torch.arange(12) / 12), atol=1e-6)
    assert torch.allclose(mixed.sum(1), torch.ones(12))
    assert (mixed.max(1).values < 0.99).any()


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16, torch.float16])
def test_dtypes_agree(x, y, dtype):
    augment = Augment(**{**EVERYTHING, "noise": 0})
    expected = augment(x, y, generator())[0]
    out = augment(x.to(dtype), y, generator())[0]
    assert out.dtype == dtype
    assert torch.allclose(out.float(), expected, atol=0.02)


def test_more_channels_are_treated_alike(x):
    three = x.expand(-1, 3, -1, -1)
    augment = Augment(**{**EVERYTHING, "noise": 0, "mixup": 0})
    out = augment(three, None, generator())[0]
    assert torch.allclose(out[:, 0], augment(x, None, generator())[0][:, 0], atol=1e-5)
    assert torch.allclose(out[:, 0], out[:, 2], atol=1e-6)


def test_empty_batch_and_values_out_of_range(y):
    augment = Augment(**EVERYTHING)
    empty, labels = augment(torch.zeros(0, 1, 8, 8), torch.zeros(0, 3))
    assert empty.shape == (0, 1, 8, 8)
    out, _ = Augment(gamma=0.2)(torch.full((2, 1, 4, 4), -0.5))
    assert torch.equal(out, torch.zeros_like(out))


@pytest.mark.parametrize(
    "name, value",
    [
        ("flip", 1.1), ("flip", -0.1), ("flip", "yes"), ("flip", True), ("rotate", 181), ("shift", 1.0),
        ("zoom", 1.0), ("crop", 0), ("crop", 1.5), ("brightness", 2), ("contrast", -1), ("blur", -1),
        ("gamma", float("nan")), ("noise", float("inf")), ("mixup", -0.2), ("mixup", None),
    ],
)  # fmt: skip
def test_magnitudes_out_of_range(name, value):
    with pytest.raises(ValueError, match=f"{name}: give"):
        Augment(**{name: value})


def test_bad_batches(x, y):
    with pytest.raises(ValueError, match="divide uint8 images by 255"):
        Augment(flip=1)(torch.zeros(2, 1, 4, 4, dtype=torch.uint8))
    with pytest.raises(ValueError, match="up to 255; divide"):
        Augment(flip=1)(torch.full((1, 1, 4, 4), 255.0))
    with pytest.raises(ValueError, match=r"\(B, C, H, W\)"):
        Augment(flip=1)(torch.zeros(4, 4))
    for labels in (None, torch.arange(12), y[:3]):
        with pytest.raises(ValueError, match="y: mixup needs one-hot"):
            Augment(mixup=0.2)(x, labels)
