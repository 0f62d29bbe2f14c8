// The window explorer: what cxrlib.data.dicom.window does (LINEAR), in the browser.

const WIDE = 400, HIGH = 120, BINS = 100;

const number = (x) => x.toLocaleString("en", { maximumFractionDigits: 1 });

function render({ model, el }) {
  const root = widget("cxr-windowing", t`Window explorer`);
  el.append(root);
  const stop = followTheme(root);
  const page = model.get("page");
  const [high, wide] = page.shape, count = high * wide;
  const raw = new DataView(bytes(page.stored).buffer);
  const values = Float64Array.from({ length: count }, (_, i) => page.slope * raw.getUint16(2 * i, true) + page.intercept);
  const bits = page.mask && bytes(page.mask);
  const inside = bits && Uint8Array.from({ length: count }, (_, i) => (bits[i >> 3] >> (7 - (i & 7))) & 1);
  const area = inside ? inside.reduce((a, b) => a + b, 0) : 0;
  const least = values.reduce((a, b) => Math.min(a, b)), most = values.reduce((a, b) => Math.max(a, b));
  const asked = { center: page.center, width: page.width, invert: page.monochrome1 };
  const full = { center: (least + most + 1) / 2, width: most - least + 1 }; // from the lowest to the highest value
  let now = { ...asked }, waiting = false;

  const step = most - least > 100 ? 0.5 : (most - least) / 200;
  const grid = (v) => Math.round(v / step) * step;
  const range = (low, up, value) => ({ min: grid(low), max: grid(up), step, value });
  const center = slider(t`Window center`, range(Math.min(least, page.center), Math.max(most, page.center) + 1, now.center), number,
    (v) => set({ center: v }));
  const width = slider(t`Window width`, { ...range(0, Math.max(1.5 * (most - least), page.width), now.width), min: 1 }, number,
    (v) => set({ width: v }));
  const invert = h("input", { type: "checkbox", onchange: () => set({ invert: invert.checked }) });
  const outline = h("input", { type: "checkbox", onchange: () => { frame.toggleAttribute("data-outlined", outline.checked); } });
  const presets = { [t`As the file asks`]: asked, [t`Lowest to highest`]: full, [t`Narrow: a tenth of it`]: { ...full, width: Math.max(1, full.width / 10) } };
  const buttons = Object.entries(presets).map(([name, to]) => h("button", { type: "button", onclick: () => move(to) }, name));

  const canvas = h("canvas", { width: wide, height: high, role: "img" });
  const frame = h("div.frame.stays", {}, canvas, ...(inside ? [border(inside, high, wide)] : []));

  const left = Math.min(least, page.center - page.width / 2), right = Math.max(most, page.center + page.width / 2);
  const x = (v) => ((v - left) / (right - left)) * WIDE;
  const counts = new Array(BINS).fill(0);
  values.forEach((v) => counts[Math.min(BINS - 1, Math.floor(((v - left) / (right - left)) * BINS))]++);
  const tallest = Math.max(...counts);
  const bars = counts.map((n, i) => {
    const tall = n ? Math.max(1, Math.sqrt(n / tallest) * HIGH) : 0; // the root: a dark border would flatten the rest
    return svg("rect", { x: (i * WIDE) / BINS, y: HIGH - tall, width: WIDE / BINS - 0.4, height: tall });
  });
  const ramp = svg("path.ramp"), cut = [svg("rect.cut", { y: 0, height: HIGH }), svg("rect.cut", { y: 0, height: HIGH })];
  const id = `cxr-ramp-${Math.random().toString(36).slice(2)}`;
  const stops = [0, 1].map((offset) => svg("stop", { offset }));
  const shades = svg("linearGradient", { id, gradientUnits: "userSpaceOnUse", y1: 0, y2: 0 }, ...stops);
  const chart = svg("svg", { viewBox: `-2 -8 ${WIDE + 4} ${HIGH + 44}`, role: "img" }, svg("defs", {}, shades), svg("g.bars", {}, ...bars), ...cut, ramp,
    svg("rect.shades", { x: 0, y: HIGH + 4, width: WIDE, height: 12, fill: `url(#${id})` }),
    svg("text", { x: 0, y: HIGH + 31 }, number(left)), svg("text", { x: WIDE, y: HIGH + 31, "text-anchor": "end" }, number(right)),
    svg("text", { x: WIDE / 2, y: HIGH + 31, "text-anchor": "middle" }, t`value after slope and intercept`));

  const rows = { black: t`clipped to black`, white: t`clipped to white`, grays: t`gray values used, of 256` };
  const cells = Object.fromEntries(Object.keys(rows).map((key) => [key, [h("td", { "data-value": key }), h("td"), h("td", { "data-region": key })]]));
  const heads = ["", t`pixels`, "", ...(inside ? [t`of the ${page.region}`] : [])];
  const table = h("table", {}, h("caption", {}, t`What the window leaves`),
    h("thead", {}, h("tr", {}, ...heads.map((t) => (t ? h("th", { scope: "col" }, t) : h("td"))))),
    h("tbody", {}, ...Object.entries(rows).map(([key, text]) => h("tr", {}, h("th", { scope: "row" }, text), ...cells[key].slice(0, inside ? 3 : 2)))));
  const said = h("p.said", { role: "status" });
  root.append(h("div.columns", {},
    h("div", {}, frame, h("div.ticks", {}, h("label.tick", {}, invert, t`MONOCHROME1: small values are bright`),
      ...(inside ? [h("label.tick", {}, outline, t`outline the ${page.region}`)] : []))),
    h("div", {}, center.field, width.field, h("div.line", { role: "group", "aria-label": t`Windows to try` }, ...buttons),
      h("h3", {}, t`Histogram (roots of the counts), and the window on it`), chart, table, said)));

  function set(changes) {
    now = { ...now, ...changes };
    if (!waiting) requestAnimationFrame(draw); // however fast a slider moves, one picture a frame
    waiting = true;
  }

  function move(to) { // a window that was not set with the sliders: the sliders follow
    set(to);
    invert.checked = now.invert;
    center.set(now.center);
    width.set(now.width);
  }

  function draw() {
    waiting = false;
    const found = { black: [0, 0], white: [0, 0] }, used = [new Set(), new Set()];
    const pen = canvas.getContext("2d", { willReadFrequently: true }); // all is computed here, nothing by the graphics card
    const picture = pen.createImageData(wide, high);
    values.forEach((v, i) => {
      const plain = windowed(v, now.center, now.width), gray = now.invert ? 255 - plain : plain;
      picture.data.set([gray, gray, gray, 255], 4 * i); // a clamped array rounds as np.rint does
      const member = inside ? inside[i] : 0, clipped = gray === 0 ? "black" : gray === 255 ? "white" : null;
      used[0].add(picture.data[4 * i]);
      if (member) used[1].add(picture.data[4 * i]);
      if (!clipped) return;
      found[clipped][0]++;
      found[clipped][1] += member;
    });
    pen.putImageData(picture, 0, 0);

    const half = (now.width - 1) / 2, from = now.center - 0.5 - half, to = now.center - 0.5 + half;
    const clip = (v) => Math.min(Math.max(x(v), 0), WIDE);
    const [dark, bright] = now.invert ? [HIGH, 0] : [0, HIGH]; // how high the ramp is on the left and on the right
    ramp.setAttribute("d", `M${Math.min(0, x(from))} ${HIGH - dark}L${x(from)} ${HIGH - dark}L${x(to)} ${HIGH - bright}L${Math.max(WIDE, x(to))} ${HIGH - bright}`);
    cut[0].setAttribute("x", 0);
    cut[0].setAttribute("width", clip(from));
    cut[1].setAttribute("x", clip(to));
    cut[1].setAttribute("width", WIDE - clip(to));
    shades.setAttribute("x1", x(from));
    shades.setAttribute("x2", Math.max(x(to), x(from) + 0.01));
    stops.forEach((s, i) => s.setAttribute("stop-color", Boolean(i) === now.invert ? "#000" : "#fff"));

    for (const key of ["black", "white"]) {
      const [n, m] = found[key];
      cells[key].forEach((cell, i) => { cell.textContent = [number(n), percent(n / count, 1), percent(rate(m, area), 1)][i]; });
    }
    cells.grays[0].textContent = used[0].size;
    cells.grays[2].textContent = used[1].size;
    const lost = found.black[1] + found.white[1];
    said.textContent = `${t`The window runs from ${number(from)} to ${number(to)}.`} ` + (!inside ? "" : lost
      ? t`${percent(lost / area, 1)} of the ${page.region} is clipped: what differs there cannot be seen.`
      : t`Nothing of the ${page.region} is clipped; its pixels are shown with ${used[1].size} gray values.`);
    canvas.setAttribute("aria-label", t`The image with window center ${number(now.center)} and width ${number(now.width)}; ${
      percent(found.black[0] / count, 1)} black, ${percent(found.white[0] / count, 1)} white.`);
    chart.setAttribute("aria-label", `${t`Histogram of the values from ${number(least)} to ${number(most)}.`} ${said.textContent}`);
    root.dataset.drawn = JSON.stringify(now);
  }
  move(asked);
  return stop;
}

/** The outline of a region as a path over the image. */
function border(inside, high, wide) {
  const at = (r, c) => r >= 0 && c >= 0 && r < high && c < wide && inside[r * wide + c];
  let d = "";
  for (let r = 0; r <= high; r++) {
    for (let c = 0; c <= wide; c++) {
      if (Boolean(at(r, c)) !== Boolean(at(r - 1, c))) d += `M${c} ${r}h1`;
      if (Boolean(at(r, c)) !== Boolean(at(r, c - 1))) d += `M${c} ${r}v1`;
    }
  }
  return svg("svg.outline", { viewBox: `0 0 ${wide} ${high}`, "aria-hidden": "true" }, svg("path", { d }));
}

export default { render };
