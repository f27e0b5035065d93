"use strict";

const detail = document.getElementById("detail");
const search = document.getElementById("search");
const rows = [...document.querySelectorAll("tr.test")];
const chips = [...document.querySelectorAll(".chip")];
const cells = [...document.querySelectorAll(".cell")];
let current = null;

// -- filters: a row stays while it has the words and one of the pressed outcomes ------------------

function filter() {
  const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
  const pressed = chips.filter((chip) => chip.getAttribute("aria-pressed") === "true");
  const outcomes = new Set(pressed.map((chip) => chip.dataset.outcome));
  let shown = 0;
  for (const row of rows) {
    const found = [...row.querySelectorAll(".cell")];
    const fits = !outcomes.size || found.some((cell) => outcomes.has(cell.dataset.outcome));
    const text = row.dataset.test.toLowerCase();
    row.hidden = !(fits && words.every((word) => text.includes(word)));
    shown += !row.hidden;
  }
  for (const body of document.querySelectorAll("#matrix tbody")) {
    body.hidden = !body.querySelector("tr.test:not([hidden])");
  }
  document.getElementById("nothing").hidden = shown > 0;
  document.getElementById("shown").textContent =
    shown === rows.length ? `${shown} tests` : `${shown} of ${rows.length} tests`;
}

search.addEventListener("input", filter);
for (const chip of chips) {
  chip.addEventListener("click", () => {
    chip.setAttribute("aria-pressed", chip.getAttribute("aria-pressed") !== "true");
    filter();
  });
}

// -- one test beside the table --------------------------------------------------------------------

function open(slug) {
  const template = document.getElementById(`t-${slug}`);
  if (!template) return;
  detail.replaceChildren(template.content.cloneNode(true));
  detail.querySelector(".close").addEventListener("click", close);
  detail.hidden = false;
  detail.scrollTop = 0;
  mark(cells.find((cell) => cell.dataset.slug === slug));
  history.replaceState(null, "", `#${slug}`);
}

function close() {
  detail.hidden = true;
  detail.replaceChildren();
  history.replaceState(null, "", location.pathname + location.search);
  if (current) current.focus();
}

function mark(cell) {
  if (current) {
    current.removeAttribute("aria-current");
    current.tabIndex = -1;
  }
  current = cell;
  cell.setAttribute("aria-current", "true");
  cell.tabIndex = 0;
}

for (const cell of cells) cell.addEventListener("click", () => open(cell.dataset.slug));
window.addEventListener("hashchange", openNamed);

/* The test that the address names, its row in sight. */
function openNamed() {
  const slug = decodeURIComponent(location.hash.slice(1));
  open(slug);
  if (current && current.dataset.slug === slug) current.scrollIntoView({ block: "nearest" });
}

// -- keyboard: arrows move over what is shown -----------------------------------------------------

function move(down, right) {
  const visible = rows.filter((row) => !row.hidden);
  if (!visible.length) return;
  const boards = (row) => [...row.querySelectorAll(".cell")];
  let row = current ? visible.indexOf(current.closest("tr")) : -1;
  const board = current ? current.dataset.board : null;
  row = Math.max(0, Math.min(visible.length - 1, row + down));
  const found = boards(visible[row]);
  let column = Math.max(0, found.findIndex((cell) => cell.dataset.board === board));
  column = Math.max(0, Math.min(found.length - 1, column + right));
  mark(found[column]);
  current.focus();
  current.scrollIntoView({ block: "nearest" });
  if (!detail.hidden) open(current.dataset.slug);
}

const KEYS = {
  ArrowDown: () => move(1, 0),
  ArrowUp: () => move(-1, 0),
  ArrowRight: () => move(0, 1),
  ArrowLeft: () => move(0, -1),
  j: () => move(1, 0),
  k: () => move(-1, 0),
  "/": () => search.focus(),
  t: theme,
  Escape: close,
};

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.target === search) {
    if (event.key === "Escape" || event.key === "ArrowDown") {
      search.blur();
      if (event.key === "ArrowDown") move(1, 0);
      event.preventDefault();
    }
    return;
  }
  if (Object.hasOwn(KEYS, event.key)) {
    KEYS[event.key]();
    event.preventDefault();
  }
});

function theme() {
  const root = document.documentElement;
  const dark = root.dataset.theme
    ? root.dataset.theme === "dark"
    : matchMedia("(prefers-color-scheme: dark)").matches;
  root.dataset.theme = dark ? "light" : "dark";
}
document.getElementById("theme").addEventListener("click", theme);

filter();
if (cells.length) cells[0].tabIndex = 0;
if (location.hash) openNamed();
