// The list of runs. It is kept in this browser, with notes, and two or more of them are compared.

import { el, ms, number } from "./dom.js";

const KEY = "oversold-runs";
const MOST = 50;

const list = el("ol", { class: "runs" });
const compared = el("div", { class: "wide" });
let chosen = new Set();
let again;

/** The list; `edit` puts a run into the form again. */
export function build(edit) {
  again = edit;
  show();
  window.addEventListener("storage", show); // another tab has added a run
  return el("section", { class: "kept", "aria-label": "Runs" }, el("h2", {}, "Your runs"),
    el("p", { class: "soft" }, "They stay in this browser. Tick some to compare them. ",
      el("a", { href: "/runs.json", download: "runs.json" }, "Download the figures"), " of this lab's runs, which `cargo loadtest report` reads."),
    list, compared);
}

function read() {
  try {
    const kept = JSON.parse(localStorage.getItem(KEY) ?? "[]");
    return Array.isArray(kept) ? kept : [];
  } catch {
    return [];
  }
}

function write(runs) {
  try {
    localStorage.setItem(KEY, JSON.stringify(runs.slice(0, MOST)));
  } catch {
    // a browser that stores nothing still shows the runs of this page
  }
  show();
}

/** Adds a run that has ended, once. */
export function add({ id, ask, title, result }) {
  const runs = read();
  if (!runs.some((run) => run.id === id)) write([{ id, ask, title, result, note: "" }, ...runs]);
}

function show() {
  const runs = read();
  list.replaceChildren(...runs.map(row));
  if (!runs.length) list.append(el("li", { class: "soft" }, "No runs yet."));
  compare(runs.filter((run) => chosen.has(run.id)));
}

function row(run) {
  const change = (fields) => write(read().map((one) => (one.id === run.id ? { ...one, ...fields } : one)));
  const tick = el("input", {
    type: "checkbox", "aria-label": `Compare ${run.title}`, checked: chosen.has(run.id),
    change: (event) => {
      if (event.target.checked) chosen.add(run.id);
      else chosen.delete(run.id);
      compare(read().filter((one) => chosen.has(one.id)));
    },
  });
  const note = el("input", { type: "text", maxlength: 200, placeholder: "note", "aria-label": `Note on ${run.title}`,
    change: (event) => change({ note: event.target.value }) });
  note.value = run.note;
  return el("li", {}, tick, el("b", {}, run.title), " ", el("span", { class: `badge ${run.result.class}` }, run.result.outcome),
    ` ${run.result.figure} `, note,
    el("button", { type: "button", class: "quiet", click: () => again([run.ask]) }, "Again"),
    el("button", { type: "button", class: "quiet", "aria-label": `Remove ${run.title}`,
      click: () => write(read().filter((one) => one.id !== run.id)) }, "×"));
}

const ROWS = [
  ["units", (run) => number(run.stock)],
  ["orders", (run) => number(run.audit.orders)],
  ["told yes", (run) => number(run.told_yes)],
  ["`sold` says", (run) => number(run.audit.sold)],
  ["oversold", (run) => number(run.audit.oversold)],
  ["undersold", (run) => number(run.audit.undersold)],
  ["yes without an order", (run) => number(run.audit.lost_promises)],
  ["requests a second", (run) => number(run.per_second)],
  ["yes: half within", (run) => ms(run.latency.bought?.p50)],
  ["yes: 99 of 100 within", (run) => ms(run.latency.bought?.p99)],
  ["no: half within", (run) => ms(run.latency.refused?.p50)],
  ["database", (run) => run.database],
  ["verdict", (run) => run.outcome],
];

function compare(runs) {
  compared.replaceChildren();
  if (runs.length < 2) return;
  const heads = runs.map((run) => el("th", { scope: "col" }, run.title, run.note ? el("small", {}, ` ${run.note}`) : null));
  const rows = ROWS.map(([name, of]) => {
    const cells = runs.map((run) => of(run.result) ?? "–");
    const differs = new Set(cells).size > 1;
    return el("tr", { class: differs ? "differs" : "" }, el("th", { scope: "row" }, name), cells.map((cell) => el("td", {}, cell)));
  });
  compared.append(el("table", { class: "compared" }, el("thead", {}, el("tr", {}, el("th", {}), heads)), el("tbody", {}, rows)));
}
