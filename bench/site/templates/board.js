"use strict";
// Tables are sorted by the buttons in their heads and filtered by words; without this they stand.

function value(row, column) {
  const cell = row.cells[column];
  const said = cell.dataset.value ?? cell.textContent.trim();
  return said !== "" && !Number.isNaN(Number(said)) ? Number(said) : said;
}

function before(one, other, direction) {
  if (one === "" || other === "") return (one === "") - (other === ""); // what is empty stays last
  const text = typeof one === "string" || typeof other === "string";
  const order = text ? String(one).localeCompare(String(other)) : one - other;
  return direction === "ascending" ? order : -order;
}

function sort(table, head) {
  const column = head.cellIndex;
  const now = head.getAttribute("aria-sort");
  const opposite = { ascending: "descending", descending: "ascending" };
  const direction = opposite[now] ?? head.dataset.first ?? "ascending";
  for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
  head.setAttribute("aria-sort", direction);
  const body = table.tBodies[0];
  const rows = [...body.rows];
  rows.sort((a, b) => before(value(a, column), value(b, column), direction));
  body.append(...rows);
}

function makeSortable(table) {
  for (const head of table.tHead.rows[0].cells) {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = head.textContent;
    button.addEventListener("click", () => sort(table, head));
    head.replaceChildren(button);
  }
}

function makeFilter(filter) {
  const rows = [...filter.parentElement.querySelectorAll("table.sortable tbody tr")];
  const input = filter.querySelector("input");
  filter.hidden = false;
  input.addEventListener("input", () => {
    const words = input.value.toLowerCase().split(/\s+/);
    for (const row of rows) {
      const text = `${row.className} ${row.textContent}`.toLowerCase();
      row.hidden = !words.every((word) => text.includes(word));
    }
    const shown = rows.filter((row) => !row.hidden).length;
    filter.querySelector("output").textContent = `${shown} of ${rows.length} rows`;
  });
}

function openTarget() {
  const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (target?.tagName === "DETAILS") {
    target.open = true;
    target.querySelector("summary").focus();
  }
}

document.querySelectorAll("table.sortable").forEach(makeSortable);
document.querySelectorAll(".filter").forEach(makeFilter);
addEventListener("hashchange", openTarget);
openTarget();
