// What a reader takes along from the inspector: a link to what is shown, the same after a reload, a picture.

// what a link carries: each may be one of these, or a number between two
const CARRIED = ["image", "second", "cls", "against", "layer", "method", "colors", "scale", "sign", "compare", "sort", "keep",
  "tool", "opacity", "threshold", "zoom", "x", "y", "center", "width"];

function carried(it) {
  const { root, page, kernel, images, view, start, image, predicted, title, methodName, layerOf, panels, nameOf, signs, top } = it;
  const address = `cam${[...document.querySelectorAll(".cxr-cam")].indexOf(root) + 1}`;
  const linkBox = h("input", { type: "text", readonly: true, hidden: true, "aria-label": t`Link to what is shown`, onfocus: () => linkBox.select() });
  const takeNote = h("p.note", { role: "status" });

  /** Take the state from the address of the page; returns what this page does not have. */
  function restore() {
    Object.assign(view, start, { outlines: {} });
    const said = fromAddress(address), strange = [];
    if (!said) return strange;
    const ids = [...images.keys()], count = page.classes.length;
    const allowed = { image: ids, second: ids, layer: page.models[0].known, method: page.methods.map((m) => m.id),
      colors: Object.keys(page.colors), scale: Object.keys(SCALES), sign: ["for", "both"], sort: Object.keys(SORTS), tool: Object.keys(POINTERS),
      compare: ["no", "classes", "images", ...(page.models[1] ? ["models"] : [])] };
    const between = { cls: count - 1, against: count - 1, opacity: 100, threshold: 100, zoom: CLOSEST, x: 1, y: 1, center: 255, width: 510 };
    for (const [key, value] of Object.entries(said)) {
      const number = value === "" ? NaN : Number(value);
      if (allowed[key]?.includes(value)) view[key] = value;
      else if (key === "keep") view.keep = value === "true";
      else if (key === "outlines") for (const name of value.split(" ")) view.outlines[name] = true;
      else if (number >= 0 && number <= between[key] && (!/^(cls|against)$/.test(key) || Number.isInteger(number))) view[key] = number;
      else strange.push(`${key} ${value}`);
    }
    if (view.against === view.cls) view.against = view.cls === 0 ? 1 : 0;
    held(view);
    return strange;
  }
  /** What differs from the start, as text; a picture of the reader's own stays where it is. */
  function state() {
    const said = {};
    for (const key of CARRIED) {
      if (key === "image" && image().row == null) continue;
      if (key === "second" && images.get(view.second).row == null) continue;
      if (view[key] !== start[key]) said[key] = typeof view[key] === "number" ? Number(view[key].toFixed(3)) : view[key];
    }
    const outlines = Object.keys(view.outlines).filter((name) => view.outlines[name]);
    return { ...said, ...(outlines.length && { outlines: outlines.join(" ") }) };
  }
  let keeping;
  function keepAddress() { // so that a page that is loaded again shows the same; a notebook's address is its own
    linkBox.hidden = true;
    if (kernel) return;
    clearTimeout(keeping);
    keeping = setTimeout(() => toAddress(address, state()), 300);
  }
  async function link() {
    clearTimeout(keeping);
    linkBox.value = toAddress(address, state());
    const copied = await navigator.clipboard?.writeText(linkBox.value).then(() => true, () => false);
    linkBox.hidden = false;
    const own = panels().some(({ id }) => images.get(id).row == null);
    takeNote.textContent = [copied ? t`The link is copied.` : t`Copy the link above.`,
      ...(own ? [t`Your own picture is not in it: it stays in this page.`] : [])].join(" ");
  }
  function reset() {
    Object.assign(view, start, { outlines: {}, image: view.image, second: view.second, sort: view.sort });
    view.cls = predicted(image());
    takeNote.textContent = t`Everything but the image is as it was at the start.`;
    it.choose({});
  }
  function save() {
    const shown = panels(), item = image(), layer = layerOf(0), size = (v) => v.toFixed(0);
    const lines = [
      `${shown.map((panel) => `${title(images.get(panel.id))}, ${page.models[panel.m].name}: ${page.classes[panel.cls]} ${percent(images.get(panel.id).probs[panel.m][panel.cls])}`).join("; ")}.`,
      `${layer ? t`${methodName()} at ${layer}` : methodName()}, ${signs() ? t`for (red) and against (blue)` : t`what speaks for the class, ${view.colors}`}; ${
        t`maximum ${shown.map((panel) => threeDigits(top(panel))).join(", ")} (from ${SCALES[view.scale]}); opacity ${percent(view.opacity / 100, 0)}, hidden below ${percent(view.threshold / 100, 0)}.`}`,
      `${t`Window center ${size(view.center)}, width ${size(view.width)} of 0 to 255.`} ${
        view.zoom > 1 ? t`Zoom ${view.zoom.toFixed(1)} around ${percent(view.x, 0)}, ${percent(view.y, 0)}.` : t`Zoom ${view.zoom.toFixed(1)}.`} ${
        t`Made with cxrlib for teaching, not for diagnosis.`}`,
    ];
    const pictures = shown.map((panel, i) => ({ title: nameOf(panel), picture: it.figures[i].canvas }));
    savePicture(`map-${item.row == null ? `own-picture-${item.id.slice(1)}` : `image-${item.row}`}-${page.classes[view.cls].replace(/[^\w-]+/g, "-")}.png`, pictures, lines);
    takeNote.textContent = shown.some(({ id }) => images.get(id).row == null)
      ? t`Saved with its settings. It shows your own picture: mind whom it may name.` : t`Saved with its settings.`;
  }
  return { linkBox, takeNote, restore, keepAddress, link, reset, save, asked: () => fromAddress(address) };
}
