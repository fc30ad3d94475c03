// The third tab: a sale of chapter 6, and boxes for its servers and instances. A click breaks one of them.

import { Chart } from "./chart.js";
import { counted, el, number, post, seconds } from "./dom.js";

const NAMES = {
  "first-instance": "Shop, instance 1", "second-instance": "Shop, instance 2", redis: "Redis", rabbitmq: "RabbitMQ", postgres: "PostgreSQL",
};
const DOES = {
  "first-instance": "answers buyers", "second-instance": "answers buyers", redis: "reserves units", rabbitmq: "carries reservations",
  postgres: "keeps orders",
};
const word = (part, is) => ({ up: "works", killed: "killed", silent: part.endsWith("instance") ? "frozen" : "silent" })[is];
/** The boxes in the order of an order's way. */
const WAY = [["first-instance", "second-instance"], ["redis"], ["rabbitmq"], ["postgres"]];

const tab = document.getElementById("faults");
const go = el("button", { type: "button", class: "go", click: () => post("/sandbox", { do: "begin" }) }, "Open the sale");
const end = el("button", { type: "button", click: () => post("/sandbox", { do: "end" }) }, "End the sale and audit it");
const phase = el("p", { class: "phase", role: "status" });
const boxes = el("div", { class: "boxes" });
const figures = el("dl", { class: "figures" });
const chart = new Chart("Confirmed orders and waiting orders over time");
const told = el("ul", { class: "told" });
const log = el("ol", { class: "log" });
const numbers = el("div", { hidden: true }, figures, chart.svg,
  el("p", { class: "legend" }, el("span", { class: "orders" }, "orders in PostgreSQL"), el("span", { class: "waiting" }, "buyers who wait for their order")),
  told, log);
let drawn = "";

export function build(all) {
  tab.append(el("p", { class: "lead" }, "Chapter 6 sells to 20 buyers a second. Break a part of it, watch orders wait, and bring it back."));
  if (all.needs.v6) {
    tab.append(el("p", { class: "needs" }, all.needs.v6, " The first tab plays chapters 1 to 5 without them."));
    return;
  }
  tab.append(el("div", { class: "actions" }, go, end), phase, boxes, numbers);
  changed({ phase: "idle" });
}

const PHASES = {
  idle: () => "The servers start with the sale; that takes about ten seconds.",
  starting: (state) => `${state.says} …`,
  selling: (state) => `The sale is open, ${seconds(state.ms)}.`,
  ending: (state) => `${state.says} Everything is brought back, and the last orders are awaited …`,
  failed: (state) => `It failed: ${state.why}.`,
  done: ({ audit }) => verdict(audit),
};

export function changed(state) {
  if (!boxes.isConnected) return;
  const sells = state.phase === "selling";
  go.disabled = ["starting", "selling", "ending"].includes(state.phase);
  end.hidden = !sells;
  phase.replaceChildren(PHASES[state.phase](state));
  phase.className = `phase ${state.phase === "done" ? (state.audit.is_sound ? "good" : "bad") : ""}`;
  const parts = sells ? state.parts ?? [] : [];
  const now = JSON.stringify([parts, state.turning]);
  if (now !== drawn) {
    drawn = now;
    const focused = document.activeElement?.dataset?.turn;
    boxes.replaceChildren(...(sells ? WAY.map((column) => el("div", { class: "column" }, column.map((part) => box(part, parts, state.turning)))) : []));
    if (focused) boxes.querySelector(`[data-turn="${focused}"]`)?.focus();
  }
  if (state.phase === "starting") chart.clear();
  numbers.hidden = state.ms === undefined;
  if (state.ms !== undefined && state.ms !== null) chart.add(state.ms, [["orders", state.orders], ["waiting", state.waiting]]);
  const shown = state.ms === undefined ? [] : [["orders", number(state.orders)], ["told yes", number(state.yes)], ["wait for their order", number(state.waiting)]];
  figures.replaceChildren(...shown.map(([name, value]) => el("div", { "data-figure": name.split(" ")[0] }, el("dt", {}, name), el("dd", {}, value))));
  told.replaceChildren(...(state.told ?? []).map(([kind, count]) => el("li", {}, el("b", {}, number(count)), ` ${kind === "bought" ? "told yes" : kind}`)));
  log.replaceChildren(...(state.log ?? []).map(({ ms, part, to, error }) => el("li", { class: error ? "bad" : "" },
    `${seconds(ms)}: ${NAMES[part]} is ${to === "up" ? "brought back" : word(part, to)}${error ? `: ${error}` : ""}`)));
}

function box(part, parts, turning) {
  const is = parts.find((one) => one.part === part)?.is ?? "up";
  const silence = part.endsWith("instance") ? "Freeze" : "Silence";
  const turn = (to, text) => el("button", {
    type: "button", "data-turn": `${part}-${to}`, disabled: Boolean(turning), click: () => post("/sandbox", { do: "turn", part, to }),
  }, text);
  return el("div", { class: `box ${is}`, "data-part": part }, el("b", {}, NAMES[part]), el("small", {}, DOES[part]),
    el("span", { class: "is" }, turning === part ? "…" : word(part, is)),
    el("div", { class: "actions" }, is === "up" ? [turn("killed", "Kill"), turn("silent", silence)] : turn("up", "Bring back")));
}

function verdict({ is_sound: sound, found }) {
  const wrong = [
    [found.oversold, "unit", "oversold"], [found.double_bought, "unit", "bought twice"], [found.lost_promises, "yes", "without an order"],
    [found.phantom_orders, "order", "of buyers who were refused"], [found.unfinished, "message", "left in outbox or queue"],
    [found.not_conserved, "unit", "on which the orders and the counters disagree"],
  ].filter(([n]) => n > 0).map(([n, one, what]) => `${counted(n, one)} ${what}`);
  const unknown = found.unknown ? ` ${counted(found.unknown, "buyer")} got no answer; either truth is right for them.` : "";
  return `The audit of ${counted(found.orders, "order")}: ${sound ? "nothing is lost, bought twice or oversold" : wrong.join(", ")}.${unknown}`;
}
