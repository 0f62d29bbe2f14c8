// A network in the page: what cxrlib.live wrote, run with TensorFlow.js (tfjs.js). Nothing is sent anywhere.

/** Call once the element is about to be seen; a page that is never scrolled down loads nothing. */
function whenSeen(element, act) {
  const watch = new IntersectionObserver((entries) => {
    if (!entries.some((entry) => entry.isIntersecting)) return;
    watch.disconnect();
    act();
  }, { rootMargin: "200px" });
  watch.observe(element);
  return () => watch.disconnect();
}

/** TensorFlow.js, once per page: it stands in the saved page, beside the book's pages, or comes from the kernel. */
function tensorflow(model) {
  return (globalThis.cxrTensorflow ??= (async () => {
    const root = document.documentElement.dataset.content_root;
    const saved = document.getElementById("cxr-tfjs");
    const run = (attributes) => new Promise((done, failed) => {
      const script = h("script", attributes);
      script.onload = done;
      script.onerror = () => failed(new Error(t`tfjs.js is missing beside this page`));
      document.head.append(script);
    });
    const hold = (text) => document.head.append(h("script", {}, text)); // which runs it
    if (saved) hold(saved.textContent);
    else if (root != null) await run({ src: `${root}_static/tfjs.js` });
    else if (model.kernel !== false) {
      hold(await new Promise((done) => {
        model.on("msg:custom", (message) => message.type === "tfjs" && done(message.script));
        model.send({ type: "tfjs" });
      }));
    } else throw new Error(t`this page was saved without TensorFlow.js; run its cell again`);
    const { tf } = globalThis;
    tf.wasm.setWasmPaths(Object.fromEntries(["", "-simd", "-threaded-simd"].map((kind) => [`tfjs-backend-wasm${kind}.wasm`, tf.cxrWasm])));
    tf.env().set("WASM_HAS_MULTITHREAD_SUPPORT", false); // threads need headers that a static page does not have
    if (!(await tf.setBackend("wasm"))) throw new Error(t`this browser has no WebAssembly with SIMD`);
    await tf.ready();
    return tf;
  })().catch((error) => {
    globalThis.cxrTensorflow = undefined;
    throw error;
  }));
}

/** Make networks live once the element is about to be seen; `status` says how far it is. Returns what ends them. */
function alive(element, model, described, status, ready) {
  let networks = null, closed = false;
  status.textContent = t`The networks are loaded when this comes into view.`;
  const unwatch = whenSeen(element, async () => {
    status.textContent = t`Loading the networks …`;
    try {
      const tf = await tensorflow(model);
      if (closed) return;
      networks = described.map((net) => new Network(tf, net));
      status.textContent = t`The networks run in this page. Nothing leaves it.`;
      ready(networks);
    } catch (error) {
      status.textContent = t`The networks cannot run here: ${error.message}.`;
    }
  });
  return () => {
    closed = true;
    unwatch();
    networks?.forEach((network) => network.dispose());
  };
}

/** The numbers of one tensor, as float32 in PyTorch's order. */
function unpacked({ shape, bits, data, factor }) {
  const raw = bytes(data).buffer;
  if (bits === 32) return { shape, values: new Float32Array(raw) };
  const steps = bits === 16 ? new Int16Array(raw) : new Int8Array(raw);
  const factors = new Float32Array(bytes(factor).buffer), block = steps.length / factors.length;
  const values = new Float32Array(steps.length);
  factors.forEach((f, row) => {
    for (let i = row * block; i < (row + 1) * block; i++) values[i] = steps[i] * f;
  });
  return { shape, values };
}

/** The network of `live_network` in Python: run(gray values 0..1) gives features, logits, probabilities. */
class Network {
  constructor(tf, described) {
    if (described.format !== 1) throw new Error(t`this network is of another version of cxrlib`);
    Object.assign(this, { tf, described, classes: described.classes, size: described.size });
    const tensors = described.tensors.map(unpacked);
    const asTensor = (number, order) => {
      const { shape, values } = tensors[number];
      return tf.tidy(() => (order ? tf.transpose(tf.tensor(values, shape), order) : tf.tensor(values, shape)));
    };
    this.body = described.body.map((step) => ({
      ...step,
      ...(step.weight != null && { weight: asTensor(step.weight, step.do === "conv" ? [2, 3, 1, 0] : [2, 3, 0, 1]) }),
      ...(step.bias != null && { bias: asTensor(step.bias) }),
      ...(step.factor != null && { factor: asTensor(step.factor) }),
    }));
    this.head = described.head.map((step) => ({ ...step, ...Object.fromEntries(
      ["weight", "bias", "factor"].filter((name) => step[name] != null).map((name) => [name, tensors[step[name]].values]),
    ) }));
    // an activation right behind a convolution is done with it
    this.body.forEach((step, k) => {
      const next = this.body[k + 1];
      const alone = next && this.body.filter((other) => other.from.includes(k + 1)).length === 1;
      if (step.weight && alone && ["relu", "relu6"].includes(next.do) && next.from[0] === k + 1) {
        step.activation = next.do;
        next.do = "same";
      }
    });
  }

  /** What is taken off every gray value, and what it is then divided by. */
  scale(gray) {
    const { normalize } = this.described;
    if (normalize !== "image") return normalize;
    const mean = gray.reduce((a, b) => a + b, 0) / gray.length;
    return [mean, Math.sqrt(gray.reduce((a, b) => a + (b - mean) ** 2, 0) / gray.length + 1e-6)];
  }

  /** The picture in its scale, and what each step of the body makes, as tensors: only within tf.tidy. */
  made(gray) {
    const { tf, size } = this, [mean, deviation] = this.scale(gray);
    const made = [tf.tensor(Float32Array.from(gray, (v) => (v - mean) / deviation), [1, size, size, 1])];
    for (const step of this.body) made.push(this.step(step, step.from.map((source) => made[source])));
    return made;
  }

  /** The same as plain arrays, channels last: [{ values, shape }]. */
  trace(gray) {
    return this.tf.tidy(() => this.made(gray).map((x) => ({ values: x.dataSync(), shape: x.shape.slice(1) })));
  }

  /** Body's maps as plain arrays: { features, grid: [rows, columns], channels }. */
  features(gray) {
    return this.tf.tidy(() => {
      const last = this.made(gray).at(-1), [, rows, columns, channels] = last.shape;
      return { features: last.dataSync(), grid: [rows, columns], channels };
    });
  }

  step(step, [x, other]) {
    const { tf } = this, pad = (sides) => [[0, 0], ...sides, [0, 0]];
    const plain = { dataFormat: "NHWC", dilations: [1, 1] };
    switch (step.do) {
      case "conv": case "depthwise": {
        const work = step.do === "conv" ? tf.fused.conv2d : tf.fused.depthwiseConv2d;
        return work({ ...plain, x, filter: step.weight, strides: step.stride, pad: pad(step.pad), bias: step.bias, activation: step.activation ?? "linear" });
      }
      case "same": return x;
      case "relu": return tf.relu(x);
      case "relu6": return tf.relu6(x);
      case "sigmoid": return tf.sigmoid(x);
      case "silu": return tf.mul(x, tf.sigmoid(x));
      case "add": return tf.add(x, other);
      case "mul": return tf.mul(x, other);
      case "times": return tf.mul(x, step.by);
      case "scale": return tf.add(tf.mul(x, step.factor), step.bias);
      case "mean": return tf.mean(x, [1, 2], true);
      case "pad": return tf.pad(x, pad(step.pad));
      case "max": {
        const [p, q] = step.pad, least = -3e38; // what stands outside is never the largest
        return tf.maxPool(p || q ? tf.pad(x, pad([[p, p], [q, q]]), least) : x, step.size, step.stride, "valid");
      }
      case "avg": return tf.avgPool(x, step.size, step.stride, Math.max(...step.pad) ? "same" : "valid");
      default: throw new Error(t`this page does not know the operation ${step.do}`);
    }
  }

  /** From features to logits: every step's output is kept, for the way back. */
  forward({ features, grid, channels }) {
    const outputs = [features], area = grid[0] * grid[1];
    for (const step of this.head) {
      const x = outputs.at(-1);
      let y;
      if (step.do === "mean") {
        y = new Float32Array(channels);
        x.forEach((v, i) => (y[i % channels] += v / area));
      } else if (step.do === "relu") y = x.map((v) => Math.max(v, 0));
      else if (step.do === "scale") y = x.map((v, i) => v * step.factor[i] + step.bias[i]);
      else {
        y = Float32Array.from(step.bias);
        for (let o = 0; o < y.length; o++) {
          let sum = 0;
          for (let i = 0, at = o * x.length; i < x.length; i++) sum += step.weight[at + i] * x[i];
          y[o] += sum;
        }
      }
      outputs.push(y);
    }
    return outputs;
  }

  /** The gradient of one logit at the features. */
  gradient(outputs, target, { grid, channels }) {
    let g = new Float32Array(this.classes.length);
    g[target] = 1;
    for (let k = this.head.length - 1; k >= 0; k--) {
      const step = this.head[k], x = outputs[k];
      if (step.do === "mean") {
        const area = grid[0] * grid[1], small = g;
        g = Float32Array.from({ length: x.length }, (_, i) => small[i % channels] / area);
      } else if (step.do === "relu") g = g.map((v, i) => (x[i] > 0 ? v : 0));
      else if (step.do === "scale") g = g.map((v, i) => v * step.factor[i]);
      else {
        const back = new Float32Array(x.length);
        g.forEach((v, o) => {
          if (v) for (let i = 0, at = o * x.length; i < x.length; i++) back[i] += v * step.weight[at + i];
        });
        g = back;
      }
    }
    return g;
  }

  /** One image, float 0..1 in rows: logits, probabilities and, by name, a map per class with its sign. */
  run(gray, methods = ["grad-cam"]) {
    const seen = this.features(gray), outputs = this.forward(seen), logits = outputs.at(-1);
    const maps = Object.fromEntries(methods.map((method) => [method, []]));
    if (methods.length) {
      this.classes.forEach((_, k) => {
        const g = this.gradient(outputs, k, seen);
        for (const method of methods) maps[method].push(MAPS[method](seen, g));
      });
    }
    return { ...seen, logits, probs: softmax(logits), maps };
  }

  /** The maps of all classes by any method of cxrlib.cam: { grid, maps }. `pause` lets the page breathe. */
  async explain(gray, method, pause = () => new Promise((done) => setTimeout(done))) {
    if (method in MAPS) {
      const { grid, maps } = this.run(gray, [method]);
      return { grid, maps: maps[method] };
    }
    const seen = this.features(gray), plain = this.forward(seen).at(-1);
    const logits = async (count, picture) => { // of changed pictures, one after the other
      const all = [];
      for (let k = 0; k < count; k++) {
        all.push(this.forward(this.features(picture(k))).at(-1));
        if (k % 16 === 15) await pause();
      }
      return all;
    };
    if (method === "eigen-cam") {
      const map = eigenMap(seen);
      return { grid: seen.grid, maps: this.classes.map(() => map) };
    }
    if (method === "occlusion") {
      const spans = Array.from({ length: CELLS }, (_, i) => span(i, this.size)), mean = gray.reduce((a, b) => a + b, 0) / gray.length;
      const found = await logits(CELLS * CELLS, (k) => {
        const hidden = Float32Array.from(gray), [left, right] = spans[k % CELLS], [top, bottom] = spans[Math.floor(k / CELLS)];
        for (let row = top; row < bottom; row++) hidden.fill(mean, row * this.size + left, row * this.size + right);
        return hidden;
      });
      return { grid: [CELLS, CELLS], maps: this.classes.map((_, c) => Float32Array.from(found, (y) => plain[c] - y[c])) };
    }
    const found = await logits(seen.channels, (k) => throughMask(gray, this.size, seen, k)); // Score-CAM
    return { grid: seen.grid, maps: this.classes.map((_, c) => weighted(seen, softmax(found.map((y) => y[c])))) };
  }

  /** Free the weights. */
  dispose() {
    for (const step of this.body) for (const name of ["weight", "bias", "factor"]) step[name]?.dispose?.();
  }
}

/** Features weighted by one number per channel and summed: a map. */
function weighted({ features, grid, channels }, weights) {
  const out = new Float32Array(grid[0] * grid[1]);
  for (let p = 0, i = 0; p < out.length; p++) for (let c = 0; c < channels; c++, i++) out[p] += weights[c] * features[i];
  return out;
}

/** Class activation maps at the end of the body, as cxrlib.cam computes them: (features, gradient) -> map. */
const MAPS = {
  "grad-cam": (seen, g) => {
    const mean = new Float32Array(seen.channels), area = seen.grid[0] * seen.grid[1];
    g.forEach((v, i) => (mean[i % seen.channels] += v / area));
    return weighted(seen, mean);
  },
  "grad-cam++": (seen, g) => {
    const { features, channels } = seen, sums = new Float32Array(channels), weights = new Float32Array(channels);
    features.forEach((v, i) => (sums[i % channels] += v));
    g.forEach((v, i) => {
      const alpha = v ** 2 / (2 * v ** 2 + sums[i % channels] * v ** 3 + 1e-6);
      weights[i % channels] += alpha * Math.max(v, 0);
    });
    return weighted(seen, weights);
  },
  "layer-cam": ({ features, grid, channels }, g) => {
    const out = new Float32Array(grid[0] * grid[1]);
    features.forEach((v, i) => (out[Math.floor(i / channels)] += v * Math.max(g[i], 0)));
    return out;
  },
};

const CELLS = 14; // of occlusion, along each side; the gray patch is two cells wide

/** Where the patch of a cell begins and ends; halves are rounded to even numbers, as Python does. */
function span(i, side) {
  const rounded = (x) => (Math.abs(x % 1) === 0.5 ? 2 * Math.round(x / 2) : Math.round(x)), cell = side / CELLS;
  const start = rounded((i - 0.5) * cell);
  return [Math.max(0, start), Math.min(side, Math.max(rounded((i + 1.5) * cell), rounded(i * cell) + 1))];
}

/** The first principal component of the feature maps, with the sign that makes its largest value positive. */
function eigenMap({ features, grid, channels }) {
  const places = grid[0] * grid[1], x = Float64Array.from(features), products = new Float64Array(places * places);
  for (let c = 0; c < channels; c++) {
    let mean = 0;
    for (let p = 0; p < places; p++) mean += x[p * channels + c] / places;
    for (let p = 0; p < places; p++) x[p * channels + c] -= mean;
  }
  for (let p = 0; p < places; p++) for (let q = 0; q <= p; q++) {
    let sum = 0;
    for (let c = 0; c < channels; c++) sum += x[p * channels + c] * x[q * channels + c];
    products[p * places + q] = products[q * places + p] = sum;
  }
  let map = Float64Array.from({ length: places }, (_, p) => 1 + (p % 7)), length = 0; // power iteration, from anywhere
  for (let turn = 0; turn < 500; turn++) {
    const next = new Float64Array(places);
    for (let p = 0; p < places; p++) for (let q = 0; q < places; q++) next[p] += products[p * places + q] * map[q];
    length = Math.hypot(...next);
    if (!(length > 0)) return new Float32Array(places);
    map = next.map((v) => v / length);
  }
  const sign = -Math.min(...map) > Math.max(...map) ? -1 : 1;
  return Float32Array.from(map, (v) => sign * v * Math.sqrt(length));
}

/** A picture seen through one feature map, enlarged from corner to corner and stretched to 0..1. */
function throughMask(gray, n, { features, grid: [rows, columns], channels }, channel) {
  const mask = new Float32Array(n * n);
  const place = (i, cells) => {
    const x = n > 1 ? (i * (cells - 1)) / (n - 1) : 0, low = Math.min(Math.floor(x), cells - 1);
    return [low, Math.min(low + 1, cells - 1), x - low];
  };
  const at = (r, c) => features[(r * columns + c) * channels + channel];
  let least = Infinity, most = -Infinity;
  for (let y = 0, i = 0; y < n; y++) for (let x = 0; x < n; x++, i++) {
    const [top, bottom, v] = place(y, rows), [left, right, u] = place(x, columns);
    mask[i] = (1 - v) * ((1 - u) * at(top, left) + u * at(top, right)) + v * ((1 - u) * at(bottom, left) + u * at(bottom, right));
    least = Math.min(least, mask[i]);
    most = Math.max(most, mask[i]);
  }
  return mask.map((m, i) => (gray[i] * (m - least)) / (most - least + 1e-8));
}
