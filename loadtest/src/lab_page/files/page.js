// The page: its tabs, its address, and the events that the server sends.

import { complain } from "./dom.js";
import * as stampede from "./stampede.js";
import * as scheduler from "./scheduler.js";
import * as sandbox from "./sandbox.js";

const tabs = { stampede, scheduler, faults: sandbox };

/** Shows the tab that the address names: `#scheduler/v1-naive/-/2/1/AB`. */
function show() {
  const [named, ...rest] = location.hash.slice(1).split("/");
  const name = tabs[named] ? named : "stampede";
  for (const tab of Object.keys(tabs)) {
    document.getElementById(tab).hidden = tab !== name;
    const link = document.getElementById(`tab-${tab}`);
    link.setAttribute("aria-selected", tab === name);
    link.tabIndex = tab === name ? 0 : -1;
  }
  tabs[name].opened?.(rest.map(decodeURIComponent));
}

/** The arrow keys move between tabs. */
function move(event) {
  const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
  if (!step) return;
  const links = [...document.querySelectorAll("[role=tab]")];
  const next = links[(links.indexOf(event.target) + step + links.length) % links.length];
  location.hash = next.getAttribute("href");
  next.focus();
}

function listen() {
  const events = new EventSource("/events");
  let lost = false;
  events.addEventListener("open", () => {
    if (lost) complain(null);
    lost = false;
  });
  events.addEventListener("error", () => {
    lost = true;
    complain("The lab does not answer. Start it again: cargo loadtest lab");
  });
  events.addEventListener("stampede", (event) => stampede.changed(JSON.parse(event.data)));
  events.addEventListener("schedule", (event) => scheduler.changed(JSON.parse(event.data)));
  events.addEventListener("sandbox", (event) => sandbox.changed(JSON.parse(event.data)));
}

const choices = await (await fetch("/choices")).json();
Object.values(tabs).forEach((tab) => tab.build(choices));
window.addEventListener("hashchange", show);
document.querySelector("[role=tablist]").addEventListener("keydown", move);
show();
listen();
