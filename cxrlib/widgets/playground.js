// The augmentation playground: what cxrlib.augment.Augment does, in the browser, and what each change claims.

const CONTROLS = {
  // key: label, lowest, highest, step, value that changes nothing, how it is shown
  rotate: [t`Rotation`, -45, 45, 0.5, 0, (v) => `${signed(v, 1)}°`],
  shiftX: [t`Shift to the right`, -0.3, 0.3, 0.005, 0, (v) => `${signed(100 * v, 1)}\u00a0%`],
  shiftY: [t`Shift down`, -0.3, 0.3, 0.005, 0, (v) => `${signed(100 * v, 1)}\u00a0%`],
  zoom: [t`Zoom`, 0.5, 1.6, 0.01, 1, (v) => `× ${v.toFixed(2)}`],
  brightness: [t`Brightness`, -0.4, 0.4, 0.01, 0, (v) => signed(v, 2)],
  contrast: [t`Contrast`, 0.3, 1.7, 0.01, 1, (v) => `× ${v.toFixed(2)}`],
  gamma: [t`Gamma`, 0.4, 2.5, 0.01, 1, (v) => v.toFixed(2)],
  blur: [t`Blur`, 0, 3, 0.05, 0, (v) => `${v.toFixed(2)} px`],
  noise: [t`Noise`, 0, 0.15, 0.005, 0, (v) => v.toFixed(3)],
};
const START = { flip: false, seed: 1, ...Object.fromEntries(Object.entries(CONTROLS).map(([key, c]) => [key, c[4]])) };

/** All changes in the order of Augment: geometry, blur, gamma, contrast and brightness, noise; cut to [0, 1]. */
function augmented(values, n, settings) {
  const { brightness, contrast, gamma, blur, noise } = settings;
  let x = geometry(values, n, settings);
  if (blur > 0) x = gaussian(x, n, blur);
  if (gamma !== 1) x = x.map((v) => Math.min(Math.max(v, 0), 1) ** gamma);
  const mean = x.reduce((a, b) => a + b, 0) / x.length;
  x = x.map((v) => v * contrast + mean * (1 - contrast) + brightness);
  if (noise > 0) {
    const draw = uniform(settings.seed);
    x = x.map((v) => v + noise * Math.sqrt(-2 * Math.log(1 - draw())) * Math.cos(2 * Math.PI * draw()));
  }
  return x.map((v) => Math.min(Math.max(v, 0), 1));
}

/** Random settings from the ranges of an Augment. */
function drawn(ranges, draw = Math.random) {
  const spread = (range) => (2 * draw() - 1) * range;
  return {
    flip: draw() < ranges.flip,
    rotate: spread(ranges.rotate),
    shiftX: spread(ranges.shift),
    shiftY: spread(ranges.shift),
    zoom: 1 + spread(ranges.zoom),
    brightness: spread(ranges.brightness),
    contrast: 1 + spread(ranges.contrast),
    gamma: Math.exp(spread(Math.log1p(ranges.gamma))),
    blur: draw() * ranges.blur,
    noise: draw() * ranges.noise,
    seed: Math.floor(draw() * 2 ** 31),
  };
}

/** The part of the new picture that is black because it comes from outside, where the old picture's border is not black. */
function blackened(values, n, settings) {
  const [[a, b, c], [d, e, f]] = matrix(settings), inside = (k) => Math.min(Math.max(Math.floor(k), 0), n - 1);
  let seen = 0;
  for (let row = 0; row < n; row++) {
    for (let column = 0; column < n; column++) {
      const x = (2 * column + 1) / n - 1, y = (2 * row + 1) / n - 1;
      const u = a * x + b * y + c, v = d * x + e * y + f;
      if (Math.max(Math.abs(u), Math.abs(v)) <= 1) continue;
      if (values[inside(((v + 1) * n) / 2) * n + inside(((u + 1) * n) / 2)] > 0.15) seen++;
    }
  }
  return seen / (n * n);
}

/** [change, claim, doubt]: what the settings say about the world; doubt is why this may be false of this image. */
function claims(settings, { angles, marker }, black) {
  const found = [];
  const say = (change, claim, doubt = "") => found.push([change, claim, doubt]);
  const outside = (place) => forward(settings, place).some((v) => Math.abs(v) > 1);
  if (settings.flip) {
    say(t`Flip`, t`left and right do not matter.`, marker && !outside(marker.at)
      ? t`The heart now lies on the other side of the chest, as in about 1 person in 10,000 (situs inversus), and the marker ${marker.text} is mirrored, as on no film.`
      : t`The heart now lies on the other side of the chest, as in about 1 person in 10,000 (situs inversus).`);
  }
  if (settings.rotate) {
    say(t`Rotation`, t`how straight the patient stood does not matter.`,
      Math.abs(settings.rotate) > 15 ? t`Nobody is imaged this crooked.` : "");
  }
  if (settings.shiftX || settings.shiftY) say(t`Shift`, t`where the chest lies in the picture does not matter.`);
  if (settings.zoom !== 1) {
    say(t`Zoom`, t`the size of the chest does not matter.`,
      Math.abs(Math.log(settings.zoom)) > Math.log(1.25) ? t`Size tells a small child from an older one.` : "");
  }
  if (black > 0.002) {
    say(t`Black border`, t`a border that no film has does not matter.`,
      t`${percent(black)} of this picture is black where the film was not: it tells the network that the picture was changed.`);
  }
  const cut = angles.filter(outside).length;
  if (cut) {
    say(t`Cut off`, t`what has left the picture does not matter.`, cut > 1
      ? t`${cut} of ${angles.length} costophrenic angles are outside. Fluid collects there first; the label has not changed.`
      : t`1 of ${angles.length} costophrenic angles is outside. Fluid collects there first; the label has not changed.`);
  }
  if (marker && outside(marker.at)) say(t`Cut off`, t`the marker ${marker.text} does not matter.`, t`Nothing in the picture now says which side is which.`);
  const strong = Math.abs(settings.brightness) > 0.2 || Math.abs(settings.contrast - 1) > 0.4 || Math.abs(Math.log(settings.gamma)) > Math.log(1.6);
  if (settings.brightness || settings.contrast !== 1 || settings.gamma !== 1) {
    say(t`Exposure`, t`how dark or bright the film is does not matter.`,
      strong ? t`In a lung that is too white or too black, nobody can see a faint opacity.` : "");
  }
  if (settings.blur) say(t`Blur`, t`sharpness does not matter.`, settings.blur > 1.2 ? t`Fine lines, such as those of viral pneumonia, cannot be seen in it.` : "");
  if (settings.noise) say(t`Noise`, t`the grain of the film does not matter.`, settings.noise > 0.06 ? t`Faint vessels and lines cannot be seen in it.` : "");
  return found;
}

function paint(canvas, values, n) {
  const pen = canvas.getContext("2d"), picture = pen.createImageData(n, n);
  values.forEach((v, i) => picture.data.set([255 * v, 255 * v, 255 * v, 255], 4 * i));
  pen.putImageData(picture, 0, 0);
}

function render({ model, el }) {
  const root = widget("cxr-play", t`Augmentation playground`);
  el.append(root);
  const stop = followTheme(root);
  const page = model.get("page"), n = page.size;
  let settings = { ...START }, values = null, waiting = false, networks = null, first = null;

  const before = h("canvas", { width: n, height: n, role: "img", "aria-label": t`X-ray of class ${page.class}, as it is` });
  const after = h("canvas", { width: n, height: n, role: "img" });
  const flip = h("input", { type: "checkbox", onchange: () => set({ flip: flip.checked }) });
  const sliders = Object.fromEntries(Object.entries(CONTROLS).map(([key, [label, min, max, step, value, show]]) =>
    [key, slider(label, { min, max, step, value }, show, (v) => set({ [key]: v }))]));
  const list = h("ul"), claimed = h("div.claims", { role: "status" }, h("h3", {}, t`What this picture claims`), list);
  const said = needles(page.networks.map(({ name }) => name), page.classes, page.target), status = h("p.note", { role: "status" });
  const answers = page.networks.length ? [
    h("p.note", {}, t`Probability of ${page.classes[page.target]}. Dashed: before you changed anything.`), ...said.figures, said.spoken] : [];
  root.append(h("div.top", {},
    h("div", {},
      h("div.pair.stays", {},
        h("figure", {}, h("figcaption", {}, t`As it is`), before),
        h("figure", {}, h("figcaption", {}, t`Augmented`), after), ...answers),
      h("div.sliders", {}, h("label.tick", {}, flip, t`Horizontal flip`), ...Object.values(sliders).map((s) => s.field)),
      h("div.line", {},
        h("button", { type: "button", onclick: () => move(drawn(page.ranges)) }, t`Draw at random`),
        h("button", { type: "button", onclick: () => move({ ...START }) }, t`Back to the original`),
        h("span.note", {}, t`Ranges of ${page.name}.`))),
    claimed)); // below or beside the sliders: they must not move when the text grows
  if (answers.length) root.append(status);

  function set(changes) {
    settings = { ...settings, ...changes };
    if (!waiting) requestAnimationFrame(draw); // however fast a slider moves, one picture a frame
    waiting = true;
  }

  function move(to) { // settings that were not made with the sliders: the sliders follow
    flip.checked = to.flip;
    for (const [key, slider] of Object.entries(sliders)) slider.set(to[key]);
    set(to);
  }

  function draw() {
    waiting = false;
    if (!values) return;
    const changed = augmented(values, n, settings);
    paint(after, changed, n);
    if (networks) {
      const gray = Float32Array.from(changed), told = networks.map((net) => net.run(gray, []).probs);
      said.tell(told.map((now, k) => ({ now, was: first[k] })));
      root.dispatchEvent(new CustomEvent("cxr-answered", { detail: { gray, told } }));
    }
    const found = claims(settings, page, blackened(values, n, settings));
    list.replaceChildren(...(found.length ? found.map(([change, claim, doubt]) =>
      h(doubt ? "li.doubt" : "li", {}, h("b", {}, `${change}: `), claim, ...(doubt ? [" ", h("em", {}, t`Doubtful:`), " ", doubt] : [])))
      : [h("li", {}, t`Nothing: it is the original.`)]));
    after.setAttribute("aria-label", found.length ? t`The same X-ray after: ${found.map(([change]) => change).join(", ")}` : t`The same X-ray, unchanged`);
    root.dataset.settings = JSON.stringify(settings);
  }

  const ready = pixels(page.png).then((found) => {
    values = Float64Array.from(found.values, (v) => v / 255);
    paint(before, values, n);
    draw();
  });
  const end = answers.length ? alive(root, model, page.networks.map(({ net }) => net), status, (made) => ready.then(() => {
    networks = made;
    first = networks.map((net) => net.run(Float32Array.from(values), []).probs);
    draw();
  })) : () => {};
  return () => {
    networks = null;
    end();
    stop();
  };
}

export default { render };
