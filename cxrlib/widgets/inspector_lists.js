// The inspector's thumbnails of the images, and its bars of the probabilities.

function lists(it) {
  const { page, own, images, view, names, image, predicted, wrong, title, panels, nameOf, picture } = it;
  const thumbs = h("div.thumbs", { role: "radiogroup", "aria-label": t`Image` });
  const bars = h("div.bars", { role: "radiogroup", "aria-label": t`Class of the map` });
  const verdict = h("p.verdict", { hidden: true });
  const barsNote = h("p.note");

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
    const truth = item.label == null ? t`class unknown` : page.classes[item.label];
    const said = page.classes[predicted(item)];
    const mark = wrong(item) ? h("b", { title: t`The model says ${said}` }, `✗ ${t`wrong`}`) : "";
    const canvas = h("canvas", { width: 64, height: 64, "aria-hidden": "true" });
    picture(item).then((p) => {
      const pen = canvas.getContext("2d");
      pen.imageSmoothingQuality = "high";
      pen.drawImage(p.canvas, 0, 0, 64, 64);
    });
    const radio = h("input", {
      type: "radio", name: `image-${own}`, value: item.id, checked: item.id === view.image,
      "aria-label": [`${title(item)}${names.has(item.id) ? ` (${names.get(item.id)})` : ""}, ${truth}; ${
        t`the model says ${said}`}`, percent(largest(item.probs[0])), ...(wrong(item) ? [t`wrong`] : [])].join(", "),
      onchange: () => it.choose({ image: item.id }),
    });
    return h(wrong(item) ? "label.thumb.wrong" : "label.thumb", { title: `${title(item)}: ${names.get(item.id) ?? truth}` },
      radio, canvas, h("span", {}, item.row == null ? t`Own ${item.id.slice(1)}` : `#${item.row}`),
      ...(names.has(item.id) ? [h("span", {}, names.get(item.id))] : []), item.label == null ? "" : h("span", {}, truth), mark);
  }

  function listBars() {
    const item = image();
    const focused = bars.contains(document.activeElement);
    const shown = ["models", "images"].includes(view.compare) ? panels() : panels().slice(0, 1);
    barsNote.hidden = shown.length < 2;
    barsNote.textContent = t`Upper bar ${nameOf(shown[0])}, lower bar ${nameOf(shown.at(-1))}.`;
    bars.replaceChildren(...page.classes.map((name, k) => {
      const values = shown.map(({ m, id }) => images.get(id).probs[m][k]);
      const label = `${name}: ${values.map((v, i) => (shown.length > 1 ? `${nameOf(shown[i])} ` : "") + percent(v)).join(", ")}` +
        `${item.label === k ? `; ${t`the true class`}` : ""}`;
      return h("label.bar", {},
        h("input", { type: "radio", name: `class-${own}`, value: k, checked: k === view.cls, "aria-label": label, onchange: () => it.choose({ cls: k }) }),
        h("span.name", {}, name, item.label === k ? h("em", {}, t`true`) : ""),
        h("span.tracks", { "aria-hidden": "true" }, ...values.map((v) => h("i", { style: `--p:${(100 * v).toFixed(1)}%` }))),
        h("span.value", { "aria-hidden": "true" }, ...values.map((v) => h("span", {}, percent(v)))));
    }));
    if (focused) bars.querySelector("input:checked")?.focus();
    if (page.decision != null) {
      const said = predicted(item);
      verdict.hidden = false;
      const [ill, cut] = [page.classes[1], percent(page.decision)];
      verdict.replaceChildren(t`The model says`, " ", h("b", {}, page.classes[said]),
        `: ${said ? t`${ill} is at or above the threshold of ${cut}.` : t`${ill} is below the threshold of ${cut}.`}`,
        item.row == null ? ` ${t`It answers for every picture, also for one that is no chest X-ray.`}` : "");
      bars.lastElementChild.style.setProperty("--cut", `${100 * page.decision}%`);
      bars.lastElementChild.classList.add("cut");
    }
  }
  return { thumbs, bars, verdict, barsNote, listThumbs, listBars };
}
