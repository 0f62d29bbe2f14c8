// The inspector's pictures with their maps, and the numbers beside them.

const OUTLINES = {
  lesion: { label: t`Lesion`, inside: t`in the lesion`, color: "#ff9f1c", dash: [] },
  lung: { label: t`Lungs`, inside: t`in the lungs`, color: "#7fd4ff", dash: [7, 4] },
  marker: { label: t`Marker`, inside: t`in the marker`, color: "#ffffff", dash: [2, 3] },
};
const NOTHING = t`This map has no positive value: nothing speaks for this class.`;

function drawing(it) {
  const { root, page, own, images, maps, failed, answers, view, predicted, title, methodName, layerOf, keyOf, obtainable, panels,
    nameOf, signs, picture, border, fine, raw, strength, top, tables } = it;
  const live = h("p.sr", { "aria-live": "polite", role: "status" });
  const stage = h("div.stage.stays"), scaleNote = h("p.note"), numbers = h("div.numbers");
  let saying;
  function say(text) {
    clearTimeout(saying); // a screen reader gets the last sentence, not every step of a slider
    saying = setTimeout(() => { live.textContent = text; }, 250);
  }

  function figure() {
    const head = h("div.head"), canvas = h("canvas", { role: "img" }), message = h("p.message", { hidden: true }), cross = h("i.cross", { hidden: true });
    const holder = h("div.frame", { tabindex: 0, role: "application", "aria-label": t`Picture and map`, "aria-describedby": `keys-${own}` }, canvas, cross, message);
    const scale = h("div.scale"), value = h("p.point.note");
    handled(holder, view, () => view.tool, () => view.place, (to) => { view.place = to; point(true); }, () => {
      it.showChosen();
      redraw();
      it.keepAddress();
    });
    return { element: h("div.panel", {}, head, holder, scale, value), head, canvas, cross, message, scale, value };
  }
  const figures = [0, 1].map(() => figure());
  /** Put as many figures on the stage as there are maps, each under its name. */
  function layOut() {
    const shown = panels(), count = shown.length;
    stage.className = `stage stays n${count}`;
    if (stage.childElementCount !== count) stage.replaceChildren(...figures.slice(0, count).map(({ element }) => element));
    shown.forEach((panel, i) => figures[i].head.replaceChildren(
      view.compare === "images" ? t`${title(images.get(panel.id))}, map for` : page.models[1] ? t`${page.models[panel.m].name}, map for` : t`Map for`,
      " ", h("b", {}, page.classes[panel.cls]), saysAnother(panel)));
    scaleNote.hidden = count < 2;
    scaleNote.textContent = view.scale === "map" ? t`Each map has a scale of its own: the same color is another value.`
      : t`Both maps have one scale: the same color is the same value.`;
  }
  function saysAnother({ m, cls, id }) {
    const said = predicted(images.get(id), m);
    return said === cls || view.compare === "classes" ? "" : `; ${t`the model says ${page.classes[said]}`}`;
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
      const [left, top_] = view.place ? seenAt(view, view.place) : [-1, -1];
      cross.hidden = !(left >= 0 && left <= 1 && top_ >= 0 && top_ <= 1);
      Object.assign(cross.style, { left: percentOf(left), top: percentOf(top_) });
      const words = map ? [placed(panel, map), summed(panel, map)].filter(Boolean) : [];
      value.replaceChildren(...words.map((text) => h("span", {}, text)));
      return words[0];
    });
    if (moved && view.place) say(told.filter(Boolean).join(" "));
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
    if (!view.place) return t`Point at the picture to read the value there.`;
    const [rows, columns] = map.grid, row = Math.floor(view.place[1] * rows), column = Math.floor(view.place[0] * columns);
    const value = raw(map, panel.cls)[row * columns + column], whole = map.size.join() === map.grid.join() && logitOf(panel, map);
    const read = t`Row ${row + 1}, column ${column + 1} of ${rows} × ${columns}: ${withSign(value)}`;
    const part = whole && Math.abs(whole.logit) > 1e-6 && `${signed((100 * value) / whole.logit, 1)}\u00a0%`;
    return part ? t`${read}, ${part} of the logit.` : `${read}.`;
  }
  function summed(panel, map) {
    const whole = logitOf(panel, map);
    return whole && t`Sum of the map ${signed(whole.sum, 2)}, bias ${signed(whole.bias, 2)}: the logit of ${page.classes[panel.cls]} is ${signed(whole.sum + whole.bias, 2)}.`;
  }

  /** What is to be said about one map. */
  function factsOf(panel, key) {
    const { m, cls, id } = panel, item = images.get(id), layer = layerOf(m);
    const [method, name] = [methodName(), page.classes[cls]];
    const what = `${title(item)}, ${layer ? t`${method} for ${name} at ${layer}` : t`${method} for ${name}`}` +
      `${view.compare === "models" ? `, ${page.models[m].name}` : ""}. ${t`Probability ${percent(item.probs[m][cls])}.`}`;
    const only = (message, extra = {}) => ({ message, sentence: `${what} ${message}`, ...extra });
    if (layer === null) return only(t`${page.models[m].name} has no layer ${view.layer}.`);
    if (failed.has(key)) return only(failed.get(key));
    if (!maps.has(key)) {
      const wait = it.late ? t`Still computing. When another cell is running, the map may come after it.` : t`Computing…`;
      if (obtainable(panel)) return only(wait, { busy: true });
      return only(answers ? t`This page computes this map only at ${page.models[m].ends.join(", ")}. For ${layer}, run the notebook.`
        : t`This map was not saved with the page. Run the notebook to compute it.`);
    }
    const map = maps.get(key);
    if (!(strength(map, cls) > 0)) return only(signs() ? t`This map is zero everywhere.` : NOTHING, { map });
    const inside = Object.entries(map.inside).filter(([, s]) => s[cls] != null)
      .map(([name, s]) => t`${percent(s[cls])} ${OUTLINES[name].inside}, which is ${percent(item.regions[name].area)} of the image`);
    return { map, visible: true, sentence: `${what} ${t`Energy: ${inside.join("; ") || t`no region is known`}.`}` };
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
    const apart = view.compare === "images"; // whose regions have areas of their own
    const rows = [];
    for (const name of page.regions) {
      const regions = shown.map(({ id }) => images.get(id).regions[name]), lungs = shown.map(({ id }) => images.get(id).lungs);
      if (name !== "lung" && !regions.some(Boolean)) continue;
      const label = name === "lung" && lungs.every((text) => text === "found") ? t`in the lungs (found)` : OUTLINES[name].inside;
      const cells = facts.map((fact, i) => {
        const value = fact.map?.inside[name]?.[shown[i].cls], region = regions[i];
        if (!region) return "–";
        return region.png ? percent(value) + (apart ? ` (${t`area ${percent(region.area)}`})` : "") : t`none`;
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
      numbers.append(h(apart ? "table.apart" : "table", {}, h("caption", {}, t`Energy of the map`),
        h("thead", {}, h("tr", {}, h("td"), ...names.map((name) => h("th", { scope: "col" }, name)), ...(apart ? [] : [h("th", { scope: "col", title: t`A map that is equal everywhere would score this` }, t`area`)]))),
        h("tbody", {}, ...rows)));
    }
    const unseen = !apart ? [] : shown.map(({ id }) => images.get(id)).filter((item) => !item.regions.lung).map((item) => t`Lungs of ${title(item)}: ${item.lungs}.`);
    if (unseen.length) numbers.append(h("p.note", {}, unseen.join(" ")));
    const sizes = new Set(facts.filter((f) => f.map).map((f) => f.map.size.join(" × ")));
    if (sizes.size) {
      const same = view.method === "eigen-cam" ? ` ${t`Eigen-CAM is the same for every class.`}` : "";
      numbers.append(h("p.note", {}, `${t`${[...sizes].join(", ")} values, enlarged to the image.`}${same}`));
    }
  }
  return { live, stage, scaleNote, numbers, figures, layOut, redraw, point };
}
