// The CAM inspector. With a kernel it asks for what it lacks; without one it shows what was saved with the page.

const OUTLINES = {
  lesion: { label: "Lesion", color: "#ff9f1c", dash: [] },
  lung: { label: "Lungs", color: "#7fd4ff", dash: [7, 4] },
  marker: { label: "Marker", color: "#ffffff", dash: [2, 3] },
};
const SCALES = {
  map: "this map",
  classes: "all classes of this image",
  images: "all images here",
};
const SORTS = {
  given: "As in the data",
  class: "By class",
  sure: "Most confident first",
  unsure: "Least confident first",
  wrong: "Wrong ones first",
};
const NOTHING = "This map has no positive value: nothing speaks for this class.";
const CHUNK = 2 ** 21; // bytes of an upload in one message
const BUSY = 5000; // milliseconds without an answer before we say why

// --- small helpers

const bytes = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
const percent = (x) => `${(100 * x).toFixed((x > 0 && x < 0.0995) || (x > 0.9905 && x < 1) ? 1 : 0)} %`;
const short = (x) => (x === 0 ? "0" : Number(x.toPrecision(3)).toString());
const largest = (values) => values.reduce((a, b) => Math.max(a, b), -Infinity);

/** The gray values of a PNG: { width, height, values }. */
async function pixels(png) {
  const image = new Image();
  image.src = `data:image/png;base64,${png}`;
  await image.decode();
  const canvas = h("canvas", { width: image.naturalWidth, height: image.naturalHeight });
  const pen = canvas.getContext("2d", { willReadFrequently: true });
  pen.drawImage(image, 0, 0);
  const rgba = pen.getImageData(0, 0, canvas.width, canvas.height).data;
  const values = new Uint8ClampedArray(rgba.length / 4);
  for (let i = 0; i < values.length; i++) values[i] = rgba[4 * i];
  return { width: canvas.width, height: canvas.height, values, canvas };
}

/** The positive part of a map on a grid, enlarged bilinearly to width x height. */
function enlarge(map, [rows, columns], width, height) {
  const out = new Float32Array(width * height);
  const place = (i, length, cells) => {
    const x = Math.min(Math.max(((i + 0.5) * cells) / length - 0.5, 0), cells - 1);
    const low = Math.floor(x);
    return [low, Math.min(low + 1, cells - 1), x - low];
  };
  const across = Array.from({ length: width }, (_, i) => place(i, width, columns));
  const at = (r, c) => Math.max(map[r * columns + c], 0);
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

// --- the widget

function render({ model, el }) {
  const root = h("div.cxr-cam", { role: "region", "aria-label": "CAM inspector", "data-lm-suppress-shortcuts": "true" });
  el.append(root);
  root.addEventListener("keydown", (event) => event.stopPropagation()); // a notebook has shortcuts of its own
  const stop = [followTheme(root)];
  const saved = model.get("page");
  if (saved) {
    inspect(root, saved, null);
  } else {
    let decide = () => {};
    const asks = new Map(); // number of the question -> what to do with the answer
    let count = 0;
    const ask = (content, buffers) =>
      new Promise((answer) => {
        const number = `${Math.random()}-${count++}`;
        asks.set(number, answer);
        model.send({ ...content, ask: number }, undefined, buffers);
      });
    const listen = (content) => {
      if (content.type === "decision") return decide(content.threshold);
      asks.get(content.ask)?.(content);
      asks.delete(content.ask);
    };
    model.on("msg:custom", listen);
    stop.push(() => model.off("msg:custom", listen));
    const note = h("p.note", { role: "status" }, "Waiting for the kernel…");
    root.append(note);
    const timer = setTimeout(() => {
      note.textContent = "No answer from the kernel. When it is busy, the inspector appears as soon as it is free. " +
        "When it was restarted, run this cell again.";
    }, BUSY);
    stop.push(() => clearTimeout(timer));
    ask({ type: "hello" }).then((answer) => {
      clearTimeout(timer);
      note.remove();
      if (answer.page) decide = inspect(root, answer.page, ask).decide;
      else root.append(h("p.note", { role: "alert" }, answer.text));
    });
  }
  return () => stop.forEach((f) => f());
}

function inspect(root, page, ask) {
  const own = Math.random().toString(36).slice(2); // names of radio buttons are shared by the whole page
  const images = new Map(page.images.map((image) => [image.id, image]));
  const maps = new Map(Object.entries(page.maps));
  const failed = new Map(); // key of a map -> why there is none
  const known = ask ? null : new Set(maps.keys());
  const last = page.models[0].layers.length - 1;
  const first = page.images[0];
  const view = {
    image: first.id, cls: first.probs[0].indexOf(largest(first.probs[0])), against: 0,
    layer: page.models[0].layers[last], method: page.methods[0].id,
    colors: "viridis", scale: "map", opacity: 50, threshold: 20, compare: "no", sort: "given", outlines: {},
  };
  view.against = view.cls === 0 ? 1 : 0;

  const image = () => images.get(view.image);
  const predicted = (item, m = 0) =>
    page.decision == null ? item.probs[m].indexOf(largest(item.probs[m])) : Number(item.probs[m][1] >= page.decision);
  const wrong = (item) => item.label != null && predicted(item) !== item.label;
  const title = (item) => (item.row == null ? `Own picture ${item.id.slice(1)}` : `Image ${item.row}`);
  const methodName = () => page.methods.find((m) => m.id === view.method).name;

  /** The name of the chosen layer in model m: the same name, or the same place in the list of offered layers. */
  function layerOf(m, layer = view.layer) {
    if (view.method === "occlusion") return "";
    if (page.models[m].known.includes(layer)) return layer;
    return page.models[m].layers[page.models[0].layers.indexOf(layer)] ?? null;
  }
  const keyOf = (m, name = view.image, layer = layerOf(m)) => `${m}|${name}|${layer}|${view.method}`;
  const panels = () => {
    if (view.compare === "classes") return [{ m: 0, cls: view.cls }, { m: 0, cls: view.against }];
    if (view.compare === "models") return [{ m: 0, cls: view.cls }, { m: 1, cls: view.cls }];
    return [{ m: 0, cls: view.cls }];
  };

  // --- pictures, each decoded once

  const decoded = new Map();
  const once = (key, make) => {
    if (!decoded.has(key)) decoded.set(key, make());
    return decoded.get(key);
  };
  const picture = (item) => once(item.id, () => pixels(item.png));
  const border = (item, region) =>
    once(`${item.id}|${region}`, async () => outline(await pixels(item.regions[region].png)));
  const enlarged = new Map(); // the last few, so that a slider does not repeat the work
  function fine(key, cls, width, height) {
    const name = `${key}|${cls}`;
    if (!enlarged.has(name)) {
      if (enlarged.size > 30) enlarged.delete(enlarged.keys().next().value);
      enlarged.set(name, enlarge(raw(maps.get(key), cls), maps.get(key).grid, width, height));
    }
    return enlarged.get(name);
  }
  function raw(map, cls) {
    const size = map.grid[0] * map.grid[1];
    map.data ??= bytes(map.steps);
    const [low, high] = [map.low[cls], map.high[cls]];
    return Float32Array.from(map.data.subarray(cls * size, (cls + 1) * size), (q) => low + (q * (high - low)) / 255);
  }
  function top(key, cls) {
    const map = maps.get(key);
    if (view.scale === "map") return map.high[cls];
    if (view.scale === "classes") return largest(map.high);
    const [m, , ...rest] = key.split("|");
    const others = [...maps].filter(([k]) => k.split("|")[0] === m && k.split("|").slice(2).join("|") === rest.join("|"));
    return Math.max(page.tops[[m, ...rest].join("|")] ?? -Infinity, ...others.map(([, v]) => largest(v.high)));
  }
  const tables = Object.fromEntries(Object.entries(page.colors).map(([name, table]) => [name, bytes(table)]));

  // --- the parts of the page

  const field = (label, control, ...more) => h("label.field", {}, h("span", {}, label), control, ...more);
  function select(label, options, value, change) {
    const box = h("select", { "aria-label": label, onchange: () => change(box.value) });
    box.append(...options.map(([id, text]) => h("option", { value: id, selected: id === value }, text)));
    return box;
  }
  function slider(label, key) {
    const output = h("span.now", { "aria-hidden": "true" }, `${view[key]} %`);
    const range = h("input", {
      type: "range", min: 0, max: 100, value: view[key], "aria-label": label, "aria-valuetext": `${view[key]} %`,
      oninput: () => {
        view[key] = Number(range.value);
        output.textContent = `${range.value} %`;
        range.setAttribute("aria-valuetext", output.textContent);
        redraw();
      },
    });
    return h("label.field", {}, h("span", {}, label, " ", output), range);
  }

  const thumbs = h("div.thumbs", { role: "radiogroup", "aria-label": "Image" });
  const live = h("p.sr", { "aria-live": "polite", role: "status" });
  const problem = h("p.problem", { role: "alert", hidden: true });
  const stage = h("div.stage");
  const bars = h("div.bars", { role: "radiogroup", "aria-label": "Class of the map" });
  const verdict = h("p.verdict", { hidden: true });
  const barsNote = h("p.note", {}, `Upper bar ${page.models[0].name}, lower bar ${page.models[1]?.name}.`);
  const hint = h("p.note");

  const layerBox = select("Layer", [], "", (value) => choose({ layer: value }));
  const offered = page.models[0].layers;
  const rest = page.models[0].known.filter((name) => !offered.includes(name));
  const place = (name) => (name === offered[last] ? `${name} (last)` : name);
  layerBox.append(...offered.map((name) => h("option", { value: name, selected: name === view.layer }, place(name))));
  if (rest.length && ask) {
    layerBox.append(h("optgroup", { label: "computed when chosen" }, ...rest.map((name) => h("option", { value: name }, name))));
  }
  const methodBox = select("Method", page.methods.map((m) => [m.id, m.name]), view.method, (value) => choose({ method: value }));
  const sortBox = select("Sort images", Object.entries(SORTS), view.sort, (value) => { view.sort = value; listThumbs(); });
  const compareBox = select("Side by side",
    [["no", "One map"], ["classes", "Two classes"], ...(page.models[1] ? [["models", "Two models"]] : [])],
    view.compare, (value) => choose({ compare: value }));
  const againstBox = select("Second class", page.classes.map((name, k) => [String(k), name]), String(view.against), (value) => choose({ against: Number(value) }));
  const againstField = field("Second class", againstBox);
  const outlineBoxes = page.regions.map((name) => {
    const box = h("input", { type: "checkbox", onchange: () => { view.outlines[name] = box.checked; redraw(); } });
    const swatch = `border-top:3px ${OUTLINES[name].dash.length ? (name === "lung" ? "dashed" : "dotted") : "solid"} ${OUTLINES[name].color}`;
    return h("label.check", {}, box, h("i", { style: swatch }), OUTLINES[name].label);
  });
  const rowBox = h("input", { type: "number", min: 0, max: page.total - 1, "aria-label": `Image number, 0 to ${page.total - 1}`, placeholder: `0–${page.total - 1}` });
  const addButton = h("button", { type: "button", onclick: addRow }, "Add");
  rowBox.addEventListener("keydown", (event) => event.key === "Enter" && addRow());
  const fileBox = h("input", { type: "file", accept: "image/*,.dcm,application/dicom", onchange: () => addFile(fileBox.files[0]), "aria-label": "Open your own picture: PNG, JPEG or DICOM" });
  const more = h("fieldset.more", { disabled: !ask },
    h("legend", {}, "More images"),
    h("label.field", {}, h("span", {}, `Image 0 to ${page.total - 1}`), h("span.pair", {}, rowBox, addButton)),
    field("Own picture (PNG, JPEG, DICOM): open it, or drop it here", fileBox));

  root.append(
    h("header", {}, h("strong", {}, "CAM inspector"), field("Sort", sortBox)),
    thumbs,
    h("div.main", {}, h("div.view", {}, stage, problem), h("div.side", {}, h("h3", {}, "Probability"), bars, barsNote, verdict, h("div.numbers"))),
    h("div.controls", {},
      h("fieldset", {}, h("legend", {}, "Map"), field("Layer", layerBox), field("Method", methodBox),
        field("Side by side", compareBox), againstField),
      h("fieldset", {}, h("legend", {}, "Colors"),
        field("Color map", select("Color map", Object.keys(page.colors).map((n) => [n, n]), view.colors, (v) => choose({ colors: v }))),
        field("Maximum from", select("Maximum from", Object.entries(SCALES), view.scale, (v) => choose({ scale: v }))),
        slider("Opacity", "opacity"), slider("Hide below", "threshold")),
      ...(outlineBoxes.length ? [h("fieldset.outlines", {}, h("legend", {}, "Outlines"), ...outlineBoxes)] : []),
      more),
    hint, live);
  if (!ask) {
    hint.textContent = "Saved page: grayed choices were not saved with it. Run the notebook to compute them, " +
      "to add images and to open a picture of your own.";
  }

  if (ask) { // a picture can also be dropped anywhere on the inspector
    const over = (event) => {
      const files = event.dataTransfer?.types.includes("Files");
      if (files) event.preventDefault();
      root.classList.toggle("drop", Boolean(files) && event.type !== "dragleave" && event.type !== "drop");
    };
    for (const name of ["dragover", "dragleave", "drop"]) root.addEventListener(name, over);
    root.addEventListener("drop", (event) => addFile(event.dataTransfer.files[0]));
  }

  // --- choosing

  function choose(change) {
    Object.assign(view, change);
    if ("cls" in change || "compare" in change) {
      if (view.against === view.cls) view.against = view.cls === 0 ? 1 : 0;
    }
    problem.hidden = true;
    failed.clear(); // another try is one click away
    refresh();
  }

  function listThumbs() {
    const sure = (item) => largest(item.probs[0]);
    const orders = {
      given: () => 0,
      class: (a, b) => (a.label ?? 99) - (b.label ?? 99),
      sure: (a, b) => sure(b) - sure(a),
      unsure: (a, b) => sure(a) - sure(b),
      wrong: (a, b) => wrong(b) - wrong(a) || sure(b) - sure(a),
    };
    const focused = thumbs.contains(document.activeElement);
    thumbs.replaceChildren(...[...images.values()].sort(orders[view.sort]).map(thumb));
    if (focused) thumbs.querySelector("input:checked")?.focus();
  }
  function thumb(item) {
    const truth = item.label == null ? "class unknown" : page.classes[item.label];
    const said = page.classes[predicted(item)];
    const mark = wrong(item) ? h("b", { title: `The model says ${said}` }, "✗ wrong") : "";
    const canvas = h("canvas", { width: 64, height: 64, "aria-hidden": "true" });
    picture(item).then((p) => {
      const pen = canvas.getContext("2d");
      pen.imageSmoothingQuality = "high";
      pen.drawImage(p.canvas, 0, 0, 64, 64);
    });
    const radio = h("input", {
      type: "radio", name: `image-${own}`, value: item.id, checked: item.id === view.image,
      "aria-label": `${title(item)}, ${truth}; the model says ${said}, ${percent(largest(item.probs[0]))}${wrong(item) ? ", wrong" : ""}`,
      onchange: () => choose({ image: item.id }),
    });
    return h(wrong(item) ? "label.thumb.wrong" : "label.thumb", { title: `${title(item)}: ${truth}` },
      radio, canvas, h("span", {}, item.row == null ? title(item) : `#${item.row}`),
      item.label == null ? "" : h("span", {}, truth), mark);
  }

  function listBars() {
    const item = image();
    const focused = bars.contains(document.activeElement);
    const shown = view.compare === "models" ? [0, 1] : [0];
    barsNote.hidden = shown.length < 2;
    bars.replaceChildren(...page.classes.map((name, k) => {
      const values = shown.map((m) => item.probs[m][k]);
      const label = `${name}: ${values.map((v, m) => (shown.length > 1 ? `${page.models[m].name} ` : "") + percent(v)).join(", ")}` +
        `${item.label === k ? "; the true class" : ""}`;
      return h("label.bar", {},
        h("input", { type: "radio", name: `class-${own}`, value: k, checked: k === view.cls, "aria-label": label, onchange: () => choose({ cls: k }) }),
        h("span.name", {}, name, item.label === k ? h("em", {}, "true") : ""),
        h("span.tracks", { "aria-hidden": "true" }, ...values.map((v) => h("i", { style: `--p:${(100 * v).toFixed(1)}%` }))),
        h("span.value", { "aria-hidden": "true" }, ...values.map((v) => h("span", {}, percent(v)))));
    }));
    if (focused) bars.querySelector("input:checked")?.focus();
    if (page.decision != null) {
      const said = predicted(item);
      verdict.hidden = false;
      const own = item.row == null ? " It answers for every picture, also for one that is no chest X-ray." : "";
      verdict.replaceChildren("The model says ", h("b", {}, page.classes[said]),
        `: ${page.classes[1]} is ${said ? "at or above" : "below"} the threshold of ${percent(page.decision)}.${own}`);
      bars.lastElementChild.style.setProperty("--cut", `${100 * page.decision}%`);
      bars.lastElementChild.classList.add("cut");
    }
  }

  /** Gray out what cannot be had without a kernel, and what makes no sense. */
  function gray() {
    const blind = view.method === "occlusion";
    layerBox.disabled = blind;
    layerBox.title = blind ? "Occlusion looks at the image itself, not at a layer" : "";
    if (!ask) {
      for (const option of layerBox.options) option.disabled = !blind && !known.has(keyOf(0, view.image, option.value));
      for (const option of methodBox.options) {
        option.disabled = ![...known].some((key) => key.startsWith(`0|${view.image}|`) && key.endsWith(`|${option.value}`));
        option.title = option.disabled ? "not saved with this page" : "";
      }
    }
    againstField.hidden = view.compare !== "classes";
    for (const option of againstBox.options) option.disabled = Number(option.value) === view.cls;
    againstBox.value = String(view.against);
  }

  // --- asking the kernel, one question at a time, so that it never lags behind what is looked at

  let asking = false;
  let late = false;
  async function fetchMissing() {
    if (!ask || asking) return;
    const panel = panels().find(({ m }) => layerOf(m) !== null && !maps.has(keyOf(m)) && !failed.has(keyOf(m)));
    if (!panel) return;
    asking = true;
    const key = keyOf(panel.m);
    const slow = setTimeout(() => { late = true; redraw(); }, BUSY);
    const answer = await ask({ type: "map", model: panel.m, image: view.image, layer: layerOf(panel.m), method: view.method });
    clearTimeout(slow);
    asking = late = false;
    if (answer.map) maps.set(answer.key, answer.map);
    else failed.set(key, answer.text);
    refresh();
  }
  async function addRow() {
    const row = Number(rowBox.value);
    if (rowBox.value === "" || !Number.isInteger(row) || row < 0 || row >= page.total) {
      return complain(`There is no image ${rowBox.value || "without a number"}; give a whole number from 0 to ${page.total - 1}.`);
    }
    accept(await ask({ type: "image", row }));
  }
  async function addFile(file) {
    if (!file) return;
    if (file.size > page.upload) {
      fileBox.value = "";
      return complain(`This file has ${Math.round(file.size / 2 ** 20)} MB; at most ${page.upload / 2 ** 20} MB can be opened. Save it smaller.`);
    }
    say("Reading the picture…");
    const content = await file.arrayBuffer();
    fileBox.value = ""; // the name of the file goes nowhere
    const parts = Math.max(1, Math.ceil(content.byteLength / CHUNK));
    const answers = [];
    for (let part = 0; part < parts; part++) {
      const piece = content.slice(part * CHUNK, (part + 1) * CHUNK);
      answers.push(ask({ type: "upload", part, last: part === parts - 1 }, [piece]));
    }
    accept(await Promise.race(answers)); // only the last part, or an error, is answered
  }
  function accept(answer) {
    if (!answer.image) return complain(answer.text);
    images.set(answer.image.id, answer.image);
    choose({ image: answer.image.id, cls: predicted(answer.image) });
    listThumbs();
    thumbs.querySelector("input:checked").closest("label").scrollIntoView({ block: "nearest", inline: "center" });
  }
  function complain(text) {
    problem.textContent = text;
    problem.hidden = false;
  }
  let saying;
  function say(text) {
    clearTimeout(saying); // a screen reader gets the last sentence, not every step of a slider
    saying = setTimeout(() => { live.textContent = text; }, 250);
  }

  // --- drawing

  function refresh() {
    for (const radio of thumbs.querySelectorAll("input")) radio.checked = radio.value === view.image;
    listBars();
    gray();
    const count = panels().length;
    stage.className = `stage n${count}`;
    stage.replaceChildren(...panels().map(({ m, cls }) => h("div.panel", {},
      h("div.head", {}, page.models[1] ? `${page.models[m].name}, map for ` : "Map for ", h("b", {}, page.classes[cls])),
      h("div.frame", {}, h("canvas", { role: "img" }), h("p.message", { hidden: true })), h("div.scale"))));
    redraw();
    fetchMissing();
  }

  let frame = null;
  function redraw() {
    frame ??= requestAnimationFrame(() => {
      frame = null;
      draw();
    });
  }

  async function draw() {
    const started = performance.now();
    const item = image();
    const shown = panels();
    const source = await picture(item);
    const wanted = page.regions.filter((name) => view.outlines[name] && item.regions[name]?.png).reverse(); // lesion on top
    const borders = await Promise.all(wanted.map((name) => border(item, name)));
    const figures = [...stage.children];
    if (item !== image() || figures.length !== shown.length) return; // meanwhile something else was chosen
    const facts = shown.map((panel, i) => {
      const key = keyOf(panel.m);
      const fact = state(panel, key);
      const canvas = figures[i].querySelector("canvas");
      paint(canvas, source, fact.visible ? { key, ...panel } : null, wanted.map((name, j) => [OUTLINES[name], borders[j]]));
      const message = figures[i].querySelector(".message");
      message.hidden = !fact.message;
      message.textContent = fact.message ?? "";
      message.classList.toggle("busy", fact.busy === true);
      canvas.setAttribute("aria-label", fact.sentence);
      return fact;
    });
    root.toggleAttribute("data-busy", facts.some((fact) => fact.busy));
    shown.forEach((panel, i) => showScale(figures[i].querySelector(".scale"), panel, facts[i]));
    showNumbers(item, shown, facts);
    say(facts.map((fact) => fact.sentence).join(" "));
    root.dispatchEvent(new CustomEvent("cxr-drawn", { detail: { milliseconds: performance.now() - started } }));
  }

  /** What is to be said about one map. */
  function state({ m, cls }, key) {
    const item = image();
    const layer = layerOf(m);
    const what = `${title(item)}, ${methodName()} for ${page.classes[cls]}${layer ? ` at ${layer}` : ""}` +
      `${shownModels() > 1 ? `, ${page.models[m].name}` : ""}. Probability ${percent(item.probs[m][cls])}.`;
    const only = (message, extra = {}) => ({ message, sentence: `${what} ${message}`, ...extra });
    if (layer === null) return only(`${page.models[m].name} has no layer ${view.layer}.`);
    if (failed.has(key)) return only(failed.get(key));
    if (!maps.has(key)) {
      const wait = late ? "Still computing. When another cell is running, the map may come after it." : "Computing…";
      return ask ? only(wait, { busy: true }) : only("This map was not saved with the page. Run the notebook to compute it.");
    }
    const map = maps.get(key);
    if (!(map.high[cls] > 0)) return only(NOTHING, { map });
    const shares = Object.entries(map.share).filter(([, s]) => s[cls] != null)
      .map(([name, s]) => `${percent(s[cls])} inside the ${name}, which covers ${percent(item.regions[name].area)} of the image`);
    return { map, visible: true, sentence: `${what} Energy: ${shares.join("; ") || "no region is known"}.` };
  }
  const shownModels = () => (view.compare === "models" ? 2 : 1);

  function paint(canvas, source, layer, borders) {
    const { width, height, values } = source;
    const small = paint.canvas ??= h("canvas");
    small.width = width;
    small.height = height;
    const pen = small.getContext("2d");
    const out = pen.createImageData(width, height);
    const rgba = out.data;
    const map = layer && fine(layer.key, layer.cls, width, height);
    const highest = layer ? top(layer.key, layer.cls) : 1;
    const cut = (view.threshold / 100) * highest;
    const opacity = view.opacity / 100;
    const table = tables[view.colors];
    for (let i = 0; i < values.length; i++) {
      let r = values[i], g = r, b = r;
      if (map && map[i] > 0 && map[i] >= cut) {
        const c = 3 * Math.min(255, Math.floor((256 * map[i]) / highest));
        r += opacity * (table[c] - r);
        g += opacity * (table[c + 1] - g);
        b += opacity * (table[c + 2] - b);
      }
      rgba[4 * i] = r; rgba[4 * i + 1] = g; rgba[4 * i + 2] = b; rgba[4 * i + 3] = 255;
    }
    pen.putImageData(out, 0, 0);
    const zoom = Math.max(1, Math.round(640 / width));
    canvas.width = zoom * width;
    canvas.height = zoom * height;
    const brush = canvas.getContext("2d");
    brush.imageSmoothingQuality = "high";
    brush.drawImage(small, 0, 0, canvas.width, canvas.height);
    brush.scale(zoom, zoom);
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

  function showScale(box, { m, cls }, fact) {
    box.classList.toggle("off", !fact.visible);
    if (!fact.visible) return box.replaceChildren();
    const table = tables[view.colors];
    const stops = Array.from({ length: 18 }, (_, j) => `rgb(${table.slice(45 * j, 45 * j + 3).join(" ")})`);
    const veil = `linear-gradient(90deg, var(--cam-track) ${view.threshold}%, transparent ${view.threshold}%)`;
    box.replaceChildren(h("span", {}, "0"), h("i", { style: `background:${veil}, linear-gradient(90deg, ${stops.join(",")})` }),
      h("span", {}, short(top(keyOf(m), cls))));
  }

  function showNumbers(item, shown, facts) {
    const numbers = root.querySelector(".numbers");
    const rows = [];
    for (const name of page.regions) {
      const region = item.regions[name];
      if (!region) continue;
      const label = `in the ${name === "lung" ? "lungs" : name}`;
      const cells = facts.map((fact, i) => {
        const value = fact.map?.share[name]?.[shown[i].cls];
        return h("td", {}, region.png ? (value == null ? "–" : percent(value)) : "none");
      });
      rows.push(h("tr", {}, h("th", { scope: "row" }, label), ...cells, h("td.area", {}, region.png ? percent(region.area) : "–")));
    }
    const names = shown.map(({ m, cls }) => (view.compare === "models" ? page.models[m].name : page.classes[cls]));
    numbers.replaceChildren();
    if (rows.length) {
      numbers.append(h("table", {}, h("caption", {}, "Energy of the map"),
        h("thead", {}, h("tr", {}, h("td"), ...names.map((name) => h("th", { scope: "col" }, name)), h("th", { scope: "col", title: "A map that is equal everywhere would score this" }, "area"))),
        h("tbody", {}, ...rows)));
    }
    const sizes = new Set(facts.filter((f) => f.map).map((f) => f.map.size.join(" × ")));
    if (sizes.size) {
      const same = view.method === "eigen-cam" ? " Eigen-CAM is the same for every class." : "";
      numbers.append(h("p.note", {}, `${[...sizes].join(" and ")} values, enlarged to the image.${same}`));
    }
  }

  listThumbs();
  refresh();
  return { decide: (threshold) => { page.decision = threshold; listThumbs(); listBars(); } };
}

export default { render };
