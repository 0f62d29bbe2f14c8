// A small network, written as a string of letters, that learns: forward, backward and Adam, in plain loops. Maps lie one
// after the other, as in PyTorch; a layer has `forward(x)`, and `backward(g)` for what it was given last.

/** C: a convolution of 3 x 3 that keeps the size, then ReLU. A border of zeros around each map spares the tests for its edge. */
function convolution([weight, bias], [maps, side], first) {
  const [outputs] = weight.shape, area = side * side, wide = side + 2;
  const input = new Float32Array(maps * wide * wide);
  let output;
  return {
    shape: [outputs, side],
    forward(x) {
      output = new Float32Array(outputs * area);
      for (let i = 0; i < maps; i++) for (let row = 0; row < side; row++) {
        input.set(x.subarray(i * area + row * side, i * area + (row + 1) * side), i * wide * wide + (row + 1) * wide + 1);
      }
      for (let o = 0; o < outputs; o++) {
        output.fill(bias.values[o], o * area, (o + 1) * area);
        for (let i = 0; i < maps; i++) {
          const [a, b, c, d, e, f, g, h, k] = weight.values.subarray((o * maps + i) * 9, (o * maps + i) * 9 + 9);
          for (let row = 0, to = o * area; row < side; row++) {
            let one = i * wide * wide + row * wide, two = one + wide, three = two + wide;
            for (let column = 0; column < side; column++, to++, one++, two++, three++) {
              output[to] += a * input[one] + b * input[one + 1] + c * input[one + 2] + d * input[two] + e * input[two + 1] + f * input[two + 2]
                + g * input[three] + h * input[three + 1] + k * input[three + 2];
            }
          }
        }
      }
      for (let p = 0; p < output.length; p++) if (output[p] < 0) output[p] = 0;
      return output;
    },
    backward(gradient) {
      const back = new Float32Array(first ? 0 : input.length), { values, gradient: found } = weight;
      for (let o = 0, from = 0; o < outputs; o++) for (let row = 0; row < side; row++) for (let column = 0; column < side; column++, from++) {
        const v = gradient[from];
        if (v === 0 || output[from] <= 0) continue; // most: pooling passes one of four on
        bias.gradient[o] += v;
        for (let i = 0, w = o * maps * 9; i < maps; i++) for (let dy = 0; dy < 3; dy++) {
          let at = i * wide * wide + (row + dy) * wide + column;
          for (const end = w + 3; w < end; w++, at++) {
            found[w] += v * input[at];
            if (!first) back[at] += v * values[w];
          }
        }
      }
      if (first) return null;
      const inside = new Float32Array(maps * area);
      for (let i = 0; i < maps; i++) for (let row = 0; row < side; row++) {
        const at = i * wide * wide + (row + 1) * wide + 1;
        inside.set(back.subarray(at, at + side), i * area + row * side);
      }
      return inside;
    },
  };
}

/** P: of each 2 x 2 values the largest. */
function pooling([maps, side]) {
  const small = side >> 1;
  let chosen, length;
  return {
    shape: [maps, small],
    forward(x) {
      const out = new Float32Array(maps * small * small);
      chosen = new Uint32Array(out.length);
      length = x.length;
      for (let c = 0, k = 0; c < maps; c++) for (let y = 0; y < small; y++) for (let column = 0; column < small; column++, k++) {
        const at = c * side * side + 2 * y * side + 2 * column;
        let best = at;
        for (const other of [at + 1, at + side, at + side + 1]) if (x[other] > x[best]) best = other;
        out[k] = x[chosen[k] = best];
      }
      return out;
    },
    backward(g) {
      const back = new Float32Array(length);
      g.forEach((v, k) => (back[chosen[k]] += v));
      return back;
    },
  };
}

/** D, then ReLU; and the output, without. */
function dense([weight, bias], relu) {
  const [outputs, inputs] = weight.shape;
  let input, output;
  return {
    shape: [outputs],
    forward(x) {
      input = x;
      output = Float32Array.from(bias.values, (b, o) => {
        let sum = b;
        for (let i = 0; i < inputs; i++) sum += weight.values[o * inputs + i] * x[i];
        return relu ? Math.max(sum, 0) : sum;
      });
      return output;
    },
    backward(g) {
      const back = new Float32Array(inputs);
      g.forEach((v, o) => {
        if (relu && output[o] <= 0) return;
        bias.gradient[o] += v;
        for (let i = 0; i < inputs; i++) {
          weight.gradient[o * inputs + i] += v * input[i];
          back[i] += v * weight.values[o * inputs + i];
        }
      });
      return back;
    },
  };
}

/** A network of these letters, such as CPCPFD: { parameters, logits(x), learn(images, labels, rate) }. */
function learner({ letters, size, parameters: given }) {
  const parameters = given.map(({ shape, values }) => {
    const start = new Float32Array(bytes(values).buffer);
    return { shape, values: start, gradient: new Float32Array(start.length), mean: new Float32Array(start.length), square: new Float32Array(start.length) };
  });
  const left = [...parameters], two = () => left.splice(0, 2), layers = [];
  let shape = [1, size], steps = 0;
  for (const letter of letters) {
    if (letter === "F") continue; // the maps lie one after the other: they are the list
    layers.push(letter === "C" ? convolution(two(), shape, !layers.some(({ learns }) => learns)) : letter === "P" ? pooling(shape) : dense(two(), true));
    layers.at(-1).learns = letter !== "P";
    ({ shape } = layers.at(-1));
  }
  layers.push(dense(two(), false));
  const logits = (x) => layers.reduce((values, layer) => layer.forward(values), x);
  /** Backward through what was computed last, down to the first layer that learns. */
  const backward = (g) => {
    const lowest = layers.findIndex(({ learns }) => learns);
    for (let k = layers.length - 1; k >= Math.max(lowest, 0); k--) g = layers[k].backward(g);
  };
  const adam = (rate) => {
    steps++;
    const [one, two] = [1 - 0.9 ** steps, 1 - 0.999 ** steps];
    for (const { values, gradient, mean, square } of parameters) {
      for (let i = 0; i < values.length; i++) {
        const g = gradient[i];
        mean[i] = 0.9 * mean[i] + 0.1 * g;
        square[i] = 0.999 * square[i] + 0.001 * g * g;
        values[i] -= (rate * mean[i]) / one / (Math.sqrt(square[i] / two) + 1e-8);
        gradient[i] = 0;
      }
    }
  };
  /** One step with a batch; returns the sum of its losses before the step. */
  const learn = (images, labels, rate) => {
    let loss = 0;
    images.forEach((x, k) => {
      const probs = softmax(logits(x));
      loss -= Math.log(Math.max(probs[labels[k]], 1e-12));
      backward(Float32Array.from(probs, (p, c) => (p - (c === labels[k])) / images.length));
    });
    adam(rate);
    return loss;
  };
  return { parameters, logits, learn };
}
