// A "Predict first" lets what follows wait for a guess; the guess then stands beside the result, also after a reload. The
// switch below the title turns the waiting off on every page. What the question is about stays: cells with the tag
// "question", such as the pictures of a quiz. Nothing leaves the browser, unless the reader saves the guesses as a file.
document.addEventListener("DOMContentLoaded", () => {
  const questions = [...document.querySelectorAll("article .predict")];
  if (!questions.length) return;
  const store = (name, value) => { // a browser may forbid it, for pages from the disk for instance
    try {
      if (value === undefined) return localStorage.getItem(name);
      if (value === null) localStorage.removeItem(name);
      else localStorage.setItem(name, value);
    } catch { /* then nothing is kept */ }
    return null;
  };
  const make = (tag, properties, ...children) => {
    const element = Object.assign(document.createElement(tag), properties);
    element.append(...children);
    return element;
  };
  const button = (text, act) => make("button", { type: "button", textContent: text, onclick: act });
  const ends = (element) => !element || element.tagName === "SECTION" || element.classList.contains("predict");
  const waiting = []; // {hide, show} of each question
  const guesses = new Map(); // of this page: question's id -> {id, question, guess}
  const save = button(t`Save my guesses`, () => {
    const chapter = location.pathname.split("/").pop().replace(/\.html$/, "");
    const content = JSON.stringify({ format: 1, chapter, guesses: [...guesses.values()] }, null, 1);
    const link = make("a", { href: URL.createObjectURL(new Blob([content], { type: "application/json" })), download: `guesses-${chapter}.json` });
    link.click();
    URL.revokeObjectURL(link.href);
  });

  for (const question of questions) {
    const key = `guess: ${question.id}`;
    const note = (guess) => {
      const [, ...rest] = question.querySelector("p").childNodes; // behind "Predict first."
      const asked = rest.map((node) => node.textContent).join("").trim();
      const choice = [...question.querySelectorAll(".predict-choices li")].findIndex((one) => one.textContent.trim() === guess);
      const number = document.documentElement.lang !== "en" && choice >= 0 ? { choice } : {}; // a teacher's page is English
      if (guess) guesses.set(question.id, { id: question.id, question: asked, guess, ...number });
      else guesses.delete(question.id);
      save.disabled = !guesses.size;
    };
    const after = [];
    for (let next = question.nextElementSibling; !ends(next); next = next.nextElementSibling) after.push(next);
    const cell = after.findIndex((e) => e.querySelector(".cell_output") && !e.classList.contains("tag_question"));
    const results = cell < 0 ? after.filter((e) => !e.classList.contains("tag_question"))
      : [after[cell].querySelector(".cell_output"), ...after.slice(cell + 1)];
    const list = question.querySelector(".predict-choices");
    if (!results.length) continue;
    list?.classList.add("asked"); // on paper the choices stay
    const form = make("form", { className: "guess" });
    form.setAttribute("aria-label", question.querySelector("p").textContent);
    const told = make("p", { className: "guess", tabIndex: -1 });
    const show = () => {
      for (const element of results) element.classList.remove("waits");
      form.hidden = true;
      const guess = store(key);
      told.hidden = !guess;
      told.replaceChildren(t`Your guess:`, " ", make("strong", { textContent: guess ?? "" }), " ", button(t`Guess again`, () => {
        store(key, null);
        note(null);
        hide();
        form.querySelector("button, input").focus();
      }));
    };
    const hide = () => {
      if (store("predict") === "off" || store(key)) return show();
      for (const element of results) element.classList.add("waits");
      form.hidden = false;
      told.hidden = true;
    };
    const give = (guess) => {
      if (guess) store(key, guess);
      note(guess);
      show();
      if (guess && told.hidden) { // nothing can be kept here: say it all the same
        told.hidden = false;
        told.replaceChildren(t`Your guess:`, " ", make("strong", { textContent: guess }));
      }
      (told.hidden ? question : told).focus({ preventScroll: true });
    };
    question.tabIndex = -1;
    if (list) {
      for (const choice of list.querySelectorAll("li")) {
        const text = choice.textContent.trim();
        form.append(button(text, () => give(text)));
      }
    } else {
      const field = make("input", { type: "text", maxLength: 300, placeholder: t`Your guess` });
      field.setAttribute("aria-label", t`Your guess`);
      form.append(field, make("button", { textContent: t`Guess` }));
      form.addEventListener("submit", (event) => {
        event.preventDefault();
        if (field.value.trim()) give(field.value.trim());
        else field.focus();
      });
    }
    form.append(Object.assign(button(t`Show the result`, () => give("")), { className: "skip" }));
    question.after(form);
    results[0].before(told);
    note(store(key));
    waiting.push({ hide, show });
    hide();
  }

  const box = make("input", { type: "checkbox", checked: store("predict") !== "off" });
  box.addEventListener("change", () => {
    store("predict", box.checked ? null : "off");
    for (const { hide, show } of waiting) (box.checked ? hide : show)();
  });
  const line = make("div", { className: "predict-switch" }, make("label", {}, box, ` ${t`Results wait for my guess`}`), save);
  (document.querySelector("article .reading-time") ?? document.querySelector("article h1"))?.after(line);
});

// What the theme says in English in every language.
document.addEventListener("DOMContentLoaded", () => {
  const names = { ".primary-toggle": t`Toggle primary sidebar`, ".secondary-toggle": t`Toggle secondary sidebar` };
  for (const [kind, name] of Object.entries(names)) {
    for (const toggle of document.querySelectorAll(kind)) {
      toggle.setAttribute(toggle.dataset.bsOriginalTitle ? "data-bs-original-title" : "title", name); // read before or after
      toggle.setAttribute("aria-label", name);
    }
  }
  document.querySelector('nav[aria-label="Page"]')?.setAttribute("aria-label", t`Page`);
});

// A page opened from the disk may not fetch other pages, so the search shows titles there, without excerpts.
if (location.protocol === "file:") DOCUMENTATION_OPTIONS.SHOW_SEARCH_SUMMARY = false;

// Glossary words show their definition on hover, on focus and at a first tap (the second follows the link); Escape and a
// tap elsewhere close it. Without scripts the link's title does it.
document.addEventListener("DOMContentLoaded", () => {
  const tip = document.createElement("div");
  let shown = null, tapped = null; // the word that a finger has just touched, which was not explained before
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
    link.addEventListener("pointerdown", ({ pointerType }) => { tapped = pointerType !== "mouse" && shown !== link ? link : null; });
    link.addEventListener("click", (event) => {
      if (tapped !== link) return;
      tapped = null;
      event.preventDefault();
      show(link);
    });
    if (!tip.isConnected) document.body.append(tip);
  }
  document.addEventListener("keydown", ({ key }) => key === "Escape" && hide());
  document.addEventListener("pointerdown", ({ target }) => !tip.contains(target) && !shown?.contains(target) && hide());
});

// On a phone the words in a figure are too small: a button below it shows it large, to be moved about with a finger.
document.addEventListener("DOMContentLoaded", () => {
  const dialog = document.createElement("dialog"), place = document.createElement("div"), close = document.createElement("button");
  dialog.className = "enlarged";
  dialog.setAttribute("aria-label", t`Figure`);
  Object.assign(close, { type: "button", textContent: t`Close`, onclick: () => dialog.close() });
  place.tabIndex = 0; // so that arrow keys move it
  dialog.append(close, place);
  for (const image of document.querySelectorAll("article img.cxr-figure, article figure img")) {
    if (image.closest(".cxr-kit")) continue;
    const open = Object.assign(document.createElement("button"), { type: "button", className: "enlarge", textContent: t`Enlarge the figure` });
    open.addEventListener("click", () => {
      place.replaceChildren(Object.assign(new Image(), { src: image.currentSrc || image.src, alt: image.alt }));
      dialog.showModal();
    });
    image.after(open);
    if (!dialog.isConnected) document.body.append(dialog);
  }
});

// On paper everything folded is open, and the page is light.
addEventListener("beforeprint", () => {
  const { dataset } = document.documentElement, { theme } = dataset, folds = [...document.querySelectorAll("details:not([open])")];
  dataset.theme = "light";
  for (const fold of folds) fold.open = true;
  addEventListener("afterprint", () => {
    dataset.theme = theme;
    for (const fold of folds) fold.open = false;
  }, { once: true });
});
