// Phantom dials: every setting was computed before; the browser only shows the right picture.

const WORDS = ["no lesion to be seen", "a faint lesion", "a lesion as in real images", "a clear lesion", "a very clear lesion"];
const TRUE = { color: "#ffffff", dash: [4, 3] }, FOUND = { color: "#7fd4ff", dash: [] };

function render({ model, el }) {
  const root = widget("cxr-dials", "Phantom dials");
  el.append(root);
  const stop = followTheme(root);
  const { diseases, contrasts, ages, size, images, masks, turns = [0], lungs, found = {} } = model.get("page");
  const now = { disease: diseases[0], contrast: contrasts.indexOf(1), age: 0, bed: 0, turn: 0, way: Object.keys(found)[0] };

  const picture = h("img", { width: size, height: size });
  const lesion = h("div.lesion", { hidden: true }), borders = h("canvas", { "aria-hidden": "true" });
  const disease = h("select", { onchange: () => { now.disease = disease.value; update(); } }, ...diseases.map((d) => h("option", {}, d)));
  const contrast = slider("Contrast of the lesion", { min: 0, max: contrasts.length - 1, step: 1, value: now.contrast },
    (i) => `${contrasts[i].toFixed(1)}`, (i) => { now.contrast = i; update(); });
  const age = h("select", { onchange: () => { now.age = age.selectedIndex; update(); } }, ...ages.map((a) => h("option", {}, a)));
  const bed = h("input", { type: "checkbox", onchange: () => { now.bed = bed.checked ? 1 : 0; update(); } });
  const shown = h("input", { type: "checkbox", onchange: () => { lesion.hidden = !shown.checked; } });
  const said = h("p.note", { role: "status" });
  const way = h("select", { onchange: () => { now.way = way.value; update(); } }, ...Object.keys(found).map((name) => h("option", {}, name)));
  const turn = slider("Turned", { min: 0, max: turns.length - 1, step: 1, value: 0 }, (i) => `${turns[i]}°`, (i) => { now.turn = i; update(); });
  const seeks = !now.way ? [] : [turn.field, h("label.field", {}, "Who looks for the lungs", way)];
  const key = now.way ? [h("p.key.note", {}, h("i", { style: `border-color:${FOUND.color}` }), " found ", h("i", { style: "border-style:dashed" }), " true lungs")] : [];
  root.append(h("div.columns", {}, h("div.frame.stays", {}, picture, lesion, ...(now.way ? [borders] : [])),
    h("div.dials", {}, h("label.field", {}, "Disease (another disease is another patient)", disease), contrast.field,
      h("label.field", {}, "Age", age), h("label.tick", {}, bed, " image taken in bed"), ...seeks,
      h("label.tick", {}, shown, " show where the lesion is"), said, ...key)));

  function update() {
    const end = `${now.age}/${now.bed}${now.turn ? `/${turns[now.turn]}` : ""}`, setting = `${now.disease}/${now.contrast}/${end}`;
    picture.src = images[setting];
    const mask = `url("${masks[`${now.disease}/${end}`]}")`;
    lesion.style.maskImage = mask;
    lesion.style.webkitMaskImage = mask;
    said.textContent = `${now.disease}: ${WORDS[now.contrast]}; ${ages[now.age]}${now.bed ? ", in bed" : ""}`;
    if (now.turn) said.textContent += `, turned by ${turns[now.turn]}°`;
    said.textContent += ".";
    if (now.way) seek(setting, found[now.way][setting]);
    picture.alt = `Phantom X-ray. ${said.textContent}`;
  }
  async function seek(setting, { mask, dice }) {
    said.textContent += ` ${now.way}: ${mask ? "" : "no lungs found, "}Dice ${digits(dice)}.`;
    const wanted = said.textContent; // a later setting may be drawn before an earlier one is decoded
    const paths = [[TRUE, outline(await pixels(lungs[setting]))], ...(mask ? [[FOUND, outline(await pixels(mask))]] : [])];
    if (said.textContent === wanted) enlargedOn(borders, h("canvas", { width: size, height: size }), paths);
  }
  update();
  return stop;
}

export default { render };
