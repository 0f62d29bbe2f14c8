// What the course's widgets share. It stands before a widget's own module.

/** h("div.name", { attribute: value, onclick: f }, child, "text") makes an element. */
function h(tag, attributes = {}, ...children) {
  const [name, ...classes] = tag.split(".");
  const element = document.createElement(name);
  if (classes.length) element.className = classes.join(" ");
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else if (value === true) element.setAttribute(key, "");
    else if (value !== false && value != null) element.setAttribute(key, value);
  }
  // a browser that goes back would put old values into the controls, but not into what they control
  if (name === "input" || name === "select") element.autocomplete = "off";
  element.append(...children);
  return element;
}

// The namespace from an element, so that the page holds no address at all.
const SVG = Object.assign(document.createElement("div"), { innerHTML: "<svg></svg>" }).firstChild.namespaceURI;

/** svg("path.name", { attribute: value }, child) makes an SVG element. */
function svg(tag, attributes = {}, ...children) {
  const [name, ...classes] = tag.split(".");
  const element = document.createElementNS(SVG, name);
  if (classes.length) element.setAttribute("class", classes.join(" "));
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...children);
  return element;
}

/** The element that holds a widget: a region with a name. */
function widget(name, label) {
  const root = h(`div.cxr-kit.${name}`, { role: "region", "aria-label": label, "data-lm-suppress-shortcuts": "true" });
  root.addEventListener("keydown", (event) => event.stopPropagation()); // a notebook has shortcuts of its own
  return root;
}

/** A box that scrolls sideways where it is too narrow: the keyboard must reach it, and then it needs a name. */
function scrolling(label, ...children) {
  return h("div.scroll", { role: "group", "aria-label": label, tabindex: 0 }, ...children);
}

/** A labelled slider: { field, input, set }. `show(value)` stands beside the label; a screen reader says it too. */
function slider(label, { min, max, step, value }, show, changed) {
  const output = h("b.value", { "aria-hidden": "true" });
  const say = (value) => {
    output.textContent = show(value);
    input.setAttribute("aria-valuetext", show(value));
  };
  const input = h("input", { type: "range", min, max, step, value, oninput: () => {
    say(Number(input.value));
    changed(Number(input.value));
  } });
  say(value);
  return { field: h("label.field", {}, h("span", {}, label, " ", output), input), input, set: (value) => {
    input.value = value;
    say(value);
  } };
}

/** Follow the page: light text means a dark page, whoever drew it. */
function followTheme(root) {
  const update = () => {
    const parent = root.parentElement;
    if (!parent) return;
    const [r, g, b] = (getComputedStyle(parent).color.match(/[\d.]+/g) ?? [0, 0, 0]).map(Number);
    const theme = 0.3 * r + 0.6 * g + 0.1 * b > 128 ? "dark" : "light";
    if (root.dataset.theme !== theme) root.dataset.theme = theme;
  };
  const media = matchMedia("(prefers-color-scheme: dark)");
  const later = () => setTimeout(update, 50);
  const observer = new MutationObserver(later);
  observer.observe(document.documentElement, { attributes: true });
  observer.observe(document.body, { attributes: true });
  media.addEventListener("change", later);
  requestAnimationFrame(update);
  return () => {
    observer.disconnect();
    media.removeEventListener("change", later);
  };
}
