// The first tab: asks for runs, and shows their numbers as they move.

import { complain, el, field, post, select } from "./dom.js";
import { Lane } from "./lane.js";
import * as runs from "./runs.js";

const FIRST = [{ version: "v1-naive", scenario: "stampede", buyers: 3000, stock: 100 }];

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
      el("b", {}, gate.name), el("span", { class: "soft" }, `refuses ${gate.refuses}`)));
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
