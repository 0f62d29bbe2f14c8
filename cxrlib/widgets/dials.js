// Phantom dials: every setting was computed before; the browser only shows the right picture.

const WORDS = [t`no lesion to be seen`, t`a faint lesion`, t`a lesion as in real images`, t`a clear lesion`, t`a very clear lesion`];
const AGES = { child: t`child`, adult: t`adult` };
const TRUE = { color: "#ffffff", dash: [4, 3] }, FOUND = { color: "#7fd4ff", dash: [] };

function render({ model, el }) {
  const root = widget("cxr-dials", t`Phantom dials`);
  el.append(root);
  const stop = followTheme(root);
  const { diseases, contrasts, ages, size, images, masks, turns = [0], lungs, found = {} } = model.get("page");
  const now = { disease: diseases[0], contrast: contrasts.indexOf(1), age: 0, bed: 0, turn: 0, way: Object.keys(found)[0] };

  const picture = h("img", { width: size, height: size });
  const lesion = h("div.lesion", { hidden: true }), borders = h("canvas", { "aria-hidden": "true" });
  const disease = h("select", { onchange: () => { now.disease = disease.value; update(); } }, ...diseases.map((d) => h("option", {}, d)));
  const contrast = slider(t`Contrast of the lesion`, { min: 0, max: contrasts.length - 1, step: 1, value: now.contrast },
    (i) => `${contrasts[i].toFixed(1)}`, (i) => { now.contrast = i; update(); });
  const age = h("select", { onchange: () => { now.age = age.selectedIndex; update(); } }, ...ages.map((a) => h("option", {}, AGES[a])));
  const bed = h("input", { type: "checkbox", onchange: () => { now.bed = bed.checked ? 1 : 0; update(); } });
  const shown = h("input", { type: "checkbox", onchange: () => { lesion.hidden = !shown.checked; } });
  const said = h("p.note", { role: "status" });
  const way = h("select", { onchange: () => { now.way = way.value; update(); } }, ...Object.keys(found).map((name) => h("option", {}, name)));
  const turn = slider(t`Turned`, { min: 0, max: turns.length - 1, step: 1, value: 0 }, (i) => `${turns[i]}°`, (i) => { now.turn = i; update(); });
  const seeks = !now.way ? [] : [turn.field, h("label.field", {}, t`Who looks for the lungs`, way)];
  const key = now.way ? [h("p.key.note", {}, h("i", { style: `border-color:${FOUND.color}` }), ` ${t`found`} `, h("i", { style: "border-style:dashed" }), ` ${t`true lungs`}`)] : [];
  root.append(h("div.columns", {}, h("div.frame.stays", {}, picture, lesion, ...(now.way ? [borders] : [])),
    h("div.dials", {}, h("label.field", {}, t`Disease (another disease is another patient)`, disease), contrast.field,
      h("label.field", {}, t`Age`, age), h("label.tick", {}, bed, ` ${t`image taken in bed`}`), ...seeks,
      h("label.tick", {}, shown, ` ${t`show where the lesion is`}`), said, ...key)));

  function update() {
    const end = `${now.age}/${now.bed}${now.turn ? `/${turns[now.turn]}` : ""}`, setting = `${now.disease}/${now.contrast}/${end}`;
    picture.src = images[setting];
    const mask = `url("${masks[`${now.disease}/${end}`]}")`;
    lesion.style.maskImage = mask;
    lesion.style.webkitMaskImage = mask;
    const taken = [AGES[ages[now.age]], ...(now.bed ? [t`in bed`] : []), ...(now.turn ? [t`turned by ${turns[now.turn]}°`] : [])];
    said.textContent = `${now.disease}: ${WORDS[now.contrast]}; ${taken.join(", ")}.`;
    if (now.way) seek(setting, found[now.way][setting]);
    picture.alt = `${t`Phantom X-ray.`} ${said.textContent}`;
  }
  async function seek(setting, { mask, dice }) {
    said.textContent += ` ${now.way}: ${mask ? t`Dice ${digits(dice)}.` : t`no lungs found, Dice ${digits(dice)}.`}`;
    const wanted = said.textContent; // a later setting may be drawn before an earlier one is decoded
    const paths = [[TRUE, outline(await pixels(lungs[setting]))], ...(mask ? [[FOUND, outline(await pixels(mask))]] : [])];
    if (said.textContent === wanted) enlargedOn(borders, h("canvas", { width: size, height: size }), paths);
  }
  update();
  return stop;
}

export default { render };
