// The freeze explorer: every layer of a body, and a cut below the layers that learn.

const WIDE = 640, UP = 110, DOWN = 70, NORMS = 30; // bars of parameters, bars of multiplications, the row of batch norms

const MODES = {
  free: "cxr.freeze(model, k)",
  held: "cxr.freeze(model, k, freeze_norms=True)",
  hand: t`by hand: requires_grad alone`,
};

/** What learns with the top k layers of the body above the cut; `layers` as the page holds them. */
function counted(layers, k, mode) {
  const deep = layers.filter((l) => !l.head).length, cut = deep - k, held = mode === "held";
  const found = { learn: 0, frozen: 0, above: 0, keep: 0, follow: 0, drift: 0, forward: 0, backward: 0, most: 0, states: [] };
  layers.forEach((layer, i) => {
    const learns = layer.parameters > 0 && i >= cut && !(held && layer.norm && !layer.head);
    const norm = !layer.norm || layer.head ? null : learns || mode === "hand" ? "follow" : "keep";
    found[learns ? "learn" : "frozen"] += layer.parameters;
    if (i >= cut && !layer.head) found.above += layer.parameters;
    if (norm) found[norm]++;
    if (norm === "follow" && !learns) found.drift++;
    found.forward += layer.work;
    found.backward += layer.work * (Number(learns) + Number((held ? layer.last_held : layer.last) >= cut));
    found.most += layer.work * (1 + Number(layer.last >= 0));
    found.states.push({ learns, norm });
  });
  return found;
}

const whole = (n) => n.toLocaleString("en");
const millions = (n) => `${(n / 1e6).toLocaleString("en", { maximumFractionDigits: 2 })} M`;

function render({ model, el }) {
  const root = widget("cxr-freezing", t`Freeze explorer`);
  el.append(root);
  const stop = followTheme(root);
  const { layers, cuts, top, model: name } = model.get("page");
  const body = layers.filter((l) => !l.head), deep = body.length, normed = body.filter((l) => l.norm).length;
  const parameters = layers.reduce((sum, l) => sum + l.parameters, 0);
  let k = top, mode = "free";

  const cut = slider(t`Top layers of the body that learn`, { min: 0, max: deep, step: 1, value: k },
    (v) => t`${v} of ${deep}`, (v) => { k = v; update(); });
  cut.input.setAttribute("dir", "rtl"); // the head is on the right, so more layers lie to the left
  const how = h("select", { onchange: () => { mode = how.value; update(); } },
    ...Object.entries(MODES).map(([value, text]) => h("option", { value }, text)));
  const buttons = cuts.map((at) => h("button", { type: "button", onclick: () => move(at) },
    at === 0 ? t`the head alone` : at === deep ? t`everything` : t`top ${at}`));

  const step = WIDE / layers.length, wide = Math.max(step - 0.7, step * 0.6);
  const tallest = (key) => Math.max(...layers.map((l) => l[key]), 1);
  const mostParameters = tallest("parameters"), mostWork = tallest("work");
  const columns = layers.map((layer, i) => {
    const up = layer.parameters ? Math.max(1, (layer.parameters / mostParameters) * UP) : 0;
    const down = layer.work ? Math.max(1, (layer.work / mostWork) * DOWN) : 0;
    const bars = [svg("rect", { x: i * step, y: UP - up, width: wide, height: up }),
      svg("rect.work", { x: i * step, y: UP + 2, width: wide, height: down })];
    const dot = layer.norm && !layer.head
      ? [svg("circle", { cx: (i + 0.5) * step, cy: UP + DOWN + NORMS - 8, r: 3.2, "stroke-width": 1.4 })] : [];
    // a pointer needs a target as high as the picture
    return svg("g", { "data-layer": layer.name }, svg("rect.hit", { x: i * step, y: 0, width: step, height: UP + DOWN + NORMS }),
      ...bars, ...dot, svg("title", {}, t`${layer.name}: ${layer.kind}, output ${layer.output}, ${whole(layer.parameters)} parameters, ${
        millions(layer.work)} multiplications`));
  });
  const line = svg("line.cut", { y1: -12, y2: UP + DOWN + NORMS });
  const picture = svg("svg", { viewBox: `-1 -14 ${WIDE + 2} ${UP + DOWN + NORMS + 16}`, role: "img" }, ...columns, line);
  picture.addEventListener("click", (event) => {
    const i = columns.findIndex((c) => c.contains(event.target));
    if (i >= 0) move(Math.max(0, deep - i));
  });

  const key = (style, text) => h("span", {}, h(`i.${style}`, {}), text);
  const rows = ["learn", "frozen", "forward", "backward", "saved", "keep", "follow", "drift"];
  const cells = Object.fromEntries(rows.map((row) => [row, [h("td", { "data-value": row }), h("td")]]));
  const row = (key, title) => h("tr", {}, h("th", { scope: "row" }, title), ...cells[key]);
  const said = h("p.said", { role: "status" });
  root.append(
    h("div.picture", {}, h("p.note", {}, t`↑ parameters of each layer, ↓ its multiplications for one image, ● its batch norm`),
      picture, h("p.note.ends", {}, h("span", {}, t`← image`), h("span", {}, t`head →`))),
    cut.field,
    h("p.note.key", {}, key("learn", t`learns`), key("frozen", t`frozen`), key("follow", t`batch norm: follows the batches`),
      key("keep", t`batch norm: keeps its statistics`)),
    h("div.line", {}, h("label.field.wide", {}, t`How it is frozen`, how), h("div.marks", { role: "group", "aria-label": t`Cuts to try` }, ...buttons)),
    h("div.columns", {},
      h("table", {}, h("caption", {}, t`Parameters and multiplications of ${name}`), h("tbody", {},
        row("learn", t`parameters that learn`), row("frozen", t`frozen parameters`),
        row("forward", t`multiplications, forward`), row("backward", t`multiplications, backward`), row("saved", t`saved of the backward pass`))),
      h("table", {}, h("caption", {}, t`Batch norms of the body`), h("tbody", {},
        row("keep", t`keep their statistics`), row("follow", t`follow the batches`), row("drift", t`follow, though they do not learn`)))),
    said);

  function move(to) { // a cut that was not set with the slider: the slider follows
    k = to;
    cut.set(k);
    update();
  }

  function update() {
    const c = counted(layers, k, mode);
    columns.forEach((column, i) => {
      column.setAttribute("class", `${c.states[i].learns ? "learn" : "frozen"} ${c.states[i].norm ?? ""}`);
    });
    const x = Math.max(0, (deep - k) * step - 0.35);
    line.setAttribute("x1", x);
    line.setAttribute("x2", x);
    const texts = {
      learn: [whole(c.learn), percent(rate(c.learn, parameters), 1)], frozen: [whole(c.frozen), percent(rate(c.frozen, parameters), 1)],
      forward: [millions(c.forward), ""], backward: [millions(c.backward), ""], saved: [millions(c.most - c.backward), percent(rate(c.most - c.backward, c.most), 1)],
      keep: [String(c.keep), percent(rate(c.keep, normed), 1)], follow: [String(c.follow), percent(rate(c.follow, normed), 1)], drift: [String(c.drift), percent(rate(c.drift, normed), 1)],
    };
    for (const [key, [value, beside]] of Object.entries(texts)) {
      cells[key][0].textContent = value;
      cells[key][1].textContent = beside;
    }
    const inside = body.reduce((sum, l) => sum + l.parameters, 0);
    const part = percent(rate(c.above, inside), 1);
    const place = k ? `${t`The cut is below ${body[deep - k].name}.`} ${k === 1 ? t`The top layer of ${deep} holds ${part} of the body's parameters.`
      : t`The top ${k} layers of ${deep} hold ${part} of the body's parameters.`}`
      : t`Only the head learns. No gradient enters the body.`;
    const norms = c.drift ? (c.drift === 1 ? t`1 batch norm cannot learn, yet its running statistics follow every batch: what is frozen changes all the same.`
      : t`${c.drift} batch norms cannot learn, yet their running statistics follow every batch: what is frozen changes all the same.`)
      : c.follow ? (c.follow === 1 ? t`The statistics of 1 batch norm follow every batch, whatever the learning rate is.`
        : t`The statistics of ${c.follow} batch norms follow every batch, whatever the learning rate is.`)
        : normed ? t`All batch norms stay as they are.` : t`This body has no batch norm.`;
    said.textContent = `${place} ${norms}`;
    cut.input.setAttribute("aria-valuetext", t`${k} of ${deep} layers`);
    picture.setAttribute("aria-label", `${t`The ${deep} layers of ${name} and its head as bars.`} ${place}`);
  }
  update();
  return stop;
}

export default { render };
