// Look inside: a network, layer by layer, and the arithmetic of one of its numbers.

const SHOWN = 5; // products of a dense layer that are written out
const rounded = (x, n = 2) => `${x < 0 && Number(x.toFixed(n)) ? "−" : ""}${Math.abs(x).toFixed(n)}`;
const many = (n) => n.toLocaleString("en");

const NAMES = {
  picture: () => t`X-ray`, conv: (n) => t`Convolution ${n}`, max: (n) => t`Pooling ${n}`, flatten: () => t`Flatten`,
  mean: () => t`Mean of each map`, dense: (n) => t`Dense layer ${n}`, output: () => t`Output`, softmax: () => t`Softmax`,
};

/** One sentence or two on a layer and the one before it. */
function about({ kind, shape, step }, before, scale) {
  const [rows, columns, maps] = shape, n = many(shape[0]), all = before && many(before.values.length);
  switch (kind) {
    case "picture": return t`${rows} × ${columns} gray values from 0 to 1, brought to the scale that the network expects: minus ${scale[0].toFixed(3)}, divided by ${scale[1].toFixed(3)}.`;
    case "conv": {
      const [high, wide, inputs] = step.weight.shape, kernel = `${high} × ${wide}`;
      return (inputs > 1 ? t`${maps} filters. Each has ${kernel} weights for each of the ${inputs} maps before it, and one bias.`
        : t`${maps} filters of ${kernel} weights, and one bias for each.`) + " " + t`A filter slides over the picture and makes one map of ${rows} × ${columns}. ReLU then turns what is negative into 0.`;
    }
    case "max": return t`Of each ${step.size[0]} × ${step.size[1]} values the largest stays, in each of the ${maps} maps.`;
    case "flatten": return t`All maps become one list of ${n} numbers, map after map, row after row. It is shown here line by line.`;
    case "mean": return t`Each of the ${n} maps becomes one number: the mean of all its values.`;
    case "dense": return t`Each of these ${n} numbers is a weighted sum of all ${all} numbers before it, plus a bias. ReLU then turns what is negative into 0.`;
    case "output": return t`One weighted sum of all ${all} numbers before it for each class, plus a bias: its logit.`;
    default: return t`e to the power of each logit, divided by the sum of them all: probabilities, which add up to 1.`;
  }
}

function render({ model, el }) {
  const page = model.get("page"), n = page.network.size, { classes } = page.network;
  const tables = Object.fromEntries(Object.entries(page.colors).map(([name, text]) => [name, bytes(text)]));
  const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
  const root = widget("cxr-inside", t`Look inside`);
  el.append(root);
  const unfollow = followTheme(root);
  let network = null, layers = [], gray = null, now = 0, shown = 0, inputs = 2, sliding = null, speaking = null;
  const status = h("p.note", { role: "status" }), spoken = h("p.spoken", { "aria-live": "polite" });
  const names = `cxr-inside-${Math.random().toString(36).slice(2)}`; // radio buttons of one widget only

  // --- colors

  const color = (table, part) => tables[table].subarray(3 * Math.min(255, Math.max(0, Math.floor(256 * part))), 3 * Math.min(255, Math.max(0, Math.floor(256 * part))) + 3);
  const signedColor = (most) => (v) => color("RdBu_r", (1 + v / (most || 1)) / 2);
  const largest = (values) => values.reduce((most, v) => Math.max(most, Math.abs(v)), 0);
  /** value -> [r, g, b] of a layer: gray as long as nothing was learned, colors of one scale for all maps of a layer. */
  const colorsOf = (layer) => {
    const k = layers.indexOf(layer), most = largest(layer.values), [mean, deviation] = layers.scale;
    if (layer.kind === "output") return signedColor(most);
    if (!layers.slice(1, k + 1).every(({ kind }) => ["max", "mean", "flatten"].includes(kind))) return (v) => color("magma", v / (most || 1));
    return (v) => Array(3).fill(255 * Math.min(1, Math.max(0, v * deviation + mean)));
  };

  /** Draw cells; `dim` tells those that are not made yet, `edge` cells on each side lie outside of the map. */
  function cells(canvas, [rows, columns], at, { dim = () => false, box, edge = 0 } = {}) {
    const small = h("canvas", { width: columns, height: rows }), pen = small.getContext("2d"), out = pen.createImageData(columns, rows);
    for (let i = 0; i < rows * columns; i++) {
      const rgb = at(Math.floor(i / columns), i % columns);
      if (rgb) out.data.set([...rgb, dim(i) ? 50 : 255], 4 * i);
    }
    pen.putImageData(out, 0, 0);
    const zoom = canvas.dataset.small ? 1 : Math.max(1, Math.floor(480 / Math.max(rows, columns)));
    canvas.width = columns * zoom;
    canvas.height = rows * zoom;
    const big = canvas.getContext("2d");
    big.imageSmoothingEnabled = false;
    big.drawImage(small, 0, 0, canvas.width, canvas.height);
    if (edge) {
      Object.assign(big, { strokeStyle: "#9aa5b1", lineWidth: 1 });
      big.setLineDash([4, 4]);
      big.strokeRect(edge * zoom, edge * zoom, (columns - 2 * edge) * zoom, (rows - 2 * edge) * zoom);
      big.setLineDash([]);
    }
    if (box) framed(big, [box[0] * zoom - 2, box[1] * zoom - 2, box[2] * zoom + 4, box[3] * zoom + 4]);
  }

  // --- where the reader is

  const layer = () => layers[now], before = () => layers[now - 1];
  const flat = (one) => one.shape.length === 1;
  /** Rows and columns of what is pointed at: of a map, or of a list that is written line by line. */
  const gridOf = ({ shape }) => {
    if (shape.length > 1) return shape.slice(0, 2);
    const columns = shape[0] > 8 ? Math.ceil(Math.sqrt(shape[0])) : shape[0];
    return [Math.ceil(shape[0] / columns), columns];
  };
  const unitOf = (one) => one.place.row * gridOf(one)[1] + one.place.column;
  const valueHere = (one) => (flat(one) ? one.values[unitOf(one)] : valueAt(one, one.place.row, one.place.column, one.place.map));
  /** Where the reader begins: at the strongest value of a layer, of maps near their middle. */
  const strongest = (one) => {
    const [rows, columns] = gridOf(one), maps = one.shape[2] ?? 1, size = (i) => {
      const row = Math.floor(i / maps / columns), column = Math.floor(i / maps) % columns;
      return flat(one) || (4 * row >= rows - 1 && 4 * row < 3 * rows && 4 * column >= columns - 1 && 4 * column < 3 * columns) ? Math.abs(one.values[i]) : -1;
    };
    const top = one.values.reduce((best, _, i) => (size(i) > size(best) ? i : best), 0), cell = Math.floor(top / maps);
    return { map: top % maps, row: Math.floor(cell / columns), column: cell % columns, input: 0 };
  };
  const goTo = (row, column) => {
    const one = layer(), [rows, columns] = gridOf(one), inside = (v, size) => Math.min(Math.max(v, 0), size - 1);
    one.place.row = inside(row, rows);
    one.place.column = inside(column, flat(one) ? Math.min(columns, one.shape[0] - one.place.row * columns) : columns);
    draw();
  };

  // --- what is on the page

  const beforeCanvas = h("canvas", { role: "img" }), beforeWords = h("figcaption");
  const afterCanvas = h("canvas.hand", { tabindex: 0, role: "application" }), afterWords = h("figcaption");
  const beforeFigure = h("figure", {}, beforeWords, beforeCanvas), afterFigure = h("figure", {}, afterWords, afterCanvas);
  const chips = h("div.chips"), words = h("p.about"), sum = h("div.sum"), thumbs = h("div.thumbs"), said = h("p.said");
  const gallery = h("fieldset.gallery", {}, h("legend", {}, t`All maps of this layer: choose one to enlarge it`), thumbs);
  const input = slider(t`Map before it`, { min: 1, max: 2, step: 1, value: 1 }, (v) => t`${v} of ${inputs}`, (v) => {
    layer().place.input = v - 1;
    draw();
  });
  const slide = h("button", { type: "button", onclick: () => (still ? step(1) : sliding ? halt() : start()) });
  const next = h("button", { type: "button", onclick: () => chips.querySelectorAll("input")[(now + 1) % layers.length].click() }, t`Next layer`);
  const pick = h("select", { "aria-label": t`Picture`, onchange: () => choose(Number(pick.value)) },
    ...page.images.map(({ label }, k) => h("option", { value: k }, `${k + 1}: ${classes[label]}`)));
  const body = h("div", { hidden: true },
    h("fieldset.layers", {}, h("legend", {}, t`Layers`), chips), words,
    h("div.stage.stays", {}, beforeFigure, afterFigure), h("div.line", {}, input.field, slide, next), sum, gallery, spoken);
  root.append(h("div.line", {}, h("label.field", {}, h("span", {}, t`Picture`), pick), said), body, status);

  const sizeOf = (one) => (flat(one) ? many(one.shape[0]) : [one.shape[2], one.shape[0], one.shape[1]].filter((v, i) => i || v > 1).join(" × "));
  function listLayers() {
    chips.replaceChildren(...layers.map((one, k) => {
      const name = NAMES[one.kind](one.number), size = sizeOf(one);
      return h("label", { title: name }, h("input", { type: "radio", name: `${names}-layer`, checked: k === now,
        "aria-label": name === one.letter ? `${name} ${size}` : `${one.letter} ${size}: ${name}`, onchange: () => show(k) }), h("b", {}, one.letter), h("span", {}, size));
    }));
  }

  function show(k) {
    halt();
    now = k;
    const one = layer(), maps = one.shape[2] ?? 1;
    gallery.hidden = maps < 2;
    thumbs.replaceChildren(...(maps < 2 ? [] : Array.from({ length: maps }, (_, map) => h("label", {},
      h("input", { type: "radio", name: `${names}-map`, checked: map === one.place.map, "aria-label": t`Map ${map + 1}`, onchange: () => {
        halt();
        one.place.map = map;
        draw();
      } }), h("canvas", { "aria-hidden": "true", "data-small": 1 })))));
    drawThumbs();
    draw();
  }
  function drawThumbs() {
    const one = layer(), paint = colorsOf(one);
    thumbs.querySelectorAll("canvas").forEach((canvas, map) => cells(canvas, gridOf(one), (r, c) => paint(valueAt(one, r, c, map))));
  }

  // --- the arithmetic

  const grid = (title, values, wide, paint, strong) => h("table.grid", {}, h("caption", {}, title), ...Array.from({ length: values.length / wide }, (_, row) =>
    h("tr", {}, ...Array.from(values.slice(row * wide, (row + 1) * wide), (v, column) => {
      const [r, g, b] = paint(v), dark = 0.2126 * (r / 255) ** 2.2 + 0.7152 * (g / 255) ** 2.2 + 0.0722 * (b / 255) ** 2.2 < 0.179;
      return h(row * wide + column === strong ? "td.strong" : "td", { style: `background:rgb(${r},${g},${b});color:${dark ? "#fff" : "#000"}` }, rounded(v));
    }))));
  const ledger = (...rows) => h("table.ledger", {}, ...rows.map(([name, value, kind]) => h(kind ? `tr.${kind}` : "tr", {}, h("td.name", {}, name), h("td", {}, value))));
  const rectified = (total) => [[t`sum`, signed(total), "total"],
    [total > 0 ? t`above 0: ReLU keeps it` : t`not above 0: ReLU makes it 0`, rounded(Math.max(total, 0), 3), "result"]];
  /** What each map before adds, as bars. */
  const bars = (parts, chosen) => {
    const most = Math.max(...parts.map(({ sum: v }) => Math.abs(v)), 1e-9), wide = 200 / parts.length;
    return svg("svg.bars", { viewBox: "0 0 200 44", "aria-hidden": "true" }, svg("line", { x1: 0, x2: 200, y1: 22, y2: 22 }),
      ...parts.map(({ sum: v }, k) => svg(k === chosen ? "rect.chosen" : "rect", { x: k * wide + wide * 0.15, width: wide * 0.7,
        y: 22 - Math.max(0, (20 * v) / most), height: Math.max(0.6, (20 * Math.abs(v)) / most) })));
  };

  const ARITHMETIC = {
    picture: (one) => {
      const [mean, deviation] = layers.scale, v = valueHere(one);
      return { total: v, parts: [ledger([t`gray value`, rounded(v * deviation + mean, 3)], [t`minus ${mean.toFixed(3)}`, signed(v * deviation)],
        [t`divided by ${deviation.toFixed(3)}: what the network gets`, signed(v), "result"])] };
    },
    conv: (one) => {
      const made = convolved(one, before(), one.place), { patch, weights, products, sum: part } = made.parts[one.place.input];
      const several = made.parts.length > 1, size = patch.length;
      return { total: made.sum, made, parts: [
        h("div.grids", {}, grid(t`values`, patch, made.wide, colorsOf(before())), h("span", {}, "×", grid(t`weights`, weights, made.wide, signedColor(largest(one.weight)))),
          h("span", {}, "=", grid(t`products`, products, made.wide, signedColor(largest(products)))),
          ...(several ? [h("div", {}, h("p.note", {}, t`What each of the ${made.parts.length} maps before it adds:`), bars(made.parts, one.place.input))] : [])),
        ledger(several ? [t`these ${size} products, of map ${one.place.input + 1}`, signed(part)] : [t`the ${size} products added up`, signed(part)],
          ...(several ? [[t`products of the other ${made.parts.length - 1} maps`, signed(made.sum - made.bias - part)]] : []),
          [t`bias`, signed(made.bias)], ...rectified(made.sum)),
      ] };
    },
    max: (one) => {
      const { patch, wide, sum: total } = pooled(one, before(), one.place);
      return { total, parts: [h("div.grids", {}, grid(t`values`, patch, wide, colorsOf(before()), patch.indexOf(total))), ledger([t`the largest`, rounded(total, 3), "result"])] };
    },
    mean: (one) => {
      const [rows, columns] = before().shape, v = valueHere(one);
      return { total: v, parts: [ledger([t`sum of the ${many(rows * columns)} values of map ${unitOf(one) + 1}`, rounded(v * rows * columns)], [t`divided by ${many(rows * columns)}`, rounded(v, 3), "result"])] };
    },
    flatten: (one) => {
      const { map, row, column } = origin(one, unitOf(one));
      return { total: valueHere(one), parts: [ledger([t`number ${many(unitOf(one) + 1)} of the list: map ${map + 1}, row ${row + 1}, column ${column + 1}`, rounded(valueHere(one), 3), "result"])] };
    },
    dense: (one) => {
      const unit = unitOf(one), made = weighed(one, before(), unit), top = made.order.slice(0, SHOWN);
      const rest = made.order.slice(SHOWN).reduce((total, i) => total + made.products[i], 0);
      return { total: made.sum, made, parts: [ledger(
        ...top.map((i) => [t`number ${many(i + 1)}: ${rounded(before().values[i])} × ${rounded(made.weights[i])}`, signed(made.products[i])]),
        ...(made.order.length > SHOWN ? [[t`the other ${many(made.order.length - SHOWN)} products`, signed(rest)]] : []), [t`bias`, signed(made.bias)],
        ...(one.kind === "dense" ? rectified(made.sum) : [[t`sum: the logit of ${classes[unit]}`, signed(made.sum), "result"]]))] };
    },
    softmax: (one) => {
      const logits = before().values, powers = Array.from(logits, (v) => Math.exp(v));
      return { total: valueHere(one), parts: [scrolling(t`From logits to probabilities`, h("table", {},
        h("thead", {}, h("tr", {}, ...[t`class`, t`logit`, t`e to this power`, t`divided by the sum`].map((text) => h("th", { scope: "col" }, text)))),
        h("tbody", {}, ...classes.map((name, k) => h("tr", {}, h("td.name", {}, name), h("td", {}, signed(logits[k], 2)), h("td", {}, rounded(powers[k])), h("td", {}, percent(one.values[k]))))),
        h("tfoot", {}, h("tr", {}, h("td.name", {}, t`sum`), h("td"), h("td", {}, rounded(powers.reduce((a, b) => a + b))), h("td", {}, percent(1))))))] };
    },
  };
  ARITHMETIC.output = ARITHMETIC.dense;
  /** Where a number of the list was in the maps. */
  const origin = (one, i) => {
    const [rows, columns] = layers[layers.indexOf(one) - 1].shape;
    return { map: Math.floor(i / (rows * columns)), row: Math.floor((i % (rows * columns)) / columns), column: i % columns };
  };

  /** The maps before: [what, shape, cell -> color, options]. */
  function drawBefore(one, made) {
    const old = before();
    beforeFigure.hidden = !old || one.kind === "softmax";
    if (beforeFigure.hidden) return;
    const { map, row, column, input } = one.place, paint = colorsOf(old), [rows, columns] = gridOf(old);
    const which = (k) => (old.kind === "picture" ? t`before: the X-ray` : t`before: map ${k + 1} of ${old.shape[2]}`);
    const drawMap = (k, box, edge = 0) => {
      beforeWords.textContent = which(k);
      cells(beforeCanvas, [rows + 2 * edge, columns + 2 * edge], (r, c) => paint(valueAt(old, r - edge, c - edge, k)), { box: [box[0] + edge, box[1] + edge, box[2], box[3]], edge });
    };
    if (one.kind === "conv") {
      const [high, wide] = one.step.weight.shape, [top, left] = windowAt(one, row, column);
      drawMap(input, [left, top, wide, high], Math.max(...one.step.pad.flat()));
    } else if (one.kind === "max") {
      const [top, left] = windowAt(one, row, column);
      drawMap(map, [left, top, one.step.size[1], one.step.size[0]]);
    } else if (one.kind === "mean") drawMap(unitOf(one), [0, 0, columns, rows]);
    else if (one.kind === "flatten") {
      const from = origin(one, unitOf(one));
      drawMap(from.map, [from.column, from.row, 1, 1]);
    } else {
      const signs = signedColor(largest(made.products)), top = made.order[0];
      beforeWords.textContent = t`before, times the weights: red adds, blue takes away`;
      cells(beforeCanvas, [rows, columns], (r, c) => r * columns + c < made.products.length && signs(made.products[r * columns + c]),
        { box: [top % columns, Math.floor(top / columns), 1, 1] });
    }
    beforeCanvas.setAttribute("aria-label", beforeWords.textContent);
  }

  function draw() {
    if (!network) return;
    const one = layer(), [rows, columns] = gridOf(one), { map, row, column } = one.place, paint = colorsOf(one), here = row * columns + column;
    const { total, parts, made } = ARITHMETIC[one.kind](one), value = valueHere(one), name = NAMES[one.kind](one.number);
    words.replaceChildren(h("b", {}, `${name}: `), about(one, before(), layers.scale));
    inputs = one.kind === "conv" ? one.step.weight.shape[2] : 1;
    input.field.hidden = inputs < 2;
    input.input.max = inputs;
    input.set(one.place.input + 1);
    next.disabled = now === layers.length - 1;
    slide.hidden = one.kind === "softmax";
    slide.textContent = still ? t`Next place` : sliding ? t`Stop` : t`Let it slide`;
    drawBefore(one, made);
    afterFigure.hidden = one.kind === "softmax";
    cells(afterCanvas, [rows, columns], (r, c) => (flat(one) ? r * columns + c < one.shape[0] && paint(one.values[r * columns + c]) : paint(valueAt(one, r, c, map))),
      { box: [column, row, 1, 1], dim: (i) => sliding && i > here });
    const where = flat(one) ? t`number ${many(unitOf(one) + 1)} of ${many(one.shape[0])}` : t`row ${row + 1}, column ${column + 1}`;
    afterWords.textContent = flat(one) || one.shape[2] < 2 ? where : `${t`map ${map + 1} of ${one.shape[2]}`}, ${where}`;
    afterCanvas.setAttribute("aria-label", t`${name}. Arrow keys go to another place.`);
    sum.replaceChildren(...parts);
    const last = layers.at(-1).values, best = last.indexOf(Math.max(...last));
    said.replaceChildren(t`The network says:`, " ", h("b", {}, classes[best]), ` (${percent(last[best])})`);
    root.dispatchEvent(new CustomEvent("cxr-looked", { detail: { layer: now, kind: one.kind, place: { ...one.place }, total, value,
      layers: layers.map(({ values, shape }) => ({ values, shape })) } }));
    clearTimeout(speaking);
    if (!sliding) speaking = setTimeout(() => (spoken.textContent = `${afterWords.textContent}: ${rounded(value)}`), 500);
  }

  // --- the hand

  function step(by) {
    const one = layer(), [rows, columns] = gridOf(one), count = flat(one) ? one.shape[0] : rows * columns;
    const to = (one.place.row * columns + one.place.column + by) % count;
    goTo(Math.floor(to / columns), to % columns);
  }
  function start() {
    const one = layer(), [rows, columns] = gridOf(one), count = flat(one) ? one.shape[0] : rows * columns, began = performance.now();
    const pace = Math.min(120, Math.max(4, count / 9)); // places in a second
    const turn = (time) => {
      const to = Math.min(count - 1, Math.max(0, Math.floor(((time - began) * pace) / 1000)));
      if (to === count - 1) sliding = null;
      else sliding = requestAnimationFrame(turn);
      goTo(Math.floor(to / columns), to % columns);
    };
    sliding = requestAnimationFrame(turn);
  }
  function halt() {
    if (sliding) cancelAnimationFrame(sliding);
    sliding = null;
  }
  let down = false;
  const point = (event) => {
    if (!down || !network) return;
    halt();
    const { left, top, width, height } = afterCanvas.getBoundingClientRect(), [rows, columns] = gridOf(layer());
    goTo(Math.floor(((event.clientY - top) * rows) / height), Math.floor(((event.clientX - left) * columns) / width));
  };
  afterCanvas.addEventListener("pointerdown", (event) => {
    down = true;
    afterCanvas.setPointerCapture(event.pointerId);
    point(event);
  });
  afterCanvas.addEventListener("pointermove", point);
  for (const end of ["pointerup", "pointercancel"]) afterCanvas.addEventListener(end, () => (down = false));
  afterCanvas.addEventListener("keydown", (event) => {
    const [dx, dy] = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key] ?? [0, 0];
    if (!network || (!dx && !dy)) return;
    event.preventDefault();
    halt();
    const { row, column } = layer().place, far = event.shiftKey ? 5 : 1;
    goTo(row + dy * far, column + dx * far);
  });

  // --- pictures and network

  async function choose(k) {
    shown = k;
    const { values } = await pixels(page.images[k].png);
    if (shown !== k) return;
    gray = Float32Array.from(values, (v) => v / 255);
    compute();
  }
  function compute() {
    if (!network || !gray) return;
    layers.scale = network.scale(gray);
    fillIn(layers, network, gray);
    const first = !layers[0].place;
    for (const [k, one] of layers.entries()) {
      one.place ??= strongest(one);
      if (!first || one.kind !== "conv") continue;
      const added = convolved(one, layers[k - 1], one.place).parts.map(({ sum: v }) => Math.abs(v));
      one.place.input = added.indexOf(Math.max(...added));
    }
    if (first) {
      kept?.places.forEach((place, k) => { layers[k].place = place; });
      now = kept?.now ?? 1;
      listLayers();
      body.hidden = false;
      chips.querySelectorAll("input")[now].checked = true;
      show(now);
    } else {
      drawThumbs();
      draw();
    }
  }
  let kept = null; // of before a reload, until the network is there
  root.keeps = { get: () => (layers.length ? { now, places: layers.map((one) => one.place) } : kept), set: (value) => { kept = value; } };
  choose(0);
  const end = alive(root, model, [page.network], status, ([made]) => {
    network = made;
    layers = layersOf(network);
    compute();
  });
  return () => {
    halt();
    clearTimeout(speaking);
    end();
    unfollow();
  };
}

export default { render };
