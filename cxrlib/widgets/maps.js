// Class activation maps on a canvas: from a coarse grid to colors over an X-ray.

/** The positive part of a map on a grid (or all of it, with its signs), enlarged bilinearly to width x height. */
function enlarge(map, [rows, columns], width, height, signs = false) {
  const out = new Float32Array(width * height);
  const place = (i, length, cells) => {
    const x = Math.min(Math.max(((i + 0.5) * cells) / length - 0.5, 0), cells - 1);
    const low = Math.floor(x);
    return [low, Math.min(low + 1, cells - 1), x - low];
  };
  const across = Array.from({ length: width }, (_, i) => place(i, width, columns));
  const at = (r, c) => (signs ? map[r * columns + c] : Math.max(map[r * columns + c], 0));
  for (let y = 0; y < height; y++) {
    const [top, bottom, v] = place(y, height, rows);
    for (let x = 0; x < width; x++) {
      const [left, right, u] = across[x];
      out[y * width + x] =
        (1 - v) * ((1 - u) * at(top, left) + u * at(top, right)) +
        v * ((1 - u) * at(bottom, left) + u * at(bottom, right));
    }
  }
  return out;
}

/** The border of a mask as one path in pixel units; corners of single pixels are rounded off. */
function outline({ width, height, values }) {
  const inside = (x, y) => x >= 0 && y >= 0 && x < width && y < height && values[y * width + x] > 127;
  const next = new Map(); // corner -> corners that follow it, with the inside on the right
  const at = (x, y) => y * (width + 1) + x;
  const add = (a, b) => next.set(a, [...(next.get(a) ?? []), b]);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      if (!inside(x, y)) continue;
      if (!inside(x, y - 1)) add(at(x, y), at(x + 1, y));
      if (!inside(x + 1, y)) add(at(x + 1, y), at(x + 1, y + 1));
      if (!inside(x, y + 1)) add(at(x + 1, y + 1), at(x, y + 1));
      if (!inside(x - 1, y)) add(at(x, y + 1), at(x, y));
    }
  }
  const path = new Path2D();
  for (const start of next.keys()) {
    let corner = start;
    const loop = [];
    while (next.get(corner)?.length) {
      loop.push([corner % (width + 1), Math.floor(corner / (width + 1))]);
      corner = next.get(corner).pop();
    }
    if (loop.length < 4) continue;
    const middle = (i) => {
      const [a, b] = [loop[i % loop.length], loop[(i + 1) % loop.length]];
      return [(a[0] + b[0]) / 2, (a[1] + b[1]) / 2];
    };
    path.moveTo(...middle(0));
    loop.forEach((_, i) => path.quadraticCurveTo(...loop[(i + 1) % loop.length], ...middle(i + 1)));
    path.closePath();
  }
  return path;
}

/** Gray values, colored where the map is at least `cut`: a canvas of the same size. With signs, 0 has the middle color. */
function colored({ width, height, values }, map, { table, highest, cut, opacity, signs = false } = {}) {
  const canvas = h("canvas", { width, height });
  const pen = canvas.getContext("2d"), out = pen.createImageData(width, height), rgba = out.data;
  for (let i = 0; i < values.length; i++) {
    let r = values[i], g = r, b = r;
    const size = !map ? 0 : signs ? Math.abs(map[i]) : map[i];
    if (size > 0 && size >= cut) {
      const part = signs ? (1 + map[i] / highest) / 2 : map[i] / highest;
      const c = 3 * Math.min(255, Math.max(0, Math.floor(256 * part)));
      r += opacity * (table[c] - r);
      g += opacity * (table[c + 1] - g);
      b += opacity * (table[c + 2] - b);
    }
    rgba[4 * i] = r; rgba[4 * i + 1] = g; rgba[4 * i + 2] = b; rgba[4 * i + 3] = 255;
  }
  pen.putImageData(out, 0, 0);
  return canvas;
}

/** Draw a small canvas and paths in its pixels, enlarged, on a canvas of the page; `near` is what is seen of it. */
function enlargedOn(canvas, small, borders, near = { zoom: 1, x: 0.5, y: 0.5 }) {
  const whole = Math.max(1, Math.round(640 / small.width)), zoom = whole * near.zoom;
  canvas.width = whole * small.width;
  canvas.height = whole * small.height;
  const brush = canvas.getContext("2d");
  brush.imageSmoothingQuality = "high";
  brush.setTransform(zoom, 0, 0, zoom, canvas.width / 2 - zoom * near.x * small.width, canvas.height / 2 - zoom * near.y * small.height);
  brush.drawImage(small, 0, 0);
  for (const [style, path] of borders) {
    brush.setLineDash([]);
    brush.lineWidth = 4.5 / zoom;
    brush.strokeStyle = "rgba(0, 0, 0, .55)"; // a dark rim keeps the line visible on bright bone
    brush.stroke(path);
    brush.setLineDash(style.dash.map((d) => (1.6 * d) / zoom));
    brush.lineWidth = 2.4 / zoom;
    brush.strokeStyle = style.color;
    brush.stroke(path);
  }
}
