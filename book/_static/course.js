// In class: ?class in the address hides what follows a "Predict first", until it is asked for.
document.addEventListener("DOMContentLoaded", () => {
  if (new URLSearchParams(location.search).has("class")) sessionStorage.setItem("class", "on");
  if (!sessionStorage.getItem("class")) return;
  const asks = (element) => element.querySelector(":scope > strong")?.textContent.startsWith("Predict first");
  for (const question of [...document.querySelectorAll("article p")].filter(asks)) {
    let cell = question.nextElementSibling;
    while (cell && !cell.querySelector(".cell_output")) cell = cell.nextElementSibling;
    if (!cell) continue;
    const hidden = [cell.querySelector(".cell_output")];
    for (let next = cell.nextElementSibling; next && next.tagName !== "SECTION" && !asks(next);
      next = next.nextElementSibling) hidden.push(next);
    const button = Object.assign(document.createElement("button"),
      { type: "button", className: "show-result", textContent: "Show the result" });
    button.addEventListener("click", () => {
      for (const element of hidden) element.hidden = false;
      button.remove();
    });
    for (const element of hidden) element.hidden = true;
    hidden[0].before(button);
  }
});

// A page opened from the disk may not fetch other pages, so the search shows titles there, without excerpts.
if (location.protocol === "file:") DOCUMENTATION_OPTIONS.SHOW_SEARCH_SUMMARY = false;

// Glossary words show their definition on hover and on focus; Escape closes it. Without scripts the link's title does it.
document.addEventListener("DOMContentLoaded", () => {
  const tip = document.createElement("div");
  let shown = null;
  const hide = () => {
    tip.hidden = true;
    shown?.removeAttribute("aria-describedby");
    shown = null;
  };
  const show = (link) => {
    hide();
    shown = link;
    tip.textContent = link.dataset.definition;
    link.setAttribute("aria-describedby", tip.id);
    tip.hidden = false;
    const word = link.getClientRects()[0];
    const room = document.documentElement.clientWidth - tip.offsetWidth - 8;
    const below = word.bottom + tip.offsetHeight <= innerHeight;
    tip.style.left = `${scrollX + Math.max(8, Math.min(word.left, room))}px`;
    tip.style.top = `${scrollY + (below ? word.bottom : word.top - tip.offsetHeight)}px`;
  };
  // the pointer may go from the word to its definition and back
  const leave = ({ relatedTarget }) => {
    if (!tip.contains(relatedTarget) && !shown?.contains(relatedTarget)) hide();
  };

  tip.id = "definition";
  tip.setAttribute("role", "tooltip");
  tip.addEventListener("mouseleave", leave);
  hide();
  for (const link of document.querySelectorAll("a.glossary-link")) {
    link.dataset.definition = link.title;
    link.removeAttribute("title");
    link.addEventListener("mouseenter", () => show(link));
    link.addEventListener("focus", () => show(link));
    link.addEventListener("mouseleave", leave);
    link.addEventListener("blur", hide);
    if (!tip.isConnected) document.body.append(tip);
  }
  document.addEventListener("keydown", ({ key }) => key === "Escape" && hide());
});
