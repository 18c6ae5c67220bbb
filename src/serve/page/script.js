// Keeps a page up to date: events of a run say when to look again, and the parts of the page that changed are exchanged. Without this, pages
// are complete and stand still.
"use strict";

/** How often a page of events is looked at again at most, and how often one that shows passing time is. */
const PAUSE = 350, CLOCK = 2500, LIST = 3000;

const main = document.getElementById("main");
const said = document.getElementById("said");

/** Exchanges the parts that differ in a newer copy of this page; where somebody is in a part stays where it is. */
function exchange(page) {
  for (const fresh of page.querySelectorAll("[data-live]")) {
    const old = document.getElementById(fresh.id);
    if (!old) {
      // A part that was not there before stands behind the one before it.
      const before = fresh.previousElementSibling && document.getElementById(fresh.previousElementSibling.id);
      if (before) before.after(document.importNode(fresh, true));
    } else if (old.innerHTML !== fresh.innerHTML) {
      keep(old, () => old.replaceChildren(...document.importNode(fresh, true).childNodes));
    }
  }
  for (const old of document.querySelectorAll("[data-live]")) {
    if (!page.getElementById(old.id)) old.remove();
  }
  document.title = page.title;
}

/** What leads somebody back to an element after it was made again. */
function mark(element) {
  if (element.id) return `#${CSS.escape(element.id)}`;
  for (const name of ["href", "value", "aria-label"]) {
    const text = element.getAttribute(name);
    if (text) return `${element.localName}[${name}="${CSS.escape(text)}"]`;
  }
  return null;
}

/** Changes a part; focus, ticks, opened details and places of scrolling stay. */
function keep(part, change) {
  const focus = part.contains(document.activeElement) ? mark(document.activeElement) : null;
  const opened = new Map([...part.querySelectorAll("details[id]")].map(e => [e.id, e.open]));
  const ticked = new Set([...part.querySelectorAll("input[type=checkbox]:checked")].map(e => e.value));
  const scrolled = [...part.querySelectorAll(".scroll, pre")].map(e => [e.scrollLeft, e.scrollTop]);
  change();
  for (const e of part.querySelectorAll("details[id]")) if (opened.has(e.id)) e.open = opened.get(e.id);
  for (const e of part.querySelectorAll("input[type=checkbox]")) if (ticked.has(e.value)) e.checked = true;
  part.querySelectorAll(".scroll, pre").forEach((e, n) => scrolled[n] && e.scrollTo(...scrolled[n]));
  if (focus) (part.querySelector(focus) ?? main).focus({ preventScroll: true });
}

async function look(address) {
  const answer = await fetch(address, { headers: { accept: "text/html" } });
  if (answer.redirected && new URL(answer.url).pathname === "/login") location.assign(answer.url);
  return answer.ok ? new DOMParser().parseFromString(await answer.text(), "text/html") : null;
}

/** Looks again soon; not more often than a page can be read, and once more where something happened meanwhile. */
function looker() {
  let busy = false, again = false;
  return async function soon() {
    if (busy) { again = true; return; }
    busy = true;
    await new Promise(done => setTimeout(done, PAUSE));
    again = false;
    try {
      const page = await look(location.href);
      if (page) exchange(page);
    } catch { /* The server is away: the stream says when it is back. */ }
    busy = false;
    if (again) soon();
  };
}

function follow(address) {
  const soon = looker();
  const run = address.split("/")[3];
  const events = new EventSource(address);
  const clock = setInterval(() => { if (!document.hidden) soon(); }, CLOCK);
  let last = null, first = true;
  setTimeout(() => { first = false; }, 1000);
  events.onmessage = message => {
    const event = JSON.parse(message.data);
    if (event.kind === "state") {
      // What was before the page was opened is no news.
      if (event.state !== last && !first) said.textContent = `Run ${run} is ${event.state}.`;
      last = event.state;
      if (["done", "failed", "cancelled"].includes(event.state)) {
        said.textContent = `Run ${run} is ${event.state}.`;
        events.close();
        clearInterval(clock);
      }
    }
    if (event.kind === "retried") said.textContent = `${event.step} failed and is tried again.`;
    soon();
  };
}

function list() {
  const soon = looker();
  const clock = setInterval(() => {
    if (document.hidden || document.activeElement?.matches("input:not([type=checkbox])")) return;
    soon();
  }, LIST);
  addEventListener("pagehide", () => clearInterval(clock));
}

/** A figure of a slider, about as the server writes it. */
function figure(metric, value) {
  const n = Number(value), short = (n, digits) => String(Number(n.toFixed(digits)));
  switch (metric) {
    case "quality": return `${short(n * 100, 1)} %`;
    case "cost": return `$${short(n, n >= 1 ? 2 : 5)}`;
    case "energy": return `${short(n, 3)} Wh`;
    default: return `${short(n, n >= 100 ? 0 : 2)} s`;
  }
}

/** Sliders say what they mean at once, and are solved again when they come to rest. */
function solve(form) {
  let round = 0;
  form.addEventListener("input", event => {
    const slider = event.target;
    if (slider.type !== "range") return;
    slider.value = Number(slider.value).toPrecision(3);
    const words = figure(slider.dataset.metric, slider.value);
    form.querySelector(`output[for="${slider.id}"]`).textContent = words;
    slider.setAttribute("aria-valuetext", words);
    form.querySelector(`[name=on][value="${slider.name}"]`).checked = true;
  });
  form.addEventListener("change", async () => {
    const mine = ++round;
    await new Promise(done => setTimeout(done, PAUSE));
    if (mine !== round) return;
    const address = `${form.getAttribute("action")}?${new URLSearchParams(new FormData(form))}`;
    main.setAttribute("aria-busy", "true");
    document.querySelectorAll("#plot, #then, #points").forEach(e => e.classList.add("solving"));
    try {
      const page = await look(address);
      // Why it cannot be solved is a page of its own.
      if (!page) location.assign(address);
      if (page && mine === round) {
        exchange(page);
        history.replaceState(null, "", address);
        said.textContent = page.querySelector("#then .verdict")?.textContent.trim() || "Another plan is the best under these limits.";
      }
    } finally {
      if (mine === round) {
        main.removeAttribute("aria-busy");
        document.querySelectorAll(".solving").forEach(e => e.classList.remove("solving"));
      }
    }
  });
}

const events = main.dataset.events;
if (events === "list") list();
else if (events) follow(events);
for (const form of document.querySelectorAll("[data-solve]")) solve(form);
