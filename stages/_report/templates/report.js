"use strict";

/* Words of an attribute. */
const words = (element, name) => (element.dataset[name] ? element.dataset[name].split(" ") : []);

/* Whether a picture fits what is asked for. An error is "model.class.kind"; a class alone means: it is in the picture. */
function fits(figure, asked) {
  if (asked.group && !words(figure, "groups").includes(asked.group)) return false;
  if (!asked.kind && !asked.model) return !asked.class || words(figure, "classes").includes(asked.class);
  return words(figure, "errors").some((error) => {
    const [model, name, kind] = error.split(".");
    return (!asked.model || model === asked.model) && (!asked.class || name === asked.class) && (!asked.kind || kind === asked.kind);
  });
}

const AT_ONCE = 24;

for (const gallery of document.querySelectorAll(".gallery")) {
  const form = gallery.querySelector("form");
  const more = gallery.querySelector(".more");
  const figures = [...gallery.querySelectorAll("figure")];
  let most = AT_ONCE;
  const update = () => {
    const asked = Object.fromEntries(new FormData(form));
    let fitting = 0;
    for (const figure of figures) {
      const fit = fits(figure, asked);
      fitting += fit;
      figure.hidden = !fit || fitting > most;
    }
    gallery.dataset.size = asked.size;
    gallery.dataset.labels = asked.labels || "off";
    form.querySelector("output").value = `${fitting} of ${figures.length} pictures`;
    gallery.querySelector(".none").hidden = fitting > 0;
    more.hidden = fitting <= most;
    more.textContent = `Show ${Math.min(AT_ONCE, fitting - most)} more of ${fitting - most}`;
  };
  const restart = () => {
    most = AT_ONCE;
    update();
  };
  form.hidden = false;
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("input", restart);
  form.addEventListener("reset", () => setTimeout(restart));
  more.addEventListener("click", () => {
    most += AT_ONCE;
    update();
  });
  update();
}

/* A button that opens all that is folded, or closes it again: for reading through, searching and printing. */
for (const button of document.querySelectorAll("button.unfold")) {
  const folded = document.querySelectorAll("main details");
  let open = false;
  button.hidden = folded.length === 0;
  button.addEventListener("click", () => {
    open = !open;
    for (const each of folded) each.open = open;
    button.setAttribute("aria-expanded", String(open));
    button.textContent = open ? "Close all details" : "Open all details";
  });
}

/* A table or drawing that is wider than the page scrolls; the keyboard must be able to do that, too. */
function reachable() {
  for (const box of document.querySelectorAll(".scroll")) {
    if (box.scrollWidth > box.clientWidth) {
      box.tabIndex = 0;
      box.setAttribute("role", "group");
      const name = box.querySelector("caption") || box.closest("figure").querySelector("figcaption");
      box.setAttribute("aria-label", name.textContent.trim().slice(0, 120));
    } else {
      for (const name of ["tabindex", "role", "aria-label"]) box.removeAttribute(name);
    }
  }
}
addEventListener("resize", reachable);
addEventListener("toggle", reachable, true);
reachable();
