// Fool it: a picture that is changed by hand, and networks in the page that answer at once.

const TOOLS = { marker: t`Drag the marker`, white: t`Paint white`, black: t`Paint black`, cover: t`Cover a box`, erase: t`Erase paint` };
const AS_IT_WAS = { marker: null, flip: false, rotate: 0, zoom: 1, shiftX: 0, shiftY: 0, brightness: 0, blur: 0 };
// strokes of the lead letter R in a box of 4 by 6, as cxrlib.phantom writes it
const STROKES = [[[0, 6], [0, 0], [3, 0], [4, 1], [4, 2], [3, 3], [0, 3]], [[2, 3], [4, 6]]];

/** The lead letter R of this height in pixels: { width, height, values 0..1 }. */
function leadLetter(height) {
  const k = 8, width = Math.max(2, Math.round(0.72 * height));
  const canvas = h("canvas", { width: width * k, height: height * k });
  const pen = canvas.getContext("2d", { willReadFrequently: true }), line = Math.round(0.2 * height * k), edge = line / 2 + 1;
  Object.assign(pen, { lineWidth: line, lineJoin: "round", strokeStyle: "#fff" });
  for (const stroke of STROKES) {
    pen.beginPath();
    for (const [a, b] of stroke) pen.lineTo(edge + (a * (width * k - 2 * edge)) / 4, edge + (b * (height * k - 2 * edge)) / 6);
    pen.stroke();
  }
  const { data } = pen.getImageData(0, 0, width * k, height * k), values = new Float32Array(width * height);
  for (let i = 3; i < data.length; i += 4) {
    const p = (i - 3) / 4, x = Math.floor((p % (width * k)) / k), y = Math.floor(p / (width * k * k));
    values[y * width + x] += data[i] / (255 * k * k);
  }
  return { width, height, values };
}

function render({ model, el }) {
  const page = model.get("page"), n = page.size, ill = page.classes[page.target], table = bytes(page.colors);
  const root = widget("cxr-fool", t`Fool it`);
  el.append(root);
  const unfollow = followTheme(root);
  const height = Math.max(6, Math.round(0.1 * n)), home = { x: Math.round(0.06 * n), y: Math.round(0.08 * n) };
  let base = null, networks = null, shown = 0, tool = "marker", showMap = true, drawn = null, closed = false;
  let state, paint, cursor, anchor;
  const status = h("p.note", { role: "status" });

  // --- the picture

  const hand = h("canvas.hand", { width: 512, height: 512, tabindex: 0, role: "application",
    "aria-label": t`The picture. Arrow keys move the marker or the brush; Enter puts the marker, paints, or sets a corner of the cover; Delete takes the marker away.` });
  const fresh = () => {
    state = { ...AS_IT_WAS };
    paint = new Float32Array(n * n).fill(NaN);
    cursor = { x: n / 2, y: n / 2 };
    anchor = null;
  };
  const letter = leadLetter(height);
  const changed = () => {
    let values = base;
    if (state.rotate || state.zoom !== 1) values = geometry(values, n, state);
    if (state.blur) values = gaussian(values, n, state.blur);
    const out = Float32Array.from(values, (v, i) => {
      const bright = Math.min(1, Math.max(0, v + state.brightness));
      return Number.isNaN(paint[i]) ? bright : paint[i];
    });
    if (state.marker) {
      const { x, y } = state.marker;
      letter.values.forEach((a, i) => {
        const column = x + (i % letter.width), row = y + Math.floor(i / letter.width);
        if (column < 0 || row < 0 || column >= n || row >= n) return;
        const at = row * n + column;
        out[at] = Math.min(1, out[at] + a * Math.max(0.95 - out[at], 0.1));
      });
    }
    return out;
  };
  const onCanvas = (canvas, gray, map, box) => {
    const small = colored({ width: n, height: n, values: gray.map((v) => 255 * v) },
      map && enlarge(map.values, map.grid, n, n), { table, highest: map?.highest || 1, cut: 0.1 * (map?.highest || 1), opacity: 0.55 });
    const pen = canvas.getContext("2d");
    pen.imageSmoothingQuality = "high";
    pen.drawImage(small, 0, 0, canvas.width, canvas.height);
    if (!box) return;
    framed(pen, box.map((v) => (v * canvas.width) / n));
  };

  // --- the answers

  const said = needles(page.networks.map(({ name }) => name), page.classes, page.target);
  const answers = said.figures.map((figure, k) => {
    const { name } = page.networks[k], canvas = h("canvas", { width: 256, height: 256, role: "img", "aria-label": t`${name}: the picture` });
    figure.append(canvas);
    return { name, canvas, before: null };
  });
  const answer = () => {
    drawn = null;
    if (closed || !base) return;
    const gray = changed(), tools = document.activeElement === hand && tool !== "marker";
    const frame = tools ? (anchor ? [anchor.x, anchor.y, cursor.x - anchor.x, cursor.y - anchor.y] : [cursor.x - 2, cursor.y - 2, 4, 4])
      : state.marker && document.activeElement === hand ? [state.marker.x - 1, state.marker.y - 1, letter.width + 2, height + 2] : null;
    onCanvas(hand, gray, null, frame);
    if (!networks) return;
    const started = performance.now();
    const told = answers.map((one, k) => {
      const now = networks[k].run(gray, showMap ? ["grad-cam"] : []);
      one.before ??= networks[k].run(base, []).probs;
      const values = now.maps["grad-cam"]?.[page.target];
      onCanvas(one.canvas, gray, values && { values, grid: now.grid, highest: Math.max(...values, 1e-9) });
      one.canvas.setAttribute("aria-label", showMap ? t`${one.name}: the picture with its map of ${ill}` : t`${one.name}: the picture`);
      return { probs: now.probs, map: values };
    });
    root.dispatchEvent(new CustomEvent("cxr-answered", { detail: { milliseconds: performance.now() - started, gray, told } }));
    said.tell(told.map(({ probs }, k) => ({ now: probs, was: answers[k].before })));
  };
  const again = () => (drawn ??= requestAnimationFrame(answer));

  // --- the hand

  const inside = (v) => Math.min(Math.max(Math.round(v), 0), n - 1);
  const dab = ({ x, y }) => {
    const radius = Math.max(1, n / 32), value = { white: 0.95, black: 0.02, erase: NaN }[tool];
    for (let row = 0; row < n; row++) for (let column = 0; column < n; column++) {
      if ((column - x) ** 2 + (row - y) ** 2 <= radius ** 2) paint[row * n + column] = value;
    }
  };
  const cover = (a, b) => {
    for (let row = Math.min(a.y, b.y); row <= Math.max(a.y, b.y); row++) {
      for (let column = Math.min(a.x, b.x); column <= Math.max(a.x, b.x); column++) paint[row * n + column] = 0.02;
    }
  };
  const putMarker = ({ x, y }) => {
    state.marker = { x: Math.min(Math.max(Math.round(x), 0), n - letter.width), y: Math.min(Math.max(Math.round(y), 0), n - height) };
    box.checked = true;
  };
  const takeMarker = () => {
    state.marker = null;
    box.checked = false;
  };
  const place = (event) => {
    const { left, top, width } = hand.getBoundingClientRect();
    return { x: inside(((event.clientX - left) * n) / width - 0.5), y: inside(((event.clientY - top) * n) / width - 0.5) };
  };
  let down = false;
  const move = (event) => {
    if (!down || !base) return;
    cursor = place(event);
    if (tool === "marker") putMarker({ x: cursor.x - letter.width / 2, y: cursor.y - height / 2 });
    else if (tool !== "cover") dab(cursor);
    again();
  };
  hand.addEventListener("pointerdown", (event) => {
    down = true;
    hand.setPointerCapture(event.pointerId);
    if (tool === "cover") anchor = place(event);
    move(event);
  });
  hand.addEventListener("pointermove", move);
  for (const end of ["pointerup", "pointercancel"]) {
    hand.addEventListener(end, () => {
      if (down && anchor && end === "pointerup") cover(anchor, cursor);
      if (down) anchor = null;
      down = false;
      again();
    });
  }
  hand.addEventListener("keydown", (event) => {
    const [dx, dy] = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key] ?? [0, 0];
    const step = event.shiftKey ? 6 : 2;
    if (dx || dy) {
      if (tool === "marker") putMarker({ x: (state.marker ?? home).x + dx * step, y: (state.marker ?? home).y + dy * step });
      else cursor = { x: inside(cursor.x + dx * step), y: inside(cursor.y + dy * step) };
    } else if (event.key === "Enter" || event.key === " ") {
      if (tool === "marker") putMarker(state.marker ?? home);
      else if (tool !== "cover") dab(cursor);
      else if (anchor) {
        cover(anchor, cursor);
        anchor = null;
      } else anchor = { ...cursor };
    } else if (event.key === "Delete" || event.key === "Backspace") takeMarker();
    else if (event.key === "Escape" && anchor) anchor = null;
    else return;
    event.preventDefault();
    again();
  });
  hand.addEventListener("focus", again);
  hand.addEventListener("blur", again);

  // --- the controls

  const box = h("input", { type: "checkbox", onchange: () => {
    if (box.checked) putMarker(home);
    else takeMarker();
    again();
  } });
  const mapBox = h("input", { type: "checkbox", checked: true, onchange: () => {
    showMap = mapBox.checked;
    again();
  } });
  const names = `cxr-tool-${Math.random().toString(36).slice(2)}`; // radio buttons of one widget only
  const tools = h("fieldset.tools", {}, h("legend", {}, t`What the pointer does`), ...Object.entries(TOOLS).map(([key, label]) =>
    h("label", {}, h("input", { type: "radio", name: names, value: key, checked: key === tool, onchange: () => {
      tool = key;
      anchor = null;
      again();
    } }), label)));
  const CHANGES = { brightness: [t`Brightness`, -0.4, 0.4, 0.01, (v) => signed(v, 2)], blur: [t`Blur`, 0, 3, 0.1, (v) => `${v.toFixed(1)} px`],
    rotate: [t`Rotation`, -30, 30, 1, (v) => `${signed(v, 0) || "0"}°`], zoom: [t`Crop`, 1, 2, 0.02, (v) => `× ${v.toFixed(2)}`] };
  const sliders = Object.entries(CHANGES).map(([key, [label, min, max, step, show]]) => [key, slider(label, { min, max, step, value: AS_IT_WAS[key] }, show, (value) => {
    state[key] = value;
    again();
  })]);
  const reset = () => {
    fresh();
    takeMarker();
    for (const [key, { set }] of sliders) set(AS_IT_WAS[key]);
    again();
  };
  const choose = async (k) => {
    shown = k;
    const { values } = await pixels(page.images[k].png);
    if (shown !== k) return;
    base = Float32Array.from(values, (v) => v / 255);
    for (const one of answers) one.before = null;
    again();
  };
  const pick = h("select", { "aria-label": t`Picture`, onchange: () => choose(Number(pick.value)) },
    ...page.images.map(({ label }, k) => h("option", { value: k }, `${k + 1}: ${page.classes[label]}`)));
  root.append(
    h("div.line", {}, h("label.field", {}, h("span", {}, t`Picture`), pick), h("button", { type: "button", onclick: reset }, t`Start again`)),
    tools,
    h("div.stage", {},
      h("figure", {}, h("figcaption", {}, t`Yours to change`), hand,
        h("div.tools", {}, h("label", {}, box, t`Marker R`), h("label", {}, mapBox, t`Maps of ${ill}`))),
      h("div", {}, h("p.note", {}, t`Probability of ${ill}. Dashed: before you changed anything.`), h("div.answers", {}, ...said.figures))),
    h("div.sliders", {}, ...sliders.map(([, { field }]) => field)), said.spoken, status,
  );
  fresh();
  root.keeps = { // the controls tell the rest
    get: () => ({ marker: state.marker, paint: [...paint].flatMap((v, i) => (Number.isNaN(v) ? [] : [[i, v]])) }),
    set: ({ marker, paint: painted }) => {
      state.marker = marker;
      for (const [i, v] of painted) paint[i] = v;
    },
  };
  choose(0);
  const end = alive(root, model, page.networks.map(({ net }) => net), status, (made) => {
    networks = made;
    again();
  });
  return () => {
    closed = true;
    end();
    unfollow();
  };
}

export default { render };
