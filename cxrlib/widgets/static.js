// What a widget's own module needs of an ipywidgets model, on a page where there is none. The module ends in
// `export default { render }`; an inline module may export, and `render` is in scope. Two widgets with equal
// content have equal ids, so each script takes the first place that is still free. base.py fills in the id.
{
  const el = document.querySelector('[data-cxr="DIGEST"]:not([data-ready])');
  el.dataset.ready = "";
  el.replaceChildren();
  const state = JSON.parse(document.getElementById("cxr-state-DIGEST").textContent);
  const listeners = {};
  const model = {
    kernel: false,
    get: (key) => state[key],
    set: (key, value) => {
      if (state[key] === value) return;
      state[key] = value;
      for (const name of ["change:" + key, "change"]) (listeners[name] ?? []).forEach((f) => f());
    },
    on: (name, f) => (listeners[name] ??= []).push(f),
    off: (name, f) => { listeners[name] = (listeners[name] ?? []).filter((g) => f && g !== f); },
    save_changes: () => {},
    send: () => {},
  };
  render({ model, el, experimental: {} });
}
