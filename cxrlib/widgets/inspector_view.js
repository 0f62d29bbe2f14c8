// What an inspector shows: its images and maps, and what is chosen of them. The other parts of the inspector take it
// as `it`, and each adds what it does for the others.

const threeDigits = (x) => (x === 0 ? "0" : Number(x.toPrecision(3)).toString());
const withSign = (x) => `${x > 0 ? "+" : x < 0 ? "−" : ""}${threeDigits(Math.abs(x))}`;
const largest = (values) => values.reduce((a, b) => Math.max(a, b), -Infinity);
const least = (values) => values.reduce((a, b) => Math.min(a, b), Infinity);

function viewed(root, page, model, kernel) {
  const own = Math.random().toString(36).slice(2); // names of radio buttons are shared by the whole page
  const images = new Map(page.images.map((image) => [image.id, image]));
  const maps = new Map(Object.entries(page.maps));
  const failed = new Map(); // key of a map -> why there is none
  const answers = kernel ?? (page.live ? fromPage(model, page, (id) => picture(images.get(id)), async (id, name) =>
    images.get(id).regions[name]?.png && pixels(images.get(id).regions[name].png)) : null);
  const last = page.models[0].layers.length - 1;
  const names = new Map(); // own picture -> the name of its file, which goes no further than this page
  const start = {
    image: page.images[0].id, second: page.images[1]?.id ?? page.images[0].id, cls: 0, keep: false, against: 1,
    layer: page.models[0].layers[last], method: page.methods[0].id, colors: "viridis", scale: "shown", sign: "for",
    opacity: 50, threshold: 20, compare: page.compare ?? "no", sort: "given", outlines: {},
    tool: "value", place: null, ...AS_TAKEN, // what the pointer does, and where it is in the picture
  };
  const view = { ...start, outlines: {} };

  const image = () => images.get(view.image);
  const predicted = (item, m = 0) =>
    page.decision == null ? item.probs[m].indexOf(largest(item.probs[m])) : Number(item.probs[m][1] >= page.decision);
  const wrong = (item) => item.label != null && predicted(item) !== item.label;
  const title = (item) => (item.row == null ? t`Own picture ${item.id.slice(1)}` : t`Image ${item.row}`);
  start.cls = predicted(images.get(start.image));
  start.against = start.cls === 0 ? 1 : 0;
  const methodName = () => page.methods.find((m) => m.id === view.method).name;

  /** The name of the chosen layer in model m: the same name, or the same place in the list of offered layers. */
  function layerOf(m, layer = view.layer) {
    if (view.method === "occlusion") return "";
    if (page.models[m].known.includes(layer)) return layer;
    return page.models[m].layers[page.models[0].layers.indexOf(layer)] ?? null;
  }
  const keyOf = ({ m, id }, layer = layerOf(m)) => `${m}|${id}|${layer}|${view.method}`;
  /** Whether a map is there or can be had. */
  const obtainable = (panel, layer = layerOf(panel.m)) =>
    layer !== null && (maps.has(keyOf(panel, layer)) || Boolean(answers?.can(panel.m, layer, view.method)));
  const panels = () => {
    const first = { m: 0, cls: view.cls, id: view.image };
    const beside = { classes: { cls: view.against }, models: { m: 1 }, images: { id: view.second } }[view.compare];
    return beside ? [first, { ...first, ...beside }] : [first];
  };
  /** What two panels differ in. */
  const nameOf = ({ m, cls, id }) =>
    view.compare === "models" ? page.models[m].name : view.compare === "images" ? title(images.get(id)) : page.classes[cls];
  const signs = () => view.sign === "both";

  // --- pictures, each decoded once

  const decoded = new Map();
  const once = (key, make) => {
    if (!decoded.has(key)) decoded.set(key, make());
    return decoded.get(key);
  };
  const picture = (item) => once(item.id, async () => {
    if (!item.gray) return pixels(item.png);
    const gray = { width: page.size, height: page.size, values: item.gray };
    return { ...gray, canvas: colored(gray) };
  });
  const border = (item, region) =>
    once(`${item.id}|${region}`, async () => outline(await pixels(item.regions[region].png)));
  const enlarged = new Map(); // the last few, so that a slider does not repeat the work
  function fine(key, cls, width, height) {
    const name = `${key}|${cls}|${signs()}`;
    if (!enlarged.has(name)) {
      if (enlarged.size > 30) enlarged.delete(enlarged.keys().next().value);
      enlarged.set(name, enlarge(raw(maps.get(key), cls), maps.get(key).grid, width, height, signs()));
    }
    return enlarged.get(name);
  }
  function raw(map, cls) {
    if (map.values) return map.values[cls];
    const size = map.grid[0] * map.grid[1];
    map.data ??= bytes(map.steps);
    const [low, high] = [map.low[cls], map.high[cls]];
    return Float32Array.from(map.data.subarray(cls * size, (cls + 1) * size), (q) => low + (q * (high - low)) / 255);
  }
  const strength = (map, cls) => (signs() ? Math.max(map.high[cls], -map.low[cls]) : map.high[cls]);
  const strongest = (map) => largest(map.high.map((_, cls) => strength(map, cls)));
  /** The value that gets the last color: one for all maps that stand side by side, unless asked otherwise. */
  function top(panel) {
    const compared = (view.scale === "map" ? [panel] : panels()).filter((one) => maps.has(keyOf(one)));
    return largest(compared.map((one) => {
      const map = maps.get(keyOf(one));
      if (view.scale === "classes") return strongest(map);
      if (view.scale !== "images") return strength(map, one.cls);
      const same = (key) => key.startsWith(`${one.m}|`) && key.endsWith(`|${layerOf(one.m)}|${view.method}`);
      const others = [...maps].filter(([key]) => same(key)).map(([, other]) => strongest(other));
      return largest([page.tops[`${one.m}|${layerOf(one.m)}|${view.method}`]?.[Number(signs())] ?? -Infinity, ...others]);
    }));
  }
  const tables = Object.fromEntries(Object.entries(page.colors).map(([name, table]) => [name, bytes(table)]));
  return { root, page, kernel, own, images, maps, failed, answers, names, start, view, image, predicted, wrong, title, methodName,
    layerOf, keyOf, obtainable, panels, nameOf, signs, picture, border, decoded, fine, raw, strength, top, tables };
}
