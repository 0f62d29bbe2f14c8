"""The healthy chest: a patient's build, the pose of one exposure, and what lies along each ray.

Patient coordinates: x to the right of the image (the patient's left), y down; the image spans about -1..1.
Sources of the proportions: adult cardiothoracic ratio 0.39 +- 0.04 seen from behind, right dome higher, left
hilum higher or level; small children have a wider heart, a thymus and flatter ribs.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

from .physics import blur, bump, ellipse, smooth_noise, step


@dataclass(frozen=True)
class Build:
    """What stays the same in every image of a patient (lengths in half image widths, thickness in cm)."""

    adult: bool
    width: float  # half width of the rib cage at its base
    apex: float  # y of the lung apex
    taper: float  # how quickly the chest widens downwards
    ctr: float  # cardiothoracic ratio
    heart_height: float  # height at which the left border swings out
    upper: float  # half width of the upper mediastinum, as a fraction of the chest width
    thymus: float  # 0..1, children only
    depth: float  # chest thickness in cm
    fat: float  # soft tissue outside the ribs, as a fraction of the chest width
    ribs: float  # spacing of the posterior ribs
    rib_slope: float
    bone: float  # mineral content
    left_hilum: float  # how much higher the left hilum lies
    dome_left: float  # how much lower the left dome lies
    carina: float  # angle in degrees
    bubble: float  # stomach gas, 0..1
    vessels: float


@dataclass(frozen=True)
class Pose:
    """What changes from one exposure to the next."""

    x: float
    y: float
    zoom: float
    tilt: float  # radians
    turn: float  # rotation of the patient about the long axis: moves front structures sideways
    inspiration: float  # y shift of the domes, negative = shallow breath
    aeration: float  # fraction of the usual air along a ray
    arms: str  # "up", "down" or "out"
    chin: float  # how far the chin hangs into the image


def sample_build(rng: np.random.Generator, age: str) -> Build:
    """Draw a patient; age is "child" or "adult"."""
    adult = age == "adult"
    u, n = rng.uniform, rng.normal
    return Build(
        adult=adult,
        width=n(0.80, 0.04) if adult else n(0.755, 0.05), apex=n(-0.74, 0.05) if adult else n(-0.60, 0.06),
        taper=u(0.24, 0.34) if adult else u(0.27, 0.40),
        ctr=float(np.clip(n(0.41, 0.04), 0.30, 0.52)) if adult else float(np.clip(n(0.50, 0.045), 0.38, 0.62)),
        heart_height=u(0.58, 0.72), upper=u(0.17, 0.22) if adult else u(0.18, 0.26),
        thymus=0.0 if adult else max(0.0, n(0.0, 0.5)),
        depth=u(19, 23) if adult else u(13, 16), fat=u(0.08, 0.20) if adult else u(0.06, 0.14),
        ribs=u(0.120, 0.135) if adult else u(0.105, 0.128),
        rib_slope=u(0.30, 0.42) if adult else u(0.12, 0.30),
        bone=u(0.65, 1.3),
        left_hilum=rng.choice([0.035, 0.0, -0.03], p=[0.36, 0.52, 0.12]),
        dome_left=u(0.05, 0.10) if rng.random() < 0.98 else -u(0.0, 0.03),
        carina=float(np.clip(n(58, 11), 30, 90)),
        bubble=u(0.3, 1.0) if rng.random() < 0.55 else 0.0,
        vessels=u(0.65, 1.4),
    )  # fmt: skip


def sample_pose(rng: np.random.Generator, build: Build, sick: bool = False) -> Pose:
    """Draw the position of one exposure; a sick patient breathes less deeply and lies less straight."""
    u, n = rng.uniform, rng.normal
    return Pose(
        x=n(0, 0.04), y=n(-0.03 if sick else 0.0, 0.06), zoom=float(np.exp(n(0.04 if sick else 0.03, 0.07))),
        tilt=n(0, 0.035 if sick else 0.02), turn=n(0, 0.05 if sick else 0.03),
        inspiration=n(-0.01 if sick else 0.02, 0.05),
        aeration=float(np.clip(n(0.91, 0.11) if sick else n(0.98, 0.10), 0.55, 1.15)),
        arms=str(rng.choice(["up", "down", "out"], p=[0.1, 0.5, 0.4] if build.adult else [0.52, 0.05, 0.43])),
        chin=u(-0.2, 0.2) if not build.adult else u(-0.25, -0.05),
    )  # fmt: skip


class Chest:
    """Geometry of one exposure: coordinate grids and lung fields.

    Patient coordinates run from -1 to 1 over the image of an upright patient, y downwards; all attributes below are
    float arrays (H, W), or broadcast to that. ``x`` and ``y`` are the patient coordinates of each pixel, ``left`` says
    whether it lies on the patient's left, ``side`` is its distance from the midline and ``t`` its height in the lung, 0
    at the apex and 1 at the dome. ``wall`` is the half width of the inner chest, ``dome`` the height of the diaphragm.
    ``medial`` is the distance to the border of the mediastinum and ``core`` that to the spine and great vessels, both
    positive on the side of the lung. ``lungs`` is bool.
    """

    def __init__(self, build: Build, pose: Pose, size: int):
        self.build, self.pose, self.size = build, pose, size
        axis = ((np.arange(size, dtype=np.float32) + 0.5) * (2 / size) - 1).astype(np.float32)
        c, s = np.float32(np.cos(pose.tilt) / pose.zoom), np.float32(np.sin(pose.tilt) / pose.zoom)
        dx, dy = (axis - np.float32(pose.x))[None, :], (axis - np.float32(pose.y))[:, None]
        self.x, self.y = c * dx + s * dy, c * dy - s * dx
        self._find_lungs()

    def pixels(self, points: Sequence) -> np.ndarray:
        """Turn patient coordinates (n, 2) into pixel coordinates (n, 2)."""
        p, pose = np.asarray(points, float), self.pose
        c, s = np.cos(pose.tilt) * pose.zoom, np.sin(pose.tilt) * pose.zoom
        x = c * p[:, 0] - s * p[:, 1] + pose.x
        y = s * p[:, 0] + c * p[:, 1] + pose.y
        return np.stack([(x + 1) * self.size / 2, (y + 1) * self.size / 2], 1)

    def lateral(self, y: np.ndarray) -> np.ndarray:
        """Return the half width of the inner chest wall at height y."""
        b = self.build
        t = np.minimum(np.maximum((y - b.apex) / (0.62 - b.apex), 1e-4), 1.25)
        return b.width * t**b.taper

    def _find_lungs(self) -> None:
        b, pose, x, y = self.build, self.pose, self.x, self.y
        self.wall = self.lateral(y)
        self.side = np.abs(x)
        self.left = x > 0  # the patient's left, on the right of the image
        dome = 0.42 + pose.inspiration + (0.06 if b.adult else 0.0)
        lateral = (self.side - 0.42 * b.width) * (1 / (0.55 * b.width))
        self.dome_height = dome
        self.dome = dome + np.where(self.left, np.float32(b.dome_left), np.float32(0)) + 0.15 * lateral**2
        self.t = t = (y - b.apex) * (1 / (dome - b.apex))  # 0 at the apex, 1 at the dome
        # Mediastinum: vena cava on the right, aortic knob and pulmonary trunk on the left, thymus in children,
        # then the heart, a third of it to the right and two thirds to the left.
        w = b.upper * b.width
        heart = 2 * b.ctr * b.width
        thymus = 0.10 * b.thymus * bump(t, 0.30, 0.22)
        grow = step(t - 0.56, 0.36)
        right = w * 0.85 + thymus + (0.34 * heart - w * 0.85) * grow - 0.05 * step(t - 0.92, 0.15)
        fall = step(t - b.heart_height, 0.34)
        left = w * 0.85 + thymus * 0.8 + 0.035 * bump(t, 0.27, 0.08) + 0.03 * bump(t, 0.46, 0.12)
        left = left + (0.66 * heart - w * 0.85) * fall - 0.10 * step(t - 1.02, 0.14)
        turn = np.float32(pose.turn * 0.6)
        self.medial = self.side - np.where(self.left, left + turn, right - turn)
        self.core = self.side - np.float32(w * 0.75)  # spine and great vessels: no lung at all
        self.lungs = (self.side < self.wall) & (y < self.dome) & (self.medial > 0) & (t > 0)


class Film:
    """A drawing surface over a chest, in twice its resolution. Points are patient coordinates, values 0 to 255."""

    def __init__(self, chest: Chest):
        self.chest, self.image = chest, Image.new("L", (2 * chest.size, 2 * chest.size))
        self.pen = ImageDraw.Draw(self.image)

    def pixels(self, points: Sequence) -> np.ndarray:
        """Turn points (n, 2) into pixels of this surface."""
        return self.chest.pixels(points) * 2

    def thickness(self, width: float) -> int:
        """Turn the width of a line in the patient into pixels of this surface."""
        return max(1, round(width * self.chest.size * self.chest.pose.zoom))

    def line(self, points: Sequence, width: float, value: float) -> None:
        """Draw a polyline."""
        line = self.pixels(points).ravel().tolist()
        self.pen.line(line, fill=int(value), width=self.thickness(width), joint="curve")

    def disk(self, center: Sequence, rx: float, ry: float, value: float) -> None:
        """Draw an ellipse around a point; its radii are pixels of this surface."""
        x, y = self.pixels([center])[0]
        self.pen.ellipse([x - rx, y - ry, x + rx, y + ry], fill=int(value))

    def read(self, sigma: float) -> np.ndarray:
        """Give what is drawn as float32 (size, size) from 0 to 1, blurred by sigma pixels of a 224-pixel image."""
        size = self.chest.size
        a = np.asarray(self.image, dtype=np.uint8).reshape(size, 2, size, 2)
        rows = a[:, 0].astype(np.uint16) + a[:, 1]  # much quicker than one sum over both axes
        return blur((rows[:, :, 0] + rows[:, :, 1]) * np.float32(1 / 1020), sigma * size / 224)


def soft_tissue(chest: Chest) -> np.ndarray:
    """Return the thickness (cm) of the body as if it held no air: trunk, shoulders, neck, chin, arms."""
    b, x, y, side = chest.build, chest.x, chest.y, chest.side
    outer = b.width * (1.0 + b.fat) + np.where(y > 0.5, (y - 0.5) * 0.02, 0).astype(np.float32)
    outer = np.minimum(outer, chest.wall * 0.70 + 0.32 + b.fat * b.width)
    trunk = np.sqrt(np.clip(1 - (side / outer) ** 2, 0, 1)) * step(y - (b.apex - 0.02), 0.30)
    trunk *= b.depth * (1 + 0.12 * step(y - 0.35, 0.4))  # the belly is the thickest part
    neck = np.sqrt(np.maximum(1 - (side * (1 / 0.34)) ** 2, 0)) * (0.72 * b.depth) * step(b.apex + 0.25 - y, 0.25)
    body = np.maximum(trunk, neck)
    chin = 1 - ((x - chest.pose.turn) * (1 / 0.36)) ** 2 - ((y + 1.10 - chest.pose.chin) * (1 / 0.28)) ** 2
    body = np.maximum(body, np.sqrt(np.clip(chin, 0, 1)) * (0.95 * b.depth))
    for sign in (-1, 1):
        for start, end, thick in _limbs(b, chest.pose, sign):
            body = np.maximum(body, capsule(x, y, start, end) * (thick * b.depth))
    return body


def _limbs(b: Build, pose: Pose, sign: int) -> Iterator[tuple]:
    """Capsules ((x, y, radius), (x, y, radius), thickness) of shoulder and arm on one side."""
    s, w, top = sign, b.width * (1 + b.fat), b.apex
    yield (s * 0.15, top - 0.02, 0.26), (s * w * 0.80, top + 0.12, 0.27), 0.62
    if pose.arms == "up":
        yield (s * w * 0.82, top + 0.12, 0.27), (s * (w + 0.25), top - 0.75, 0.24), 0.58
    elif pose.arms == "out":
        yield (s * w * 0.80, top + 0.14, 0.26), (s * (w + 0.75), top - 0.20, 0.22), 0.58
    else:
        yield (s * w * 0.85, top + 0.14, 0.19), (s * (w + 0.22), 0.9, 0.15), 0.40


def capsule(x: np.ndarray, y: np.ndarray, start: tuple, end: tuple) -> np.ndarray:
    """Return the thickness 0..1 of a rod with round ends, from start to end, each (x, y, radius)."""
    (x0, y0, r0), (x1, y1, r1) = start, end
    dx, dy = x1 - x0, y1 - y0
    h = np.clip(((x - x0) * dx + (y - y0) * dy) * (1 / (dx * dx + dy * dy)), 0, 1)
    r = r0 + h * (r1 - r0)
    d2 = (x - x0 - h * dx) ** 2 + (y - y0 - h * dy) ** 2
    return np.sqrt(np.clip(1 - d2 / (r * r), 0, 1))


def air(chest: Chest) -> np.ndarray:
    """Return the thickness (cm) of aerated lung, the part behind heart and domes included."""
    b, y = chest.build, chest.y
    ratio = chest.side / np.maximum(chest.wall, 1e-3)
    depth = np.sqrt(np.maximum(1 - ratio**2, 0))
    depth *= (0.88 * b.depth * chest.pose.aeration) * np.sqrt(np.minimum(np.maximum(0.20 + 1.3 * chest.t, 0), 1))
    above = 0.84 * step(chest.dome - y, 0.018) + 0.16 * step(chest.dome + 0.10 - y, 0.10)
    beside = 0.10 + 0.26 * step(chest.core, 0.04) + 0.64 * step(chest.medial, 0.022)
    return depth * above * beside


def bones(chest: Chest, rng: np.random.Generator) -> np.ndarray:
    """Return the thickness (cm) of bone: ribs, spine, clavicles, scapulae, upper arms."""
    b, y, side = chest.build, chest.y, chest.side
    s = np.minimum(side * (1 / (b.width * 1.02)), 1.3)
    wobble = smooth_noise(rng, chest.size, 4) * 0.010
    cage = step(chest.wall * 1.045 - side, 0.02) * step(y - b.apex + 0.03, 0.05)
    edge = 1 / np.sqrt(np.clip(1 - (side / (chest.wall * 1.05)) ** 2, 0.06, 1))
    # Posterior ribs rise a little from the spine and fall towards the side; anterior ones fall towards the midline.
    s2 = s * s
    back = y + wobble - b.width * (b.rib_slope * s2 + 0.28 * (s2 * s2) - 0.12 * s) - rng.uniform(0, 0.1)
    front = y + wobble * 1.5 - b.width * (0.62 - 0.42 * s + b.rib_slope * 0.5) - rng.uniform(0, 0.1)
    out = 0.75 * _rib(back, b.ribs, 0.42) * (0.10 + 0.90 * step(0.55 - y, 0.30))
    out += 0.42 * _rib(front, b.ribs * 1.12, 0.44) * step(s - 0.50, 0.16) * step(0.50 - y, 0.15)
    out *= cage * np.minimum(edge, 3.4)
    # Spine: bodies and disks, pedicles; computed only in the columns it can reach.
    near = np.flatnonzero(side.min(0) < 0.14)
    if len(near):
        cols = slice(near[0], near[-1] + 1)
        side, y = side[:, cols], y[:, cols]
        wave = np.cos((y + rng.uniform(0, 0.1)) * (2 * np.pi / (0.125 if b.adult else 0.105)))
        body = step(0.080 - side, 0.03) * (0.60 + 0.28 * wave) * step(1.1 - y, 0.3)
        out[:, cols] += body + 0.35 * bump(side, 0.058, 0.020) * np.maximum(wave, 0)
    film = Film(chest)
    for sign in (-1, 1):
        _shoulder(film, rng, sign)
    out += 2.0 * film.read(0.8)
    return out * b.bone


def _rib(height: np.ndarray, spacing: float, fraction: float) -> np.ndarray:
    """Thickness across a row of tubes: two bright cortical edges and a thinner middle."""
    f = height * (1 / spacing)
    f = np.abs(f - np.floor(f) - 0.5) * (2 / fraction)  # 0 in the middle of a rib, 1 at its edge
    tube = step(1 - f, 0.20)
    return tube * (0.62 + 0.38 * np.minimum(f, 1) ** 2)


def _shoulder(film: Film, rng: np.random.Generator, sign: int) -> None:
    b, pose, size = film.chest.build, film.chest.pose, film.chest.size
    w, top, u = b.width, b.apex, rng.uniform
    t = np.linspace(0, 1, 9)
    lift = {"up": -0.22, "out": -0.10, "down": -0.02}[pose.arms] + u(-0.03, 0.03)
    clav = np.stack([sign * (0.10 + t * w * 0.72), top + 0.10 + lift * t + 0.05 * np.sin(t * 2 * np.pi)], 1)
    film.line(clav, 0.050, 150)
    film.line(clav + [0, 0.006], 0.022, 115)
    out = {"up": 0.16, "out": 0.10, "down": 0.04}[pose.arms]
    sx = sign * (w * 0.86 + out)
    blade = [(sx, top + 0.16), (sx - sign * 0.22, top + 0.22), (sx - sign * 0.06, top + 0.62), (sx, top + 0.20)]
    film.pen.polygon([tuple(p) for p in film.pixels(blade).tolist()], fill=38)
    film.line(blade[1:], 0.026, 80)
    *_, ((x0, y0, _), (x1, y1, _), _) = _limbs(b, pose, sign)
    film.line([(x0, y0), (x1, y1)], 0.095, 75)
    film.line([(x0, y0), (x1, y1)], 0.055, 50)
    film.disk((x0, y0), 0.065 * size, 0.065 * size, 70)


def vessels(chest: Chest, rng: np.random.Generator) -> np.ndarray:
    """Return the thickness (cm) of the pulmonary vessels; they end before the outer rim of the lung."""
    b = chest.build
    points, width = _tree(chest, rng)
    order = np.argsort(width, kind="stable")  # thick ones last, on top
    film = Film(chest)
    pixels = film.pixels(points[order].reshape(-1, 2)).reshape(len(order), -1)
    for line, w in zip(pixels.tolist(), width[order].tolist(), strict=True):
        film.pen.line(line, fill=int(min(255, 45 + 5200 * w)), width=film.thickness(w))
    return film.read(0.5) * (1.7 * b.vessels)


def _tree(chest: Chest, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Branches that fork outwards from both hila: lines (n, 4, 2) and widths (n,), level by level."""
    build = chest.build
    sign = np.repeat([-1.0, 1.0], 11)
    x, y = sign * (build.upper * build.width + 0.05), -0.06 - np.where(sign > 0, build.left_hilum, 0.0)
    angle = np.tile(np.linspace(-1.35, 1.45, 11), 2) + rng.normal(0, 0.10, 22)
    width = np.full(22, 0.034)
    lines, widths = [], []
    for level in range(5):
        length = rng.uniform(0.10, 0.20, len(x)) * (1.0 if level else 1.25)
        bend = rng.normal(0, 0.25, len(x))
        a = angle[:, None] + bend[:, None] * (np.arange(3) / 3)
        px = np.column_stack([x, x[:, None] + np.cumsum(sign[:, None] * np.cos(a), 1) * length[:, None] / 3])
        py = np.column_stack([y, y[:, None] + np.cumsum(np.sin(a), 1) * length[:, None] / 3])
        t = (py[:, -1] - build.apex) / (0.62 - build.apex)
        ok = (t > 0.05) & (t < 1) & (np.abs(px[:, -1]) < 0.92 * chest.lateral(py[:, -1]))
        lines.append(np.stack([px, py], 2)[ok])
        widths.append(width[ok])
        # Every branch forks in two; of the finer ones a quarter ends.
        turn = np.concatenate([rng.uniform(-0.65, -0.1, ok.sum()), rng.uniform(0.1, 0.65, ok.sum())])
        pair = np.concatenate([np.flatnonzero(ok)] * 2)
        keep = rng.random(len(pair)) < (1.0 if level < 2 else 0.75)
        shrink = rng.uniform(0.62, 0.80, len(pair))
        pair, turn, shrink = pair[keep], turn[keep], shrink[keep]
        x, y, sign = px[pair, -1], py[pair, -1], sign[pair]
        angle, width = angle[pair] + bend[pair] * 0.6 + turn, width[pair] * shrink
    return np.concatenate(lines), np.concatenate(widths)


def airways(chest: Chest) -> np.ndarray:
    """Return the air (cm) in trachea and main bronchi."""
    b = chest.build
    film = Film(chest)
    cy, half = -0.16, np.deg2rad(b.carina / 2)
    shift = chest.pose.turn * 0.6
    film.line([(shift * 0.3, b.apex - 0.35), (shift, cy)], 0.085 if b.adult else 0.075, 150)
    for sign, tilt in ((-1, -0.12), (1, 0.12)):
        a = half + sign * tilt
        film.line([(shift, cy), (shift + sign * np.sin(a) * 0.20, cy + np.cos(a) * 0.20)], 0.055, 95)
    return film.read(1.3) * 2.6


def stomach(chest: Chest, rng: np.random.Generator) -> np.ndarray | float:
    """Return the gas (cm) under the left dome."""
    b = chest.build
    if not b.bubble:
        return 0.0
    cx, cy = rng.uniform(0.25, 0.45), 0.46 + b.dome_left + chest.pose.inspiration + rng.uniform(0.10, 0.25)
    r = rng.uniform(0.09, 0.17)
    d = 1 - ((chest.x - cx) / (r * 1.3)) ** 2 - ((chest.y - cy) / r) ** 2
    return np.sqrt(np.clip(d, 0, 1)) * (4.5 * b.bubble)


def hila(chest: Chest) -> np.ndarray:
    """Return the soft tissue (cm) of both hila."""
    b = chest.build
    y0 = np.where(chest.left, np.float32(-0.05 - b.left_hilum), np.float32(-0.05))
    return 1.5 * np.exp(-ellipse(chest.side, chest.y, b.upper * b.width + 0.03, y0, 0.07, 0.13))
