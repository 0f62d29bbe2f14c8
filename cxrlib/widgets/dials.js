// Phantom dials: every setting was computed before; the browser only shows the right picture.

const WORDS = ["no lesion to be seen", "a faint lesion", "a lesion as in real images", "a clear lesion", "a very clear lesion"];

function render({ model, el }) {
  const root = widget("cxr-dials", "Phantom dials");
  el.append(root);
  const stop = followTheme(root);
  const { diseases, contrasts, ages, size, images, masks } = model.get("page");
  const now = { disease: diseases[0], contrast: contrasts.indexOf(1), age: 0, bed: 0 };

  const picture = h("img", { width: size, height: size });
  const lesion = h("div.lesion", { hidden: true });
  const disease = h("select", { onchange: () => { now.disease = disease.value; update(); } }, ...diseases.map((d) => h("option", {}, d)));
  const contrast = slider("Contrast of the lesion", { min: 0, max: contrasts.length - 1, step: 1, value: now.contrast },
    (i) => `${contrasts[i].toFixed(1)}`, (i) => { now.contrast = i; update(); });
  const age = h("select", { onchange: () => { now.age = age.selectedIndex; update(); } }, ...ages.map((a) => h("option", {}, a)));
  const bed = h("input", { type: "checkbox", onchange: () => { now.bed = bed.checked ? 1 : 0; update(); } });
  const shown = h("input", { type: "checkbox", onchange: () => { lesion.hidden = !shown.checked; } });
  const said = h("p.note", { role: "status" });
  root.append(h("div.columns", {}, h("div.frame", {}, picture, lesion),
    h("div.dials", {}, h("label.field", {}, "Disease (another disease is another patient)", disease), contrast.field,
      h("label.field", {}, "Age", age), h("label.tick", {}, bed, " image taken in bed"),
      h("label.tick", {}, shown, " show where the lesion is"), said)));

  function update() {
    picture.src = images[`${now.disease}/${now.contrast}/${now.age}/${now.bed}`];
    const mask = `url("${masks[`${now.disease}/${now.age}/${now.bed}`]}")`;
    lesion.style.maskImage = mask;
    lesion.style.webkitMaskImage = mask;
    said.textContent = `${now.disease}: ${WORDS[now.contrast]}; ${ages[now.age]}${now.bed ? ", in bed" : ""}.`;
    picture.alt = `Phantom X-ray. ${said.textContent}`;
  }
  update();
  return stop;
}

export default { render };
