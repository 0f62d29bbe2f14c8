// The confusion explorer: one weight per class, and the matrix that follows from the weights.

const times = (x) => `× ${Number((2 ** x).toPrecision(2))}`;

/** Counts, rows true and columns said: the largest weight times probability wins, the first of equal ones. */
function confusion({ labels, probs }, weights) {
  const counts = weights.map(() => weights.map(() => 0));
  probs.forEach((row, i) => {
    let best = 0;
    row.forEach((p, k) => { if (p * weights[k] > row[best] * weights[best]) best = k; });
    counts[labels[i]][best]++;
  });
  return counts;
}

function render({ model, el }) {
  const root = widget("cxr-confusions", t`Confusion explorer`);
  el.append(root);
  const stop = followTheme(root);
  const { sets, classes } = model.get("page");
  const weights = classes.map(() => 1);
  let set = sets[0];

  const which = h("select", { onchange: () => { set = sets[which.selectedIndex]; update(); } },
    ...sets.map((s) => h("option", {}, t`${s.name} (${s.labels.length} images)`)));
  const sliders = classes.map((name, k) => slider(t`Weight of ${name}`, { min: -4, max: 4, step: 0.25, value: 0 }, times,
    (x) => { weights[k] = 2 ** x; update(); }));
  const equal = h("button", { type: "button", onclick: () => {
    sliders.forEach(({ set }, k) => { set(0); weights[k] = 1; });
    update();
  } }, t`All weights 1`);

  const cells = classes.map((_, i) => classes.map((_, j) => h("td", { "data-cell": `${i}-${j}` })));
  const matrix = h("table", {}, h("caption", {}, t`Confusion matrix: rows are the truth`),
    h("thead", {}, h("tr", {}, h("td"), ...classes.map((c) => h("th", { scope: "col" }, t`called ${c}`)))),
    h("tbody", {}, ...classes.map((c, i) => h("tr", {}, h("th", { scope: "row" }, t`is ${c}`), ...cells[i]))));
  const values = classes.map(() => [h("td"), h("td"), h("td")]);
  const numbers = h("table", {}, h("caption", {}, t`Class by class`),
    h("thead", {}, h("tr", {}, h("td"), ...[t`recall`, t`precision`, "F1"].map((n) => h("th", { scope: "col" }, n)))),
    h("tbody", {}, ...classes.map((c, i) => h("tr", {}, h("th", { scope: "row" }, c), ...values[i]))));
  const accuracy = h("b.value", { "data-value": "accuracy" }), macro = h("b.value", { "data-value": "macro_f1" });
  const said = h("p.note", { role: "status" });
  root.append(
    h("div.line", {}, h("label.field", {}, t`Images`, which), ...sliders.map(({ field }) => field), equal),
    h("div.columns", {}, scrolling(t`Confusion matrix`, matrix), scrolling(t`Class by class`, numbers)),
    h("p.sum", {}, t`Accuracy`, " ", accuracy, " · ", t`macro F1`, " ", macro), said);

  function update() {
    const counts = confusion(set, weights);
    const rows = counts.map((row) => row.reduce((a, b) => a + b, 0));
    const columns = classes.map((_, j) => counts.reduce((sum, row) => sum + row[j], 0));
    let worst = null;
    counts.forEach((row, i) => row.forEach((n, j) => {
      const part = rate(n, rows[i]);
      const cell = cells[i][j];
      cell.replaceChildren(String(n), ...(n ? [h("small", {}, ` ${percent(part, 0)}`)] : []));
      cell.style.background = `color-mix(in srgb, ${i === j ? "var(--one)" : "var(--two)"} ${Math.round(45 * (part || 0))}%, transparent)`;
      if (i !== j && n > 0 && (!worst || part > worst.part)) worst = { i, j, part };
    }));
    // of a class without images nothing is known; the means leave it out, as in Report
    const f1 = counts.map((row, k) => (rows[k] ? rate(2 * row[k], rows[k] + columns[k]) : NaN));
    counts.forEach((row, k) => [rate(row[k], rows[k]), rows[k] ? rate(row[k], columns[k]) : NaN, f1[k]]
      .forEach((x, n) => { values[k][n].textContent = digits(x); }));
    accuracy.textContent = digits(rate(counts.reduce((sum, row, k) => sum + row[k], 0), set.labels.length));
    macro.textContent = digits(rate(f1.reduce((sum, x) => sum + (x || 0), 0), rows.filter(Boolean).length));
    said.textContent = worst
      ? `${t`The most frequent mistake: ${percent(worst.part, 0)} of ${classes[worst.i]} are called ${classes[worst.j]}.`} ${
        t`Weights that were chosen on the test images would be too good to be true.`}`
      : t`There is no mistake.`;
  }
  update();
  return stop;
}

export default { render };
