// The page: an editor, the compiler behind it, and what it says.

import { Client, URI } from "./client.js";
import { Completions } from "./completion.js";
import { Editor } from "./editor.js";
import { picture } from "./graph.js";
import { element, inline, markdown } from "./markdown.js";

const $ = (id) => document.getElementById(id);
const LEGEND = "namespace type class enumMember parameter variable property function method keyword comment string number operator".split(" ");

let client;
let ready = false;
let cluster = "azure_mixed";
let diagnostics = [];
let turn = 0;

const editor = new Editor(document.querySelector(".editor"), { changed, moved: later(about, 180) });
const completions = new Completions($("completions"), editor, (feature, params) => client.ask(feature, params));

boot();

async function boot() {
  theme(localStorage.getItem("theme"));
  const examples = await (await fetch("examples.json")).json();
  const names = Object.keys(examples);
  $("examples").replaceChildren(new Option("—", ""), ...names.map((name) => new Option(name, name)));
  $("examples").onchange = ({ target }) => target.value && show(examples[target.value]);
  const shared = await fromFragment();
  if (shared === null) $("examples").value = names.includes("video_qa") ? "video_qa" : names[0];
  editor.open(shared ?? examples[$("examples").value]);
  connect();
  addEventListener("hashchange", async () => {
    const text = await fromFragment();
    if (text !== null && text !== editor.text) show(text);
  });
}

function connect() {
  client?.end();
  ready = false;
  client = new Client(cluster, () => editor.text, {
    started(clusters, ms) {
      ready = true;
      if (!$("clusters").options.length) $("clusters").replaceChildren(...clusters.map((c) => new Option(c, c)));
      $("clusters").value = cluster;
      document.body.dataset.loadMs = ms.toFixed(1);
      refresh();
    },
    see,
    fault(why) {
      // A fault of the compiler loses its worker, not the text.
      $("state").textContent = ready ? `a fault of mkbc: ${why}; the next change starts it again` : why;
      ready = false;
      client = null;
    },
  });
}

function show(text) {
  editor.open(text);
  clear();
  if (ready) {
    client.change(null, text);
    refresh();
  } else connect();
}

function clear() {
  diagnostics = [];
  $("graph").classList.remove("one", "stale");
  $("graph").replaceChildren(element("p", "…", { class: "quiet" }));
  $("summary").textContent = "";
}

function changed(range, text) {
  $("examples").value = "";
  hideHover();
  if (!client) return connect();
  if (!ready) return;
  client.change(range, text);
  refresh();
  completions.typed().catch(() => {});
}

/** Colours follow each change; the server answers in the order of its questions. */
async function refresh() {
  const mine = ++turn;
  const { data } = await client.ask("semanticTokens/full");
  if (mine === turn) editor.colour(data, LEGEND);
}

function see(message) {
  if (message.method === "textDocument/publishDiagnostics" && message.params.version === client.version) {
    diagnostics = message.params.diagnostics;
    editor.mark(diagnostics);
    problems();
    about(editor.area.selectionStart);
  } else if (message.method === "planned") planned(message.ms);
}

async function planned(ms) {
  const version = client.version;
  const whole = { start: { line: 0, character: 0 }, end: editor.position(editor.text.length) };
  const [hints, jobs] = await Promise.all([client.ask("inlayHint", { range: whole }), client.ask("mkbc/graph")]);
  if (version !== client.version || !jobs) return;
  const lines = new Map();
  for (const hint of hints.filter((h) => h.kind !== 1)) {
    const line = hint.position.line;
    lines.set(line, lines.has(line) ? `${lines.get(line)}; ${hint.label}` : hint.label);
  }
  editor.hint(lines);
  document.body.dataset.planMs = ms.toFixed(1);
  const drawn = jobs.filter((j) => j.svg);
  if (!drawn.length) {
    // While a file has errors, the picture of its last whole version stays.
    const why = diagnostics.some((d) => d.severity === 1) ? "The picture comes once the file has no errors." : "There is no job to draw.";
    if (!$("graph").querySelector("svg") || !diagnostics.length) $("graph").replaceChildren(element("p", why, { class: "quiet" }));
    $("graph").classList.toggle("stale", !!$("graph").querySelector("svg"));
    $("summary").textContent = jobs.map((j) => j.summary).join(" · ");
    return;
  }
  $("graph").classList.remove("stale");
  $("graph").classList.toggle("one", drawn.length === 1);
  $("summary").textContent = jobs.length === 1 ? jobs[0].summary : "";
  // Fills are ranked now.
  if (diagnostics.some((d) => d.code === "I0501")) problems();
  $("graph").replaceChildren(
    ...drawn.flatMap((job) => {
      const steps = picture(job.svg, (place) => editor.select({ start: place, end: place }));
      return jobs.length === 1 ? [steps] : [element("h3", `${job.job}: ${job.summary}`), steps];
    }),
  );
}

async function problems() {
  const names = { 1: "error", 2: "warning", 3: "info" };
  const count = (severity) => diagnostics.filter((d) => d.severity === severity).length;
  const said = [[count(1), "error"], [count(2), "warning"]].filter(([n]) => n).map(([n, what]) => `${n} ${what}${n > 1 ? "s" : ""}`);
  $("state").textContent = `${said.join(", ") || "no problems"} · checked in ${client.checkMs.toFixed(1)} ms`;
  $("counts").textContent = said.join(", ");
  document.body.dataset.checkMs = client.checkMs.toFixed(2);
  const asked = diagnostics.slice(0, 40).map((d) => client.ask("codeAction", { range: d.range, context: { diagnostics: [d], only: ["quickfix"] } }));
  const version = client.version;
  const actions = await Promise.all(asked);
  if (version !== client.version) return;
  const rows = diagnostics.slice(0, 200).map((d, i) => {
    const row = element("li", "", { class: names[d.severity] });
    const [message, ...rest] = d.message.split("\n");
    const go = element("button", `${d.range.start.line + 1}:${d.range.start.character + 1}`, { class: "place", title: "Go there" });
    go.onclick = () => editor.select(d.range);
    const title = d.relatedInformation?.at(-1)?.message.split(":")[0];
    const head = element("p", "");
    head.append(go, element("span", d.code, { class: "code", title: title ?? "" }), ...markdown(message).firstChild.childNodes);
    row.append(head);
    for (const line of rest) row.append(markdown(line));
    const fixes = (actions[i] ?? []).filter((a) => !a.diagnostics || a.diagnostics.some((m) => m.code === d.code)).slice(0, 6);
    if (fixes.length) {
      const group = element("div", "", { class: "fixes" });
      for (const action of fixes) {
        const button = inline("button", action.title);
        if (action.isPreferred) button.className = "preferred";
        button.onclick = () => editor.apply(action.edit.changes[URI]);
        group.append(button);
      }
      row.append(group);
    }
    return row;
  });
  if (!rows.length) rows.push(element("li", "Nothing to say.", { class: "quiet" }));
  $("problems").replaceChildren(...rows);
}

async function about(at) {
  if (!ready) return;
  const answer = await client.ask("hover", { position: editor.position(at) });
  $("about").replaceChildren(answer ? markdown(answer.contents.value) : element("p", "Move the cursor to a name.", { class: "quiet" }));
}

// Hover with the pointer.
let pointed;
editor.area.addEventListener("mousemove", (event) => {
  clearTimeout(pointed);
  pointed = setTimeout(async () => {
    const position = editor.under(event);
    if (!ready || !position || completions.open) return hideHover();
    const answer = await client.ask("hover", { position });
    const here = diagnostics.filter((d) => contains(d.range, position)).map((d) => `**${d.code}** ${d.message.split("\n")[0]}`);
    const text = [...here, answer?.contents.value].filter(Boolean).join("\n\n");
    if (!text) return hideHover();
    const box = $("hover");
    box.replaceChildren(markdown(text));
    box.hidden = false;
    box.style.left = `${Math.min(event.clientX + 8, innerWidth - box.offsetWidth - 12)}px`;
    const below = event.clientY + 18 + box.offsetHeight < innerHeight;
    box.style.top = `${below ? event.clientY + 18 : Math.max(8, event.clientY - box.offsetHeight - 14)}px`;
  }, 220);
});
for (const name of ["mouseleave", "scroll", "keydown"]) editor.area.addEventListener(name, hideHover);

function hideHover() {
  clearTimeout(pointed);
  $("hover").hidden = true;
}

// Verbs.
$("format").onclick = format;
async function format() {
  if (ready) editor.apply(await client.ask("formatting", { options: { tabSize: 2, insertSpaces: true } }));
}

$("clusters").onchange = ({ target }) => {
  cluster = target.value;
  clear();
  connect();
};

$("share").onclick = async () => {
  history.replaceState(null, "", await toFragment(editor.text));
  const said = await navigator.clipboard?.writeText(location.href).then(() => "address copied").catch(() => null);
  $("state").textContent = said ?? "the address now holds this file";
};

$("theme").onclick = () => theme($("theme").getAttribute("aria-pressed") === "true" ? "light" : "dark");
function theme(name) {
  const dark = name ? name === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  document.documentElement.dataset.theme = dark ? "dark" : "light";
  $("theme").setAttribute("aria-pressed", dark);
  if (name) localStorage.setItem("theme", name);
}

editor.area.addEventListener("keydown", async (event) => {
  if (event.shiftKey && event.altKey && event.code === "KeyF") {
    event.preventDefault();
    await format();
  } else if (event.key === "." && (event.ctrlKey || event.metaKey) && ready) {
    // The fix or fill at the cursor; of several, the buttons of the list say which.
    event.preventDefault();
    const here = editor.position(editor.area.selectionStart);
    const found = await client.ask("codeAction", { range: { start: here, end: here }, context: { diagnostics: [], only: ["quickfix"] } });
    const best = found.find((a) => a.isPreferred) ?? found[0];
    if (best) editor.apply(best.edit.changes[URI]);
    else $("state").textContent = "nothing to fix here";
  } else if (event.key === "F8" && diagnostics.length) {
    event.preventDefault();
    const here = editor.position(editor.area.selectionEnd);
    const behind = (d) => d.range.start.line > here.line || (d.range.start.line === here.line && d.range.start.character > here.character);
    editor.select((diagnostics.find(behind) ?? diagnostics[0]).range);
  }
});

function contains({ start, end }, { line, character }) {
  const after = (a) => line > a.line || (line === a.line && character >= a.character);
  return after(start) && !after(end);
}

function later(run, ms) {
  let timer;
  return (...args) => {
    clearTimeout(timer);
    timer = setTimeout(run, ms, ...args);
  };
}

// A file as an address: deflated, in the letters of base64url.
async function toFragment(text) {
  const packed = new Uint8Array(await new Response(new Blob([text]).stream().pipeThrough(new CompressionStream("deflate-raw"))).arrayBuffer());
  const letters = btoa(Array.from(packed, (b) => String.fromCharCode(b)).join(""));
  return `#job=${letters.replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "")}`;
}

async function fromFragment() {
  const letters = location.hash.match(/^#job=([\w-]+)$/)?.[1];
  if (!letters) return null;
  try {
    const packed = Uint8Array.from(atob(letters.replaceAll("-", "+").replaceAll("_", "/")), (c) => c.charCodeAt(0));
    return await new Response(new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate-raw"))).text();
  } catch {
    return null;
  }
}
