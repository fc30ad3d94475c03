// The parts of a position: the danger gauge, the buyers, the row, the steps, the locks, and the code.

import { el, number } from "./dom.js";

export const counting = (tree) => `Counting the interleavings: ${number(tree.counting)} so far …`;

/** How many of the interleavings from here reach the goal. */
export function gauge({ tree, finished }, goal) {
  if (finished) return null;
  if (tree.unknown) return el("p", { class: "soft" }, `The interleavings cannot be counted: ${tree.unknown}.`);
  if (!tree.from_here) return el("p", { class: "soft counting" }, counting(tree));
  const { [goal]: k, interleavings: n } = tree.from_here;
  const meter = el("meter", { min: 0, max: Math.max(n, 1), "aria-label": `share that can still ${goal}` });
  meter.value = k;
  return el("div", { class: "gauge" }, meter, el("b", {}, `${number(k)} of the ${number(n)} interleavings from here ${goal}`));
}

/** A button for each buyer, with its next statement. */
export function buyers({ buyers: all, tree }, asks, move, goal) {
  return el("div", { class: "buyers" }, all.map((buyer) => {
    const held = buyer.is === "held";
    const next = tree.next?.[`${buyer.name} ${buyer.word}`];
    const says = {
      held: `next: ${buyer.word}`,
      waits: `${buyer.word} waits for ${(buyer.waits_for ?? []).join(" and ")}`,
      finished: `was told ${buyer.told}`,
    }[buyer.is];
    return el("button", { type: "button", class: `buyer ${buyer.is}`, "data-move": buyer.name, disabled: !held || asks, click: () => move(buyer.name) },
      el("b", {}, buyer.name), el("span", {}, says), held ? el("code", {}, buyer.sql) : null,
      held && next && !asks ? el("small", {}, `then ${number(next[goal])} of ${number(next.interleavings)} ${goal}`) : null);
  }));
}

export function row({ row: { sold, orders, version }, subject: { stock } }) {
  const cells = [["stock", stock], ["sold", sold], ...(version === undefined ? [] : [["version", version]]), ["orders", orders]];
  return el("div", { class: "wide" }, el("table", { class: "row" }, el("caption", {}, "The sale's row, as committed"),
    el("thead", {}, el("tr", {}, cells.map(([name]) => el("th", { scope: "col" }, name)))),
    el("tbody", {}, el("tr", {}, cells.map(([name, value]) => el("td", { class: name === "orders" && value > stock ? "bad" : "" }, number(value)))))));
}

export function steps({ steps: all, buyers: names }) {
  if (!all.length) return null;
  const lanes = names.map((buyer) => buyer.name);
  const cell = (step, lane) => {
    if (step.buyer !== lane) return el("td", {});
    return el("td", { class: step.mark ? "bad" : "" }, step.says, step.notice ? el("b", {}, ` ${step.notice}`) : null,
      step.told ? el("small", {}, ` told ${step.told}`) : null);
  };
  return el("div", { class: "wide" }, el("table", { class: "steps" }, el("caption", {}, "What the database has executed"),
    el("thead", {}, el("tr", {}, el("th", { scope: "col" }, "#"), lanes.map((lane) => el("th", { scope: "col" }, lane)), el("th", { scope: "col" }, "the row"))),
    el("tbody", {}, all.map((step, n) => el("tr", {}, el("th", { scope: "row" }, n + 1), lanes.map((lane) => cell(step, lane)),
      el("td", { class: "soft" }, `sold ${step.row.sold}, orders ${step.row.orders}`))))));
}

export function locks({ locks: all, finished }) {
  if (finished) return null;
  const rows = all.map((lock) => el("tr", { class: lock.granted ? "" : "bad" }, el("td", {}, lock.buyer), el("td", {}, lock.table || lock.kind),
    el("td", {}, lock.mode), el("td", {}, lock.granted ? "held" : "waits")));
  return el("details", { open: all.some((lock) => !lock.granted) }, el("summary", {}, `Locks, as pg_locks reports them: ${all.length}`),
    el("p", { class: "soft" }, "A row's lock is stored in the row. Who waits for it waits for the transactionid of its owner."),
    el("div", { class: "wide" }, el("table", { class: "locks" }, el("tbody", {}, rows))));
}

/** The purchase's source. The letters of the buyers stand at the line that each executes next. */
export function code({ code: source, buyers: all, finished }) {
  const at = (n) => all.filter((buyer) => buyer.line === n).map((buyer) => buyer.name);
  const lines = source.trimEnd().split("\n").map((line, n) => {
    const here = at(n);
    return el("li", { class: here.length ? "here" : "" }, el("b", {}, here.join("")), el("code", {}, line || " "));
  });
  return el("details", { open: !finished, class: "source" }, el("summary", {}, "The code of each buyer, and where each is"), el("ol", { class: "code" }, lines));
}
