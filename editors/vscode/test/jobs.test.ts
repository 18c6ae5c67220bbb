import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { fileEndings, isList, isOptional, jobAt, jobs } from "../src/jobs";

const TEXT = `use std.llm
// job commented(out: Text) -> Text
task not_a_job(text: Text) -> Text

job first(
  question: Text,   // the question, and a comma
  pair: (a: Text, b: List[Int]),
  videos: List[Video],
  notes: List[Text]?,
) -> Text {
  goal "job quoted(in: Text) -> Text"
}
job second() -> Text
job third(unfinished: Te
`;

test("jobs with their inputs", () => {
  const all = jobs(TEXT);
  assert.deepEqual(all.map(({ name, line }) => [name, line]), [["first", 4], ["second", 12], ["third", 13]]);
  assert.deepEqual(all[0]?.inputs, [
    { name: "question", type: "Text" },
    { name: "pair", type: "(a:Text,b:List[Int])" },
    { name: "videos", type: "List[Video]" },
    { name: "notes", type: "List[Text]?" },
  ]);
  assert.deepEqual(all[1]?.inputs, []);
  assert.deepEqual(all[2]?.inputs, [{ name: "unfinished", type: "Te" }]);
});

test("the job of a line", () => {
  const all = jobs(TEXT);
  assert.equal(jobAt(all, 0)?.name, "first");
  assert.equal(jobAt(all, 11)?.name, "first");
  assert.equal(jobAt(all, 12)?.name, "second");
  assert.equal(jobAt([], 3), undefined);
});

test("inputs of an example", () => {
  const [job] = jobs(readFileSync("../../examples/video_qa.mkb", "utf8"));
  assert.deepEqual(job, { name: "video_qa", line: 6, inputs: [{ name: "question", type: "Text" }, { name: "videos", type: "List[Video]" }] });
});

test("what types ask for", () => {
  assert.ok(fileEndings("List[Video]")?.includes("mp4"));
  assert.ok(fileEndings("Document?")?.includes("pdf"));
  assert.equal(fileEndings("Text"), undefined);
  assert.ok(isList("List[Text]?") && !isList("Text"));
  assert.ok(isOptional("List[Text]?") && !isOptional("List[Text]"));
});
