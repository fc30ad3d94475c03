"use strict";
// Functions that order.js, pay.js and page.js share. The four are served as one file, in this order: shop, order, pay, page.

const $ = (id) => document.getElementById(id);
const saleId = new URLSearchParams(location.search).get("sale") ?? "1";

// Writes only changed text, because a screen reader reads again what is written again.
const write = (id, text) => { if ($(id).textContent !== text) $(id).textContent = text; };
const say = (text, kind = "no") => { write("outcome", text); $("outcome").dataset.kind = kind; };
const price = (cents) => (cents / 100).toFixed(2);
const countdown = (ms) => {
  const s = Math.max(0, Math.ceil(ms / 1000)), two = (n) => String(n).padStart(2, "0");
  return (s >= 3600 ? Math.floor(s / 3600) + ":" : "") + two(Math.floor(s / 60) % 60) + ":" + two(s % 60);
};

// A random wait, so that a thousand pages do not ask at the same time.
const chance = (from, to) => from + Math.random() * (to - from);
const backOff = (times, first, most) => chance(0.5, 1) * Math.min(most, first * 2 ** times);
const pause = (ms) => new Promise((done) => setTimeout(done, ms));

// `randomUUID` does not exist on a page without TLS.
const newKey = () => Array.from(crypto.getRandomValues(new Uint32Array(4)), (n) => n.toString(36)).join("-");

// Values that survive a reload, in `localStorage` or `sessionStorage`. Buying also works in a browser that stores nothing.
function remember(where, name, value) {
  try {
    if (value) window[where].setItem(name, JSON.stringify(value)); else window[where].removeItem(name);
  } catch { /* this browser stores nothing */ }
}
function recall(where, name) {
  try { return JSON.parse(window[where].getItem(name)); } catch { return null; }
}

// The shop's clock. An answer is older when it arrives, and may have been cached for a second, so its time is behind and never ahead. The
// greatest difference of the last minute is the best estimate. With it the button is never enabled early, and late only by the age
// of the freshest answer. It is based on `performance.now`, which the user cannot set.
const LATELY = 60000;
const seen = [];
function hear(serverTime) {
  const now = performance.now();
  seen.push({ now, ahead: serverTime - now });
  while (seen[0].now < now - LATELY) seen.shift();
}
const shopTime = () => performance.now() + Math.max(...seen.map(({ ahead }) => ahead));

// The buttons are disabled until then, by this machine's clock. `Retry-After` sets it, and so does a click.
let quietUntil = 0;
const quiet = (ms) => { quietUntil = Math.max(quietUntil, performance.now() + ms); };

// Sends one request. `lost`: there was no answer, or it does not say what was done, so the shop may have done it.
async function ask(method, href, { body, key } = {}) {
  const headers = {};
  if (body) headers["content-type"] = "application/json";
  if (key) headers["idempotency-key"] = key;
  try {
    const reply = await fetch(href, { method, headers, body: body && JSON.stringify(body), signal: AbortSignal.timeout(30000) });
    const { status } = reply, wait = 1000 * Number(reply.headers.get("retry-after")) || 0;
    const text = await reply.json().catch(() => status < 400 ? Promise.reject() : {}); // a proxy answers with a page and not with JSON
    if (text.server_time) hear(text.server_time);
    text.type ??= status === 429 ? "rate-limited" : undefined;
    return { status, text, wait, lost: status >= 500 && text.type !== "overloaded" };
  } catch {
    return { status: 0, text: {}, wait: 0, lost: true };
  }
}

// Repeats a request whose answer was lost, unless its result has arrived in another way. With the same key it is the same attempt, however
// often it arrives. `lost`: an answer was lost before. "Overloaded: nothing was done" then speaks of the repetition only. `unknown`: any was lost.
async function insist(method, href, { lost = false, ...options }, isTold = () => false) {
  for (let tries = 0; ; tries++) {
    const reply = await ask(method, href, options);
    reply.unknown = lost ||= reply.lost;
    reply.lost ||= lost && reply.text.type === "overloaded";
    if (!reply.lost || tries === 2 || isTold()) return reply;
    say("No answer yet. Asking again …");
    await pause(Math.max(reply.wait, backOff(tries, 1000, 8000)));
  }
}

// Shows an input field for each value that a step needs, and the reason. The shop's words become text, never markup.
function fields(into, asks = [], why) {
  const made = asks.map(({ name, prompt }) => {
    const label = document.createElement("label"), input = document.createElement("input");
    Object.assign(input, { name, required: true, autocomplete: "off", autocapitalize: "none", spellcheck: false });
    if (why) input.setAttribute("aria-describedby", into.id + "-why");
    label.append(prompt, input);
    return label;
  });
  if (why && asks.length) {
    const small = document.createElement("small");
    small.id = into.id + "-why";
    small.append(why);
    made.push(small);
  }
  into.replaceChildren(...made);
}
const answers = (form) => Object.fromEntries(new FormData(form));

// A message for each `type` of a refusal.
const WORDS = {
  "sold-out": "Sold out. Units that are not paid come back: this page looks, and wakes the button.",
  "conflict": "Somebody else was faster. Try again.",
  "limit-reached": "You have your unit of this sale; its order is where you bought it.",
  "not-open": "The sale is not open yet.",
  "closed": "The sale is over.",
  "wrong-path": "This address is not valid any more. Try again.",
  "wrong-answer": "That was not the answer. Here is another question.",
  "rate-limited": "Too fast.",
  "overloaded": "Too many buyers at once. Nothing was bought; try again.",
  "timed-out": "No answer in time.",
  "unauthenticated": "The shop does not know you: say who you are. (It needs a cookie for that.)",
  "blocked": "The shop sells nothing to you. If that is a mistake, ask them.",
  "cross-site": "The shop takes this page for another site's. Open it by the shop's own address.",
  "not-found": "There is no such thing here.",
  "key-reused": "This attempt was used for something else. Try again.",
  "declined": "The card was declined. Nothing was charged: try another one.",
  "internal": "The shop has trouble.",
};
function refusal({ status, text, wait }) {
  const words = text.units_may_return === false ? "Sold out." : WORDS[text.type];
  if (text.type === "rate-limited" && wait > 0) return words + " Try again in " + Math.ceil(wait / 1000) + " s.";
  if (words) return words;
  return status < 500 && text.detail ? "No: " + text.detail + "." : "The shop has trouble.";
}
