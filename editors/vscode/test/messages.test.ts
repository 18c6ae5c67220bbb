import assert from "node:assert/strict";
import { test } from "node:test";
import { failure, status } from "../src/messages";

test("the status item", () => {
  const found = { program: "/usr/bin/mkbc", from: "PATH" } as const;
  assert.deepEqual(status("running", found), { text: "mkbc", detail: "/usr/bin/mkbc (PATH)", wrong: false });
  assert.deepEqual(status("missing", { problem: "Not there." }), { text: "mkbc is missing", detail: "Not there.", wrong: true });
  assert.ok(status("stopped", found).wrong);
  assert.equal(status("untrusted", undefined).wrong, false);
});

test("a failure is its first error, without colours", () => {
  const said = "\u001b[33mwarning[W0210]\u001b[0m: unused\n\u001b[31merror[E0105]: not here\u001b[0m\n  at 3\n";
  assert.equal(failure("mkbc plan", 1, said), "mkbc plan ended with 1: error[E0105]: not here");
  assert.equal(failure("mkbc plan", 2, "one\nlast\n"), "mkbc plan ended with 2: last");
  assert.equal(failure("mkbc plan", null, ""), "mkbc plan was ended by a signal.");
});
