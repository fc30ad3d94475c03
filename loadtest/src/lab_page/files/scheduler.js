// The second tab: the reader decides whose statement the database executes next.

import { el, post, select } from "./dom.js";
import * as ending from "./ending.js";
import * as position from "./position.js";
import { link, name, title } from "./subject.js";

const tab = document.getElementById("scheduler");
const levels = el("ol", { class: "levels" });
const stage = el("div", { class: "stage" });
const own = el("form", { class: "fields", submit: begin });
let choices;
let wanted = null;
/** What was predicted for each subject: true if the reader says that it can be reached. */
const predicted = new Map();
let state = { phase: "idle" };

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
  const counts = (one) => one.phase === "open" && !one.finished && one.tree.counting !== undefined;
  const isSame = counts(state) && counts(now) && name(state.subject) === name(now.subject) && state.moves === now.moves;
  state = now;
  const counting = stage.querySelector(".counting");
  if (isSame && (counting || !predicted.has(name(now.subject)))) {
    if (counting) counting.textContent = position.counting(now.tree); // nothing else has changed, and a button may be pressed right now
    return;
  }
  if (state.finished) ending.keep(state);
  show();
}

function show() {
  if (!choices || choices.needs.scheduler) return;
  tab.querySelectorAll("[data-level]").forEach((button) => {
    const one = choices.levels[button.dataset.level];
    button.setAttribute("aria-pressed", Boolean(state.subject && name(one) === name(state.subject)));
  });
  const { move: moved, predict: said } = document.activeElement?.dataset ?? {};
  stage.replaceChildren(...parts().filter(Boolean));
  if (moved) stage.querySelector(`[data-move="${moved}"]`)?.focus();
  if (said) stage.querySelector(`[data-predict="${said}"]`)?.focus();
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
    state.finished ? ending.finished(state, task, goal, predicted.get(name(state.subject))) : position.buyers(state, asks, move, goal),
    el("div", { class: "actions" },
      el("button", { type: "button", class: "quiet", disabled: !state.moves, click: undo }, "Take back (U)"),
      el("button", { type: "button", class: "quiet", disabled: !state.moves, click: () => want({ ...state.subject, moves: "" }) }, "From the start"),
      el("span", { class: "soft", role: "status" }, [state.note, state.moves && `moves so far: ${state.moves}`].filter(Boolean).join(" "))),
    position.row(state), position.steps(state), position.locks(state), position.code(state), ending.list(state.subject),
  ];
}

function predict(goal) {
  const say = (can) => () => {
    predicted.set(name(state.subject), can);
    show();
  };
  return el("fieldset", { class: "predict" }, el("legend", {}, "Predict first"),
    el("p", {}, `Is there an order of statements that makes it ${goal}?`),
    el("div", { class: "actions" }, el("button", { type: "button", "data-predict": "yes", click: say(true) }, "Yes"),
      el("button", { type: "button", "data-predict": "no", click: say(false) }, "No")));
}
