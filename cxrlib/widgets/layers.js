// The layer builder: a network from a word, letter by letter.

const LETTERS = {
  C: { name: t`convolution`, color: "var(--one)" }, P: { name: t`pooling`, color: "var(--two)" },
  F: { name: t`flatten` }, D: { name: t`dense` }, // gray: two colors tell what happens to the maps
};
const LEGEND = t`C convolution, P pooling, F flatten, D dense. An output layer is always added.`;

/** Layers with shape and parameters, or the reason why there are none. Same rules as cxrlib's build_model. */
function plan(word, { size, filters, hidden, kernel, outputs }) {
  const unknown = [...word].find((letter) => !LETTERS[letter]);
  if (unknown) return { problem: `${t`${unknown} is no layer.`} ${LEGEND}` };
  if (!word) return { problem: t`Write at least one C or P.` };
  const [spatial, after] = word.includes("F") ? [word.split("F")[0], word.slice(word.indexOf("F") + 1)] : [word, null];
  if (spatial.includes("D")) return { problem: t`D needs a list of numbers: put an F (flatten) before the first D.` };
  if (!spatial) return { problem: t`It must start with C or P; F and D come after them.` };
  if (after && /[^D]/.test(after)) return { problem: t`Only D can follow F: after flatten there are no maps any more.` };
  const rows = [{ letter: "", name: t`input`, maps: 1, side: size, parameters: 0 }];
  let maps = 1, side = size, block = 0, seen = false;
  [...spatial].forEach((letter, i) => {
    let parameters = 0;
    if (letter === "C") {
      const width = filters[Math.min(block, filters.length - 1)];
      parameters = (kernel * kernel * maps + 1) * width;
      maps = width;
      seen = true;
    } else {
      side = Math.floor(side / 2);
      if (seen && spatial[i - 1] === "C") block++;
    }
    rows.push({ letter, name: LETTERS[letter].name, maps, side, parameters });
  });
  if (side < 1) return { problem: t`Too many P: an image of ${size} pixels can be halved ${Math.floor(Math.log2(size))} times.` };
  let numbers = maps;
  if (after === null) rows.push({ letter: "", name: t`global mean`, numbers, parameters: 0 });
  else {
    numbers = maps * side * side;
    rows.push({ letter: "F", name: t`flatten`, numbers, parameters: 0 });
    for (const letter of after) {
      rows.push({ letter, name: t`dense`, numbers: hidden, parameters: (numbers + 1) * hidden });
      numbers = hidden;
    }
  }
  rows.push({ letter: "", name: t`output`, numbers: outputs, parameters: (numbers + 1) * outputs });
  return { rows, total: rows.reduce((sum, row) => sum + row.parameters, 0) };
}

const shape = (row) => (row.side ? `${row.maps} × ${row.side} × ${row.side}` : `${row.numbers.toLocaleString("en")}`);

/** The tensors as boxes: as high as the maps' side, as wide as the root of their number. */
function draw(rows) {
  const tall = 110, size = rows[0].side;
  let x = 0;
  const shapes = rows.map((row) => {
    const high = row.side ? Math.max(3, (row.side / size) * tall) : Math.max(3, Math.min(tall, 8 * Math.log2(row.numbers + 1)));
    const wide = row.side ? 4 + 2.2 * Math.sqrt(row.maps) : 6;
    const box = svg("rect", { x, y: (tall - high) / 2, width: wide, height: high, rx: 1.5, "fill-opacity": 0.85,
      fill: LETTERS[row.letter]?.color ?? "var(--soft)" }, svg("title", {}, `${row.name}: ${shape(row)}`));
    const letter = svg("text", { x: x + wide / 2, y: tall + 14, "text-anchor": "middle" }, row.letter);
    x += wide + 9;
    return [box, letter];
  });
  return svg("svg", { viewBox: `0 0 ${Math.max(x, 240)} ${tall + 18}`, role: "img",
    "aria-label": t`The tensors between the layers: ${rows.map((r) => `${r.name} ${shape(r)}`).join(", ")}` }, ...shapes.flat());
}

function render({ model, el }) {
  const root = widget("cxr-layers", t`Layer builder`);
  el.append(root);
  const stop = followTheme(root);
  const page = model.get("page");
  const settings = { ...page };
  const word = h("input", { type: "text", value: page.layers, maxlength: 40, spellcheck: "false", autocapitalize: "characters",
    oninput: () => update() });
  const number = (label, key, choices) => h("label.field", {}, label, h("select", {
    onchange: (event) => { settings[key] = Number(event.target.value); update(); } },
    ...choices.map((n) => h("option", settings[key] === n ? { selected: true } : {}, n))));
  const examples = h("div.line", { role: "group", "aria-label": t`Examples` },
    ...page.examples.map((text) => h("button", { type: "button", onclick: () => { word.value = text; update(); } }, text)));
  const legend = h("p.note", {}, LEGEND), problem = h("p.problem", { role: "alert", hidden: true });
  const picture = scrolling(t`The tensors between the layers`);
  const body = h("tbody"), foot = h("tfoot");
  const table = h("table", {}, h("caption", {}, t`Layer by layer`),
    h("thead", {}, h("tr", {}, ...[t`layer`, t`output`, t`parameters`, ""].map((text) => h("th", { scope: "col" }, text)))), body, foot);
  const below = h("div.below", {}, picture, table);
  root.append(
    h("div.line", {}, h("label.field.wide", {}, t`Your network`, word),
      number(t`Image side`, "size", [...new Set([16, 32, 48, 64, 128, 224, page.size])].sort((a, b) => a - b)),
      number(t`Dense width`, "hidden", [...new Set([16, 64, 128, 256, page.hidden])].sort((a, b) => a - b))),
    examples, h("div.told", {}, legend, problem), below);

  function update() {
    const made = plan(word.value.trim().toUpperCase(), settings);
    problem.hidden = !made.problem;
    problem.textContent = made.problem ?? "";
    legend.hidden = Boolean(made.problem);
    below.style.visibility = made.problem ? "hidden" : ""; // it keeps its place
    if (made.problem) return;
    picture.replaceChildren(draw(made.rows));
    const most = Math.max(...made.rows.map((row) => row.parameters), 1);
    body.replaceChildren(...made.rows.map((row) => h("tr", {}, h("th", { scope: "row" }, row.name), h("td", {}, shape(row)),
      h("td", {}, row.parameters.toLocaleString("en")),
      h("td.bar", {}, h("i", { style: `width:${(100 * row.parameters) / most}%` })))));
    foot.replaceChildren(h("tr", {}, h("th", { scope: "row" }, t`together`), h("td"),
      h("td", { "data-total": "" }, made.total.toLocaleString("en")), h("td")));
    below.style.minHeight = `${Math.max(below.offsetHeight, parseFloat(below.style.minHeight) || 0)}px`; // what is below stays
  }
  update();
  return stop;
}

export default { render };
