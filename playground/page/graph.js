// A job's data flow as SVG: layers from top to bottom, each step below what it waits for.

const SVG = "http://www.w3.org/2000/svg";

/** Draws a picture of nodes and edges; `choose` is called with a node whose call stands in the text. */
export function draw({ nodes, edges }, choose) {
  const before = nodes.map(() => []);
  const after = nodes.map(() => []);
  for (const [a, b] of edges) {
    before[b].push(a);
    after[a].push(b);
  }
  const layer = [];
  nodes.forEach((_, i) => (layer[i] = Math.max(-1, ...before[i].map((b) => layer[b])) + 1));
  // An input stands right before the first step that takes it.
  nodes.forEach((n, i) => {
    if (n.kind === "input" && after[i].length) layer[i] = Math.min(...after[i].map((a) => layer[a])) - 1;
  });
  const layers = [];
  nodes.forEach((_, i) => (layers[layer[i]] ??= []).push(i));
  for (let sweep = 0; sweep < 4; sweep++) {
    const [list, near] = sweep % 2 ? [[...layers].reverse(), after] : [layers, before];
    const at = new Map();
    layers.forEach((row) => row.forEach((n, i) => at.set(n, i - row.length / 2)));
    for (const row of list) {
      const middle = (n) => (near[n].length ? near[n].reduce((sum, m) => sum + at.get(m), 0) / near[n].length : at.get(n));
      row.sort((a, b) => middle(a) - middle(b) || a - b);
      row.forEach((n, i) => at.set(n, i - row.length / 2));
    }
  }

  const lines = nodes.map((n) => [n.name, ...split(n.detail), n.figures].filter(Boolean));
  const size = lines.map((l) => ({ w: Math.max(84, 22 + Math.max(...l.map((t, i) => t.length * (i ? 6.1 : 7.4)))), h: 14 + l.length * 15 }));
  const [gap, between] = [16, 28];
  const rows = layers.map((row) => ({
    wide: row.reduce((sum, n) => sum + size[n].w + gap, -gap),
    high: Math.max(...row.map((n) => size[n].h)),
  }));
  const total = Math.max(...rows.map((r) => r.wide)) + 16;
  const place = [];
  let top = 8;
  layers.forEach((row, r) => {
    let left = (total - rows[r].wide) / 2;
    for (const n of row) {
      place[n] = { x: left, y: top + (rows[r].high - size[n].h) / 2 };
      left += size[n].w + gap;
    }
    top += rows[r].high + between;
  });
  const height = top - between + 8;

  const svg = make("svg", { viewBox: `0 0 ${total} ${height}`, role: "group", "aria-label": "Data flow of the job" });
  svg.style.maxWidth = `${total}px`;
  for (const [a, b] of edges) {
    const from = { x: place[a].x + size[a].w / 2, y: place[a].y + size[a].h };
    const to = { x: place[b].x + size[b].w / 2, y: place[b].y };
    const bend = (to.y - from.y) / 2;
    const critical = nodes[a].critical && (nodes[b].critical || nodes[b].kind === "result") ? " critical" : "";
    svg.append(make("path", { class: `edge${critical}`, d: `M${from.x} ${from.y}C${from.x} ${from.y + bend} ${to.x} ${to.y - bend} ${to.x} ${to.y - 5}` }));
    svg.append(make("path", { class: `tip${critical}`, d: `M${to.x - 4} ${to.y - 7}L${to.x} ${to.y}L${to.x + 4} ${to.y - 7}Z` }));
  }
  nodes.forEach((n, i) => {
    const waits = before[i].map((b) => nodes[b].name).join(", ");
    const said = [n.kind === "step" ? n.name : `${n.kind} ${n.name}`, n.detail, n.figures, n.inside.join(", "), waits && `after ${waits}`];
    const group = make("g", {
      class: `node ${n.kind}${n.critical ? " critical" : ""}`,
      transform: `translate(${place[i].x} ${place[i].y})`,
      "aria-label": said.filter(Boolean).join("; "),
      role: n.range ? "button" : "img",
    });
    group.append(make("rect", { width: size[i].w, height: size[i].h, rx: n.kind === "step" ? 7 : size[i].h / 2 }));
    lines[i].forEach((line, l) => {
      const text = make("text", { x: size[i].w / 2, y: 19 + l * 15, class: l ? "small" : "name" });
      text.textContent = line;
      group.append(text);
    });
    if (n.inside.length) {
      const words = { each: "× each", if: "if", repeat: "↻ repeat" };
      const badge = n.inside.map((w) => words[w]).join(" · ");
      const wide = 10 + badge.length * 5.8;
      const mark = make("g", { class: "badge", transform: `translate(${size[i].w - wide - 6} -8)` });
      mark.append(make("rect", { width: wide, height: 15, rx: 7.5 }));
      const text = make("text", { x: wide / 2, y: 11 });
      text.textContent = badge;
      mark.append(text);
      group.append(mark);
    }
    if (n.range) {
      group.setAttribute("tabindex", "0");
      group.addEventListener("click", () => choose(n));
      group.addEventListener("keydown", (event) => (event.key === "Enter" || event.key === " ") && (event.preventDefault(), choose(n)));
    }
    svg.append(group);
  });
  return svg;
}

/** `whisper on a100 * 1` takes two lines where it is long. */
function split(detail) {
  const at = detail.indexOf(" on ");
  return detail.length > 26 && at > 0 ? [detail.slice(0, at), detail.slice(at + 1)] : [detail];
}

function make(name, attributes) {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  return element;
}
