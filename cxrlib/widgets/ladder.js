// The ladder explorer: one step at a time; the result comes after the guess.

const WIDE = 420, HIGH = 170;
const COLORS = ["var(--one)", "var(--two)", "var(--soft)", "var(--text)"];
const GUESSES = { higher: t`higher`, none: t`no difference seen`, lower: t`lower` };

const mean = (list) => list.reduce((a, b) => a + b, 0) / list.length;

function render({ model, el }) {
  const root = widget("cxr-ladder", t`Ladder explorer`);
  el.append(root);
  const stop = followTheme(root);
  const { steps, seeds, score, source } = model.get("page");
  const guesses = new Map(); // step -> guess
  let at = 0, shown = 1; // the step that is looked at, and how many have their result shown

  const middle = (i) => mean(steps[i].scores.map((s) => s[0]));
  const band = (i) => (i ? [middle(i - 1) - steps[i].spread, middle(i - 1) + steps[i].spread] : []);
  let low = 0, span = 1; // of the axis: of the steps that are shown, because more would tell what comes
  const x = (i) => ((i + 0.5) * WIDE) / steps.length;
  const y = (v) => HIGH - ((v - low) / span) * HIGH;
  const offset = (k) => (k - (seeds.length - 1) / 2) * 9;
  const picture = svg("svg", { viewBox: `-40 -10 ${WIDE + 44} ${HIGH + 34}`, role: "img" });

  const title = h("h3"), text = h("p"), place = h("p.note");
  const settings = h("tbody"), results = h("tbody");
  const group = `guess-${Math.random()}`; // of its own in each widget
  const radios = Object.entries(GUESSES).map(([value, label]) => {
    const input = h("input", { type: "radio", name: group, value, onchange: () => guesses.set(at, value) });
    return { value, input, field: h("label.tick", {}, input, label) };
  });
  const ask = h("fieldset", {}, h("legend", {}, t`I expect that the ${score} will be`), ...radios.map((r) => r.field));
  const back = h("button", { type: "button", onclick: () => { if (at) { at--; update(); } } }, t`Back`);
  const main = h("button.main", { type: "button", onclick: () => {
    if (at >= shown) shown = at + 1;
    else if (at < steps.length - 1) at++;
    else {
      at = 0;
      shown = 1;
      guesses.clear();
    }
    update();
  } });
  const reported = h("p.note"); // maybe another score than that of the table
  const said = h("p.said", { role: "status" }), count = h("p.note");
  const left = h("div", {}, place, title, text,
    h("table", {}, h("caption", {}, t`Settings that this step changes`),
      h("thead", {}, h("tr", {}, ...[t`setting`, t`before`, t`now`].map((name) => h("th", { scope: "col" }, name)))), settings), ask,
    h("div.line", {}, back, main, count), said);
  root.append(
    h("div.columns", {},
      left,
      h("div", {}, h("p.note.key", {}, ...seeds.map((seed, k) => h("span", {}, h("i", { style: `background:${COLORS[k % COLORS.length]}` }), t`seed ${seed}`)),
        h("span", {}, h("i.band"), t`mean of the step before ± spread`)), picture,
      h("table", {}, h("caption", {}, t`${score}, with 95 % interval where there is one`), h("thead", {}, h("tr", {},
        ...["", score, t`interval`, t`change`].map((name) => h(name ? "th" : "td", name ? { scope: "col" } : {}, name)))), results), reported)));

  function draw() {
    const all = steps.slice(0, shown).flatMap((s, i) => [...s.scores.flat().filter((v) => v != null), ...band(i)]);
    low = Math.floor(Math.min(...all) * 20 - 1) / 20;
    span = Math.ceil(Math.max(...all) * 20 + 1) / 20 - low;
    const parts = [svg("line", { x1: 0, x2: WIDE, y1: HIGH + 6, y2: HIGH + 6, stroke: "var(--line)" })];
    for (const v of [low, low + span / 2, low + span]) {
      parts.push(svg("text", { x: -6, y: y(v) + 4, "text-anchor": "end" }, v.toFixed(2)),
        svg("line", { x1: 0, x2: WIDE, y1: y(v), y2: y(v), stroke: "var(--track)" }));
    }
    if (at && at < shown) { // before the guess the band would tell how far the seeds of this step lie apart
      const [from, to] = band(at);
      parts.push(svg("rect.band", { x: x(at - 1), width: x(at) - x(at - 1) + 16, y: y(to), height: Math.max(1, y(from) - y(to)) }));
    }
    steps.forEach((step, i) => {
      parts.push(svg(i === at ? "text.wide.now" : "text.wide", { x: x(i), y: HIGH + 20, "text-anchor": "middle" }, step.name),
        svg(i === at ? "text.narrow.now" : "text.narrow", { x: x(i), y: HIGH + 22, "text-anchor": "middle" }, String(i + 1))); // on a phone
      if (i >= shown) return parts.push(svg("text", { x: x(i), y: HIGH / 2, "text-anchor": "middle" }, "?"));
      step.scores.forEach(([value, from, to], k) => {
        const color = COLORS[k % COLORS.length], here = x(i) + offset(k), faint = i < at - 1 || i > at ? 0.55 : 1;
        if (i) {
          const before = { x1: x(i - 1) + offset(k), y1: y(steps[i - 1].scores[k][0]) };
          parts.push(svg("line", { ...before, x2: here, y2: y(value), stroke: color, opacity: 0.4 }));
        }
        if (to != null) parts.push(svg("line", { x1: here, x2: here, y1: y(from), y2: y(to), stroke: color, opacity: faint, "stroke-width": 1.5 }));
        parts.push(svg("circle", { cx: here, cy: y(value), r: 4.5, fill: color, opacity: faint }));
      });
    });
    picture.replaceChildren(...parts);
    picture.setAttribute("aria-label", t`${score} of the steps shown: ${steps.slice(0, shown).map((s) =>
      `${s.name} ${s.scores.map(([v]) => digits(v)).join(", ")}`).join("; ")}.`);
  }

  function update() {
    const step = steps[at], known = at < shown;
    place.textContent = t`Step ${at + 1} of ${steps.length}`;
    title.textContent = step.name;
    text.textContent = step.text;
    settings.replaceChildren(...(step.settings.length ? step.settings.map(([setting, before, now]) =>
      h("tr", {}, h("th", { scope: "row" }, setting), h("td", {}, before), h("td", {}, now)))
      : [h("tr", {}, h("th", { scope: "row" }, at ? t`none` : t`the ladder starts here`), h("td"), h("td"))]));
    ask.disabled = known;
    ask.hidden = !at;
    radios.forEach((r) => { r.input.checked = guesses.get(at) === r.value; });
    results.replaceChildren(
      ...step.scores.map(([value, from, to], k) => h("tr", {}, h("th", { scope: "row" }, t`seed ${seeds[k]}`),
        ...[digits(value), to == null ? "–" : t`${digits(from)} to ${digits(to)}`, at ? signed(step.change[k]) : "–"]
          .map((t) => h("td", {}, known ? t : "?")))),
      h("tr.mean", {}, h("th", { scope: "row" }, t`mean`), h("td", {}, known ? digits(middle(at)) : "?"),
        h("td"), h("td", { "data-value": "change" }, !known ? "?" : at ? signed(mean(step.change)) : "–")),
      h("tr", {}, h("th", { scope: "row" }, at ? t`larger spread of the two steps` : t`spread between seeds`), h("td"), h("td"),
        h("td", { "data-value": "spread" }, known ? digits(step.spread) : "?")),
);
    reported.replaceChildren(`${source[0].toUpperCase()}${source.slice(1)}: `, h("b", { "data-value": "reported" }, !known ? "?" : step.reported == null ? t`not known` : digits(step.reported)));
    reported.hidden = steps.every(({ reported: value }) => value == null);
    main.textContent = !known ? t`Show the result` : at < steps.length - 1 ? t`Next step` : t`Start again`;
    back.setAttribute("aria-disabled", String(!at));
    const guess = guesses.get(at);
    said.dataset.verdict = known && at ? step.verdict : "";
    const verdict = step.verdict === "none" ? t`The seeds disagree, or the change is not larger than the spread: no difference seen.`
      : t`Larger than the spread of both steps, and the same sign for every seed: ${GUESSES[step.verdict]}.`;
    said.textContent = !known ? t`Guess, then show the result.` : !at ? t`This is what the first step is compared with.`
      : [verdict, ...(guess ? [guess === step.verdict ? t`Your guess was right.` : t`Your guess was "${GUESSES[guess]}".`] : [])].join(" ");
    const asked = [...guesses].filter(([i]) => i < shown);
    count.textContent = asked.length ? t`Right guesses: ${asked.filter(([i, g]) => g === steps[i].verdict).length} of ${asked.length}` : "";
    draw();
    left.style.minHeight = `${Math.max(left.offsetHeight, parseFloat(left.style.minHeight) || 0)}px`; // what is below stays
  }
  update();
  root.keeps = { get: () => ({ at, shown, guesses: [...guesses] }), set: (kept) => {
    guesses.clear();
    for (const [step, guess] of kept.guesses) guesses.set(step, guess);
    ({ at, shown } = kept);
    update();
  } };
  return stop;
}

export default { render };
