// The layers of a network that is written as a string (live.js), and what each of its numbers is made of.

/** The layers in order, the picture first. Each is made of the one before it; `at` says where its values are found. */
function layersOf(network) {
  const layers = [{ kind: "picture", letter: t`X-ray`, at: 0 }], counts = {};
  const add = (kind, letter, more) => {
    counts[kind] = (counts[kind] ?? 0) + 1;
    layers.push({ kind, letter, number: counts[kind], ...more });
  };
  network.body.forEach((step, k) => {
    if (step.do === "conv") add("conv", "C", { step, at: k + 1, weight: step.weight.dataSync(), bias: step.bias.dataSync() });
    else if (step.do === "max") add("max", "P", { step, at: k + 1 });
    else layers.at(-1).at = k + 1; // ReLU belongs to its convolution
  });
  if (network.head[0].do === "linear") add("flatten", "F", { head: 0 });
  const last = network.head.length - 1;
  network.head.forEach((step, k) => {
    if (step.do === "mean") add("mean", t`mean`, { head: k + 1 });
    else if (step.do === "linear") add(k === last ? "output" : "dense", k === last ? t`out` : "D", { head: k + 1, ...step });
    else layers.at(-1).head = k + 1;
  });
  add("softmax", t`softmax`, { head: last + 1 });
  return layers;
}

/** Fill in what each layer makes of a picture: `values`, and `shape`, [rows, columns, maps] or [length]. */
function fillIn(layers, network, gray) {
  const trace = network.trace(gray), body = trace.at(-1);
  const [rows, columns, channels] = body.shape, area = rows * columns;
  const outputs = network.forward({ features: body.values, grid: [rows, columns], channels });
  // the page keeps the maps one beside the other; PyTorch's list has them one after the other
  const listed = (values) => Float32Array.from(values, (_, i) => values[(i % area) * channels + Math.floor(i / area)]);
  for (const [k, layer] of layers.entries()) {
    if (layer.at != null) Object.assign(layer, trace[layer.at]);
    else if (layer.kind === "flatten") layer.values = listed(outputs[0]);
    else if (layer.kind === "softmax") layer.values = Float32Array.from(softmax(outputs[layer.head]));
    else layer.values = outputs[layer.head];
    if (layer.at == null) layer.shape = [layer.values.length];
    if (layers[k - 1]?.kind === "flatten" && !layer.rows) {
      layer.rows = Array.from(layer.bias, (_, o) => listed(layer.weight.subarray(o * area * channels, (o + 1) * area * channels)));
    }
  }
}

/** One value of maps (rows, columns, maps); outside of them is 0. */
function valueAt({ values, shape: [rows, columns, maps] }, row, column, map) {
  return row < 0 || column < 0 || row >= rows || column >= columns ? 0 : values[(row * columns + column) * maps + map];
}

/** Where the window of a convolution or pooling begins: [row, column]; it can lie outside. */
function windowAt({ step }, row, column) {
  const [pad, left] = step.do === "conv" ? [step.pad[0][0], step.pad[1][0]] : step.pad;
  return [row * step.stride[0] - pad, column * step.stride[1] - left];
}

/** What a value of a convolution is the sum of: the window of each map before, times the weights. */
function convolved(layer, before, { map, row, column }) {
  const [high, wide, inputs, outputs] = layer.step.weight.shape, [top, left] = windowAt(layer, row, column);
  const parts = Array.from({ length: inputs }, (_, input) => {
    const patch = [], weights = [];
    for (let i = 0; i < high; i++) for (let j = 0; j < wide; j++) {
      patch.push(valueAt(before, top + i, left + j, input));
      weights.push(layer.weight[((i * wide + j) * inputs + input) * outputs + map]);
    }
    const products = patch.map((v, k) => v * weights[k]);
    return { patch, weights, products, sum: products.reduce((a, b) => a + b, 0) };
  });
  const bias = layer.bias[map];
  return { parts, wide, bias, sum: parts.reduce((total, { sum }) => total + sum, bias) };
}

/** The values among which pooling finds the largest. */
function pooled(layer, before, { map, row, column }) {
  const [high, wide] = layer.step.size, [top, left] = windowAt(layer, row, column), patch = [];
  for (let i = 0; i < high; i++) for (let j = 0; j < wide; j++) patch.push(valueAt(before, top + i, left + j, map));
  return { patch, wide, sum: Math.max(...patch) };
}

/** What a number of a dense layer is the sum of: each number before, times its weight. */
function weighed(layer, before, unit) {
  const n = before.values.length, weights = layer.rows?.[unit] ?? layer.weight.subarray(unit * n, (unit + 1) * n);
  const products = Float32Array.from(before.values, (v, i) => v * weights[i]);
  const order = Array.from({ length: n }, (_, i) => i).sort((a, b) => Math.abs(products[b]) - Math.abs(products[a]));
  const bias = layer.bias[unit];
  return { weights, products, order, bias, sum: products.reduce((a, b) => a + b, bias) };
}
