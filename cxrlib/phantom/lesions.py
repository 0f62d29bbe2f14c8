"""What disease adds to a chest: for every class the fraction of air that is replaced, and the mask of the truth.

Sources: consolidation ends sharply at a fissure and shows air bronchograms; viral disease is diffuse,
bilateral and interstitial; COVID-19 is bilateral, multifocal ground glass, lower zones in 90 %; tuberculosis
sits in the upper lobe in 91 %, with a cavity in 45 % and an effusion in 18 %. Fluid fills the base and climbs the wall.
"""

import numpy as np

from .anatomy import Chest, Film
from .physics import ellipse, smooth_noise, step


def draw_lesion(chest: Chest, kind: str, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Draw the lesion of one image; kind is one of ``_DRAW``, or several, as in "consolidation+effusion".

    Returns the fraction of the air that is replaced by fluid or cells, float (H, W), and the mask, bool (H, W).
    """
    fills, masks = zip(*(_DRAW[name](chest, rng) for name in kind.split("+")), strict=True)
    return np.clip(np.max(fills, axis=0), 0, 1), np.any(masks, axis=0) & chest.lungs


def _normal(chest: Chest, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    zero = np.zeros((chest.size, chest.size), np.float32)
    return zero, zero > 0


def _bacterial(chest: Chest, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """One lobe: an opacity that stops at a fissure, with dark bronchi inside, and little elsewhere."""
    b, x, y = chest.build, chest.x, chest.y
    left = rng.random() < 0.45
    side = chest.left if left else ~chest.left
    lobe = rng.choice(["upper", "middle", "lower"], p=[0.27, 0.23, 0.5])
    fissure = -0.03 + rng.normal(0, 0.03) + rng.normal(0, 0.08) * (chest.side - 0.35)
    if lobe == "upper":
        region, center = step(fissure - y, 0.012), (0.33, -0.28)
    elif lobe == "middle":
        region, center = step(y - fissure, 0.012), (0.27, 0.17)
    else:
        region, center = step(y - fissure - 0.35 * (0.30 - chest.side) - 0.05, 0.03), (0.38, 0.25)
    sx = 1 if left else -1
    r = rng.uniform(0.20, 0.48)
    cx, cy = sx * (center[0] + rng.normal(0, 0.07)), center[1] + rng.normal(0, 0.07)
    ragged = smooth_noise(rng, chest.size, 9) * 0.16 + smooth_noise(rng, chest.size, 28) * 0.07
    d = 1 - np.sqrt(ellipse(x, y, cx, cy, r, r * rng.uniform(0.8, 1.3))) + ragged
    core = step(d, 0.30) * region * side
    texture = 1 + 0.10 * smooth_noise(rng, chest.size, 18) + 0.08 * smooth_noise(rng, chest.size, 40)
    film = Film(chest)
    hx, hy = sx * (b.upper * b.width + 0.03), -0.05
    for k in range(5):  # air bronchogram: open bronchi inside the consolidation
        tx, ty = cx + rng.normal(0, 0.4) * r, cy + rng.normal(0, 0.4) * r
        mid = ((hx + tx) / 2 + rng.normal(0, 0.03), (hy + ty) / 2 + rng.normal(0, 0.03))
        film.line([(hx, hy), mid, (tx, ty)], 0.016 + 0.003 * k, 200)
    bronchi = film.read(0.7)
    fill = core * rng.uniform(0.55, 1.0) * texture * (1 - 0.45 * bronchi)
    around = np.exp(-ellipse(x, y, cx, cy, 1.7 * r, 1.7 * r)) * side  # partly filled, not in the mask
    fill = np.maximum(fill, around * rng.uniform(0.10, 0.40))
    return fill, core > 0.35


def _viral(chest: Chest, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Both lungs: hazy, thickened interstitium, densest around the hila; lines instead of crisp vessels."""
    b = chest.build
    width, height = rng.uniform(0.22, 0.38), rng.uniform(0.28, 0.45)
    central = np.exp(-ellipse(chest.side, chest.y, b.upper * b.width, 0.02, width, height))
    patch = smooth_noise(rng, chest.size, 6)
    coarse, fine = (np.maximum(1 - np.abs(smooth_noise(rng, chest.size, cells)) * 2.2, 0) for cells in (22, 40))
    net = coarse + 0.8 * fine
    streak = np.maximum(smooth_noise(rng, chest.size, 14), 0)
    amount = np.clip(0.30 + 0.35 * central + 0.22 * patch + 0.16 * streak, 0.05, 1.0)
    fill = rng.uniform(0.50, 1.1) * amount * (0.56 + 0.20 * net)
    return fill, amount > 0.33


def _covid(chest: Chest, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Several ground-glass patches in both lungs, mostly low, some at the rim and some central."""
    x, y = chest.x, chest.y
    low = rng.random() < 0.90
    field = np.zeros_like(x)
    ragged = smooth_noise(rng, chest.size, 10) * 0.30
    for k in range(int(rng.integers(4, 8))):
        sx = (-1, 1)[k % 2]
        zone = rng.uniform(0.64, 0.98) if low and rng.random() < 0.95 else rng.uniform(0.25, 0.60)
        cy = chest.build.apex + zone * (chest.dome_height - chest.build.apex)
        wall = float(chest.lateral(np.float32(cy)))
        cx = sx * wall * (rng.uniform(0.72, 0.95) if rng.random() < 0.6 else rng.uniform(0.35, 0.65))
        r = rng.uniform(0.10, 0.22)
        d = 1 - np.sqrt(ellipse(x, y, cx, cy, r, r * rng.uniform(0.8, 1.5))) + ragged
        field = np.maximum(field, step(d, 0.55))
    grain = smooth_noise(rng, chest.size, 34) * 0.06
    fill = field * (rng.uniform(0.30, 0.65) + grain)
    return fill, field > 0.4


def _tuberculosis(chest: Chest, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Upper lobe: patchy consolidation, sometimes a cavity, satellite nodules, sometimes an effusion."""
    x, y, b = chest.x, chest.y, chest.build
    sides = [-1, 1] if rng.random() < 0.35 else [int(rng.choice([-1, 1], p=[0.6, 0.4]))]
    upper = rng.random() < 0.91
    ragged = smooth_noise(rng, chest.size, 16) * 0.28 + smooth_noise(rng, chest.size, 36) * 0.12
    field, hole = np.zeros_like(x), np.zeros_like(x)
    for sx in sides:
        cy = b.apex + rng.uniform(0.22, 0.36) if upper else rng.uniform(0.02, 0.22)
        cx = sx * rng.uniform(0.45, 0.72) * float(chest.lateral(np.float32(cy)))
        r = rng.uniform(0.15, 0.26)
        dist = np.sqrt((x - cx) ** 2 + ((y - cy) / rng.uniform(0.75, 1.35)) ** 2) * (1 + 0.35 * ragged)
        field = np.maximum(field, step(1 - dist / r + ragged, 0.40) * rng.uniform(0.55, 0.9))
        if rng.random() < 0.45:
            rc = r * rng.uniform(0.30, 0.50)
            field = np.maximum(field, rng.uniform(0.5, 0.8) * step(1 - np.abs(dist - rc) / (0.30 * rc + 0.02), 0.6))
            hole = np.maximum(hole, step(0.85 - dist / rc, 0.25))
        for _ in range(int(rng.integers(4, 12))):
            nx, ny = cx + rng.normal(0, 0.14), cy + abs(rng.normal(0, 0.12))
            field = np.maximum(field, 0.6 * step(1 - np.hypot(x - nx, y - ny) / rng.uniform(0.015, 0.03), 0.6))
    fill = field * (1 - hole)
    mask = (field > 0.3) | (hole > 0.5)
    if rng.random() < 0.18:
        fluid, wet = _fluid(chest, sides[0] > 0, rng)
        fill, mask = np.maximum(fill, fluid), mask | wet
    return fill, mask


def _fluid(chest: Chest, left: bool, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """One side: fluid at the base, with a meniscus that climbs the wall."""
    level = 0.30 + rng.uniform(-0.10, 0.08) - 0.8 * np.maximum(chest.side - 0.25, 0) ** 2
    fluid = step(chest.y - level, 0.03) * (chest.left if left else ~chest.left)
    return 0.9 * fluid, fluid > 0.5


_DRAW = {
    "normal": _normal, "bacterial": _bacterial, "viral": _viral, "covid-19": _covid, "tuberculosis": _tuberculosis,
    "consolidation": _bacterial, "effusion": lambda chest, rng: _fluid(chest, rng.random() < 0.5, rng),
}  # fmt: skip
