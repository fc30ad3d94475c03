// Small helpers: elements without markup in strings, requests, and numbers.

/** An element. Functions among the attributes are listeners: `el("button", { click: start }, "Start")`. */
export function el(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (typeof value === "function") element.addEventListener(key, value);
    else if (typeof value === "boolean") element.toggleAttribute(key, value);
    else if (value !== null && value !== undefined) element.setAttribute(key, value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

/** An element of a drawing. */
export function draw(name, attributes = {}, ...children) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...children);
  return element;
}

export const number = (n) => (n === null || n === undefined ? "–" : Math.round(n).toLocaleString("en"));
export const ms = (n) => (n === null || n === undefined ? "–" : `${n < 10 ? n.toFixed(1) : number(n)} ms`);
export const seconds = (n) => `${((n ?? 0) / 1000).toFixed(1)} s`;
export const counted = (n, one) => `${number(n)} ${one}${n === 1 ? "" : "s"}`;

const trouble = document.getElementById("trouble");

/** Shows a line of trouble, or none. */
export function complain(why) {
  trouble.textContent = why ?? "";
  trouble.hidden = !why;
}

/** Asks the server for something. Its refusal is shown as one line. Returns whether it was accepted. */
export async function post(path, body) {
  try {
    const answer = await fetch(path, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(body ?? {}),
    });
    if (answer.ok) {
      complain(null);
      return true;
    }
    const text = await answer.text();
    let why = text;
    try {
      why = JSON.parse(text).why ?? text;
    } catch {
      // a text that is no JSON is shown as it is
    }
    complain(`Not accepted: ${why}`);
  } catch {
    complain("The lab does not answer. Start it again: cargo loadtest lab");
  }
  return false;
}

/** A labelled select. `options` are values, or pairs of a value and a text. */
export function select(label, name, options, value) {
  const pairs = options.map((option) => (Array.isArray(option) ? option : [option, option]));
  const list = pairs.map(([key, text]) => el("option", { value: key, selected: key === (value ?? "") }, text));
  return el("label", {}, el("span", {}, label), el("select", { name }, list));
}

/** A labelled number. An empty one is `null`. */
export function field(label, name, value, more = {}) {
  const input = el("input", { name, type: "number", inputmode: "numeric", min: 1, ...more });
  input.value = value ?? "";
  return el("label", {}, el("span", {}, label), input);
}
