import assert from "node:assert/strict";
import { test } from "node:test";
import snippets from "../snippets/mkb.json";

/** What a snippet writes if every place is left as it is. */
function written(body: string | string[]): string {
  let text = [body].flat().join("\n").replace(/\\\}/g, "\u0001");
  // The innermost places first.
  for (let before = ""; before !== text; ) {
    before = text;
    text = text.replace(/\$\{\d+\|([^,|}]*)[^}]*\|\}/g, "$1").replace(/\$\{\d+:([^$}]*)\}/g, "$1").replace(/\$\d/g, "");
  }
  return text.replaceAll("\u0001", "}");
}

test("every snippet leaves all brackets closed and nothing of its own signs", () => {
  for (const [name, { prefix, body }] of Object.entries(snippets)) {
    const text = written(body);
    assert.doesNotMatch(text, /\$|\|/, name);
    assert.ok(prefix.length > 0, name);
    for (const [open, close] of ["{}", "()", "[]"].map((pair) => [...pair] as [string, string])) {
      assert.equal(text.split(open).length, text.split(close).length, `${name}: ${open}${close} in\n${text}`);
    }
    assert.equal(text.split('"').length % 2, 1, `${name}: quotes`);
  }
});

test("what the snippet of a tool writes", () => {
  assert.match(written(snippets.tool.body), /command \["program", "\{text\}"\]/);
});
