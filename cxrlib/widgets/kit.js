// What the course's widgets share. It stands before a widget's own module.

/** h("div.name", { attribute: value, onclick: f }, child, "text") makes an element. */
function h(tag, attributes = {}, ...children) {
  const [name, ...classes] = tag.split(".");
  const element = document.createElement(name);
  if (classes.length) element.className = classes.join(" ");
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else if (value === true) element.setAttribute(key, "");
    else if (value !== false && value != null) element.setAttribute(key, value);
  }
  // a browser that goes back would put old values into the controls, but not into what they control
  if (name === "input" || name === "select") element.autocomplete = "off";
  element.append(...children);
  return element;
}

// The namespace from an element, so that the page holds no address at all.
const SVG = Object.assign(document.createElement("div"), { innerHTML: "<svg></svg>" }).firstChild.namespaceURI;

/** svg("path.name", { attribute: value }, child) makes an SVG element. */
function svg(tag, attributes = {}, ...children) {
  const [name, ...classes] = tag.split(".");
  const element = document.createElementNS(SVG, name);
  if (classes.length) element.setAttribute("class", classes.join(" "));
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...children);
  return element;
}

/** The element that holds a widget: a region with a name. */
function widget(name, label) {
  const root = h(`div.cxr-kit.${name}`, { role: "region", "aria-label": label, "data-lm-suppress-shortcuts": "true" });
  root.addEventListener("keydown", (event) => event.stopPropagation()); // a notebook has shortcuts of its own
  return root;
}

/** A box that scrolls sideways where it is too narrow: the keyboard must reach it, and then it needs a name. */
function scrolling(label, ...children) {
  return h("div.scroll", { role: "group", "aria-label": label, tabindex: 0 }, ...children);
}

/** A labelled slider: { field, input, set }. `show(value)` stands beside the label; a screen reader says it too. */
function slider(label, { min, max, step, value }, show, changed) {
  const output = h("b.value", { "aria-hidden": "true" });
  const say = (value) => {
    output.textContent = show(value);
    input.setAttribute("aria-valuetext", show(value));
  };
  const input = h("input", { type: "range", min, max, step, value, "aria-label": label, oninput: () => {
    say(Number(input.value));
    changed(Number(input.value));
  } });
  say(value);
  return { field: h("label.field", {}, h("span", {}, label, " ", output), input), input, set: (value) => {
    input.value = value;
    say(value);
  } };
}

/** Follow the page: light text means a dark page, whoever drew it. */
function followTheme(root) {
  const update = () => {
    if (!root.isConnected) return;
    const [r, g, b] = (getComputedStyle(root.parentElement).color.match(/[\d.]+/g) ?? [0, 0, 0]).map(Number);
    const theme = 0.3 * r + 0.6 * g + 0.1 * b > 128 ? "dark" : "light";
    if (root.dataset.theme !== theme) root.dataset.theme = theme;
  };
  // A page may load its colors after its widgets. The probe has a transition of its color, which it inherits: the
  // browser tells when it changes, for whatever reason.
  const probe = h("i.cxr-probe", { "aria-hidden": "true", style: "position:absolute;transition:color 1ms !important" });
  root.before(probe);
  probe.addEventListener("transitionrun", update);
  const shown = new ResizeObserver(update); // once it has a place on the page
  shown.observe(root);
  update();
  return () => {
    shown.disconnect();
    probe.remove();
  };
}

// Numbers for people. What is undefined (NaN, or null in JSON) is shown as a dash, and never as 0.

const undefinedNumber = (x) => x == null || Number.isNaN(x);

/** A part of a whole; undefined when the whole is empty. */
const rate = (a, b) => (b > 0 ? a / b : NaN);
const digits = (x) => (undefinedNumber(x) ? "–" : x.toFixed(3));
const signed = (x, n = 3) => (undefinedNumber(x) ? "–" : `${x > 0 ? "+" : x < 0 ? "−" : ""}${Math.abs(x).toFixed(n)}`);

/** 0.5 as "50 %", on one line; what is not quite nothing or everything is not shown as 0 % or 100 %. */
function percent(x, n = (x > 0 && x < 0.0995) || (x > 0.9905 && x < 1) ? 1 : 0) {
  if (undefinedNumber(x)) return "–";
  const text = (100 * x).toFixed(n), least = 10 ** -n;
  if (x > 0 && Number(text) === 0) return `<\u00a0${least.toFixed(n)}\u00a0%`;
  if (x < 1 && Number(text) === 100) return `>\u00a0${(100 - least).toFixed(n)}\u00a0%`;
  return `${text}\u00a0%`;
}

/** A gray value from 0 to 255, not rounded, for a rescaled value: what cxrlib.data.dicom.window does. */
function windowed(x, center, width, curve = "LINEAR") {
  if (curve === "SIGMOID") return 255 / (1 + Math.exp((-4 * (x - center)) / width));
  const [c, w] = curve === "LINEAR" ? [center - 0.5, width - 1] : [center, width]; // PS3.3, C.11.2.1.2: LINEAR is not symmetric
  if (w === 0) return x > c ? 255 : 0;
  return Math.min(Math.max((x - c) / w + 0.5, 0), 1) * 255;
}

/** The bytes of a text in base 64. */
const bytes = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));

/** The gray values of a PNG in base 64: { width, height, values, canvas }. */
async function pixels(png) {
  const image = new Image();
  image.src = `data:image/png;base64,${png}`;
  await image.decode();
  const canvas = h("canvas", { width: image.naturalWidth, height: image.naturalHeight });
  const pen = canvas.getContext("2d", { willReadFrequently: true });
  pen.drawImage(image, 0, 0);
  const rgba = pen.getImageData(0, 0, canvas.width, canvas.height).data;
  return { width: canvas.width, height: canvas.height, values: rgba.filter((_, i) => i % 4 === 0), canvas };
}

/** A frame [x, y, width, height] that is seen on black and on white. */
function framed(pen, box) {
  for (const [style, width] of [["#000", 4], ["#ffd166", 2]]) {
    Object.assign(pen, { strokeStyle: style, lineWidth: width });
    pen.strokeRect(...box);
  }
}

/** Numbers from 0 to 1 that depend on the seed alone (mulberry32). */
function uniform(seed) {
  return () => {
    seed = (seed + 0x6d2b79f5) | 0;
    let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

/** Logits to probabilities. */
function softmax(logits) {
  const top = Math.max(...logits), powers = Array.from(logits, (v) => Math.exp(v - top));
  const total = powers.reduce((a, b) => a + b, 0);
  return powers.map((p) => p / total);
}
