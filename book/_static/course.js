// In class: ?class in the address hides what follows a "Predict first", until it is asked for; ?class=off ends it. What the
// question is about stays: cells with the tag "question", such as the pictures of a quiz or a widget to try it with.
document.addEventListener("DOMContentLoaded", () => {
  const given = new URLSearchParams(location.search).get("class");
  if (given === "off") sessionStorage.removeItem("class");
  else if (given !== null) sessionStorage.setItem("class", "on");
  if (!sessionStorage.getItem("class")) return;
  const button = (text, act) => Object.assign(document.createElement("button"),
    { type: "button", className: "show-result", textContent: text, onclick: act });
  const asks = (element) => [...element.querySelectorAll(":scope > strong")].some((s) => s.textContent.startsWith("Predict first"));
  const ends = (element) => !element || element.tagName === "SECTION" || asks(element);
  const shows = []; // one function for each question
  for (const question of [...document.querySelectorAll("article p")].filter(asks)) {
    let cell = question.nextElementSibling;
    while (!ends(cell) && (!cell.querySelector(".cell_output") || cell.classList.contains("tag_question"))) cell = cell.nextElementSibling;
    if (ends(cell)) continue;
    const hidden = [cell.querySelector(".cell_output")];
    for (let next = cell.nextElementSibling; !ends(next); next = next.nextElementSibling) hidden.push(next);
    const show = () => {
      for (const element of hidden) element.hidden = false;
      ask.remove();
    };
    const ask = button("Show the result", show);
    shows.push(show);
    for (const element of hidden) element.hidden = true;
    hidden[0].before(ask);
  }
  const note = Object.assign(document.createElement("p"), { className: "in-class", textContent: "In class: results wait for a click. " });
  note.append(button("Show all, on every page", () => {
    sessionStorage.removeItem("class");
    for (const show of shows) show();
    note.remove();
  }));
  document.querySelector("article h1")?.after(note);
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
