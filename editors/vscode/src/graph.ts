// The steps of a plan (`mkbc plan --json`) as a picture: a box a step, an arrow where a step waits for another.

/** A step of a plan, as far as it is shown. */
export interface Step {
  id: number;
  name: string;
  line: number;
  implementation: string;
  knobs: Record<string, string>;
  hardware: { device: string; units: number } | null;
  calls: string;
  predicted: { latency_s: string; cost_usd: string; quality: string };
}

/** A plan, as far as it is shown. */
export interface Plan {
  job: string;
  inputs: { name: string; value: number }[];
  body: Region;
  steps: Step[];
}

/** Where a node takes a value from. */
type Operand = { value: number } | { literal: unknown };

interface Region {
  nodes: Node[];
  result: Operand;
}

type Node =
  | { kind: "call"; step: number; args: [string, Operand][]; output: number }
  | { kind: "compute"; args: Operand[]; output: number }
  | { kind: "map"; over: Operand; item: number; body: Region; output: number }
  | { kind: "branch"; when: Operand; then: Region; otherwise: Region; output: number }
  | { kind: "repeat"; carry: [number, Operand] | null; body: Region; until: Operand; output: number };

/** The pairs of steps of which the second waits for the first, each once, in order. */
export function edges(plan: Plan): [from: number, to: number][] {
  const makers = new Map<number, Set<number>>();
  const found = new Map<string, [number, number]>();
  const of = (operand: Operand) => ("value" in operand ? (makers.get(operand.value) ?? new Set<number>()) : new Set<number>());
  const all = (...sets: Set<number>[]) => new Set(sets.flatMap((set) => [...set]));

  const made = (node: Node, gate: Set<number>): Set<number> => {
    switch (node.kind) {
      case "call":
        for (const from of all(gate, ...node.args.map(([, operand]) => of(operand)))) {
          if (from !== node.step) {
            found.set(`${from} ${node.step}`, [from, node.step]);
          }
        }
        return new Set([node.step]);
      case "compute":
        return all(...node.args.map(of));
      case "map": {
        const over = of(node.over);
        makers.set(node.item, over);
        return all(walk(node.body, all(gate, over)), over);
      }
      case "branch": {
        const inner = all(gate, of(node.when));
        return all(walk(node.then, inner), walk(node.otherwise, inner), of(node.when));
      }
      case "repeat": {
        const first = node.carry === null ? new Set<number>() : of(node.carry[1]);
        if (node.carry !== null) {
          makers.set(node.carry[0], first);
        }
        return all(walk(node.body, gate), of(node.until), first);
      }
    }
  };
  const walk = (region: Region, gate: Set<number>): Set<number> => {
    for (const node of region.nodes) {
      makers.set(node.output, made(node, gate));
    }
    return of(region.result);
  };
  walk(plan.body, new Set());
  return [...found.values()].sort((a, b) => a[0] - b[0] || a[1] - b[1]);
}

/** The row of each step: one below the lowest that it waits for. */
export function rows(plan: Plan): Map<number, number> {
  const all = edges(plan);
  const row = new Map(plan.steps.map((step) => [step.id, 0]));
  // Each round moves at least one step down for good, and no path is longer than the number of steps.
  for (let round = 0; round < plan.steps.length; round++) {
    for (const [from, to] of all) {
      row.set(to, Math.max(row.get(to) ?? 0, (row.get(from) ?? 0) + 1));
    }
  }
  return row;
}

const BOX = { width: 260, height: 76, right: 40, below: 54 };

/** The picture, in the colours of the editor. */
export function svg(plan: Plan): string {
  const row = rows(plan);
  const place = new Map<number, { x: number; y: number }>();
  const filled: number[] = [];
  for (const step of plan.steps) {
    const y = row.get(step.id) ?? 0;
    const x = (filled[y] ?? 0);
    filled[y] = x + 1;
    place.set(step.id, { x: 20 + x * (BOX.width + BOX.right), y: 20 + y * (BOX.height + BOX.below) });
  }
  const width = 40 + Math.max(1, ...filled.map((n) => n ?? 0)) * (BOX.width + BOX.right) - BOX.right;
  const height = 40 + Math.max(1, filled.length) * (BOX.height + BOX.below) - BOX.below;
  const arrows = edges(plan).map(([from, to]) => {
    const [a, b] = [place.get(from)!, place.get(to)!];
    const [x1, y1, x2, y2] = [a.x + BOX.width / 2, a.y + BOX.height, b.x + BOX.width / 2, b.y - 4];
    const bend = BOX.below / 2;
    return `<path d="M${x1} ${y1} C${x1} ${y1 + bend} ${x2} ${y2 - bend} ${x2} ${y2}" marker-end="url(#tip)"/>`;
  });
  const boxes = plan.steps.map((step) => {
    const { x, y } = place.get(step.id)!;
    return [
      `<g class="step" data-line="${step.line}" tabindex="0" role="button">`,
      `<title>${escaped(`line ${step.line}: ${step.name}, ${how(step)}`)}</title>`,
      `<rect x="${x}" y="${y}" width="${BOX.width}" height="${BOX.height}" rx="6"/>`,
      `<text class="name" x="${x + 12}" y="${y + 22}">${escaped(shortened(step.name, 30))}</text>`,
      `<text x="${x + 12}" y="${y + 43}">${escaped(shortened(how(step), 38))}</text>`,
      `<text class="figures" x="${x + 12}" y="${y + 63}">${escaped(figures(step))}</text>`,
      `</g>`,
    ].join("");
  });
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" aria-label="${escaped(`The steps of ${plan.job}`)}">`,
    `<defs><marker id="tip" markerWidth="8" markerHeight="8" refX="4" refY="4" orient="auto"><path d="M0 0 L8 4 L0 8 z"/></marker></defs>`,
    ...arrows,
    ...boxes,
    `</svg>`,
  ].join("\n");
}

/** What carries a step out: `whisper(variant: small) on l4 * 1`. */
export function how(step: Step): string {
  const knobs = Object.entries(step.knobs).map(([name, value]) => `${name}: ${value}`);
  const pinned = knobs.length > 0 ? `(${knobs.join(", ")})` : "";
  const hardware = step.hardware === null ? "" : ` on ${step.hardware.device} * ${step.hardware.units}`;
  return `${step.implementation}${pinned}${hardware}`;
}

/** What it is predicted to take, for all of its calls. */
export function figures(step: Step): string {
  const { latency_s, cost_usd, quality } = step.predicted;
  const calls = Number(step.calls) === 1 ? "" : ` · ${rounded(Number(step.calls))} calls`;
  return `${rounded(Number(latency_s))} s · ${rounded(Number(cost_usd))} usd · ${rounded(Number(quality) * 100)} %${calls}`;
}

function rounded(figure: number): string {
  return String(Number(figure.toPrecision(3)));
}

function shortened(text: string, most: number): string {
  return text.length > most ? `${text.slice(0, most - 1)}…` : text;
}

function escaped(text: string): string {
  return text.replace(/[&<>"]/g, (c) => `&#${c.codePointAt(0)};`);
}
