// What a reader takes along: a picture of what is shown with its settings beneath, and a link that brings them back.

/** Canvases side by side, each under its title, and lines of text beneath: a PNG that is saved as `name`. */
function savePicture(name, panels, lines) {
  const side = 640, gap = 16, font = (size, kind = "") => `${kind} ${size}px system-ui, sans-serif`;
  const canvas = h("canvas", { width: panels.length * (side + gap) + gap, height: 10 }), pen = canvas.getContext("2d");
  pen.font = font(16);
  const wrapped = lines.flatMap((line) => {
    const rows = [];
    for (const word of line.split(" ")) {
      const longer = rows.length ? `${rows.at(-1)} ${word}` : word;
      if (rows.length && pen.measureText(longer).width <= canvas.width - 2 * gap) rows[rows.length - 1] = longer;
      else rows.push(word);
    }
    return rows;
  });
  canvas.height = side + 62 + 22 * wrapped.length + gap;
  pen.fillStyle = "#fff";
  pen.fillRect(0, 0, canvas.width, canvas.height);
  pen.fillStyle = "#1f2933";
  panels.forEach(({ title, picture }, i) => {
    const left = gap + i * (side + gap);
    pen.font = font(17, "bold");
    pen.fillText(title, left, 28, side);
    pen.drawImage(picture, left, 40, side, side);
  });
  pen.font = font(16);
  wrapped.forEach((line, i) => pen.fillText(line, gap, side + 66 + 22 * i));
  canvas.toBlob((blob) => {
    const address = URL.createObjectURL(blob);
    h("a", { href: address, download: name }).click();
    setTimeout(() => URL.revokeObjectURL(address), 60_000);
  });
}

/** What the part of the address behind # says for the widget of this name: { key: text }, or null. */
function fromAddress(name) {
  const [whose, said] = location.hash.slice(1).split("?");
  return whose === name && said ? Object.fromEntries(new URLSearchParams(said)) : null;
}

/** Put a state behind the address of this page, without a step in its history; returns the link. */
function toAddress(name, state) {
  const link = new URL(location.href);
  link.hash = `${name}?${new URLSearchParams(state)}`;
  try {
    history.replaceState(history.state, "", link);
  } catch { /* a frame without an address of its own: the link is all there is */ }
  return link.href;
}
