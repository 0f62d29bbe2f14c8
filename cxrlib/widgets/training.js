// Train it here: a network that learns while one looks on.

const RATES = [0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03, 0.1], BATCH = 20, HIGHEST = 1.5;
const WIDE = 400, HIGH = 190, LEFT = 46, BELOW = 30;

function render({ model, el }) {
  const page = model.get("page"), { size, classes, epochs, colors } = page, table = bytes(colors);
  const root = widget("cxr-train", t`Train it here`);
  el.append(root);
  const unfollow = followTheme(root);
  let sets = null, net = null, run = 0, busy = false, curve = [], before = [], seconds = 0;
  let rate = RATES.indexOf(0.001), count = page.train.labels.length;

  // --- what is seen

  const [x, y] = [(epoch) => LEFT + (epoch / epochs) * (WIDE - LEFT - 8), (loss) => 8 + (1 - Math.min(loss, HIGHEST) / HIGHEST) * (HIGH - BELOW - 8)];
  const line = (rows, key) => rows.map((row, k) => `${k ? "L" : "M"}${x(k + 1).toFixed(1)} ${y(row[key]).toFixed(1)}`).join("");
  const paths = Object.fromEntries(["old.seen", "old", "seen", "unseen"].map((name) => [name, svg(`path.${name}`)]));
  const label = (at, text, anchor = "middle") => svg("text", { x: at[0], y: at[1], "text-anchor": anchor }, text);
  const chart = svg("svg.chart", { viewBox: `0 0 ${WIDE} ${HIGH}`, role: "img" },
    ...[0, 0.5, 1, 1.5].flatMap((v) => [svg("line.grid", { x1: LEFT, x2: WIDE - 8, y1: y(v), y2: y(v) }), label([LEFT - 6, y(v) + 4], (v === HIGHEST ? "≥ " : "") + v.toFixed(1), "end")]),
    ...[0, epochs / 2, epochs].map((v) => label([x(v), HIGH - 14], Math.round(v))), label([x(epochs / 2), HIGH - 1], t`epoch`), ...Object.values(paths));
  const filters = h("div.filters", { role: "img", "aria-label": t`The filters of the first convolution: red adds, blue takes away` });
  const said = h("p.said", { role: "status" }), numbers = h("p.numbers", { "aria-hidden": "true" });
  const rateField = slider(t`Learning rate`, { min: 0, max: RATES.length - 1, step: 1, value: rate }, (v) => String(RATES[v]), (v) => (rate = v));
  const countField = slider(t`Training images`, { min: Math.min(20, count), max: count, step: 20, value: count }, (v) => String(v), (v) => {
    count = v;
    afresh();
  });
  const go = h("button", { type: "button", onclick: () => (busy ? halt() : train()) });
  const again = h("button", { type: "button", onclick: () => afresh() }, t`Start again`);
  root.append(
    h("div.fields", {}, rateField.field, countField.field), h("div.line", {}, go, again, numbers),
    h("p.key.note", {}, ...[["i.seen", t`loss on the training images`],
      ["i.unseen", t`loss on ${page.val.labels.length} validation images`], ["i.old", t`the run before`]].map(([mark, text]) => h("span", {}, h(mark), text))),
    chart, h("p.note", {}, t`The filters of the first convolution, as they are now:`), filters, said);

  function draw() {
    go.textContent = busy ? t`Stop` : t`Train`;
    go.disabled = !sets || (!busy && curve.length >= epochs);
    paths["old.seen"].setAttribute("d", line(before, "seen"));
    paths.old.setAttribute("d", line(before, "unseen"));
    paths.seen.setAttribute("d", line(curve, "seen"));
    paths.unseen.setAttribute("d", line(curve, "unseen"));
    const last = curve.at(-1);
    const words = last ? t`Epoch ${curve.length} of ${epochs}: loss ${digits(last.seen)}, validation loss ${digits(last.unseen)}, validation accuracy ${percent(last.right)}.`
      : t`Nothing has been learned yet.`;
    numbers.textContent = words;
    chart.setAttribute("aria-label", `${t`Loss curves`}. ${words}`);
    drawFilters();
  }
  function drawFilters() {
    const first = net?.parameters.find(({ shape }) => shape.length === 4);
    if (!first) return;
    const [outputs, , k] = first.shape, most = first.values.reduce((a, v) => Math.max(a, Math.abs(v)), 1e-9);
    if (filters.children.length !== outputs) filters.replaceChildren(...Array.from({ length: outputs }, () => h("canvas", { width: k, height: k, "aria-hidden": "true" })));
    [...filters.children].forEach((canvas, o) => {
      const pen = canvas.getContext("2d"), out = pen.createImageData(k, k), from = o * (first.values.length / outputs);
      for (let p = 0; p < k * k; p++) {
        const c = 3 * Math.min(255, Math.floor(128 * (1 + first.values[from + p] / most)));
        out.data.set([table[c], table[c + 1], table[c + 2], 255], 4 * p);
      }
      pen.putImageData(out, 0, 0);
    });
  }

  // --- what is learned

  const load = async ({ png, labels }) => {
    const { values } = await pixels(png), area = size * size, [mean, deviation] = page.normalize;
    return { labels, images: labels.map((_, k) => Float32Array.from(values.subarray(k * area, (k + 1) * area), (v) => (v / 255 - mean) / deviation)) };
  };
  function afresh() {
    run++;
    if (curve.length) before = curve;
    busy = false;
    curve = [];
    seconds = 0;
    net = learner(page);
    said.textContent = "";
    draw();
  }
  function halt() {
    run++;
    busy = false;
    draw();
  }
  const breath = () => new Promise((done) => setTimeout(done)); // the page answers between two steps

  async function train() {
    const mine = ++run, draws = uniform(1 + curve.length), { images, labels } = sets.train;
    busy = true;
    draw();
    while (curve.length < epochs) {
      const began = performance.now(), order = Array.from({ length: count }, (_, k) => k);
      for (let k = count - 1; k > 0; k--) {
        const other = Math.floor(draws() * (k + 1));
        [order[k], order[other]] = [order[other], order[k]];
      }
      let seen = 0;
      for (let k = 0; k < count; k += BATCH) {
        const batch = order.slice(k, k + BATCH);
        seen += net.learn(batch.map((i) => images[i]), batch.map((i) => labels[i]), RATES[rate]);
        await breath();
        if (run !== mine) return;
      }
      const answers = sets.val.images.map((image) => softmax(net.logits(image))), truth = sets.val.labels;
      const unseen = answers.reduce((sum, p, k) => sum - Math.log(Math.max(p[truth[k]], 1e-12)), 0) / truth.length;
      const right = answers.filter((p, k) => p.indexOf(Math.max(...p)) === truth[k]).length / truth.length;
      curve = [...curve, { seen: seen / count, unseen, right }];
      seconds += (performance.now() - began) / 1000;
      root.dispatchEvent(new CustomEvent("cxr-learned", { detail: { ...curve.at(-1), epoch: curve.length, order, seconds } }));
      draw();
      await breath();
      if (run !== mine) return;
    }
    busy = false;
    draw();
    said.textContent = t`${epochs} epochs in ${seconds.toFixed(1)} seconds. ${numbers.textContent}`;
  }

  Promise.all([load(page.train), load(page.val)]).then(([train, val]) => {
    sets = { train, val };
    afresh();
  });
  draw();
  return () => {
    run++;
    unfollow();
  };
}

export default { render };
