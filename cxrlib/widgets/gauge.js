// The answers of networks to a picture that changes, as needles.

/** A needle from 0 to 100 %: { element, set(now, before) }. */
function gauge() {
  const at = (p, r) => [60 - r * Math.cos(Math.PI * p), 60 - r * Math.sin(Math.PI * p)];
  const arc = (p) => `M${at(0, 48)} A48 48 0 0 1 ${at(p, 48)}`;
  const filled = svg("path.filled"), needle = svg("line.needle"), before = svg("line.before");
  const text = (x, anchor, words) => svg("text", { x, y: 74, "text-anchor": anchor }, words);
  const element = svg("svg.gauge", { viewBox: "0 0 120 80", "aria-hidden": "true" },
    svg("path.arc", { d: arc(1) }), filled, before, needle, text(8, "start", "0"), text(112, "end", "100\u00a0%"));
  const ray = (line, p, from, to) => {
    const [[x1, y1], [x2, y2]] = [at(p, from), at(p, to)];
    Object.entries({ x1, y1, x2, y2 }).forEach(([key, value]) => line.setAttribute(key, value));
  };
  return { element, set: (now, was) => {
    filled.setAttribute("d", arc(Math.max(now, 0.002)));
    ray(needle, now, 0, 42);
    ray(before, was, 40, 57);
  } };
}

/** A needle and a sentence for each network: { figures, spoken, tell([{ now, was }]) } of probabilities. */
function needles(names, classes, target) {
  const spoken = h("p.spoken", { "aria-live": "polite" });
  const all = names.map((name) => {
    const needle = gauge(), words = h("p.answer");
    needle.set(0, 0);
    return { name, needle, words, figure: h("figure", {}, h("figcaption", {}, h("b", {}, name)), needle.element, words) };
  });
  let speaking;
  const tell = (answers) => {
    answers.forEach(({ now, was }, k) => {
      const { needle, words } = all[k];
      needle.set(now[target], was[target]);
      words.replaceChildren(h("b", {}, percent(now[target])), t`says ${classes[now.indexOf(Math.max(...now))]}; it was ${percent(was[target])}`);
    });
    clearTimeout(speaking);
    speaking = setTimeout(() => { // once the hand rests
      spoken.textContent = all.map(({ name, words }) => `${name}: ${words.firstChild.textContent} ${classes[target]}, ${words.lastChild.textContent}`).join(". ");
    }, 500);
  };
  return { figures: all.map(({ figure }) => figure), spoken, tell };
}
