// One run of the first tab: its numbers, its chart, and its audit.

import { Chart } from "./chart.js";
import { counted, el, ms, number, seconds } from "./dom.js";
import * as runs from "./runs.js";

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

/** One run, while it plays and afterwards. */
export class Lane {
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
    if ((lane.ms ?? null) === null) this.chart.clear(); // no buyer has come yet
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
      [over > 0 ? "oversold by" : "oversold", number((orders ?? null) === null ? null : over), "over"],
      ["half / 99 of 100 waited", latency ? `${ms(latency.p50).replace(" ms", "")} / ${ms(latency.p99)}` : "–", "waited"],
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
