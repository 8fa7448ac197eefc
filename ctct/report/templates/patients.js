// Sorts the table of patients by a column, and hides those that a filter leaves out. Without
// scripts the table is as it was written.
"use strict";
const table = document.querySelector("#patients");
const rows = [...table.tBodies[0].rows];
const filter = document.querySelector("#filter");
filter.hidden = false;

const text = (row, column) => row.cells[column].textContent.trim();

function compare(a, b) {
  const [x, y] = [parseFloat(a), parseFloat(b)];
  if (Number.isNaN(x) || Number.isNaN(y)) {
    return Number.isNaN(x) - Number.isNaN(y) || a.localeCompare(b, undefined, { numeric: true });
  }
  return x - y;
}

[...table.tHead.rows[0].cells].forEach((cell, column) => {
  const button = document.createElement("button");
  button.textContent = cell.textContent;
  cell.replaceChildren(button);
  button.addEventListener("click", () => {
    const sign = cell.ariaSort === "ascending" ? -1 : 1;
    for (const other of cell.parentElement.cells) other.ariaSort = null;
    cell.ariaSort = sign > 0 ? "ascending" : "descending";
    const by = column === 0 ? (a, b) => a.localeCompare(b, undefined, { numeric: true }) : compare;
    rows.sort((a, b) => sign * by(text(a, column), text(b, column)));
    table.tBodies[0].append(...rows);
  });
});

filter.addEventListener("input", () => {
  const [name, verdict] = [filter.elements.name.value.toLowerCase(), filter.elements.verdict.value];
  let shown = 0;
  for (const row of rows) {
    const fits = text(row, 0).toLowerCase().includes(name) && text(row, 1).includes(verdict);
    row.hidden = !fits;
    shown += fits;
    const href = row.querySelector("a").getAttribute("href");
    if (href.startsWith("#")) document.getElementById(href.slice(1)).hidden = !fits;
  }
  filter.querySelector("output").textContent = `${shown} of ${rows.length} shown`;
});
filter.addEventListener("submit", (event) => event.preventDefault());
