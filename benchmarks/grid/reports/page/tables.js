"use strict";

function element(tag, attributes = {}, parent = null, text = "") {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  if (text) made.textContent = text;
  if (parent) parent.append(made);
  return made;
}

// What was chosen stands behind the # of the address, so that a link shows it again.
const state = new URLSearchParams(location.hash.includes("=") ? location.hash.slice(1) : "");
function remember(name, value) {
  if (value) state.set(name, value); else state.delete(name);
  try { history.replaceState(null, "", "#" + state); } catch { /* a frame may not */ }
}

function say(text) {
  const said = document.getElementById("said");
  said.textContent = text;
  clearTimeout(say.timer);
  say.timer = setTimeout(() => { said.textContent = ""; }, 1800);
}

// A click on a heading sorts, once more the other way, a third time as it was. What is empty stays last.
function sortRows(host, place, order) {
  const body = host.querySelector("tbody");
  const heads = [...host.querySelectorAll("thead th")];
  if (!heads[place]) return;
  const number = heads[place].classList.contains("number");
  const keyOf = (row) => {
    const cell = row.cells[place];
    if (number) return cell.dataset.value === undefined ? null : Number(cell.dataset.value);
    return cell.textContent.trim() || null;
  };
  const sign = order === "descending" ? -1 : 1;
  const rows = [...body.rows].map((row, index) => {
    row.dataset.place ??= index;
    return { row, key: keyOf(row), first: Number(row.dataset.place) };
  });
  rows.sort((a, b) => {
    if (order === "none") return a.first - b.first;
    if (a.key === null || b.key === null) return (a.key === null) - (b.key === null) || a.first - b.first;
    const difference = number ? a.key - b.key : a.key.localeCompare(b.key, undefined, { numeric: true });
    return sign * difference || a.first - b.first;
  });
  body.append(...rows.map((each) => each.row));
  heads.forEach((head, index) => head.setAttribute("aria-sort", index === place ? order : "none"));
}

function filterRows(host, text) {
  const words = text.toLowerCase().split(/\s+/).filter(Boolean);
  const rows = [...host.querySelectorAll("tbody tr")];
  for (const row of rows) {
    const content = [...row.cells].map((cell) => cell.textContent).join(" ").toLowerCase();
    row.hidden = !words.every((word) => content.includes(word));
  }
  const shown = rows.filter((row) => !row.hidden).length;
  host.querySelector("output").textContent = shown === rows.length ? `${shown} rows` : `${shown} of ${rows.length} rows`;
}

for (const host of document.querySelectorAll(".sortable")) {
  const heads = [...host.querySelectorAll("thead th")];
  const field = host.querySelector("input");
  heads.forEach((head, place) => head.querySelector("button").addEventListener("click", () => {
    const order = { none: "ascending", ascending: "descending", descending: "none" }[head.getAttribute("aria-sort")];
    sortRows(host, place, order);
    remember(`${host.id}.sort`, order === "none" ? "" : `${place}.${order}`);
  }));
  field.addEventListener("input", () => {
    filterRows(host, field.value);
    remember(`${host.id}.filter`, field.value);
  });
  const [place, order] = (state.get(`${host.id}.sort`) ?? "").split(".");
  if (["ascending", "descending"].includes(order)) sortRows(host, Number(place), order);
  field.value = state.get(`${host.id}.filter`) ?? "";
  if (field.value) filterRows(host, field.value);
}
