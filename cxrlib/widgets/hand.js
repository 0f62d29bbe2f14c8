// The hand on a picture: zoom, pan, window and the place that is pointed at; by mouse, pen, fingers and keys.

const AS_TAKEN = { zoom: 1, x: 0.5, y: 0.5, center: 127.5, width: 255 }; // what is seen of a picture, and its window
const CLOSEST = 8;
const KEYS = t`Plus and minus zoom, 0 shows the whole picture. Arrow keys do what is chosen under Pointer: they go to another place and read the value there, set the window, or move the picture.`;

/** Keep what is seen inside the picture. */
function held(look) {
  look.zoom = Math.min(Math.max(look.zoom, 1), CLOSEST);
  const edge = 0.5 / look.zoom;
  for (const axis of ["x", "y"]) look[axis] = Math.min(Math.max(look[axis], edge), 1 - edge);
  look.center = Math.min(Math.max(look.center, 0), 255);
  look.width = Math.min(Math.max(look.width, 1), 510);
}

/** Where a place of the picture is seen in its frame, both 0..1. */
const seenAt = (look, [u, v]) => [(u - look.x) * look.zoom + 0.5, (v - look.y) * look.zoom + 0.5];

/** Let a frame be handled: `look` is changed, `pointed([u, v] or null)` tells the place, `changed()` the rest. */
function handled(frame, look, tool, place, pointed, changed) {
  const fingers = new Map();
  let pinch = null;
  const at = (event) => {
    const { left, top, width, height } = frame.getBoundingClientRect();
    return [(event.clientX - left) / width, (event.clientY - top) / height];
  };
  const inPicture = ([a, b]) => [(a - 0.5) / look.zoom + look.x, (b - 0.5) / look.zoom + look.y].map((v) => Math.min(Math.max(v, 0), 0.9999));
  const change = (what) => {
    Object.assign(look, what);
    held(look);
    changed();
  };
  /** Zoom so that what is at [a, b] of the frame stays there. */
  const zoomAt = ([a, b], zoom) => {
    const [u, v] = [(a - 0.5) / look.zoom + look.x, (b - 0.5) / look.zoom + look.y];
    const to = Math.min(Math.max(zoom, 1), CLOSEST);
    change({ zoom: to, x: u - (a - 0.5) / to, y: v - (b - 0.5) / to });
  };
  const drag = (dx, dy) => { // by a part of the frame
    if (tool() === "window") change({ width: look.width + 255 * dx, center: look.center + 255 * dy });
    else change({ x: look.x - dx / look.zoom, y: look.y - dy / look.zoom });
  };
  const spread = () => {
    const [[a, b], [c, d]] = [...fingers.values()];
    return { middle: [(a + c) / 2, (b + d) / 2], apart: Math.max(Math.hypot(a - c, b - d), 0.01) };
  };

  frame.addEventListener("pointerdown", (event) => {
    fingers.set(event.pointerId, at(event));
    if (event.pointerType !== "touch" || tool() !== "value") frame.setPointerCapture(event.pointerId);
    pinch = fingers.size === 2 ? { ...spread(), zoom: look.zoom } : null;
    if (fingers.size === 1 && tool() === "value") pointed(inPicture(at(event)));
  });
  frame.addEventListener("pointermove", (event) => {
    const before = fingers.get(event.pointerId), now = at(event);
    if (before) fingers.set(event.pointerId, now);
    if (pinch && fingers.size === 2) {
      const { middle, apart } = spread();
      drag2(middle);
      zoomAt(middle, (pinch.zoom * apart) / pinch.apart);
    } else if (tool() === "value") {
      if (before || event.pointerType === "mouse") pointed(inPicture(now));
    } else if (before) drag(now[0] - before[0], now[1] - before[1]);
  });
  const drag2 = (middle) => { // two fingers also move the picture
    change({ x: look.x - (middle[0] - pinch.middle[0]) / look.zoom, y: look.y - (middle[1] - pinch.middle[1]) / look.zoom });
    pinch.middle = middle;
  };
  for (const end of ["pointerup", "pointercancel", "lostpointercapture"]) {
    frame.addEventListener(end, (event) => {
      fingers.delete(event.pointerId);
      pinch = null;
    });
  }
  frame.addEventListener("pointerleave", (event) => event.pointerType === "mouse" && !fingers.size && document.activeElement !== frame && pointed(null));
  frame.addEventListener("wheel", (event) => { // a page scrolls under the wheel, unless the picture was clicked or Ctrl is held
    if (!event.ctrlKey && document.activeElement !== frame) return;
    event.preventDefault();
    zoomAt(at(event), look.zoom * Math.exp(-event.deltaY / 400));
  }, { passive: false });
  frame.addEventListener("keydown", (event) => {
    const [dx, dy] = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key] ?? [0, 0];
    const far = event.shiftKey ? 4 : 1, middle = [0.5, 0.5];
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "+" || event.key === "=") zoomAt(middle, look.zoom * 1.25);
    else if (event.key === "-") zoomAt(middle, look.zoom / 1.25);
    else if (event.key === "0") zoomAt(middle, 1);
    else if (event.key === "Escape") pointed(null);
    else if (!dx && !dy) return;
    else if (tool() === "value") {
      const [u, v] = place() ?? [look.x, look.y];
      pointed([u + (dx * far) / 32, v + (dy * far) / 32].map((w) => Math.min(Math.max(w, 0), 0.9999)));
    } else drag((dx * far) / (tool() === "window" ? 51 : -16), (dy * far) / (tool() === "window" ? 51 : -16));
    event.preventDefault();
  });
}
