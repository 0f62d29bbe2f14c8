// Shrink what is larger than its slide, once everything that has a size is there; then let reveal.js begin.
const WIDTH = 1280, HEIGHT = 720;

function fit(part) {
  const page = part.parentElement, widget = part.closest("section").classList.contains("widget");
  Object.assign(part.style, { maxHeight: "", overflowY: "" });
  for (let zoom = 1; zoom > (widget ? 0.72 : 0.4); zoom -= 0.04) {
    part.style.zoom = zoom;
    if (page.scrollHeight <= HEIGHT && [part, ...part.querySelectorAll(".output_area, pre, table")].every((one) =>
      one.scrollWidth <= one.clientWidth + 1 && one.getBoundingClientRect().right <= WIDTH)) break;
  }
  // a widget that would get too small to use, or grows, scrolls inside of its slide
  if (widget) Object.assign(part.style, { maxHeight: `${(HEIGHT - 60) / part.style.zoom}px`, overflowY: "auto" });
}

addEventListener("load", async () => {
  await MathJax.startup?.promise;
  await Promise.all([...document.images].map((image) => image.decode().catch(() => {})));
  document.body.classList.add("measured");
  for (const part of document.querySelectorAll(".page > .fit")) fit(part);
  document.body.classList.remove("measured");
  await Reveal.initialize({
    width: WIDTH, height: HEIGHT, margin: 0, center: false, hash: true, slideNumber: "c/t", transition: "none",
    pdfMaxPagesPerSlide: 1, plugins: [RevealNotes],
    // a widget's sliders and lists need the keys
    keyboardCondition: () => !document.activeElement.closest(".cxr-static"),
  });
  // some widgets draw themselves when they are seen
  Reveal.on("slidechanged", ({ currentSlide }) => currentSlide.classList.contains("widget")
    && setTimeout(() => fit(currentSlide.querySelector(".fit")), 400));
  document.body.dataset.ready = "true";
});
