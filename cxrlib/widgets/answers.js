// Who answers the inspector: the kernel, or the page itself with its networks (live.js). Both give the same answers to
// the same questions: { map }, { image }, { removed } or, where there is none, { text } that says why.

const CHUNK = 2 ** 21; // bytes of an upload in one message

function fromKernel(ask) {
  return {
    kernel: true, can: () => true,
    map: (m, image, layer, method) => ask({ type: "map", model: m, image, layer, method }),
    row: (row) => ask({ type: "image", row }),
    remove: (image) => ask({ type: "remove", image }),
    open: (content) => {
      const parts = Math.max(1, Math.ceil(content.length / CHUNK));
      return Promise.race(Array.from({ length: parts }, (_, part) => { // only the last part, or an error, is answered
        const piece = content.slice(part * CHUNK, (part + 1) * CHUNK).buffer;
        return ask({ type: "upload", part, last: part === parts - 1 }, [piece]);
      }));
    },
  };
}

/** `look(id)` gives the picture of an image, and `region(id, name)` a mask, as `pixels` does. */
function fromPage(model, page, look, region) {
  let loading = null, opened = 0;
  const networks = () => (loading ??= tensorflow(model).then((tf) => page.live.map((described) => new Network(tf, described)))
    .catch((error) => {
      loading = null;
      throw new Error(t`The networks cannot run here: ${error.message}.`);
    }));
  const or = (promise) => promise.catch((error) => ({ text: error.message }));

  async function map(m, id, method) {
    const [nets, picture] = [await networks(), await look(id)];
    const { grid, maps } = await nets[m].explain(Float32Array.from(picture.values, (v) => v / 255), method);
    const inside = {};
    for (const name of page.regions) {
      const mask = await region(id, name);
      if (mask) inside[name] = maps.map((one) => energy(one, grid, mask));
    }
    const [low, high] = [least, largest].map((extreme) => maps.map((one) => extreme(Array.from(one))));
    return { map: { grid, size: grid, low, high, values: maps, inside } };
  }
  async function open(content) {
    const nets = await networks();
    const { gray, width, height, notes } = await readPicture(content, page.size).catch((error) => {
      if (!(error instanceof BadImage)) throw error;
      const reason = `${/^(is|has|holds) /.test(error.message) ? "it " : ""}${error.message}`;
      throw new Error(t`This file cannot be used: ${reason}.`);
    });
    const values = Float32Array.from(gray, (v) => v / 255);
    return { image: { id: `u${++opened}`, row: null, label: null, file: [width, height], notes, gray, regions: {},
      lungs: t`not looked for in a page`, probs: nets.map((net) => net.run(values, []).probs) } };
  }
  return {
    kernel: false, networks,
    can: (m, layer, method) => method === "occlusion" || page.models[m].ends.includes(layer),
    map: (m, id, _layer, method) => or(map(m, id, method)),
    open: (content) => or(open(content)),
    remove: async () => ({}),
    dispose: () => loading?.then((nets) => nets.forEach((net) => net.dispose()), () => {}),
  };
}

/** Which fraction of a map's positive values lies inside a mask; null for a map without any. */
function energy(map, grid, { width, height, values }) {
  let inside = 0, whole = 0;
  enlarge(map, grid, width, height).forEach((v, i) => {
    whole += v;
    if (values[i] > 127) inside += v;
  });
  return whole > 0 ? inside / whole : null;
}
