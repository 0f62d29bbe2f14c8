// What a widget's own module needs of an ipywidgets model, on a page where there is none. The module ends in
// `export default { render }`; an inline module may export, and `render` is in scope. Two widgets with equal
// content have equal ids, so each script takes the first place that is still free. base.py fills in the id.
{
  // What all widgets share stands once in a page, before what each has of its own: a second copy would outdo the first one's.
  const [shared, ...copies] = document.querySelectorAll("style.cxr-shared");
  for (const copy of copies) copy.remove();
  if (shared) document.head.append(shared);
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

  // What was chosen is still chosen when this tab loads the page again. `keeps` of a widget is what its controls do not
  // tell, { get, set }; null where the widget remembers all by itself.
  const { keeps } = el.querySelector(".cxr-kit") ?? {}, alike = document.querySelectorAll('[data-cxr="DIGEST"][data-ready]').length;
  const name = `${location.pathname} DIGEST ${alike}`;
  const controls = () => [...el.querySelectorAll("input:not([type=file]), select")];
  const put = (control, [value, checked]) => {
    if (/radio|checkbox/.test(control.type)) {
      if (checked !== control.checked && (checked || control.type === "checkbox")) control.click();
    } else if (control.value !== value) {
      control.value = value;
      for (const event of ["input", "change"]) control.dispatchEvent(new Event(event, { bubbles: true }));
    }
  };
  if (keeps !== null) {
    try {
      const kept = JSON.parse(sessionStorage.getItem(name));
      controls().forEach((control, i) => kept?.controls[i] && !control.closest("[hidden]") && put(control, kept.controls[i]));
      if (kept) keeps?.set(kept.more);
      addEventListener("pagehide", () => sessionStorage.setItem(name, JSON.stringify({
        controls: controls().map(({ value, checked }) => [value, checked]), more: keeps?.get(),
      })));
    } catch { /* a frame without a memory of its own */ }
  }
}
