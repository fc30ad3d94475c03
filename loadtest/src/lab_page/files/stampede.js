// The first tab: asks for runs, and shows their numbers as they move.

import { Chart } from "./chart.js";
import { complain, counted, el, field, ms, number, post, seconds, select } from "./dom.js";
import * as runs from "./runs.js";

const FIRST = [{ version: "v1-naive", scenario: "stampede", buyers: 3000, stock: 100 }];
const PHASES = {
  waiting: "waits for the run before it",
  starting: "the shop is starting …",
  selling: "the sale is open",
  ending: "ending: the buyers who wait are given up",
  auditing: "the audit compares what buyers were told with the database …",
  done: "audited",
  ended: "ended before a buyer came: there is nothing to report",
  failed: "failed",
};

const tab = document.getElementById("stampede");
const lanes = el("div", { class: "lanes" });
const shops = el("div", { class: "shops" });
const crowd = el("div", { class: "fields" });
const beside = el("input", { type: "checkbox", id: "beside", change });
const go = el("button", { type: "submit", class: "go" }, "Start");
const stop = el("button", { type: "button", click: () => post("/stampede/stop"), hidden: true }, "Stop");
let choices;
let shown = [];

export function build(all) {
  choices = all;
  const form = el("form", { submit: start }, shops, crowd,
    el("div", { class: "actions" }, go, stop, el("label", { class: "check" }, beside, "a second version beside it"),
      el("button", { type: "button", class: "quiet", click: share }, "Copy a link to this run")));
  const servers = all.needs.v6 ? `Shops run on ${all.database}. ${all.needs.v6}` : `Shops run on ${all.database}.`;
  tab.append(
    el("p", { class: "lead" }, "A crowd asks for a few units in the same second. Press Start, and watch stock and orders."),
    form, el("p", { class: "soft" }, `${servers} Two versions run one after the other, because both at once would share this machine's processors.`),
    lanes, runs.build((ask) => edit(ask)));
  edit(FIRST);
}

/** A link has its runs in the address. */
export function opened([asks]) {
  if (!asks) return;
  try {
    edit(JSON.parse(asks));
  } catch {
    complain("This link is damaged: it names no run.");
  }
}

/** One shop more, or one less. */
function change() {
  const [first] = asked();
  edit(beside.checked ? [first, { ...first, version: "v2-pessimistic", variant: undefined, without: undefined }] : [first]);
}

/** Puts what is asked for into the form. */
function edit(all) {
  beside.checked = all.length > 1;
  shops.replaceChildren(...all.map((ask, n) => shop(ask, all.length > 1 ? ["The first shop", "The second shop"][n] : "The shop")));
  const { scenario, buyers, stock, rate, seconds: lasts } = all[0];
  crowd.replaceChildren(
    select("Scenario", "scenario", choices.scenarios, scenario ?? "stampede"),
    field("Buyers", "buyers", buyers, { max: 100000, placeholder: "default" }),
    field("Units", "stock", stock, { min: 0, max: 1000000, placeholder: "default" }),
    field("Buyers a second", "rate", rate, { placeholder: "all at once" }),
    field("For seconds", "seconds", lasts, { max: 120, placeholder: "10" }));
}

function shop(ask, title) {
  const fields = el("div", { class: "fields" });
  const version = select("Version", "version", choices.versions.map((one) => one.name), ask.version);
  const more = el("div", { class: "fields" });
  const fill = (name, variant, without) => {
    const { variants, gates } = choices.versions.find((one) => one.name === name) ?? choices.versions[0];
    const boxes = gates.map((gate) => el("label", { class: "check" },
      el("input", { type: "checkbox", name: "gate", value: gate.name, checked: !(without ?? []).includes(gate.name) }),
      gate.name, el("span", { class: "soft" }, ` refuses ${gate.refuses}`)));
    more.replaceChildren(
      ...(variants.length ? [select("Variant", "variant", [["", "as it is taught"], ...variants], variant)] : []),
      ...(boxes.length ? [el("div", { class: "gates" }, el("span", {}, "Gates. Remove one, and see what passes"), ...boxes)] : []));
  };
  version.querySelector("select").addEventListener("change", (event) => fill(event.target.value));
  fill(ask.version, ask.variant, ask.without);
  fields.append(version, more);
  return el("fieldset", {}, el("legend", {}, title), fields);
}

/** What the form asks for. */
function asked() {
  const whole = (name) => {
    const text = crowd.querySelector(`[name=${name}]`).value.trim();
    return text === "" ? undefined : Number(text);
  };
  const common = { scenario: crowd.querySelector("[name=scenario]").value, stock: whole("stock") };
  const rate = whole("rate");
  Object.assign(common, rate === undefined ? { buyers: whole("buyers") } : { rate, seconds: whole("seconds") });
  return [...shops.children].map((set) => {
    const without = [...set.querySelectorAll("[name=gate]:not(:checked)")].map((box) => box.value);
    const variant = set.querySelector("[name=variant]")?.value || undefined;
    return { version: set.querySelector("[name=version]").value, variant, ...common, ...(without.length ? { without } : {}) };
  });
}

async function start(event) {
  event.preventDefault();
  const asks = asked();
  history.replaceState(null, "", link(asks));
  if (await post("/stampede", asks)) lanes.scrollIntoView({ block: "nearest" });
}

export const link = (asks) => `#stampede/${encodeURIComponent(JSON.stringify(asks))}`;

async function share(event) {
  history.replaceState(null, "", link(asked()));
  try {
    await navigator.clipboard.writeText(location.href);
    event.target.textContent = "Copied";
  } catch {
    event.target.textContent = "The link is in the address bar";
  }
}

/** The server has news of the runs. */
export function changed({ lanes: all, plays }) {
  go.disabled = plays;
  stop.hidden = !plays;
  if (all.length !== shown.length) {
    shown = all.map(() => new Lane());
    lanes.replaceChildren(...shown.map((lane) => lane.element));
  }
  all.forEach((lane, n) => shown[n].change(lane));
}

/** One run, while it plays and afterwards. */
class Lane {
  constructor() {
    this.chart = new Chart("Orders and the counter sold over time");
    this.element = el("article", { class: "lane" });
    this.figures = el("dl", { class: "figures" });
    this.told = el("ul", { class: "told" });
    this.phase = el("p", { class: "phase", role: "status" });
    this.title = el("h2");
    this.element.append(this.title, this.phase, this.figures, this.chart.svg,
      el("p", { class: "legend" }, el("span", { class: "orders" }, "orders in the database"), el("span", { class: "sold" }, "the counter `sold`")), this.told);
  }

  change(lane) {
    const { phase, result } = lane;
    if (phase === "waiting" || (phase === "starting" && this.last !== "starting")) this.chart.clear();
    this.last = phase;
    this.title.textContent = lane.title ?? lane.ask.version;
    const told = result ? Object.entries(result.told) : lane.told ?? [];
    const orders = result ? result.audit.orders : lane.orders;
    const stock = result?.stock ?? lane.stock;
    const over = Math.max(0, (orders ?? 0) - (stock ?? 0));
    this.element.classList.toggle("oversold", over > 0 && lane.is_a_crowd !== false);
    this.element.dataset.phase = phase;
    this.phase.replaceChildren(...(result ? outcome(result) : [lane.why ?? PHASES[phase] ?? phase, lane.ms ? `, ${seconds(lane.ms)}` : ""]));
    const latency = result ? result.latency.bought ?? result.latency.refused : lane.latency;
    this.figures.replaceChildren(...[
      ["units", number(stock)],
      ["orders", number(orders), "orders"],
      ["told yes", number(result?.told_yes ?? lane.yes), "yes"],
      ["`sold` says", number(result ? result.audit.sold : lane.sold), "sold"],
      [over > 0 ? "oversold by" : "oversold", number(over), "over"],
      ["half / 99 of 100 waited", `${ms(latency?.p50)} / ${ms(latency?.p99)}`, "waited"],
    ].map(([name, value, key]) => el("div", { "data-figure": key }, el("dt", {}, name), el("dd", {}, value))));
    this.told.replaceChildren(...told.map(([kind, count]) => el("li", {}, el("b", {}, number(count)), ` ${kind === "bought" ? "told yes" : kind}`)));
    if (lane.ms !== undefined && lane.ms !== null && !result) this.chart.add(lane.ms, [["orders", lane.orders], ["sold", lane.sold]], stock);
    if (result) runs.add(lane);
  }
}

function outcome(result) {
  const { audit } = result;
  const found = [
    [audit.oversold, "unit", "oversold"], [audit.undersold, "unit", "left although buyers were refused"],
    [audit.lost_promises, "yes", "without an order"], [audit.double_bought, "unit", "bought twice"],
    [audit.phantom_orders, "order", "of buyers who were refused"],
  ].filter(([n]) => n > 0).map(([n, one, what]) => `${counted(n, one)} ${what}`);
  const first = result.oversold_after_ms ? ` The first one too many after ${ms(result.oversold_after_ms)}.` : "";
  return [el("span", { class: `badge ${result.class}` }, result.outcome), ` ${result.figure}. `,
    `The audit: ${found.length ? found.join(", ") : "nothing is wrong"}.${first}`, result.why ? ` ${result.why}` : ""];
}
