// The CAM inspector. It asks the kernel for what it lacks, or the networks in the page; without either it shows what was
// saved with the page.

const OUTLINES = {
  lesion: { label: "Lesion", color: "#ff9f1c", dash: [] },
  lung: { label: "Lungs", color: "#7fd4ff", dash: [7, 4] },
  marker: { label: "Marker", color: "#ffffff", dash: [2, 3] },
};
const SCALES = {
  shown: "what is shown",
  map: "each map alone",
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
const POINTERS = { value: "Read values", window: "Set the window", move: "Move the picture" };
// what a link carries: each may be one of these, or a number between two
const CARRIED = ["image", "second", "cls", "against", "layer", "method", "colors", "scale", "sign", "compare", "sort", "keep",
  "opacity", "threshold", "zoom", "x", "y", "center", "width"];
const NOTHING = "This map has no positive value: nothing speaks for this class.";
const BUSY = 5000; // milliseconds without an answer before we say why

const threeDigits = (x) => (x === 0 ? "0" : Number(x.toPrecision(3)).toString());
const withSign = (x) => `${x > 0 ? "+" : x < 0 ? "−" : ""}${threeDigits(Math.abs(x))}`;
const largest = (values) => values.reduce((a, b) => Math.max(a, b), -Infinity);
const least = (values) => values.reduce((a, b) => Math.min(a, b), Infinity);

// --- the widget

function render({ model, el }) {
  const root = widget("cxr-cam", "CAM inspector");
  el.append(root);
  const stop = [followTheme(root)];
  const saved = model.get("page");
  if (saved) {
    stop.push(inspect(root, saved, model, null).stop);
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
      if (answer.page) decide = inspect(root, answer.page, model, fromKernel(ask)).decide;
      else root.append(h("p.note", { role: "alert" }, answer.text));
    });
  }
  return () => stop.forEach((f) => f());
}

function inspect(root, page, model, kernel) {
  const own = Math.random().toString(36).slice(2); // names of radio buttons are shared by the whole page
  const address = `cam${[...document.querySelectorAll(".cxr-cam")].indexOf(root) + 1}`;
  const images = new Map(page.images.map((image) => [image.id, image]));
  const maps = new Map(Object.entries(page.maps));
  const failed = new Map(); // key of a map -> why there is none
  const answers = kernel ?? (page.live ? fromPage(model, page, (id) => picture(images.get(id)), async (id, name) =>
    images.get(id).regions[name]?.png && pixels(images.get(id).regions[name].png)) : null);
  const last = page.models[0].layers.length - 1;
  const names = new Map(); // own picture -> the name of its file, which goes no further than this page
  const start = {
    image: page.images[0].id, second: page.images[1]?.id ?? page.images[0].id, cls: 0, keep: false, against: 1,
    layer: page.models[0].layers[last], method: page.methods[0].id, colors: "viridis", scale: "shown", sign: "for",
    opacity: 50, threshold: 20, compare: page.compare ?? "no", sort: "given", outlines: {}, ...AS_TAKEN,
  };
  const view = { ...start, outlines: {} };
  let tool = "value", place = null; // what the pointer does, and where it is in the picture

  const image = () => images.get(view.image);
  const predicted = (item, m = 0) =>
    page.decision == null ? item.probs[m].indexOf(largest(item.probs[m])) : Number(item.probs[m][1] >= page.decision);
  const wrong = (item) => item.label != null && predicted(item) !== item.label;
  const title = (item) => (item.row == null ? `Own picture ${item.id.slice(1)}` : `Image ${item.row}`);
  start.cls = predicted(images.get(start.image));
  start.against = start.cls === 0 ? 1 : 0;
  const unknown = restore();
  const methodName = () => page.methods.find((m) => m.id === view.method).name;

  /** The name of the chosen layer in model m: the same name, or the same place in the list of offered layers. */
  function layerOf(m, layer = view.layer) {
    if (view.method === "occlusion") return "";
    if (page.models[m].known.includes(layer)) return layer;
    return page.models[m].layers[page.models[0].layers.indexOf(layer)] ?? null;
  }
  const keyOf = ({ m, id }, layer = layerOf(m)) => `${m}|${id}|${layer}|${view.method}`;
  /** Whether a map is there or can be had. */
  const obtainable = (panel, layer = layerOf(panel.m)) =>
    layer !== null && (maps.has(keyOf(panel, layer)) || Boolean(answers?.can(panel.m, layer, view.method)));
  const panels = () => {
    const first = { m: 0, cls: view.cls, id: view.image };
    const beside = { classes: { cls: view.against }, models: { m: 1 }, images: { id: view.second } }[view.compare];
    return beside ? [first, { ...first, ...beside }] : [first];
  };
  /** What two panels differ in. */
  const nameOf = ({ m, cls, id }) =>
    view.compare === "models" ? page.models[m].name : view.compare === "images" ? title(images.get(id)) : page.classes[cls];
  const signs = () => view.sign === "both";

  // --- pictures, each decoded once

  const decoded = new Map();
  const once = (key, make) => {
    if (!decoded.has(key)) decoded.set(key, make());
    return decoded.get(key);
  };
  const picture = (item) => once(item.id, async () => {
    if (!item.gray) return pixels(item.png);
    const gray = { width: page.size, height: page.size, values: item.gray };
    return { ...gray, canvas: colored(gray) };
  });
  const border = (item, region) =>
    once(`${item.id}|${region}`, async () => outline(await pixels(item.regions[region].png)));
  const enlarged = new Map(); // the last few, so that a slider does not repeat the work
  function fine(key, cls, width, height) {
    const name = `${key}|${cls}|${signs()}`;
    if (!enlarged.has(name)) {
      if (enlarged.size > 30) enlarged.delete(enlarged.keys().next().value);
      enlarged.set(name, enlarge(raw(maps.get(key), cls), maps.get(key).grid, width, height, signs()));
    }
    return enlarged.get(name);
  }
  function raw(map, cls) {
    if (map.values) return map.values[cls];
    const size = map.grid[0] * map.grid[1];
    map.data ??= bytes(map.steps);
    const [low, high] = [map.low[cls], map.high[cls]];
    return Float32Array.from(map.data.subarray(cls * size, (cls + 1) * size), (q) => low + (q * (high - low)) / 255);
  }
  const strength = (map, cls) => (signs() ? Math.max(map.high[cls], -map.low[cls]) : map.high[cls]);
  const strongest = (map) => largest(map.high.map((_, cls) => strength(map, cls)));
  /** The value that gets the last color: one for all maps that stand side by side, unless asked otherwise. */
  function top(panel) {
    const compared = (view.scale === "map" ? [panel] : panels()).filter((one) => maps.has(keyOf(one)));
    return largest(compared.map((one) => {
      const map = maps.get(keyOf(one));
      if (view.scale === "classes") return strongest(map);
      if (view.scale !== "images") return strength(map, one.cls);
      const same = (key) => key.startsWith(`${one.m}|`) && key.endsWith(`|${layerOf(one.m)}|${view.method}`);
      const others = [...maps].filter(([key]) => same(key)).map(([, other]) => strongest(other));
      return largest([page.tops[`${one.m}|${layerOf(one.m)}|${view.method}`]?.[Number(signs())] ?? -Infinity, ...others]);
    }));
  }
  const tables = Object.fromEntries(Object.entries(page.colors).map(([name, table]) => [name, bytes(table)]));

  // --- the parts of the page

  const field = (label, control, ...more) => h("label.field", {}, h("span", {}, label), control, ...more);
  const shows = []; // of every control: show what is chosen
  function select(label, options, key, change = (value) => choose({ [key]: value })) {
    const box = h("select", { "aria-label": label, onchange: () => change(box.value) });
    box.append(...options.map(([id, text]) => h("option", { value: id }, text)));
    shows.push(() => { box.value = view[key]; });
    return box;
  }
  function dial(label, key, range, show) {
    const { field: made, set } = slider(label, { ...range, value: view[key] }, show, (v) => { view[key] = v; held(view); redraw(); keepAddress(); });
    shows.push(() => set(view[key]));
    return made;
  }
  const parts = (label, key) => dial(label, key, { min: 0, max: 100, step: 1 }, (v) => percent(v / 100, 0));

  const thumbs = h("div.thumbs", { role: "radiogroup", "aria-label": "Image" });
  const live = h("p.sr", { "aria-live": "polite", role: "status" });
  const figures = [0, 1].map(() => figure());
  const stage = h("div.stage.stays"), scaleNote = h("p.note"), ownNote = h("div.own", { hidden: true });
  const bars = h("div.bars", { role: "radiogroup", "aria-label": "Class of the map" });
  const verdict = h("p.verdict", { hidden: true });
  const keepBox = h("input", { type: "checkbox", onchange: () => { view.keep = keepBox.checked; keepAddress(); } });
  shows.push(() => { keepBox.checked = view.keep; });
  const barsNote = h("p.note");
  const hint = h("p.note");

  const layerBox = select("Layer", [], "layer");
  const offered = page.models[0].layers;
  const rest = page.models[0].known.filter((name) => !offered.includes(name));
  const named = (name) => (name === offered[last] ? `${name} (last)` : name);
  layerBox.append(...offered.map((name) => h("option", { value: name }, named(name))));
  if (rest.length && kernel) {
    layerBox.append(h("optgroup", { label: "computed when chosen" }, ...rest.map((name) => h("option", { value: name }, name))));
  }
  const methodBox = select("Method", page.methods.map((m) => [m.id, m.name]), "method");
  const sortBox = select("Sort images", Object.entries(SORTS), "sort", (value) => { view.sort = value; listThumbs(); keepAddress(); });
  const compareBox = select("Side by side", [["no", "One map"], ["classes", "Two classes"],
    ...(page.models[1] ? [["models", "Two models"]] : []), ["images", "Two images"]], "compare");
  const againstBox = select("Second class", page.classes.map((name, k) => [k, name]), "against", (value) => choose({ against: Number(value) }));
  const secondBox = select("Second image", [], "second");
  const againstField = field("Second class", againstBox), secondField = field("Second image", secondBox);
  const signBox = select("Show", [["for", "What speaks for the class"], ["both", "For (red) and against (blue)"]], "sign");
  const colorField = field("Color map", select("Color map", Object.keys(page.colors).filter((n) => n !== page.signed).map((n) => [n, n]), "colors"));
  const outlineBoxes = page.regions.map((name) => {
    const box = h("input", { type: "checkbox", onchange: () => { view.outlines[name] = box.checked; redraw(); keepAddress(); } });
    shows.push(() => { box.checked = Boolean(view.outlines[name]); });
    const swatch = `border-top:3px ${OUTLINES[name].dash.length ? (name === "lung" ? "dashed" : "dotted") : "solid"} ${OUTLINES[name].color}`;
    return h("label.check", {}, box, h("i", { style: swatch }), OUTLINES[name].label);
  });
  const pointers = Object.entries(POINTERS).map(([key, label]) => h("label.check", {}, h("input", { type: "radio",
    name: `pointer-${own}`, value: key, checked: key === tool, onchange: () => {
      tool = key;
      stage.dataset.pointer = key;
    } }), label));
  stage.dataset.pointer = tool;
  const button = (label, act) => h("button", { type: "button", onclick: act }, label);
  const linkBox = h("input", { type: "text", readonly: true, hidden: true, "aria-label": "Link to what is shown", onfocus: () => linkBox.select() });
  const takeNote = h("p.note", { role: "status" });
  const main = h("div.main", {},
    h("div.view", {}, ownNote, stage, scaleNote,
      h("fieldset.pointers", {}, h("legend", {}, "Pointer"), ...pointers),
      h("div.take", {}, button("Reset", reset), button("Save as PNG", save), button("Link to this view", link)), linkBox, takeNote),
    h("div.side", {}, h("h3", {}, "Probability"), bars, h("label.check", {}, keepBox, "Keep this class for other images"), barsNote,
      verdict, h("div.numbers")));
  const controls = h("div.controls", {},
    h("fieldset", {}, h("legend", {}, "Map"), field("Layer", layerBox), field("Method", methodBox),
      field("Side by side", compareBox), againstField, secondField,
      field("Show", signBox)),
    h("fieldset", {}, h("legend", {}, "Colors"), colorField,
      field("Maximum from", select("Maximum from", Object.entries(SCALES), "scale")),
      parts("Opacity", "opacity"), parts("Hide below", "threshold")),
    h("fieldset", {}, h("legend", {}, "Picture"), dial("Zoom", "zoom", { min: 1, max: CLOSEST, step: 0.1 }, (v) => `× ${v.toFixed(1)}`),
      dial("Window center", "center", { min: 0, max: 255, step: 0.5 }, (v) => v.toFixed(1)), dial("Window width", "width", { min: 1, max: 510, step: 1 }, (v) => v.toFixed(0)),
      ...(outlineBoxes.length ? [h("div.outlines", { role: "group", "aria-label": "Outlines" }, ...outlineBoxes)] : [])));

  // more images: only a kernel or a network in the page can take them
  const rowBox = h("input", { type: "number", min: 0, max: page.total - 1, "aria-label": `Image number, 0 to ${page.total - 1}`, placeholder: `0–${page.total - 1}` });
  rowBox.addEventListener("keydown", (event) => event.key === "Enter" && addRow());
  const fileBox = h("input", { type: "file", multiple: true, accept: "image/*,.dcm,application/dicom",
    "aria-label": "Open your own picture: PNG, JPEG or DICOM", onchange: () => {
      const files = [...fileBox.files];
      fileBox.value = "";
      open(files);
    } });
  const reading = h("p.note", { role: "status", hidden: true }), problem = h("div.problem", { role: "alert", hidden: true });
  const more = h("div.more", {},
    h("div.line", {}, h("label.field.wide", {}, h("span", {}, "Your own picture (PNG, JPEG, DICOM): drop it here, or choose a file"), fileBox),
      ...(kernel && page.total > page.images.filter((item) => item.row != null).length
        ? [h("label.field", {}, h("span", {}, `Image 0 to ${page.total - 1}`), h("span.pair", {}, rowBox, h("button", { type: "button", onclick: addRow }, "Add")))] : [])),
    reading, problem);

  root.append(h("header", {}, h("strong", {}, "CAM inspector"), field("Sort", sortBox)), ...(answers ? [more] : []), thumbs, main, controls, hint, live, h("span.sr", { id: `keys-${own}` }, KEYS));
  if (page.live && !kernel) {
    hint.textContent = `The networks run in this page. What you open stays in it. They compute maps at the end of the body ` +
      `(${[...new Set(page.models.map((m) => m.ends[0]))].join(", ")}); grayed choices need the notebook.`;
  } else if (!kernel) {
    hint.textContent = "Saved page: grayed choices were not saved with it. Run the notebook to compute them, " +
      "to add images and to open a picture of your own.";
  }
  if (unknown.length) takeNote.textContent = `The link asks for what this page does not have: ${unknown.join(", ")}.`;

  if (answers) { // a picture can also be dropped anywhere on the inspector
    const over = (event) => {
      const files = event.dataTransfer?.types.includes("Files");
      if (files) event.preventDefault();
      root.classList.toggle("drop", Boolean(files) && event.type !== "dragleave" && event.type !== "drop");
    };
    for (const name of ["dragover", "dragleave", "drop"]) root.addEventListener(name, over);
    root.addEventListener("drop", (event) => open([...event.dataTransfer.files]));
  }

  // --- choosing

  function choose(change) {
    Object.assign(view, change);
    if ("image" in change) {
      if (!view.keep) view.cls = predicted(image()); // the map follows what the model says
      main.hidden = controls.hidden = false;
      problem.hidden = true;
    }
    if (view.against === view.cls) view.against = view.cls === 0 ? 1 : 0;
    failed.clear(); // another try is one click away
    refresh();
    keepAddress();
  }

  // --- a link to what is shown, and back

  /** Take the state from the address of the page; returns what this page does not have. */
  function restore() {
    Object.assign(view, start, { outlines: {} });
    const said = fromAddress(address), strange = [];
    if (!said) return strange;
    const ids = [...images.keys()], count = page.classes.length;
    const allowed = { image: ids, second: ids, layer: page.models[0].known, method: page.methods.map((m) => m.id),
      colors: Object.keys(page.colors), scale: Object.keys(SCALES), sign: ["for", "both"], sort: Object.keys(SORTS),
      compare: ["no", "classes", "images", ...(page.models[1] ? ["models"] : [])] };
    const between = { cls: count - 1, against: count - 1, opacity: 100, threshold: 100, zoom: CLOSEST, x: 1, y: 1, center: 255, width: 510 };
    for (const [key, value] of Object.entries(said)) {
      const number = value === "" ? NaN : Number(value);
      if (allowed[key]?.includes(value)) view[key] = value;
      else if (key === "keep") view.keep = value === "true";
      else if (key === "outlines") for (const name of value.split(" ")) view.outlines[name] = true;
      else if (number >= 0 && number <= between[key] && (!/^(cls|against)$/.test(key) || Number.isInteger(number))) view[key] = number;
      else strange.push(`${key} ${value}`);
    }
    if (view.against === view.cls) view.against = view.cls === 0 ? 1 : 0;
    held(view);
    return strange;
  }
  /** What differs from the start, as text; a picture of the reader's own stays where it is. */
  function state() {
    const said = {};
    for (const key of CARRIED) {
      if (key === "image" && image().row == null) continue;
      if (key === "second" && images.get(view.second).row == null) continue;
      if (view[key] !== start[key]) said[key] = typeof view[key] === "number" ? Number(view[key].toFixed(3)) : view[key];
    }
    const outlines = Object.keys(view.outlines).filter((name) => view.outlines[name]);
    return { ...said, ...(outlines.length && { outlines: outlines.join(" ") }) };
  }
  let keeping;
  function keepAddress() { // so that a page that is loaded again shows the same; a notebook's address is its own
    linkBox.hidden = true;
    if (kernel) return;
    clearTimeout(keeping);
    keeping = setTimeout(() => toAddress(address, state()), 300);
  }
  async function link() {
    clearTimeout(keeping);
    linkBox.value = toAddress(address, state());
    const copied = await navigator.clipboard?.writeText(linkBox.value).then(() => true, () => false);
    linkBox.hidden = false;
    takeNote.textContent = `${copied ? "The link is copied." : "Copy the link above."}` +
      `${panels().some(({ id }) => images.get(id).row == null) ? " Your own picture is not in it: it stays in this page." : ""}`;
  }
  function reset() {
    Object.assign(view, start, { outlines: {}, image: view.image, second: view.second, sort: view.sort });
    view.cls = predicted(image());
    [place, takeNote.textContent] = [null, "Everything but the image is as it was at the start."];
    choose({});
  }
  function save() {
    const shown = panels(), item = image(), layer = layerOf(0), size = (v) => v.toFixed(0);
    const lines = [
      `${shown.map((panel) => `${title(images.get(panel.id))}, ${page.models[panel.m].name}: ${page.classes[panel.cls]} ${percent(images.get(panel.id).probs[panel.m][panel.cls])}`).join("; ")}.`,
      `${methodName()}${layer ? ` at ${layer}` : ""}, ${signs() ? "for (red) and against (blue)" : `what speaks for the class, ${view.colors}`}; ` +
        `maximum ${shown.map((panel) => threeDigits(top(panel))).join(" and ")} (from ${SCALES[view.scale]}); opacity ${percent(view.opacity / 100, 0)}, hidden below ${percent(view.threshold / 100, 0)}.`,
      `Window center ${size(view.center)}, width ${size(view.width)} of 0 to 255; zoom ${view.zoom.toFixed(1)}${view.zoom > 1 ? ` around ${percent(view.x, 0)}, ${percent(view.y, 0)}` : ""}. ` +
        "Made with cxrlib for teaching, not for diagnosis.",
    ];
    const pictures = shown.map((panel, i) => ({ title: nameOf(panel), picture: figures[i].canvas }));
    savePicture(`map-${title(item).toLowerCase().replace(/ /g, "-")}-${page.classes[view.cls].replace(/[^\w-]+/g, "-")}.png`, pictures, lines);
    takeNote.textContent = `Saved with its settings${shown.some(({ id }) => images.get(id).row == null) ? ". It shows your own picture: mind whom it may name" : ""}.`;
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
      "aria-label": `${title(item)}${names.has(item.id) ? ` (${names.get(item.id)})` : ""}, ${truth}; the model says ${said}, ${percent(largest(item.probs[0]))}${wrong(item) ? ", wrong" : ""}`,
      onchange: () => choose({ image: item.id }),
    });
    return h(wrong(item) ? "label.thumb.wrong" : "label.thumb", { title: `${title(item)}: ${names.get(item.id) ?? truth}` },
      radio, canvas, h("span", {}, item.row == null ? `Own ${item.id.slice(1)}` : `#${item.row}`),
      ...(names.has(item.id) ? [h("span", {}, names.get(item.id))] : []), item.label == null ? "" : h("span", {}, truth), mark);
  }

  function listBars() {
    const item = image();
    const focused = bars.contains(document.activeElement);
    const shown = ["models", "images"].includes(view.compare) ? panels() : panels().slice(0, 1);
    barsNote.hidden = shown.length < 2;
    barsNote.textContent = `Upper bar ${nameOf(shown[0])}, lower bar ${nameOf(shown.at(-1))}.`;
    bars.replaceChildren(...page.classes.map((name, k) => {
      const values = shown.map(({ m, id }) => images.get(id).probs[m][k]);
      const label = `${name}: ${values.map((v, i) => (shown.length > 1 ? `${nameOf(shown[i])} ` : "") + percent(v)).join(", ")}` +
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
    if (!kernel) {
      const [panel] = panels();
      for (const option of layerBox.options) option.disabled = !blind && !obtainable(panel, option.value);
      for (const option of methodBox.options) {
        const saved = [...maps.keys()].some((key) => key.startsWith(`0|${view.image}|`) && key.endsWith(`|${option.value}`));
        option.disabled = !saved && !answers;
        option.title = option.disabled ? "not saved with this page" : "";
      }
    }
    againstField.hidden = view.compare !== "classes";
    for (const option of againstBox.options) option.disabled = Number(option.value) === view.cls;
    secondField.hidden = view.compare !== "images";
    secondBox.replaceChildren(...[...images.values()].map((item) => h("option", { value: item.id, disabled: item.id === view.image },
      `${title(item)}: ${names.get(item.id) ?? (item.label == null ? "class unknown" : page.classes[item.label])}`)));
    colorField.hidden = signs();
  }

  // --- asking, one question at a time, so that the answers never lag behind what is looked at

  let asking = false;
  let late = false;
  async function fetchMissing() {
    if (!answers || asking) return;
    const panel = panels().find((one) => obtainable(one) && !maps.has(keyOf(one)) && !failed.has(keyOf(one)));
    if (!panel) return;
    asking = true;
    const key = keyOf(panel);
    const slow = setTimeout(() => { late = true; redraw(); }, BUSY);
    const answer = await answers.map(panel.m, panel.id, layerOf(panel.m), view.method);
    clearTimeout(slow);
    asking = late = false;
    if (answer.map) maps.set(key, answer.map);
    else failed.set(key, answer.text);
    refresh();
  }
  async function addRow() {
    const row = Number(rowBox.value);
    problem.replaceChildren();
    if (rowBox.value === "" || !Number.isInteger(row) || row < 0 || row >= page.total) {
      return complain(`There is no image ${rowBox.value || "without a number"}; give a whole number from 0 to ${page.total - 1}.`);
    }
    const answer = await answers.row(row);
    if (answer.image) accept(answer);
    else complain(answer.text);
  }
  let opening = Promise.resolve();
  function open(files) { // one after the other
    opening = opening.then(() => problem.replaceChildren());
    for (const file of files) opening = opening.then(() => addFile(file));
  }
  async function addFile(file) {
    // while it is read, and when it cannot be, nothing of another picture may look like its answer
    main.hidden = controls.hidden = true;
    for (const radio of thumbs.querySelectorAll("input")) radio.checked = false;
    reading.textContent = `Reading ${file.name}…`;
    reading.hidden = false;
    const slow = setTimeout(() => { reading.textContent += " When another cell is running, the answer may come after it."; }, BUSY);
    const answer = await upload(file).catch((error) => ({ text: `This file cannot be read (${error.message}). Is it a folder?` }));
    clearTimeout(slow);
    reading.hidden = true;
    if (!answer.image) return complain(`${file.name}: ${answer.text} Choose another file, or one of the images below.`);
    names.set(answer.image.id, file.name);
    accept(answer);
    problem.hidden = !problem.childElementCount; // of the files before
  }
  async function upload(file) {
    if (file.size > page.upload) {
      return { text: `This file has ${Math.round(file.size / 2 ** 20)} MB; at most ${page.upload / 2 ** 20} MB can be opened. Save it smaller.` };
    }
    return answers.open(new Uint8Array(await file.arrayBuffer()));
  }
  async function removeOwn(item) {
    const answer = await answers.remove(item.id);
    if (answer.text) return complain(answer.text);
    for (const held of [images, names, decoded]) held.delete(item.id);
    for (const key of [...maps.keys()]) if (key.split("|")[1] === item.id) maps.delete(key);
    const left = [...images.keys()];
    choose({ image: left.at(-1), second: view.second === item.id ? left[0] : view.second });
    listThumbs();
    thumbs.querySelector("input:checked").focus();
  }
  /** What an own picture was, and what the network sees of it. */
  function showOwn(item) {
    ownNote.hidden = item.row != null;
    if (item.row != null) return;
    const [wide, high] = item.file, n = page.size;
    const squeezed = Math.abs(wide / high - 1) > 0.01;
    const seen = squeezed ? `squeezed from ${wide} × ${high} pixels to a square of ${n} × ${n}, so that all in it looks ${wide > high ? "narrower" : "flatter"}`
      : wide === n ? `as it is, ${n} × ${n} pixels` : `${wide > n ? "reduced" : "enlarged"} from ${wide} × ${high} to ${n} × ${n} pixels`;
    ownNote.classList.toggle("squeezed", squeezed);
    ownNote.replaceChildren(h("span", {}, h("b", {}, [title(item), names.get(item.id)].filter(Boolean).join(": ")), ` The network sees it ${seen}.`,
      ...(item.notes ?? []).map((note) => ` ${note[0].toUpperCase()}${note.slice(1).replace(/\.$/, "")}.`)),
      h("button", { type: "button", onclick: () => removeOwn(item) }, "Remove"));
  }
  function accept(answer) {
    images.set(answer.image.id, answer.image);
    choose({ image: answer.image.id });
    listThumbs();
    thumbs.querySelector("input:checked").closest("label").scrollIntoView({ block: "nearest", inline: "center" });
  }
  function complain(text) {
    problem.append(h("p", {}, text));
    problem.hidden = false;
  }
  let saying;
  function say(text) {
    clearTimeout(saying); // a screen reader gets the last sentence, not every step of a slider
    saying = setTimeout(() => { live.textContent = text; }, 250);
  }

  // --- drawing

  function figure() {
    const head = h("div.head"), canvas = h("canvas", { role: "img" }), message = h("p.message", { hidden: true }), cross = h("i.cross", { hidden: true });
    const holder = h("div.frame", { tabindex: 0, role: "application", "aria-label": "Picture and map", "aria-describedby": `keys-${own}` }, canvas, cross, message);
    const scale = h("div.scale"), value = h("p.point.note");
    handled(holder, view, () => tool, () => place, (to) => { place = to; point(true); }, () => {
      for (const show of shows) show();
      redraw();
      keepAddress();
    });
    return { element: h("div.panel", {}, head, holder, scale, value), head, canvas, cross, message, scale, value };
  }
  function refresh() {
    for (const radio of thumbs.querySelectorAll("input")) radio.checked = radio.value === view.image;
    if (view.second === view.image) view.second = [...images.keys()].find((id) => id !== view.image) ?? view.image;
    listBars();
    gray();
    for (const show of shows) show();
    showOwn(image());
    const shown = panels(), count = shown.length;
    stage.className = `stage stays n${count}`;
    if (stage.childElementCount !== count) stage.replaceChildren(...figures.slice(0, count).map(({ element }) => element));
    shown.forEach((panel, i) => figures[i].head.replaceChildren(
      view.compare === "images" ? `${title(images.get(panel.id))}, map for ` : page.models[1] ? `${page.models[panel.m].name}, map for ` : "Map for ",
      h("b", {}, page.classes[panel.cls]), saysAnother(panel)));
    scaleNote.hidden = count < 2;
    scaleNote.textContent = view.scale === "map" ? "Each map has a scale of its own: the same color is another value."
      : "Both maps have one scale: the same color is the same value.";
    redraw();
    fetchMissing();
  }
  function saysAnother({ m, cls, id }) {
    const said = predicted(images.get(id), m);
    return said === cls || view.compare === "classes" ? "" : `; the model says ${page.classes[said]}`;
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
    const shown = panels(), wanted = page.regions.filter((name) => view.outlines[name]).reverse(); // lesion on top
    const sources = await Promise.all(shown.map(({ id }) => picture(images.get(id))));
    const borders = await Promise.all(shown.map(({ id }) => Promise.all(wanted.filter((name) => images.get(id).regions[name]?.png)
      .map(async (name) => [OUTLINES[name], await border(images.get(id), name)]))));
    if (JSON.stringify(shown) !== JSON.stringify(panels())) return; // meanwhile something else was chosen
    const facts = shown.map((panel, i) => {
      const key = keyOf(panel), source = sources[i], { canvas, message } = figures[i];
      const fact = factsOf(panel, key), highest = top(panel);
      const gray = view.center === AS_TAKEN.center && view.width === AS_TAKEN.width ? source
        : { ...source, values: Uint8ClampedArray.from(source.values, (v) => windowed(v, view.center, view.width, "LINEAR_EXACT")) };
      const small = colored(gray, fact.visible && fine(key, panel.cls, source.width, source.height),
        { table: tables[signs() ? page.signed : view.colors], highest, cut: (view.threshold / 100) * highest, opacity: view.opacity / 100, signs: signs() });
      enlargedOn(canvas, small, borders[i], view);
      message.hidden = !fact.message;
      message.textContent = fact.message ?? "";
      message.classList.toggle("busy", fact.busy === true);
      canvas.setAttribute("aria-label", fact.sentence);
      showScale(figures[i].scale, panel, fact);
      return fact;
    });
    root.toggleAttribute("data-busy", facts.some((fact) => fact.busy));
    showNumbers(shown, facts);
    point(false);
    say(facts.map((fact) => fact.sentence).join(" "));
    const told = shown.map((panel) => ({ key: keyOf(panel), probs: images.get(panel.id).probs[panel.m],
      map: maps.has(keyOf(panel)) ? raw(maps.get(keyOf(panel)), panel.cls) : null }));
    root.dispatchEvent(new CustomEvent("cxr-drawn", { detail: { milliseconds: performance.now() - started, told } }));
  }

  /** The value where the pointer is, and what all values add up to; in every panel the same place. */
  function point(moved) {
    const told = panels().map((panel, i) => {
      const { cross, value } = figures[i], map = maps.get(keyOf(panel));
      const [left, top_] = place ? seenAt(view, place) : [-1, -1];
      cross.hidden = !(left >= 0 && left <= 1 && top_ >= 0 && top_ <= 1);
      Object.assign(cross.style, { left: percentOf(left), top: percentOf(top_) });
      const words = map ? [placed(panel, map), summed(panel, map)].filter(Boolean) : [];
      value.replaceChildren(...words.map((text) => h("span", {}, text)));
      return words[0];
    });
    if (moved && place) say(told.filter(Boolean).join(" "));
  }
  const percentOf = (x) => `${(100 * x).toFixed(2)}%`;
  /** Sum of the map, bias and logit, for Grad-CAM at the end of a body whose features are averaged; else null. */
  function logitOf({ m, cls }, map) {
    const { bias, ends } = page.models[m];
    if (!bias || view.method !== "grad-cam" || !ends.includes(layerOf(m))) return null;
    const sum = raw(map, cls).reduce((a, b) => a + b, 0) * ((map.size[0] * map.size[1]) / (map.grid[0] * map.grid[1]));
    return { sum, bias: bias[cls], logit: sum + bias[cls] };
  }
  function placed(panel, map) {
    if (!place) return "Point at the picture to read the value there.";
    const [rows, columns] = map.grid, row = Math.floor(place[1] * rows), column = Math.floor(place[0] * columns);
    const value = raw(map, panel.cls)[row * columns + column], whole = map.size.join() === map.grid.join() && logitOf(panel, map);
    const part = whole && Math.abs(whole.logit) > 1e-6 ? `, ${signed((100 * value) / whole.logit, 1)}\u00a0% of the logit` : "";
    return `Row ${row + 1}, column ${column + 1} of ${rows} × ${columns}: ${withSign(value)}${part}.`;
  }
  function summed(panel, map) {
    const whole = logitOf(panel, map);
    return whole && `Sum of the map ${signed(whole.sum, 2)}, bias ${signed(whole.bias, 2)}: the logit of ${page.classes[panel.cls]} is ${signed(whole.sum + whole.bias, 2)}.`;
  }

  /** What is to be said about one map. */
  function factsOf(panel, key) {
    const { m, cls, id } = panel, item = images.get(id), layer = layerOf(m);
    const what = `${title(item)}, ${methodName()} for ${page.classes[cls]}${layer ? ` at ${layer}` : ""}` +
      `${view.compare === "models" ? `, ${page.models[m].name}` : ""}. Probability ${percent(item.probs[m][cls])}.`;
    const only = (message, extra = {}) => ({ message, sentence: `${what} ${message}`, ...extra });
    if (layer === null) return only(`${page.models[m].name} has no layer ${view.layer}.`);
    if (failed.has(key)) return only(failed.get(key));
    if (!maps.has(key)) {
      const wait = late ? "Still computing. When another cell is running, the map may come after it." : "Computing…";
      if (obtainable(panel)) return only(wait, { busy: true });
      return only(answers ? `This page computes this map only at ${page.models[m].ends.join(" or ")}. For ${layer}, run the notebook.`
        : "This map was not saved with the page. Run the notebook to compute it.");
    }
    const map = maps.get(key);
    if (!(strength(map, cls) > 0)) return only(signs() ? "This map is zero everywhere." : NOTHING, { map });
    const inside = Object.entries(map.inside).filter(([, s]) => s[cls] != null)
      .map(([name, s]) => `${percent(s[cls])} inside the ${name}, which covers ${percent(item.regions[name].area)} of the image`);
    return { map, visible: true, sentence: `${what} Energy: ${inside.join("; ") || "no region is known"}.` };
  }

  function showScale(box, panel, fact) {
    box.classList.toggle("off", !fact.visible);
    if (!fact.visible) return box.replaceChildren();
    const table = tables[signs() ? page.signed : view.colors], cut = view.threshold;
    const stops = Array.from({ length: 18 }, (_, j) => `rgb(${table.slice(45 * j, 45 * j + 3).join(" ")})`);
    const [from, to] = signs() ? [50 - cut / 2, 50 + cut / 2] : [0, cut];
    const veil = `linear-gradient(90deg, transparent ${from}%, var(--track) ${from}%, var(--track) ${to}%, transparent ${to}%)`;
    const highest = threeDigits(top(panel));
    box.replaceChildren(h("span", {}, signs() ? `−${highest}` : "0"), h("i", { style: `background:${veil}, linear-gradient(90deg, ${stops.join(",")})` }),
      h("span", {}, signs() ? `+${highest}` : highest));
  }

  function showNumbers(shown, facts) {
    const numbers = root.querySelector(".numbers"), apart = view.compare === "images"; // whose regions have areas of their own
    const rows = [];
    for (const name of page.regions) {
      const regions = shown.map(({ id }) => images.get(id).regions[name]), lungs = shown.map(({ id }) => images.get(id).lungs);
      if (name !== "lung" && !regions.some(Boolean)) continue;
      const label = `in the ${name === "lung" ? "lungs" : name}${name === "lung" && lungs.every((text) => text === "found") ? " (found)" : ""}`;
      const cells = facts.map((fact, i) => {
        const value = fact.map?.inside[name]?.[shown[i].cls], region = regions[i];
        if (!region) return "–";
        return region.png ? percent(value) + (apart ? ` (area\u00a0${percent(region.area)})` : "") : "none";
      });
      if (!regions[0] && !apart) rows.push(h("tr", {}, h("th", { scope: "row" }, label), h("td", { colspan: facts.length + 1 }, `– (${lungs[0]})`)));
      else {
        rows.push(h("tr", {}, h("th", { scope: "row" }, label), ...cells.map((text) => h("td", {}, text)),
          ...(apart ? [] : [h("td.area", {}, regions[0].png ? percent(regions[0].area) : "–")])));
      }
    }
    const names = shown.map(nameOf);
    numbers.replaceChildren();
    if (rows.length) {
      numbers.append(h(apart ? "table.apart" : "table", {}, h("caption", {}, "Energy of the map"),
        h("thead", {}, h("tr", {}, h("td"), ...names.map((name) => h("th", { scope: "col" }, name)), ...(apart ? [] : [h("th", { scope: "col", title: "A map that is equal everywhere would score this" }, "area")]))),
        h("tbody", {}, ...rows)));
    }
    const unseen = !apart ? [] : shown.map(({ id }) => images.get(id)).filter((item) => !item.regions.lung).map((item) => `Lungs of ${title(item)}: ${item.lungs}.`);
    if (unseen.length) numbers.append(h("p.note", {}, unseen.join(" ")));
    const sizes = new Set(facts.filter((f) => f.map).map((f) => f.map.size.join(" × ")));
    if (sizes.size) {
      const same = view.method === "eigen-cam" ? " Eigen-CAM is the same for every class." : "";
      numbers.append(h("p.note", {}, `${[...sizes].join(" and ")} values, enlarged to the image.${same}`));
    }
  }

  listThumbs();
  refresh();
  const unwatch = page.live && !kernel ? whenSeen(root, () => answers.networks().catch(() => {})) : () => {};
  if (fromAddress(address)) root.scrollIntoView({ block: "start" });
  function decide(threshold) {
    const before = predicted(image());
    page.decision = threshold;
    listThumbs();
    choose(view.keep || view.cls !== before ? {} : { cls: predicted(image()) });
  }
  return { decide, stop: () => {
    unwatch();
    answers?.dispose?.();
  } };
}

export default { render };
