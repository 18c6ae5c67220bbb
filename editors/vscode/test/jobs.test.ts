import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { inputs, jobAt, jobs } from "../src/jobs";
import { question } from "../src/messages";

const entry = (name: string, line: number, detail = "-> Text") => ({ name, detail, range: { start: { line } } });

test("jobs of an outline, in order; a composition is none", () => {
  const all = jobs([entry("second", 12), entry("mine", 20, "implements solve_math"), entry("first", 4)]);
  assert.deepEqual(all, [{ name: "first", line: 4 }, { name: "second", line: 12 }]);
});

test("the job of a line", () => {
  const all = jobs([entry("first", 4), entry("second", 12)]);
  assert.equal(jobAt(all, 0)?.name, "first");
  assert.equal(jobAt(all, 11)?.name, "first");
  assert.equal(jobAt(all, 12)?.name, "second");
  assert.equal(jobAt([], 3), undefined);
});

// What `mkbc inputs --schema` prints for a job of `tests/toolchain/inputs.rs`.
const all = inputs(readFileSync("../../tests/toolchain/inputs/schema.json", "utf8"));

test("inputs out of their schema", () => {
  assert.deepEqual(all.map(({ name, kind, list, optional }) => [name, kind, list, optional]), [
    ["people", "Person", true, false],
    ["tone", "dry | warm", false, false],
    ["sure", "Bool", false, false],
    ["share", "Float", false, false],
    ["voice", "Audio", false, true],
    ["more", "JSON", false, true],
  ]);
  assert.ok(all[4]!.endings?.includes("mp3"), "a file has endings");
  assert.deepEqual(all.filter(({ endings }) => endings !== undefined).map(({ name }) => name), ["voice"]);
});

test("what an input box asks for", () => {
  assert.equal(question(all[0]!), "people: Person, one after another; empty: no more");
  assert.equal(question(all[2]!), "sure: Bool");
  assert.equal(question(all[5]!), "more: JSON (empty: left out)");
});
