// One order, from the queue to its final status. The shop sends changes by WebSocket; without one, the page polls.

const ORDER = "order of sale " + saleId;
const FINAL = ["paid", "expired", "failed"];

let order = null;     // { order_id, watch }, and its last known state: { status, pay, reason }
let socket = null;
let turn = 0;         // counts the orders that were followed; answers about an older one are ignored
let cuts = 0;         // WebSockets in a row that were refused or cut
let misses = 0;       // polls in a row that failed
let timer = 0;

const isOver = () => FINAL.includes(order?.status);
const holds = () => order !== null && !order.locked && !["expired", "failed"].includes(order.status);

function follow({ order_id, watch, status }) {
  order = { order_id, watch };
  remember("localStorage", ORDER, order);
  [turn, cuts, misses] = [turn + 1, 0, 0];
  socket?.close();
  listen(turn);
  if (!status) return lookAtOrder();
  told({ order_id, status });
  lookIn(nextLook());
}

// Forgets the order, because it does not exist any more or is of no use.
function leave() {
  remember("localStorage", ORDER, null);
  turn++;
  clearTimeout(timer);
  socket?.close();
  order = null;
}

// A push and an answer may cross, so a status that is behind the current one is ignored.
function told(standing) {
  const rank = (status) => 1 + ["queued", "confirmed", ...FINAL].indexOf(status);
  if (standing.order_id !== order?.order_id || rank(standing.status) < rank(order.status)) return;
  const news = standing.status !== order.status;
  order = { ...order, pay: null, cancel: null, payment: null, ...standing, locked: false };
  if (!news) return;
  lookAtSaleIn(chance(500, 1500)); // its units have changed
  if (isOver()) {
    clearTimeout(timer);
    socket?.close();
    fields($("pay-asked")); // the card number must not stay in the page
  }
  say(...TOLD[order.status](order));
  if (order.status === "confirmed") {
    fields($("pay-asked"), order.pay?.ask, order.pay?.why);
    draw();
    // The pressed button is gone, and it had the focus.
    const focused = document.activeElement;
    if (focused === document.body || $("form").contains(focused)) $("pay-asked").querySelector("input")?.focus({ preventScroll: true });
  } else if (order.status !== "queued" && order.status !== "paid") {
    remember("localStorage", ORDER, null);
    quiet(chance(1500, 2500)); // until the unit is for sale again
  }
}

const TOLD = {
  queued: () => ["You are in the queue. This page tells you when the unit is yours."],
  confirmed: () => ["It is yours. Pay, or it goes back.", "yes"],
  paid: () => ["Paid. Thank you!", "yes"],
  expired: ({ order_id }) => ["Order " + order_id + " was not paid in time, and its unit went back. You may buy again."],
  failed: ({ order_id, reason }) => ["Order " + order_id + " " + (WHY[reason] ?? WHY.lost)],
};
const WHY = {
  "sold-out": "came too late: sold out.",
  "canceled": "is canceled. You may buy again.",
  "payment-failed": "could not be paid with this card, and its unit went back. You may buy again.",
  "refunded": "was refunded.",
  "lost": "was lost on its way. Nothing was charged; you may buy again.",
};

// A push is a hint, and a WebSocket may fail. So there is always a next poll, soon, or later while a WebSocket is open.
function lookIn(ms) {
  clearTimeout(timer);
  timer = setTimeout(lookAtOrder, ms);
}
function nextLook() {
  if (socket?.readyState === WebSocket.OPEN) return chance(15000, 25000);
  return (order.status === "confirmed" ? 3 : 1) * chance(1000, 1500) + backOff(misses, 1000, 15000) * Math.sign(misses);
}

async function lookAtOrder() {
  const mine = turn;
  const { status, text, wait } = await ask("GET", "/orders/" + order.order_id);
  if (mine !== turn || !order || isOver()) return;
  if (status === 404 || status === 400) {
    say("Order " + order.order_id + " is not known to the shop, or not yours.");
    return leave();
  }
  order.locked = status === 401; // the session has ended, but not the order
  if (order.locked) return say("Log in again to see your order.");
  misses = status === 200 ? 0 : misses + 1;
  if (status === 200) told(text);
  if (!isOver()) lookIn(Math.max(wait, nextLook()));
}

function listen(mine) {
  if (mine !== turn || !order?.watch || isOver()) return;
  const again = () => setTimeout(listen, backOff(cuts++, 1000, 30000), mine);
  if (order.locked) return again();
  try {
    const one = socket = new WebSocket(new URL(order.watch, location.href.replace(/^http/, "ws")));
    let opened = Infinity;
    one.onopen = () => { opened = performance.now(); if (mine === turn) lookIn(nextLook()); };
    one.onmessage = ({ data }) => told(JSON.parse(data));
    one.onclose = () => {
      if (mine !== turn || isOver()) return;
      if (performance.now() - opened > 10000) cuts = 0; // a WebSocket that is cut at once counts as a failure
      if (!order.locked) lookIn(nextLook());
      again();
    };
  } catch {
    again();
  }
}

function drawOrder() {
  $("order").hidden = !holds() || !order.status;
  if ($("order").hidden) return;
  write("order-name", "Your order " + order.order_id);
  const steps = [...$("steps").children], at = steps.findIndex((step) => step.dataset.step === order.status);
  steps.forEach((step, n) => {
    step.classList.toggle("done", n <= at);
    if (n === at) step.setAttribute("aria-current", "step"); else step.removeAttribute("aria-current");
  });
}
