// The end of an interleaving, and the list of those that were played.

import { el, number } from "./dom.js";
import { link, name, title } from "./subject.js";

/** The interleavings that were played to their end. */
const ended = new Map();

export const keep = (state) => ended.set(`${name(state.subject)} ${state.moves}`, state);

/** The finished interleavings of this subject, each with the name of its anomaly. */
export function list(of) {
  const own = [...ended.values()].filter((one) => name(one.subject) === name(of));
  if (!own.length) return null;
  const row = ({ subject, moves, finished: end }) => el("li", {}, el("a", { href: link({ ...subject, moves }) }, moves), " ",
    el("b", { class: end.oversold > 0 || end.undersold > 0 ? "bad" : "" }, end.anomaly), ` ${end.outcome}`);
  return el("section", { class: "endings" }, el("h2", {}, "Finished"), el("ol", {}, own.map(row)),
    el("p", { class: "soft" }, "Write skew does not occur here: it needs two transactions that read the same rows and then write different ones, "
      + "and every purchase writes the row of the sale that it has read."));
}

/** What came out, and what that says about the prediction. */
export function finished({ finished: end, tree, moves, subject }, task, goal, said) {
  const reached = { oversell: end.oversold, undersell: end.undersold, deadlock: end.deadlocks }[goal] > 0;
  const par = tree.pars?.[goal];
  const can = tree.all ? tree.all[goal] > 0 : null;
  const lines = [];
  if (task && reached) lines.push(`Reached in ${moves.length} moves. The fewest are ${par ?? "still being counted"}.`);
  if (task && !reached && can) lines.push(`Not yet: it did not ${goal}. Take moves back, and try another order.`);
  if (task && can === false) lines.push(`No order does it: 0 of ${number(tree.all.interleavings)} interleavings ${goal}.`);
  if (typeof said === "boolean" && can !== null) lines.push(`You predicted ${said ? "yes" : "no"}: that is ${said === can ? "right" : "wrong"}.`);
  return el("div", { class: `finished ${end.oversold > 0 || end.undersold > 0 ? "bad" : "good"}`, role: "status" },
    el("p", {}, el("b", { class: "badge" }, end.anomaly), ` ${end.outcome}.`),
    el("ul", {}, end.explains.map((line) => el("li", {}, line))),
    lines.map((line) => el("p", { class: "verdict" }, line)),
    task && (reached || can === false) ? el("details", { open: true }, el("summary", {}, "Why?"), el("p", {}, task.why)) : null,
    el("button", { type: "button", class: "quiet", click: () => save(subject, end.schedule) }, "Save as a schedule file"),
    el("small", {}, ` to play it again: cargo loadtest replay ${title(subject).replace(" ", " --variant ")} schedule.txt --stock ${subject.stock}`));
}

/** A file that `cargo loadtest replay` takes. */
function save(subject, schedule) {
  const text = `# ${subject.title}, ${subject.stock} units\n${schedule}\n`;
  const file = URL.createObjectURL(new Blob([text], { type: "text/plain" }));
  el("a", { href: file, download: "schedule.txt" }).click();
  URL.revokeObjectURL(file);
}
