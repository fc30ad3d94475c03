// Pays for an order before its time to pay ends.

let payment = null;   // { key, text, order_id, lost }: kept until its result is known; `lost`: an answer was lost
let paying = false;

// While the result of a payment is unknown, the same card repeats it. Another card is a new payment.
async function pay() {
  const body = answers($("pay-form")), text = JSON.stringify(body);
  if (payment?.text !== text || payment.order_id !== order.order_id) payment = { key: newKey(), text, order_id: order.order_id };
  say("Paying …");
  const isTold = () => order?.status !== "confirmed"; // also if the order has ended while the result was unknown
  const reply = await insist(order.pay.method, order.pay.href, { lost: payment.lost, body, key: payment.key }, isTold);
  if (isTold()) return order && say(...TOLD[order.status](order)); // the WebSocket was faster than the answer
  const { status, text: { type, detail }, wait, lost, unknown } = reply;
  quiet(wait);
  payment.lost = unknown;
  if (lost) {
    await lookAtOrder();
    if (isTold()) return;
    return say(order.payment ? "The payment is under way. This page tells you what comes of it."
      : "No answer from the shop. Nobody knows whether you have paid. Pay again: it counts as the same payment.");
  }
  if (type === "conflict") { say("Not now: " + detail + "."); return lookAtOrder(); }
  if (type !== "rate-limited" && type !== "overloaded") payment = null;
  if (status === 200) return told({ order_id: order.order_id, status: "paid" });
  if (type === "unauthenticated") return lookAtOrder();
  if (type === "closed") { say("Too late: the order has ended. Nothing was charged."); return lookAtOrder(); }
  if (type === "declined") { say("Not paid: " + detail + "."); return lookAtOrder(); }
  if (type === "limit-reached") return say("Too many payments were tried for this order.");
  if (type === "overloaded") return say("The shop has too much to do. Nothing was charged; try again.");
  say(type === "invalid-request" ? "The shop did not take that: " + detail + "." : refusal(reply));
}

$("pay-form").addEventListener("submit", async (event) => {
  event.preventDefault();
  if ($("pay").disabled) return;
  paying = true;
  draw();
  await pay();
  paying = false;
  draw();
  // A disabled button loses the focus.
  if (!$("pay-form").hidden && document.activeElement === document.body) $("pay-asked").querySelector("input")?.focus();
});

$("cancel").addEventListener("click", async () => {
  const { method, href } = order.cancel;
  paying = true;
  draw();
  const { status, text, wait, lost } = await insist(method, href, {}, () => order?.status !== "confirmed");
  quiet(wait);
  if (status === 200) told(text);
  else if (lost) say("No answer from the shop. Try again.");
  else if (order?.status === "confirmed") { say("Not canceled: " + text.detail + "."); lookAtOrder(); }
  paying = false;
  draw();
});

function drawPay(now, wait) {
  $("pay-form").hidden = order?.status !== "confirmed" || order.locked;
  if ($("pay-form").hidden) return;
  $("pay-asked").hidden = $("pay").hidden = !order.pay;
  $("cancel").hidden = !order.cancel;
  $("cancel").disabled = paying;
  if (!order.pay) return write("time", "The payment is under way\u00a0…");
  const left = order.pay.by - now;
  write("time", left > 0 ? "Pay within " + countdown(left) : "The time to pay is over. Asking the shop\u00a0…");
  $("pay").disabled = paying || wait > 0 || left <= 0;
  write("pay", wait > 1000 ? "Wait " + Math.ceil(wait / 1000) + " s" : sale ? "Pay " + price(sale.price_cents) : "Pay");
}
