"use strict";
// Sorts tables by a click on a heading, enlarges figures, hides curves, and copies architectures.
// The page is whole without it.
function key(cell) {
  const text = (cell.dataset.sort ?? cell.textContent).trim();
  const number = Number(text.replace(/[,%]/g, ""));
  return text !== "" && !Number.isNaN(number) ? number : null;
}
function compare(one, other) {
  const [a, b] = [key(one), key(other)];
  if (a !== null && b !== null) return a - b;
  if (a !== null || b !== null) return a === null ? 1 : -1;
  return one.textContent.localeCompare(other.textContent);
}
function sort(table, heading, column) {
  const up = heading.getAttribute("aria-sort") !== "ascending";
  for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
  heading.setAttribute("aria-sort", up ? "ascending" : "descending");
  const rows = Array.from(table.tBodies[0].rows);
  rows.sort((a, b) => compare(a.cells[column], b.cells[column]) * (up ? 1 : -1));
  table.tBodies[0].append(...rows);
}
for (const table of document.querySelectorAll("table.sortable")) {
  Array.from(table.tHead.rows[0].cells).forEach((heading, column) => {
    if (heading.classList.contains("plain")) return;
    const button = document.createElement("button");
    button.append(...heading.childNodes);
    button.addEventListener("click", () => sort(table, heading, column));
    heading.append(button);
  });
}
for (const figure of document.querySelectorAll(".figure")) {
  const button = document.createElement("button");
  button.className = "chip zoom";
  button.textContent = "enlarge";
  button.addEventListener("click", () => {
    button.textContent = figure.classList.toggle("large") ? "reduce" : "enlarge";
  });
  figure.prepend(button);
}
for (const button of document.querySelectorAll("[data-method]")) {
  button.addEventListener("click", () => {
    const shown = button.getAttribute("aria-pressed") !== "true";
    button.setAttribute("aria-pressed", shown);
    const ids = ["line", "band"].map((part) => `[id$="-m${button.dataset.method}-${part}"]`);
    for (const part of document.querySelectorAll(ids.join(", ")))
      part.style.display = shown ? "inline" : "none";
  });
}
for (const arch of document.querySelectorAll(".arch")) {
  const button = document.createElement("button");
  button.className = "chip";
  button.textContent = "copy";
  button.addEventListener("click", async () => {
    const code = arch.querySelector("code");
    try {
      await navigator.clipboard.writeText(code.textContent);
    } catch {
      getSelection().selectAllChildren(code);
      document.execCommand("copy");
    }
    button.textContent = "copied";
    setTimeout(() => { button.textContent = "copy"; }, 1500);
  });
  arch.append(button);
}
