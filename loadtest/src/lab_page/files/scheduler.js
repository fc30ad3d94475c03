// The second tab: the reader decides whose statement the database executes next.

import { el, number, post, select } from "./dom.js";
import * as position from "./position.js";

const tab = document.getElementById("scheduler");
const levels = el("ol", { class: "levels" });
const stage = el("div", { class: "stage" });
const own = el("form", { class: "fields", submit: begin });
const NAMES = { oversell: "oversell", undersell: "undersell", deadlock: "deadlock" };
let choices;
let wanted = null;
/** What was predicted for each subject: true if the reader says that it can be reached. */
const predicted = new Map();
let state = { phase: "idle" };
/** The interleavings that were played to their end. */
const ended = new Map();

export function build(all) {
  choices = all;
  tab.append(el("p", { class: "lead" }, "Two buyers run the shop's real code on a real database. You decide whose statement is executed next."));
  if (all.needs.scheduler) {
    tab.append(el("p", { class: "needs" }, all.needs.scheduler, " The first tab works without it."));
    return;
  }
  levels.append(...all.levels.map((level, n) => el("li", {}, el("button", { type: "button", "data-level": n, click: () => want({ ...level, moves: "" }) },
    `${title(level)}: ${level.stock === 1 ? "1 unit" : `${level.stock} units`}. Can you make it ${level.goal}?`))));
  const known = all.versions.slice(0, 3).flatMap(({ name, variants }) => [[name, name], ...variants.map((one) => [`${name}/${one}`, `${name} ${one}`])]);
  own.append(select("Version", "version", known), select("Buyers", "buyers", ["2", "3"]), select("Units", "stock", ["1", "2", "3"]), el("button", {}, "Begin"));
  tab.append(el("div", { class: "columns" }, el("aside", {}, el("h2", {}, "Tasks"), levels,
    el("details", {}, el("summary", {}, "Choose for yourself"), own),
    el("p", { class: "soft" }, "Keys: A, B, C move a buyer; U takes a move back. Each position has its own link.")), stage));
  document.addEventListener("keydown", key);
  show();
}

const title = ({ version, variant }) => (variant ? `${version} ${variant}` : version);
const name = (subject) => `${title(subject)} ${subject.buyers} ${subject.stock}`;
const level = (subject) => choices.levels.find((one) => name(one) === name(subject));

function begin(event) {
  event.preventDefault();
  const [version, variant] = own.elements.version.value.split("/");
  want({ version, variant, buyers: Number(own.elements.buyers.value), stock: Number(own.elements.stock.value), moves: "" });
}

/** Wants a position: it is put into the address, which `opened` reads. */
function want({ version, variant, buyers, stock, moves }) {
  location.hash = link({ version, variant, buyers, stock, moves });
  if (!moves) stage.scrollIntoView({ block: "nearest" });
}

const link = ({ version, variant, buyers, stock, moves }) => ["#scheduler", version, variant || "-", buyers, stock, moves].join("/");

/** The address names a position. */
export function opened([version, variant, buyers, stock, moves]) {
  if (!version || !choices || choices.needs.scheduler) return;
  wanted = { version, variant: variant === "-" || !variant ? null : variant, buyers: Number(buyers), stock: Number(stock), moves: moves ?? "" };
  if (wanted.moves && !predicted.has(name(wanted))) predicted.set(name(wanted), null); // a shared position shows everything
  post("/schedule", wanted);
}

function key(event) {
  if (tab.hidden || event.ctrlKey || event.altKey || event.metaKey || event.target.closest("input, select")) return;
  const pressed = event.key.toUpperCase();
  if (pressed === "U" || event.key === "Backspace") undo();
  else if (state.buyers?.some((buyer) => buyer.name === pressed)) move(pressed);
}

function move(buyer) {
  if (state.phase === "open" && !state.finished && predicted.has(name(state.subject))) want({ ...state.subject, moves: state.moves + buyer });
}

function undo() {
  if (state.phase === "open" && state.moves) want({ ...state.subject, moves: state.moves.slice(0, -1) });
}

export function changed(now) {
  state = now;
  if (state.finished) ended.set(`${name(state.subject)} ${state.moves}`, state);
  show();
}

function show() {
  if (!choices || choices.needs.scheduler) return;
  tab.querySelectorAll("[data-level]").forEach((button) => {
    const one = choices.levels[button.dataset.level];
    button.setAttribute("aria-pressed", Boolean(state.subject && name(one) === name(state.subject)));
  });
  const focused = document.activeElement?.dataset?.move;
  stage.replaceChildren(...parts().filter(Boolean));
  if (focused) stage.querySelector(`[data-move="${focused}"]`)?.focus();
}

function parts() {
  if (state.phase === "idle") return [el("p", { class: "soft" }, "Choose a task. The first one takes six moves.")];
  if (state.phase === "starting") return [el("p", { role: "status" }, `${title(state.subject)}: the buyers' instances are starting …`)];
  if (state.phase === "failed") {
    const again = wanted ?? { ...state.subject, moves: "" };
    return [el("p", { class: "bad", role: "alert" }, `${state.why}.`), el("button", { type: "button", click: () => post("/schedule", again) }, "Begin again")];
  }
  const task = level(state.subject);
  const asks = !predicted.has(name(state.subject));
  const goal = task?.goal ?? "oversell";
  return [
    el("h2", {}, `${state.subject.title} · ${state.subject.buyers} buyers, ${state.subject.stock} unit${state.subject.stock === 1 ? "" : "s"}`),
    asks ? predict(goal) : position.gauge(state, goal),
    state.finished ? finished(task, goal) : position.buyers(state, asks, move, goal),
    el("div", { class: "actions" },
      el("button", { type: "button", class: "quiet", disabled: !state.moves, click: undo }, "Take back (U)"),
      el("button", { type: "button", class: "quiet", disabled: !state.moves, click: () => want({ ...state.subject, moves: "" }) }, "From the start"),
      el("span", { class: "soft", role: "status" }, state.note ?? (state.moves ? `moves so far: ${state.moves}` : ""))),
    position.row(state), position.steps(state), position.locks(state), position.code(state), endings(),
  ];
}

/** The finished interleavings of this subject, each with the name of its anomaly. */
function endings() {
  const own = [...ended.values()].filter((one) => name(one.subject) === name(state.subject));
  if (!own.length) return null;
  const row = ({ subject, moves, finished: end }) => el("li", {}, el("a", { href: link({ ...subject, moves }) }, moves), " ",
    el("b", { class: end.oversold > 0 || end.undersold > 0 ? "bad" : "" }, end.anomaly), ` ${end.outcome}`);
  return el("section", { class: "endings" }, el("h2", {}, "Finished"), el("ol", {}, own.map(row)),
    el("p", { class: "soft" }, "Write skew is the third anomaly of the textbooks. It needs two rows: each transaction reads both and writes one. "
      + "A purchase reads and writes one row, so you do not meet it here."));
}

function predict(goal) {
  const say = (can) => () => {
    predicted.set(name(state.subject), can);
    show();
  };
  return el("fieldset", { class: "predict" }, el("legend", {}, "Predict first"),
    el("p", {}, `Is there an order of statements that makes it ${NAMES[goal]}?`),
    el("div", { class: "actions" }, el("button", { type: "button", "data-predict": "yes", click: say(true) }, "Yes"),
      el("button", { type: "button", "data-predict": "no", click: say(false) }, "No")));
}

function finished(task, goal) {
  const { finished: end, tree, moves } = state;
  const reached = { oversell: end.oversold, undersell: end.undersold, deadlock: end.deadlocks }[goal] > 0;
  const par = tree.pars?.[goal];
  const can = tree.all ? tree.all[goal] > 0 : null;
  const said = predicted.get(name(state.subject));
  const lines = [];
  if (task && reached) lines.push(`Reached in ${moves.length} moves. The fewest are ${par ?? "still being counted"}.`);
  if (task && !reached && can) lines.push(`Not yet: it did not ${goal}. Take moves back, and try another order.`);
  if (task && can === false) lines.push(`No order does it: 0 of ${number(tree.all.interleavings)} interleavings ${goal}.`);
  if (typeof said === "boolean" && can !== null) lines.push(`You predicted ${said ? "yes" : "no"}: that is ${said === can ? "right" : "wrong"}.`);
  return el("div", { class: `finished ${end.oversold > 0 || end.undersold > 0 ? "bad" : "good"}`, role: "status" },
    el("p", {}, el("b", { class: "badge" }, end.anomaly), ` ${end.outcome}.`),
    el("ul", {}, end.explains.map((line) => el("li", {}, line))),
    lines.map((line) => el("p", { class: "verdict" }, line)),
    task && (reached || can === false) ? el("details", { open: reached }, el("summary", {}, "Why?"), el("p", {}, task.why)) : null,
    el("button", { type: "button", class: "quiet", click: () => save(end.schedule) }, "Save as a schedule file"),
    el("small", {}, ` to play it again: cargo loadtest replay ${title(state.subject).replace(" ", " --variant ")} schedule.txt --stock ${state.subject.stock}`));
}

/** A file that `cargo loadtest replay` takes. */
function save(schedule) {
  const text = `# ${state.subject.title}, ${state.subject.stock} units\n${schedule}\n`;
  const file = URL.createObjectURL(new Blob([text], { type: "text/plain" }));
  el("a", { href: file, download: "schedule.txt" }).click();
  URL.revokeObjectURL(file);
}
