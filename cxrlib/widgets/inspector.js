// The CAM inspector. It asks the kernel for what it lacks, or the networks in the page; without either it shows what was
// saved with the page.

const SCALES = {
  shown: t`what is shown`,
  map: t`each map alone`,
  classes: t`all classes of this image`,
  images: t`all images here`,
};
const SORTS = {
  given: t`As in the data`,
  class: t`By class`,
  sure: t`Most confident first`,
  unsure: t`Least confident first`,
  wrong: t`Wrong ones first`,
};
const POINTERS = { value: t`Read values`, window: t`Set the window`, move: t`Move the picture` };
const BUSY = 5000; // milliseconds without an answer before we say why

// --- the widget

function render({ model, el }) {
  const root = widget("cxr-cam", t`CAM inspector`);
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
    const note = h("p.note", { role: "status" }, t`Waiting for the kernel…`);
    root.append(note);
    const timer = setTimeout(() => {
      note.textContent = t`No answer from the kernel. When it is busy, the inspector appears as soon as it is free. When it was restarted, run this cell again.`;
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
  const it = viewed(root, page, model, kernel);
  for (const part of [lists, moreImages, carried, drawing]) Object.assign(it, part(it));
  const { own, images, maps, failed, answers, names, view, image, predicted, title, layerOf, keyOf, obtainable, panels, signs,
    thumbs, bars, verdict, barsNote, listThumbs, listBars, more, ownNote, problem, showOwn, linkBox, takeNote, keepAddress,
    stage, scaleNote, numbers, live, layOut, redraw } = it;
  const unknown = it.restore();

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

  const keepBox = h("input", { type: "checkbox", onchange: () => { view.keep = keepBox.checked; keepAddress(); } });
  shows.push(() => { keepBox.checked = view.keep; });
  const hint = h("p.note");

  const layerBox = select(t`Layer`, [], "layer");
  const offered = page.models[0].layers;
  const rest = page.models[0].known.filter((name) => !offered.includes(name));
  const named = (name) => (name === offered.at(-1) ? t`${name} (last)` : name);
  layerBox.append(...offered.map((name) => h("option", { value: name }, named(name))));
  if (rest.length && kernel) {
    layerBox.append(h("optgroup", { label: t`computed when chosen` }, ...rest.map((name) => h("option", { value: name }, name))));
  }
  const methodBox = select(t`Method`, page.methods.map((m) => [m.id, m.name]), "method");
  const sortBox = select(t`Sort images`, Object.entries(SORTS), "sort", (value) => { view.sort = value; listThumbs(); keepAddress(); });
  const compareBox = select(t`Side by side`, [["no", t`One map`], ["classes", t`Two classes`],
    ...(page.models[1] ? [["models", t`Two models`]] : []), ["images", t`Two images`]], "compare");
  const againstBox = select(t`Second class`, page.classes.map((name, k) => [k, name]), "against", (value) => choose({ against: Number(value) }));
  const secondBox = select(t`Second image`, [], "second");
  const againstField = field(t`Second class`, againstBox), secondField = field(t`Second image`, secondBox);
  const signBox = select(t`Show`, [["for", t`What speaks for the class`], ["both", t`For (red) and against (blue)`]], "sign");
  const colorField = field(t`Color map`, select(t`Color map`, Object.keys(page.colors).filter((n) => n !== page.signed).map((n) => [n, n]), "colors"));
  const outlineBoxes = page.regions.map((name) => {
    const box = h("input", { type: "checkbox", onchange: () => { view.outlines[name] = box.checked; redraw(); keepAddress(); } });
    shows.push(() => { box.checked = Boolean(view.outlines[name]); });
    const swatch = `border-top:3px ${OUTLINES[name].dash.length ? (name === "lung" ? "dashed" : "dotted") : "solid"} ${OUTLINES[name].color}`;
    return h("label.check", {}, box, h("i", { style: swatch }), OUTLINES[name].label);
  });
  const pointers = Object.entries(POINTERS).map(([key, label]) => {
    const radio = h("input", { type: "radio", name: `pointer-${own}`, value: key, onchange: () => choose({ tool: key }) });
    shows.push(() => { radio.checked = view.tool === key; });
    return h("label.check", {}, radio, label);
  });
  shows.push(() => { stage.dataset.pointer = view.tool; });
  const button = (label, act) => h("button", { type: "button", onclick: act }, label);
  const main = h("div.main", {},
    h("div.view", {}, ownNote, stage, scaleNote,
      h("fieldset.pointers", {}, h("legend", {}, t`Pointer`), ...pointers),
      h("div.take", {}, button(t`Reset`, it.reset), button(t`Save as PNG`, it.save), button(t`Link to this view`, it.link)), linkBox, takeNote),
    h("div.side", {}, h("h3", {}, t`Probability`), bars, h("label.check", {}, keepBox, t`Keep this class for other images`), barsNote,
      verdict, numbers));
  const controls = h("div.controls", {},
    h("fieldset", {}, h("legend", {}, t`Map`), field(t`Layer`, layerBox), field(t`Method`, methodBox),
      field(t`Side by side`, compareBox), againstField, secondField,
      field(t`Show`, signBox)),
    h("fieldset", {}, h("legend", {}, t`Colors`), colorField,
      field(t`Maximum from`, select(t`Maximum from`, Object.entries(SCALES), "scale")),
      parts(t`Opacity`, "opacity"), parts(t`Hide below`, "threshold")),
    h("fieldset", {}, h("legend", {}, t`Picture`), dial(t`Zoom`, "zoom", { min: 1, max: CLOSEST, step: 0.1 }, (v) => `× ${v.toFixed(1)}`),
      dial(t`Window center`, "center", { min: 0, max: 255, step: 0.5 }, (v) => v.toFixed(1)), dial(t`Window width`, "width", { min: 1, max: 510, step: 1 }, (v) => v.toFixed(0)),
      ...(outlineBoxes.length ? [h("div.outlines", { role: "group", "aria-label": t`Outlines` }, ...outlineBoxes)] : [])));

  root.append(h("header", {}, h("strong", {}, t`CAM inspector`), field(t`Sort`, sortBox)), ...(answers ? [more] : []), thumbs, main, controls, hint, live, h("span.sr", { id: `keys-${own}` }, KEYS));
  if (page.live && !kernel) {
    hint.textContent = t`The networks run in this page. What you open stays in it. They compute maps at the end of the body (${
      [...new Set(page.models.map((m) => m.ends[0]))].join(", ")}); grayed choices need the notebook.`;
  } else if (!kernel) {
    hint.textContent = t`Saved page: grayed choices were not saved with it. Run the notebook to compute them, to add images and to open a picture of your own.`;
  }
  if (unknown.length) takeNote.textContent = t`The link asks for what this page does not have: ${unknown.join(", ")}.`;

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

  /** Gray out what cannot be had without a kernel, and what makes no sense. */
  function gray() {
    const blind = view.method === "occlusion";
    layerBox.disabled = blind;
    layerBox.title = blind ? t`Occlusion looks at the image itself, not at a layer` : "";
    if (!kernel) {
      const [panel] = panels();
      for (const option of layerBox.options) option.disabled = !blind && !obtainable(panel, option.value);
      for (const option of methodBox.options) {
        const saved = [...maps.keys()].some((key) => key.startsWith(`0|${view.image}|`) && key.endsWith(`|${option.value}`));
        option.disabled = !saved && !answers;
        option.title = option.disabled ? t`not saved with this page` : "";
      }
    }
    againstField.hidden = view.compare !== "classes";
    for (const option of againstBox.options) option.disabled = Number(option.value) === view.cls;
    secondField.hidden = view.compare !== "images";
    secondBox.replaceChildren(...[...images.values()].map((item) => h("option", { value: item.id, disabled: item.id === view.image },
      `${title(item)}: ${names.get(item.id) ?? (item.label == null ? t`class unknown` : page.classes[item.label])}`)));
    colorField.hidden = signs();
  }

  // --- asking, one question at a time, so that the answers never lag behind what is looked at

  let asking = false;
  async function fetchMissing() {
    if (!answers || asking) return;
    const panel = panels().find((one) => obtainable(one) && !maps.has(keyOf(one)) && !failed.has(keyOf(one)));
    if (!panel) return;
    asking = true;
    const key = keyOf(panel);
    const slow = setTimeout(() => { it.late = true; redraw(); }, BUSY);
    const answer = await answers.map(panel.m, panel.id, layerOf(panel.m), view.method);
    clearTimeout(slow);
    asking = it.late = false;
    if (answer.map) maps.set(key, answer.map);
    else failed.set(key, answer.text);
    refresh();
  }
  function refresh() {
    for (const radio of thumbs.querySelectorAll("input")) radio.checked = radio.value === view.image;
    if (view.second === view.image) view.second = [...images.keys()].find((id) => id !== view.image) ?? view.image;
    listBars();
    gray();
    showChosen();
    showOwn(image());
    layOut();
    redraw();
    fetchMissing();
  }
  const showChosen = () => shows.forEach((show) => show());
  Object.assign(it, { main, controls, choose, showChosen });

  listThumbs();
  refresh();
  const unwatch = page.live && !kernel ? whenSeen(root, () => answers.networks().catch(() => {})) : () => {};
  if (it.asked()) root.scrollIntoView({ block: "start" });
  function decide(threshold) {
    const before = predicted(image());
    page.decision = threshold;
    listThumbs();
    choose(view.keep || view.cls !== before ? {} : { cls: predicted(image()) });
  }
  root.keeps = null; // the address has it all
  return { decide, stop: () => {
    unwatch();
    answers?.dispose?.();
  } };
}

export default { render };
