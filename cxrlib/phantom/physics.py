"""From thickness to pixels: smooth random fields, scatter, quantum noise and the display curve.

Everything here is element-wise NumPy or SciPy without a BLAS call, so the result does not depend on how many
threads or processes are at work.
"""

from functools import lru_cache

import numpy as np
from scipy.ndimage import gaussian_filter

MU_SOFT = 0.20  # 1/cm, water at about 70 keV
MU_BONE = 0.48  # 1/cm, spongy bone of a rib rather than compact bone


def step(distance: np.ndarray, width: float) -> np.ndarray:
    """Rise smoothly from 0 where distance < -width to 1 where distance > width."""
    t = np.minimum(np.maximum(distance * np.float32(0.5 / width) + np.float32(0.5), 0), 1)
    return (t * np.float32(-2) + 3) * t * t


def bump(x: np.ndarray, center: float, width: float) -> np.ndarray:
    """Return a Gaussian of height 1."""
    return np.exp(-(((x - center) * (1.0 / width)) ** 2))


def ellipse(x: np.ndarray, y: np.ndarray, cx: float, cy: float, across: float, down: float) -> np.ndarray:
    """Return the squared distance from (cx, cy) in units of the radii: 1 on the ellipse."""
    return ((x - cx) / across) ** 2 + ((y - cy) / down) ** 2


@lru_cache(maxsize=64)
def _spline(size: int, cells: int) -> tuple[np.ndarray, np.ndarray]:
    """Return indices (4, size) and cubic B-spline weights (4, size, 1) that stretch cells + 3 nodes."""
    u = (np.arange(size) + 0.5) / size * cells
    i = np.minimum(u.astype(int), cells - 1)
    f = u - i
    w = np.stack([(1 - f) ** 3, 3 * f**3 - 6 * f**2 + 4, -3 * f**3 + 3 * f**2 + 3 * f + 1, f**3]) / 6
    return i[None] + np.arange(4)[:, None], w[..., None].astype(np.float32)


def stretch(nodes: np.ndarray, size: int) -> np.ndarray:
    """Enlarge (a + 3, b + 3) spline nodes smoothly to (size, size)."""
    for _ in range(2):  # rows, then columns; the transpose between them keeps the memory access contiguous
        index, weight = _spline(size, nodes.shape[0] - 3)
        nodes = sum(nodes[rows] * part for rows, part in zip(index, weight, strict=True)).T
    return nodes


def smooth_noise(rng: np.random.Generator, size: int, cells: int) -> np.ndarray:
    """Draw a random field (size, size) of about zero mean and unit variance, with `cells` bumps across the image."""
    nodes = rng.standard_normal((cells + 3, cells + 3), dtype=np.float32)
    return stretch(nodes, size) * np.float32(1.9)


def blur(image: np.ndarray, sigma: float) -> np.ndarray:
    """Blur with a Gaussian; a sigma under 0.2 pixels returns the image as it is."""
    return image if sigma < 0.2 else gaussian_filter(image, sigma, mode="nearest", truncate=3.0)


def wide_blur(image: np.ndarray, sigma: float) -> np.ndarray:
    """Blur with a sigma of many pixels, computed on a grid eight times coarser."""
    size = image.shape[0]
    cells = max(4, size // 8)
    edge = np.linspace(0, size, cells + 1).astype(int)[:-1]
    coarse = np.add.reduceat(np.add.reduceat(image, edge, 0), edge, 1)
    count = np.diff(np.append(edge, size)).astype(np.float32)
    coarse = gaussian_filter(coarse / (count[:, None] * count), sigma * cells / size, mode="nearest")
    # Spline nodes sit on cell corners; half a cell of shift does not show at this blur.
    return stretch(np.pad(coarse, ((1, 2), (1, 2)), mode="edge"), size)


def expose(
    soft: np.ndarray, bone: np.ndarray, rng: np.random.Generator, *, scatter: float, dose: float, unsharp: float
) -> np.ndarray:
    """Expose a detector: attenuation exp(-sum mu t), scatter, detector blur, quantum noise.

    ``soft`` and ``bone`` (H, W) are thicknesses in cm, ``scatter`` is a fraction of the detected light, ``dose`` the
    photons per pixel in the open beam, ``unsharp`` the blur of detector and motion in pixels. Returns -log(intensity)
    (H, W): 0 in the open beam, large behind the abdomen.
    """
    beam = np.exp(-(MU_SOFT * soft + MU_BONE * bone))
    beam = (1 - scatter) * blur(beam, unsharp) + scatter * wide_blur(beam, 0.09 * beam.shape[0])
    noise = blur(rng.standard_normal(beam.shape, dtype=np.float32), 0.45)
    beam += np.sqrt(beam * (1.0 / dose)) * noise
    return -np.log(np.maximum(beam, 0.004))


def tone_map(signal: np.ndarray, *, low: float, high: float, gamma: float) -> np.ndarray:
    """Turn a signal into gray from 0 to 1: `low` becomes black, `high` the brightest of the body."""
    x = np.maximum((signal - low) * np.float32(1.0 / (high - low)), 0)
    return 1 - np.exp(-1.65 * x**gamma)
