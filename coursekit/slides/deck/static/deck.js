// Shrink what is larger than its slide, once everything that has a size is there; then let reveal.js begin.
const WIDTH = 1280, HEIGHT = 720;

function fit(part) {
  for (let zoom = 1; zoom > 0.4; zoom -= 0.04) {
    part.style.zoom = zoom;
    const section = part.parentElement;
    if (section.scrollHeight <= HEIGHT && [part, ...part.querySelectorAll(".output_area, pre, table")].every((one) =>
      one.scrollWidth <= one.clientWidth + 1 && one.getBoundingClientRect().right <= WIDTH)) return;
  }
}

addEventListener("load", async () => {
  await MathJax.startup?.promise;
  await Promise.all([...document.images].map((image) => image.decode().catch(() => {})));
  document.body.classList.add("measured");
  for (const part of document.querySelectorAll("section > .fit")) fit(part);
  document.body.classList.remove("measured");
  await Reveal.initialize({
    width: WIDTH, height: HEIGHT, margin: 0, center: false, hash: true, slideNumber: "c/t", transition: "none",
    pdfMaxPagesPerSlide: 1, plugins: [RevealNotes],
    // a widget's sliders and lists need the keys
    keyboardCondition: () => !document.activeElement.closest(".cxr-static"),
  });
  document.body.dataset.ready = "true";
});
