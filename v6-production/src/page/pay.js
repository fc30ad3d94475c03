// Paying for an order, before its time is over.

let payment = null;   // { key, text, order_id }: kept until the shop has said what came of it
let paying = false;

// The same card again is the same payment, if nobody knows what came of it; another card is another one.
async function pay() {
  const body = answers($("pay-form")), text = JSON.stringify(body);
  if (payment?.text !== text || payment.order_id !== order.order_id) payment = { key: newKey(), text, order_id: order.order_id };
  say("Paying …");
  const isTold = () => order?.status !== "confirmed";
  const reply = await insist(order.pay.method, order.pay.href, { body, key: payment.key }, isTold);
  if (isTold()) return order && say(...TOLD[order.status](order)); // by WebSocket, before the answer came
  const { status, text: { type, detail }, wait, lost } = reply;
  quiet(wait);
  if (lost) return say("No answer from the shop. Nobody knows whether you have paid. Pay again: it counts as the same payment.");
  if (type === "conflict") { say("Not now: " + detail + "."); return lookAtOrder(); }
  if (type !== "rate-limited" && type !== "overloaded") payment = null;
  if (status === 200) return told({ order_id: order.order_id, status: "paid" });
  if (type === "unauthenticated") return lookAtOrder();
  if (type === "closed") { say("Too late: the order has expired. Nothing was charged."); return lookAtOrder(); }
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
  // A button that goes grey loses the focus.
  if (!$("pay-form").hidden && document.activeElement === document.body) $("pay-asked").querySelector("input")?.focus();
});

function drawPay(now, wait) {
  $("pay-form").hidden = order?.status !== "confirmed" || order.locked;
  if ($("pay-form").hidden) return;
  const left = order.pay.by - now;
  write("time", left > 0 ? "Pay within " + countdown(left) : "The time to pay is over. Asking the shop\u00a0…");
  $("pay").disabled = paying || wait > 0 || left <= 0;
  write("pay", wait > 1000 ? "Wait " + Math.ceil(wait / 1000) + " s" : sale ? "Pay " + price(sale.price_cents) : "Pay");
}
