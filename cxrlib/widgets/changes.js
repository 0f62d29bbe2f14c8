// Changes of a picture that several widgets make: geometry and blur, as cxrlib.augment does them.

/** From a place in the new picture to its place in the old one, both axes from -1 to 1: [[a, b, c], [d, e, f]]. */
function matrix({ flip, rotate, shiftX, shiftY, zoom }) {
  // Augment turns and moves the place that is read, before the flip; the sliders turn and move what is seen.
  const mirror = flip ? -1 : 1, angle = (-mirror * rotate * Math.PI) / 180;
  const cos = Math.cos(angle) / zoom, sin = Math.sin(angle) / zoom;
  return [[cos * mirror, -sin, -2 * mirror * shiftX], [sin * mirror, cos, -2 * shiftY]];
}

/** Where a place of the old picture lies in the new one. */
function forward(settings, [x, y]) {
  const [[a, b, c], [d, e, f]] = matrix(settings), whole = a * e - b * d;
  return [(e * (x - c) - b * (y - f)) / whole, (a * (y - f) - d * (x - c)) / whole];
}

/** Bilinear sampling of n x n values; outside is black. */
function geometry(values, n, settings) {
  const [[a, b, c], [d, e, f]] = matrix(settings);
  const out = new Float64Array(n * n);
  const at = (i, j) => (i >= 0 && j >= 0 && i < n && j < n ? values[j * n + i] : 0);
  for (let row = 0; row < n; row++) {
    for (let column = 0; column < n; column++) {
      const x = (2 * column + 1) / n - 1, y = (2 * row + 1) / n - 1;
      const u = ((a * x + b * y + c + 1) * n - 1) / 2, v = ((d * x + e * y + f + 1) * n - 1) / 2;
      const i = Math.floor(u), j = Math.floor(v), p = u - i, q = v - j;
      out[row * n + column] = (1 - q) * ((1 - p) * at(i, j) + p * at(i + 1, j)) + q * ((1 - p) * at(i, j + 1) + p * at(i + 1, j + 1));
    }
  }
  return out;
}

/** Gaussian blur along rows, then along columns; the border is continued outward. */
function gaussian(values, n, sigma) {
  const radius = Math.max(1, Math.ceil(3 * sigma));
  const weights = Array.from({ length: 2 * radius + 1 }, (_, k) => Math.exp(-((k - radius) ** 2) / (2 * sigma * sigma)));
  const total = weights.reduce((a, b) => a + b);
  const inside = (k) => Math.min(Math.max(k, 0), n - 1);
  for (const [step, line] of [[1, n], [n, 1]]) {
    const out = new Float64Array(n * n);
    for (let k = 0; k < n; k++) {
      for (let i = 0; i < n; i++) {
        let sum = 0;
        for (let r = -radius; r <= radius; r++) sum += weights[r + radius] * values[k * line + inside(i + r) * step];
        out[k * line + i * step] = sum / total;
      }
    }
    values = out;
  }
  return values;
}
