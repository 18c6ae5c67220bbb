import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { edges, figures, how, type Plan, rows, svg } from "../src/graph";

// What `mkbc plan examples/video_qa.mkb --json` says, as far as it is shown.
const plan = JSON.parse(readFileSync("test/video_qa.json", "utf8")) as Plan;
const id = (name: string) => plan.steps.find((step) => step.name === name)!.id;

test("an arrow where a step waits for another", () => {
  const [scenes, speech, objects, answer, combine] = ["scene_detection", "speech_to_text", "object_detection", "question_answer", "combine_answers"].map(id);
  assert.deepEqual(edges(plan), [
    [scenes, speech],
    [scenes, objects],
    [scenes, answer],
    [speech, answer],
    [objects, answer],
    [answer, combine],
  ]);
});

test("a step stands below all that it waits for", () => {
  const row = rows(plan);
  assert.deepEqual(plan.steps.map((step) => row.get(step.id)), [0, 1, 1, 2, 3]);
});

test("conditions and rounds hold up what is inside", () => {
  const call = (step: number, output: number, value?: number) => ({ kind: "call" as const, step, args: value === undefined ? [] : [["a", { value }] as [string, { value: number }]], output });
  const steps = [0, 1, 2, 3].map((id) => ({ ...plan.steps[0]!, id }));
  const small: Plan = {
    job: "small",
    inputs: [],
    steps,
    body: {
      nodes: [
        call(0, 10),
        { kind: "branch", when: { value: 10 }, then: { nodes: [call(1, 11)], result: { value: 11 } }, otherwise: { nodes: [], result: { literal: "" } }, output: 12 },
        { kind: "repeat", carry: [13, { value: 12 }], body: { nodes: [call(2, 14, 13)], result: { value: 14 } }, until: { literal: false }, output: 15 },
        call(3, 16, 15),
      ],
      result: { value: 16 },
    },
  };
  assert.deepEqual(edges(small), [[0, 1], [0, 2], [0, 3], [1, 2], [1, 3], [2, 3]]);
  assert.deepEqual([...rows(small).values()], [0, 1, 2, 3]);
});

test("what a box says", () => {
  const step = plan.steps[id("speech_to_text")]!;
  assert.equal(how(step), "whisper(batch: 16, variant: small) on l4 * 1");
  assert.match(figures(step), /^[\d.]+ s · [\d.e-]+ usd · 89\.9 % · 2 calls$/);
});

test("a picture has a box a step and an arrow an edge, and nothing of a plan is markup", () => {
  const picture = svg(plan);
  assert.equal(picture.match(/class="step"/g)?.length, plan.steps.length);
  assert.equal(picture.match(/marker-end/g)?.length, edges(plan).length);
  const named = { ...plan, job: "<script>", steps: plan.steps.map((step) => ({ ...step, name: `<b>"&` })) };
  assert.doesNotMatch(svg(named), /<script|<b>/);
  assert.doesNotMatch(svg({ job: "none", inputs: [], steps: [], body: { nodes: [], result: { literal: 1 } } }), /NaN|Infinity/);
});
