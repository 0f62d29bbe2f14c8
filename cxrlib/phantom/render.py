"""One image: patient, pose, lesion, exposure and devices put together.

Every random stream is seeded by (seed, class, patient number, image number, purpose), so an image is a pure
function of those numbers and the options: the marker can be switched without moving a single photon elsewhere.
"""

from dataclasses import dataclass

import numpy as np

from . import anatomy, devices, physics
from .cohort import CODE, Row
from .lesions import draw_lesion

_ANATOMY, _POSE, _LESION, _LOOK, _MARKER, _NOISE, _DEVICES = range(7)


@dataclass(frozen=True)
class Options:
    """What an image depends on besides who is in it; see ``make_phantoms``."""

    size: int
    seed: int
    age: str
    lesion_contrast: float
    shift: float
    bedside: float
    marker: dict[str, float]
    gamma: dict[str, float]
    blur: dict[str, float]


@dataclass
class Drawing:
    """One finished image with its truth."""

    image: np.ndarray  # uint8 (H, W)
    mask: np.ndarray  # bool (H, W)
    lungs: np.ndarray  # bool (H, W)
    marker: tuple | None  # (text, x0, y0, x1, y1)
    bedside: bool


def render(row: Row, options: Options) -> Drawing:
    """Draw one row of the cohort."""
    o, size = options, options.size
    key = [o.seed, 17, CODE[row.subtype], row.number]

    def stream(purpose: int, image: int = row.image) -> np.random.Generator:
        return np.random.default_rng([*key, image, purpose])

    build = anatomy.sample_build(stream(_ANATOMY, image=0), o.age)
    sick = row.subtype != "normal"
    rng = stream(_POSE)
    bedside = bool(rng.random() < 0.18 + (0.20 if sick else -0.10) * o.bedside)
    chest = anatomy.Chest(build, anatomy.sample_pose(rng, build, sick and o.bedside > 0), size)
    fill, mask = draw_lesion(chest, row.subtype, stream(_LESION))
    bone_rng = stream(_ANATOMY, image=0)

    fill = np.clip(fill * np.float32(o.lesion_contrast), 0, 1)
    gas = anatomy.air(chest)
    marks = anatomy.vessels(chest, bone_rng) + anatomy.hila(chest)
    marks *= np.minimum(gas * (1.6 / build.depth), 1)  # markings need air around them to show
    gas *= (1 - fill) * (1 + 0.035 * physics.smooth_noise(bone_rng, size, 56))
    soft = anatomy.soft_tissue(chest)
    soft = np.maximum(soft - gas + marks * (1 - fill) - anatomy.airways(chest) - anatomy.stomach(chest, bone_rng), 0.0)
    soft *= 1 + 0.012 * physics.smooth_noise(bone_rng, size, 40) + 0.02 * physics.smooth_noise(bone_rng, size, 12)
    bone = anatomy.bones(chest, bone_rng)

    dev = stream(_DEVICES)
    if dev.random() < (0.75 if bedside else 0.10):
        bone += devices.leads(chest, dev)
    if o.age == "child" and dev.random() < 0.06:
        for thickness, added in zip((soft, bone), devices.hand(chest, dev), strict=True):
            thickness += added

    look = stream(_LOOK)
    foggy = o.shift if row.split == "test" else 0.0  # the test block comes from another exposure table
    scale = size / 224
    unsharp = (look.uniform(0.2, 0.65) + (look.uniform(0.2, 0.9) if bedside else 0.0)) * scale
    scatter = look.uniform(0.03, 0.14) + (0.06 if bedside else 0.0) + 0.05 * foggy
    dose = look.uniform(2500, 9000)
    signal = physics.expose(soft, bone, stream(_NOISE), scatter=scatter, dose=dose, unsharp=unsharp)
    if look.random() < 0.5:
        signal *= devices.collimation(size, look)
    middle = float(np.quantile(signal[size // 8 : -size // 8 : 3, size // 8 : -size // 8 : 3], 0.90))
    high = middle * look.uniform(0.92, 1.08)
    gamma = look.uniform(1.15, 1.80) * (1 - 0.18 * foggy) * o.gamma.get(row.label, 1.0)
    image = physics.tone_map(signal, low=-0.10 * foggy, high=high, gamma=gamma)
    base = np.float32(look.uniform(0.0, 0.10))  # fog: even the open beam is not quite black
    image = base + image * (np.float32(look.uniform(0.92, 1.0)) - base)
    image = physics.blur(image, o.blur.get(row.label, 0.0) * scale)

    mark = stream(_MARKER)
    marker = devices.place_marker(mark, size)
    shown = mark.random() < o.marker.get(row.label, 0.85)
    if shown:
        devices.stamp_marker(image, marker)
    pixels = (np.clip(image, 0, 1) * 255 + 0.5).astype(np.uint8)
    return Drawing(pixels, mask, chest.lungs, marker[:5] if shown else None, bedside)
