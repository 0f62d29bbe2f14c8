// The threshold explorer: one slider, and everything that hangs on it.

const WIDE = 360, HIGH = 150, BINS = 25, SQUARE = 240;

const plain = (x) => Number(x.toPrecision(6)).toString();

/** Counts at a threshold: positive where the probability is at least it. */
function count({ labels, probs }, threshold) {
  const found = { tn: 0, fp: 0, fn: 0, tp: 0 };
  labels.forEach((label, i) => found[label ? (probs[i] >= threshold ? "tp" : "fn") : probs[i] >= threshold ? "fp" : "tn"]++);
  return found;
}

/** The ROC curve's corners, from "nobody is ill" to "everybody is ill"; equal probabilities move together. */
function curve(set) {
  const cuts = [Infinity, ...[...new Set(set.probs)].sort((a, b) => b - a)];
  return cuts.map((cut) => {
    const { tn, fp, fn, tp } = count(set, cut);
    return { cut, x: rate(fp, fp + tn), y: rate(tp, tp + fn), fp, fn };
  });
}

function histogram(set, k) {
  const bins = new Array(BINS).fill(0);
  set.labels.forEach((label, i) => label === k && bins[Math.min(BINS - 1, Math.floor(set.probs[i] * BINS))]++);
  return bins;
}

/** Call with the place in the chart that is clicked, tapped or dragged over; the keyboard has the slider. */
function touched(chart, act) {
  let down = false;
  const at = (event) => {
    const { x, y } = new DOMPoint(event.clientX, event.clientY).matrixTransform(chart.getScreenCTM().inverse());
    act(x, y);
  };
  chart.classList.add("touched");
  chart.addEventListener("pointerdown", (event) => {
    down = true;
    chart.setPointerCapture(event.pointerId);
    at(event);
  });
  chart.addEventListener("pointermove", (event) => down && at(event));
  for (const end of ["pointerup", "pointercancel"]) chart.addEventListener(end, () => { down = false; });
}

function render({ model, el }) {
  const root = widget("cxr-threshold", t`Threshold explorer`);
  el.append(root);
  const stop = followTheme(root);
  const { classes, threshold: start, ...page } = model.get("page");
  const sets = page.sets.map(({ probs, ...set }) => ({ ...set, probs: probs.map((row) => row[1]) }));
  const [well, ill] = classes;
  for (const set of sets) set.curve = curve(set);
  let set = sets[0], threshold = start;

  const cut = slider(t`Threshold`, { min: 0, max: 1, step: 0.005, value: start }, (x) => x.toFixed(3), (x) => { threshold = x; update(); });
  cut.field.classList.add("wide");
  const which = h("select", { onchange: () => { set = sets[which.selectedIndex]; drawAll(); } },
    ...sets.map((s) => h("option", {}, t`${s.name} (${s.labels.length} images)`)));
  const price = h("input", { type: "number", min: 0, step: "any", value: 5, oninput: () => update() });
  const cheapest = h("button", { type: "button", onclick: () => { setThreshold(best().cut); } }, t`Cheapest here`);

  const tops = [-4, HIGH + 12].map((y) => svg("text", { x: WIDE, y, "text-anchor": "end" })); // how many the highest bars are
  const bars = svg("g"), line = svg("line", { y1: 0, y2: HIGH, stroke: "var(--text)", "stroke-width": 2 });
  const picture = svg("svg", { viewBox: `-4 -16 ${WIDE + 8} ${HIGH + 48}`, role: "img" }, bars, line,
    svg("line", { x1: 0, x2: WIDE, y1: HIGH / 2, y2: HIGH / 2, stroke: "var(--line)" }),
    svg("text", { x: 0, y: -4 }, t`images of ${ill}`), svg("text", { x: 0, y: HIGH + 12 }, t`images of ${well}`), ...tops,
    svg("text", { x: 0, y: HIGH + 28 }, "0"), svg("text", { x: WIDE, y: HIGH + 28, "text-anchor": "end" }, "1"),
    svg("text", { x: WIDE / 2, y: HIGH + 28, "text-anchor": "middle" }, t`probability of ${ill}`));
  touched(picture, (x) => setThreshold(Math.min(Math.max(Math.round((200 * x) / WIDE) / 200, 0), 1)));
  const path = svg("path", { fill: "none", stroke: "var(--accent)", "stroke-width": 2 });
  const point = svg("circle", { r: 6, fill: "var(--two)", stroke: "var(--card)", "stroke-width": 2 });
  const roc = svg("svg", { viewBox: `-34 -8 ${SQUARE + 42} ${SQUARE + 44}`, role: "img" },
    svg("rect", { width: SQUARE, height: SQUARE, fill: "var(--field)", stroke: "var(--line)" }),
    svg("line", { x1: 0, y1: SQUARE, x2: SQUARE, y2: 0, stroke: "var(--line)", "stroke-dasharray": "4 4" }), path, point,
    svg("text", { x: SQUARE / 2, y: SQUARE + 28, "text-anchor": "middle" }, t`false positive rate: ${well} alarmed`),
    svg("text", { transform: `translate(-20 ${SQUARE / 2}) rotate(-90)`, "text-anchor": "middle" }, t`recall: ${ill} found`),
    svg("text", { x: 0, y: SQUARE + 14 }, "0"), svg("text", { x: SQUARE, y: SQUARE + 14, "text-anchor": "end" }, "1"),
    svg("text", { x: -5, y: 9, "text-anchor": "end" }, "1"));
  touched(roc, (x, y) => { // the corner of the curve that is nearest
    const away = (corner) => (corner.x * SQUARE - x) ** 2 + ((1 - corner.y) * SQUARE - y) ** 2;
    const near = set.curve.filter(({ x, y }) => !Number.isNaN(x + y)).reduce((a, b) => (a && away(a) <= away(b) ? a : b), null);
    if (near) setThreshold(near.cut);
  });
  const blank = svg("text", { x: SQUARE / 2, y: SQUARE / 2, "text-anchor": "middle" });
  roc.append(blank);
  const cells = Object.fromEntries(["tn", "fp", "fn", "tp"].map((key) => [key, h("td", { "data-cell": key })]));
  const matrix = h("table", {}, h("caption", {}, t`Confusion matrix`),
    h("thead", {}, h("tr", {}, h("td"), h("th", { scope: "col" }, t`called ${well}`), h("th", { scope: "col" }, t`called ${ill}`))),
    h("tbody", {}, h("tr", {}, h("th", { scope: "row" }, t`is ${well}`), cells.tn, cells.fp),
      h("tr", {}, h("th", { scope: "row" }, t`is ${ill}`), cells.fn, cells.tp)));
  const names = [t`accuracy`, t`recall of ${ill}`, t`recall of ${well}`, t`precision of ${ill}`, t`F1 of ${ill}`];
  const values = names.map(() => h("td"));
  const numbers = h("table", {}, h("caption", {}, t`Rates`), h("tbody", {},
    ...names.map((name, i) => h("tr", {}, h("th", { scope: "row" }, name), values[i]))));
  const said = h("p.note", { role: "status" }), problem = h("p.problem", { role: "alert", hidden: true });
  root.append(
    h("div.line.stays", {}, h("label.field", {}, t`Images`, which), cut.field),
    h("div.columns", {},
      h("div", {}, h("h3", {}, t`Who gets which probability`), picture, matrix, numbers),
      h("div", {}, h("h3", {}, t`ROC curve`), roc, h("h3", {}, t`What mistakes cost`),
        h("div.line", {}, h("label.field", {}, t`False alarms that weigh as much as one missed ${ill}`, price), cheapest), problem, said)));

  /** The cheapest corner of the curve. */
  function best() {
    const weight = Number(price.value);
    return set.curve.reduce((a, b) => (weight * b.fn + b.fp < weight * a.fn + a.fp ? b : a));
  }

  function setThreshold(value) {
    threshold = Math.min(1, value);
    cut.set(threshold);
    update();
  }

  function drawAll() {
    const missing = set.curve.some(({ x, y }) => Number.isNaN(x + y)); // one class has no image
    blank.textContent = missing ? t`no curve: there is no image of ${set.labels.includes(1) ? well : ill}` : "";
    point.style.display = missing ? "none" : "";
    path.setAttribute("d", missing ? "" : set.curve.map(({ x, y }, i) => `${i ? "L" : "M"}${x * SQUARE} ${(1 - y) * SQUARE}`).join(""));
    bars.replaceChildren();
    const heights = [0, 1].map((k) => histogram(set, k)), most = Math.max(...heights.flat()); // one scale for both
    for (const [k, color] of [[1, "var(--two)"], [0, "var(--one)"]]) {
      tops[1 - k].textContent = t`highest bar: ${Math.max(...heights[k])}`;
      heights[k].forEach((n, i) => {
        const tall = (n / most) * (HIGH / 2 - 4);
        bars.append(svg("rect", { x: (i * WIDE) / BINS + 0.5, width: WIDE / BINS - 1, height: tall,
          y: k ? HIGH / 2 - tall : HIGH / 2, fill: color }));
      });
    }
    update();
  }

  function update() {
    model.set("threshold", threshold);
    model.save_changes();
    const { tn, fp, fn, tp } = count(set, threshold);
    for (const [key, value] of Object.entries({ tn, fp, fn, tp })) cells[key].textContent = value;
    [rate(tp + tn, tn + fp + fn + tp), rate(tp, tp + fn), rate(tn, tn + fp), ...(tp + fn ? [rate(tp, tp + fp), rate(2 * tp, 2 * tp + fp + fn)] : [NaN, NaN])]
      .forEach((value, i) => { values[i].textContent = digits(value); });
    line.setAttribute("x1", threshold * WIDE);
    line.setAttribute("x2", threshold * WIDE);
    point.setAttribute("cx", (rate(fp, fp + tn) || 0) * SQUARE);
    point.setAttribute("cy", (1 - (rate(tp, tp + fn) || 0)) * SQUARE);
    const weight = Number(price.value), given = weight > 0 && Number.isFinite(weight);
    problem.hidden = given;
    problem.textContent = given ? "" : `${price.value === "" ? t`There is no number: give a number above 0.`
      : t`${price.value} cannot be a cost: give a number above 0.`} ${t`With 5, one missed ${ill} costs as much as five false alarms.`}`;
    cheapest.disabled = !given;
    price.setAttribute("aria-invalid", String(!given));
    const low = given && best(), here = weight * fn + fp, least = given && weight * low.fn + low.fp;
    said.textContent = !given ? "" : `${t`${fn} missed and ${fp} false alarms cost ${plain(here)}.`} ${
      here > least ? t`The cheapest threshold on these images costs ${plain(least)}.`
        : t`The cheapest threshold on these images costs ${plain(least)}: this is one.`} ${
      t`Chosen on the test images, it would be too good to be true.`}`;
    picture.setAttribute("aria-label", t`Histograms of the probability of ${ill} for both classes; threshold ${threshold.toFixed(3)}.`);
    roc.setAttribute("aria-label", t`ROC curve; at the threshold recall ${digits(rate(tp, tp + fn))}, false positive rate ${digits(rate(fp, fp + tn))}.`);
  }
  drawAll();
  return stop;
}

export default { render };
