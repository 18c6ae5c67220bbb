import assert from "node:assert/strict";
import { test } from "node:test";
import { expandArguments, explainArguments, graphArguments, inputsArguments, LENS_COMMANDS, planArguments, runArguments, serverArguments } from "../src/arguments";
import manifest from "../package.json";

const plain = { libraries: [], cluster: "" };

test("a command is a list of arguments, never a line for a shell", () => {
  const file = "/a folder/$(job); x.mkb";
  assert.deepEqual(planArguments(file, "qa", plain), ["plan", file, "--job", "qa"]);
  assert.deepEqual(planArguments(file, undefined, { libraries: ["a b", "c"], cluster: "here" }), ["plan", file, "--library", "a b", "--library", "c", "--cluster", "here"]);
  assert.deepEqual(expandArguments(file, { libraries: ["l"], cluster: "here" }), ["expand", file, "--library", "l"]);
  assert.deepEqual(graphArguments(file, "qa", plain), ["graph", file, "--job", "qa", "--format", "svg"]);
  assert.deepEqual(inputsArguments(file, "qa", { libraries: ["l"], cluster: "here" }), ["inputs", file, "--job", "qa", "--library", "l", "--schema"]);
  assert.deepEqual(explainArguments("E0105"), ["explain", "E0105"]);
  assert.deepEqual(serverArguments({ libraries: ["l"] }), ["lsp", "--library", "l"]);
});

test("inputs are options; what was left out is left out", () => {
  const values: [string, string[]][] = [["question", ["Who drives?"]], ["videos", ["a.mp4", "b c.mp4"]], ["notes", []]];
  assert.deepEqual(runArguments("j.mkb", "qa", values, plain), ["run", "j.mkb", "--job", "qa", "--question", "Who drives?", "--videos", "a.mp4", "b c.mp4"]);
});

test("a value that looks like an option is none", () => {
  assert.deepEqual(runArguments("j.mkb", undefined, [["text", ["--help"]], ["many", ["a", "-b"]]], plain), ["run", "j.mkb", "--text=--help", "--many=a", "--many=-b"]);
});

test("what lenses may name is a command of the extension", () => {
  const commands = manifest.contributes.commands.map(({ command }) => command);
  assert.deepEqual(LENS_COMMANDS.filter((command) => !commands.includes(command)), []);
});
