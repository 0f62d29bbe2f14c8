// More images for the inspector: another one of the data set, or a picture of the reader's own. Only a kernel or a
// network in the page can take them.

function moreImages(it) {
  const { root, page, kernel, answers, images, maps, view, names, title, decoded, thumbs, listThumbs } = it;
  const ownNote = h("div.own", { hidden: true });
  const rowBox = h("input", { type: "number", min: 0, max: page.total - 1, "aria-label": t`Image number, 0 to ${page.total - 1}`, placeholder: `0–${page.total - 1}` });
  rowBox.addEventListener("keydown", (event) => event.key === "Enter" && addRow());
  const fileBox = h("input", { type: "file", multiple: true, accept: "image/*,.dcm,application/dicom",
    "aria-label": t`Open your own picture: PNG, JPEG or DICOM`, onchange: () => {
      const files = [...fileBox.files];
      fileBox.value = "";
      open(files);
    } });
  const reading = h("p.note", { role: "status", hidden: true }), problem = h("div.problem", { role: "alert", hidden: true });
  const more = h("div.more", {},
    h("div.line", {}, h("label.field.wide", {}, h("span", {}, t`Your own picture (PNG, JPEG, DICOM): drop it here, or choose a file`), fileBox),
      ...(kernel && page.total > page.images.filter((item) => item.row != null).length
        ? [h("label.field", {}, h("span", {}, t`Image 0 to ${page.total - 1}`), h("span.pair", {}, rowBox, h("button", { type: "button", onclick: addRow }, t`Add`)))] : [])),
    reading, problem);

  if (answers) { // a picture can also be dropped anywhere on the inspector
    const over = (event) => {
      const files = event.dataTransfer?.types.includes("Files");
      if (files) event.preventDefault();
      root.classList.toggle("drop", Boolean(files) && event.type !== "dragleave" && event.type !== "drop");
    };
    for (const name of ["dragover", "dragleave", "drop"]) root.addEventListener(name, over);
    root.addEventListener("drop", (event) => open([...event.dataTransfer.files]));
  }

  async function addRow() {
    const row = Number(rowBox.value);
    problem.replaceChildren();
    if (rowBox.value === "" || !Number.isInteger(row) || row < 0 || row >= page.total) {
      return complain(rowBox.value ? t`There is no image ${rowBox.value}; give a whole number from 0 to ${page.total - 1}.`
        : t`Which image? Give a whole number from 0 to ${page.total - 1}.`);
    }
    const answer = await answers.row(row);
    if (answer.image) accept(answer);
    else complain(answer.text);
  }
  let opening = Promise.resolve();
  function open(files) { // one after the other
    opening = opening.then(() => problem.replaceChildren());
    for (const file of files) opening = opening.then(() => addFile(file));
  }
  async function addFile(file) {
    // while it is read, and when it cannot be, nothing of another picture may look like its answer
    it.main.hidden = it.controls.hidden = true;
    for (const radio of thumbs.querySelectorAll("input")) radio.checked = false;
    reading.textContent = t`Reading ${file.name}…`;
    reading.hidden = false;
    const slow = setTimeout(() => { reading.textContent += ` ${t`When another cell is running, the answer may come after it.`}`; }, BUSY);
    const answer = await upload(file).catch((error) => ({ text: t`This file cannot be read (${error.message}). Is it a folder?` }));
    clearTimeout(slow);
    reading.hidden = true;
    if (!answer.image) return complain(`${file.name}: ${answer.text} ${t`Choose another file, or one of the images below.`}`);
    names.set(answer.image.id, file.name);
    accept(answer);
    problem.hidden = !problem.childElementCount; // of the files before
  }
  async function upload(file) {
    if (file.size > page.upload) {
      return { text: t`This file has ${Math.round(file.size / 2 ** 20)} MB; at most ${page.upload / 2 ** 20} MB can be opened. Save it smaller.` };
    }
    return answers.open(new Uint8Array(await file.arrayBuffer()));
  }
  async function removeOwn(item) {
    const answer = await answers.remove(item.id);
    if (answer.text) return complain(answer.text);
    for (const held of [images, names, decoded]) held.delete(item.id);
    for (const key of [...maps.keys()]) if (key.split("|")[1] === item.id) maps.delete(key);
    const left = [...images.keys()];
    it.choose({ image: left.at(-1), second: view.second === item.id ? left[0] : view.second });
    listThumbs();
    thumbs.querySelector("input:checked").focus();
  }
  /** What an own picture was, and what the network sees of it. */
  function showOwn(item) {
    ownNote.hidden = item.row != null;
    if (item.row != null) return;
    const [wide, high] = item.file, n = page.size;
    const squeezed = Math.abs(wide / high - 1) > 0.01;
    const [from, to] = [`${wide} × ${high}`, `${n} × ${n}`];
    const seen = squeezed && wide > high ? t`The network sees it squeezed from ${from} pixels to a square of ${to}, so that all in it looks narrower.`
      : squeezed ? t`The network sees it squeezed from ${from} pixels to a square of ${to}, so that all in it looks flatter.`
        : wide === n ? t`The network sees it as it is, ${to} pixels.`
          : wide > n ? t`The network sees it reduced from ${from} to ${to} pixels.` : t`The network sees it enlarged from ${from} to ${to} pixels.`;
    ownNote.classList.toggle("squeezed", squeezed);
    ownNote.replaceChildren(h("span", {}, h("b", {}, [title(item), names.get(item.id)].filter(Boolean).join(": ")), ` ${seen}`,
      ...(item.notes ?? []).map((note) => ` ${note[0].toUpperCase()}${note.slice(1).replace(/\.$/, "")}.`)),
      h("button", { type: "button", onclick: () => removeOwn(item) }, t`Remove`));
  }
  function accept(answer) {
    images.set(answer.image.id, answer.image);
    it.choose({ image: answer.image.id });
    listThumbs();
    thumbs.querySelector("input:checked").closest("label").scrollIntoView({ block: "nearest", inline: "center" });
  }
  function complain(text) {
    problem.append(h("p", {}, text));
    problem.hidden = false;
  }
  return { more, ownNote, problem, showOwn };
}
