// The CAM inspector. With a kernel it asks for what it lacks; without one it shows what was saved with the page.

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
const NOTHING = "This map has no positive value: nothing speaks for this class.";
const CHUNK = 2 ** 21; // bytes of an upload in one message
const BUSY = 5000; // milliseconds without an answer before we say why

const threeDigits = (x) => (x === 0 ? "0" : Number(x.toPrecision(3)).toString());
const largest = (values) => values.reduce((a, b) => Math.max(a, b), -Infinity);

// --- the widget

function render({ model, el }) {
  const root = widget("cxr-cam", "CAM inspector");
  el.append(root);
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
  const names = new Map(); // own picture -> the name of its file, which goes no further than this page
  const view = {
    image: page.images[0].id, cls: 0, keep: false, against: 1, layer: page.models[0].layers[last], method: page.methods[0].id,
    colors: "viridis", scale: "shown", opacity: 50, threshold: 20, compare: "no", sort: "given", outlines: {},
  };

  const image = () => images.get(view.image);
  const predicted = (item, m = 0) =>
    page.decision == null ? item.probs[m].indexOf(largest(item.probs[m])) : Number(item.probs[m][1] >= page.decision);
  const wrong = (item) => item.label != null && predicted(item) !== item.label;
  const title = (item) => (item.row == null ? `Own picture ${item.id.slice(1)}` : `Image ${item.row}`);
  view.cls = predicted(image());
  view.against = view.cls === 0 ? 1 : 0;
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
  /** The value that gets the last color: one for all maps that stand side by side, unless asked otherwise. */
  function top(panel) {
    const compared = (view.scale === "map" ? [panel] : panels()).filter(({ m }) => maps.has(keyOf(m)));
    return largest(compared.map(({ m, cls }) => {
      const map = maps.get(keyOf(m));
      if (view.scale === "classes") return largest(map.high);
      if (view.scale !== "images") return map.high[cls];
      const same = (key) => key.startsWith(`${m}|`) && key.endsWith(`|${layerOf(m)}|${view.method}`);
      const others = [...maps].filter(([key]) => same(key)).map(([, other]) => largest(other.high));
      return largest([page.tops[`${m}|${layerOf(m)}|${view.method}`] ?? -Infinity, ...others]);
    }));
  }
  const tables = Object.fromEntries(Object.entries(page.colors).map(([name, table]) => [name, bytes(table)]));

  // --- the parts of the page

  const field = (label, control, ...more) => h("label.field", {}, h("span", {}, label), control, ...more);
  function select(label, options, value, change) {
    const box = h("select", { "aria-label": label, onchange: () => change(box.value) });
    box.append(...options.map(([id, text]) => h("option", { value: id, selected: id === value }, text)));
    return box;
  }
  const dial = (label, key) => slider(label, { min: 0, max: 100, step: 1, value: view[key] }, (v) => percent(v / 100, 0),
    (v) => { view[key] = v; redraw(); }).field;

  const thumbs = h("div.thumbs", { role: "radiogroup", "aria-label": "Image" });
  const live = h("p.sr", { "aria-live": "polite", role: "status" });
  const stage = h("div.stage"), scaleNote = h("p.note"), ownNote = h("div.own", { hidden: true });
  const bars = h("div.bars", { role: "radiogroup", "aria-label": "Class of the map" });
  const verdict = h("p.verdict", { hidden: true });
  const keepBox = h("input", { type: "checkbox", onchange: () => { view.keep = keepBox.checked; } });
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
  const main = h("div.main", {},
    h("div.view", {}, ownNote, stage, scaleNote),
    h("div.side", {}, h("h3", {}, "Probability"), bars, h("label.check", {}, keepBox, "Keep this class for other images"), barsNote,
      verdict, h("div.numbers")));
  const controls = h("div.controls", {},
    h("fieldset", {}, h("legend", {}, "Map"), field("Layer", layerBox), field("Method", methodBox),
      field("Side by side", compareBox), againstField),
    h("fieldset", {}, h("legend", {}, "Colors"),
      field("Color map", select("Color map", Object.keys(page.colors).map((n) => [n, n]), view.colors, (v) => choose({ colors: v }))),
      field("Maximum from", select("Maximum from", Object.entries(SCALES), view.scale, (v) => choose({ scale: v }))),
      dial("Opacity", "opacity"), dial("Hide below", "threshold")),
    ...(outlineBoxes.length ? [h("fieldset.outlines", {}, h("legend", {}, "Outlines"), ...outlineBoxes)] : []));

  // more images: only a kernel can take them
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
      ...(page.total > page.images.filter((item) => item.row != null).length
        ? [h("label.field", {}, h("span", {}, `Image 0 to ${page.total - 1}`), h("span.pair", {}, rowBox, h("button", { type: "button", onclick: addRow }, "Add")))] : [])),
    reading, problem);

  root.append(h("header", {}, h("strong", {}, "CAM inspector"), field("Sort", sortBox)), ...(ask ? [more] : []), thumbs, main, controls, hint, live);
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
    if ("cls" in change || "image" in change || "compare" in change) {
      if (view.against === view.cls) view.against = view.cls === 0 ? 1 : 0;
    }
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
    problem.replaceChildren();
    if (rowBox.value === "" || !Number.isInteger(row) || row < 0 || row >= page.total) {
      return complain(`There is no image ${rowBox.value || "without a number"}; give a whole number from 0 to ${page.total - 1}.`);
    }
    const answer = await ask({ type: "image", row });
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
    const content = await file.arrayBuffer();
    const parts = Math.max(1, Math.ceil(content.byteLength / CHUNK));
    return Promise.race(Array.from({ length: parts }, (_, part) => { // only the last part, or an error, is answered
      const piece = content.slice(part * CHUNK, (part + 1) * CHUNK);
      return ask({ type: "upload", part, last: part === parts - 1 }, [piece]);
    }));
  }
  async function removeOwn(item) {
    const answer = await ask({ type: "remove", image: item.id });
    if (answer.text) return complain(answer.text);
    for (const held of [images, names, decoded]) held.delete(item.id);
    for (const key of [...maps.keys()]) if (key.split("|")[1] === item.id) maps.delete(key);
    choose({ image: [...images.keys()].at(-1) });
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
    ownNote.replaceChildren(h("span", {}, h("b", {}, [title(item), names.get(item.id)].filter(Boolean).join(": ")), ` The network sees it ${seen}.`),
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

  function refresh() {
    for (const radio of thumbs.querySelectorAll("input")) radio.checked = radio.value === view.image;
    listBars();
    gray();
    showOwn(image());
    const count = panels().length;
    stage.className = `stage n${count}`;
    stage.replaceChildren(...panels().map(({ m, cls }) => h("div.panel", {},
      h("div.head", {}, page.models[1] ? `${page.models[m].name}, map for ` : "Map for ", h("b", {}, page.classes[cls]), saysAnother(m, cls)),
      h("div.frame", {}, h("canvas", { role: "img" }), h("p.message", { hidden: true })), h("div.scale"))));
    scaleNote.hidden = count < 2;
    scaleNote.textContent = view.scale === "map" ? "Each map has a scale of its own: the same color is another value."
      : "Both maps have one scale: the same color is the same value.";
    redraw();
    fetchMissing();
  }
  function saysAnother(m, cls) {
    const said = predicted(image(), m);
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
      const small = colored(source, fact.visible && fine(key, panel.cls, source.width, source.height),
        { table: tables[view.colors], highest: top(panel), cut: (view.threshold / 100) * top(panel), opacity: view.opacity / 100 });
      enlargedOn(canvas, small, wanted.map((name, j) => [OUTLINES[name], borders[j]]));
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
    const inside = Object.entries(map.inside).filter(([, s]) => s[cls] != null)
      .map(([name, s]) => `${percent(s[cls])} inside the ${name}, which covers ${percent(item.regions[name].area)} of the image`);
    return { map, visible: true, sentence: `${what} Energy: ${inside.join("; ") || "no region is known"}.` };
  }
  const shownModels = () => (view.compare === "models" ? 2 : 1);

  function showScale(box, panel, fact) {
    box.classList.toggle("off", !fact.visible);
    if (!fact.visible) return box.replaceChildren();
    const table = tables[view.colors];
    const stops = Array.from({ length: 18 }, (_, j) => `rgb(${table.slice(45 * j, 45 * j + 3).join(" ")})`);
    const veil = `linear-gradient(90deg, var(--track) ${view.threshold}%, transparent ${view.threshold}%)`;
    box.replaceChildren(h("span", {}, "0"), h("i", { style: `background:${veil}, linear-gradient(90deg, ${stops.join(",")})` }),
      h("span", {}, threeDigits(top(panel))));
  }

  function showNumbers(item, shown, facts) {
    const numbers = root.querySelector(".numbers");
    const rows = [];
    for (const name of page.regions) {
      const region = item.regions[name];
      const label = `in the ${name === "lung" ? "lungs" : name}${name === "lung" && item.lungs === "found" ? " (found)" : ""}`;
      if (!region) {
        if (name !== "lung") continue;
        rows.push(h("tr", {}, h("th", { scope: "row" }, label), h("td", { colspan: facts.length + 1 }, `– (${item.lungs})`)));
        continue;
      }
      const cells = facts.map((fact, i) => {
        const value = fact.map?.inside[name]?.[shown[i].cls];
        return h("td", {}, region.png ? percent(value) : "none");
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
  function decide(threshold) {
    const before = predicted(image());
    page.decision = threshold;
    listThumbs();
    choose(view.keep || view.cls !== before ? {} : { cls: predicted(image()) });
  }
  return { decide };
}

export default { render };
