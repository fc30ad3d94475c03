// The sale and the purchase: the page follows links, from the sale's link to the order.

const ATTEMPT = "attempt at sale " + saleId;

let sale = null;      // the shop's last answer
let trouble = "";     // why the sale cannot be shown now
let failures = 0;     // polls of the sale in a row that failed
let saleTimer = 0;
let busy = false;
let slept = false;    // whether nothing was for sale when the page was last drawn

// An attempt: { key, link, lost }. The link is the next step. While a step is under way, the attempt survives a reload of this tab: the
// same step with the same key returns its result.
let attempt = recall("sessionStorage", ATTEMPT);
if (attempt) attempt.lost = true;

async function lookAtSale() {
  const { status, text, wait } = await ask("GET", "/sales/" + encodeURIComponent(saleId));
  if (status === 200) sale = text;
  trouble = status === 200 ? "" : status === 0 ? "The shop does not answer. Trying again\u00a0…"
    : status === 404 || status === 400 ? "There is no sale " + saleId + " here." : "The shop has trouble. Trying again\u00a0…";
  failures = trouble ? failures + 1 : 0;
  draw();
  // A unit may become free at any moment. Long before the opening nothing changes.
  const far = sale && (sale.opens_at - shopTime() > 60000 || shopTime() > sale.closes_at);
  const next = failures ? backOff(failures, 2000, 15000) : far ? chance(8000, 12000) : chance(2000, 2600);
  lookAtSaleIn(Math.max(wait, next));
}
function lookAtSaleIn(ms) {
  clearTimeout(saleTimer);
  saleTimer = setTimeout(lookAtSale, ms);
}

function draw() {
  const now = shopTime(), wait = quietUntil - performance.now();
  const open = sale && now >= sale.opens_at && now < sale.closes_at;
  const left = sale ? Math.max(0, sale.stock - sale.sold) : 0;
  if (sale) {
    document.title = sale.name;
    write("name", sale.name);
    write("price", price(sale.price_cents));
    write("left", left + " of " + sale.stock);
    [$("bar").max, $("bar").value] = [Math.max(1, sale.stock), left];
    write("state", trouble || (now < sale.opens_at ? "Opens in " + countdown(sale.opens_at - now)
      : !open ? "The sale is over." : left === 0 ? "Sold out." : "Open for another " + countdown(sale.closes_at - now)));
    $("share").hidden = !sale.link;
    $("link").href = sale.link ?? "/";
    write("link", location.host + sale.link);
  } else if (trouble) {
    write("name", "Flash sale");
    write("state", trouble);
  }
  $("form").hidden = holds();
  // An attempt with an unknown result may always be repeated, because this buyer may have the last unit.
  const can = sale !== null && !trouble && (open && left > 0 || Boolean(attempt?.lost || order?.locked));
  // Announced only to a buyer who waits, and never in place of another message.
  if (sale && !trouble) {
    const sells = open && left > 0;
    if (sells && slept && !busy && !holds() && ["", "wait"].includes($("outcome").dataset.kind ?? "")) say("You can buy now.");
    slept = !sells;
  }
  $("buy").disabled = !can || busy || wait > 0;
  write("buy", wait > 1000 && can ? "Wait " + Math.ceil(wait / 1000) + " s" : attempt?.lost ? "Ask again"
    : attempt ? "Go on" : order?.locked ? "Log in" : "Buy one");
  drawOrder();
  drawPay(now, wait);
  doWhatWasPressed();
}

function begin(key = newKey()) {
  fields($("asked"));
  return { key, link: sale.buy, lost: false };
}

function end() {
  attempt = null;
  fields($("asked"));
  remember("sessionStorage", ATTEMPT, null);
}

// Follows the links, whatever and however many they are. Every step carries the attempt's key, which the purchase needs.
async function buy() {
  attempt ??= begin();
  let hint = "One more step.";
  for (let hops = 0; hops < 12; hops++) {
    const { link, key, lost: before } = attempt, asked = link.ask?.length > 0;
    remember("sessionStorage", ATTEMPT, asked ? null : attempt);
    const reply = await insist(link.method, link.href, { lost: before, key, body: asked ? answers($("form")) : undefined });
    const { status, text, wait, lost, unknown } = reply;
    quiet(wait);
    attempt.lost = unknown;
    if (lost) {
      return say("No answer from the shop. Nobody knows whether you have bought. Ask again: it counts as the same attempt.");
    }
    if (status === 202) { end(); return follow({ ...text, status: "queued" }); }
    if (status === 201) { end(); return say("Yours! Order " + text.order_id + ".", "yes"); }
    if (status === 200 && text.buy) {
      attempt = { key, link: text.buy, lost: false };
      fields($("asked"), text.buy.ask, text.buy.why);
      // After a new login the buyer may have an order already.
      if (order?.locked) { await lookAtOrder(); if (holds()) return end(); }
      if (!text.buy.ask?.length) continue;
      say(hint);
      return focusOn($("asked"));
    }
    if (asked && text.type === "invalid-request") return say("The shop did not take that: " + text.detail + ".");
    if (text.type === "wrong-answer" || text.type === "unauthenticated") {
      attempt = begin(key);
      hint = WORDS[text.type];
      continue;
    }
    const { order_id, watch } = text;
    const known = text.type !== "limit-reached" ? null : order_id ? { order_id, watch } : recall("localStorage", ORDER);
    // "Too fast" does not tell what an attempt has done that may have reached the shop before.
    if (!unknown || text.type !== "rate-limited") end();
    if (!known) return say(refusal(reply), text.type === "sold-out" || text.type === "not-open" ? "wait" : "no");
    await follow(known);
    return order && say("You have your unit of this sale: this is its order.");
  }
  end();
  say("The shop sends you round in circles.");
}

// A browser ignores Enter while the form's button is disabled. The page submits the form when the button is enabled again.
const BUTTONS = { "form": "buy", "pay-form": "pay" };
let pressed = null;
for (const [form, button] of Object.entries(BUTTONS)) {
  $(form).addEventListener("keydown", ({ key, target }) => {
    if (key === "Enter" && target.matches("input") && $(button).disabled) pressed = form;
  });
}
function doWhatWasPressed() {
  if (!pressed || busy || paying) return;
  if ($(pressed).hidden) return pressed = null;
  if ($(BUTTONS[pressed]).disabled) return;
  const form = pressed;
  pressed = null;
  $(form).requestSubmit();
}

const focusOn = (where) => where.querySelector("input")?.focus();

$("form").addEventListener("submit", async (event) => {
  event.preventDefault();
  if ($("buy").disabled) return;
  busy = true;
  quiet(1000);
  draw();
  await buy();
  busy = false;
  draw();
});

const known = recall("localStorage", ORDER);
if (known) follow(known);
else if (attempt) say("Of your last attempt no answer has come. Ask again: it counts as the same one.");
setInterval(draw, 100);
lookAtSale();
