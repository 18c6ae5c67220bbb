import assert from "node:assert/strict";
import { test } from "node:test";
import { findProgram, type Surroundings } from "../src/program";

function at(files: string[], changes: Partial<Surroundings> = {}): Surroundings {
  const there = new Set(files);
  return { configured: "", folders: ["/work/a", "/work/b"], home: "/home/u", searchPath: "bin:/usr/bin:/opt/bin", windows: false, isFile: (file) => there.has(file), ...changes };
}

test("the setting comes first, and is not looked past", () => {
  const files = ["/opt/mkbc", "/work/a/target/release/mkbc"];
  assert.deepEqual(findProgram(at(files, { configured: " /opt/mkbc " })), { program: "/opt/mkbc", from: "setting" });
  const missing = findProgram(at(files, { configured: "/nowhere/mkbc" }));
  assert.ok("problem" in missing && missing.problem.includes("/nowhere/mkbc"));
});

test("the home and the workspace's folder have names in the setting", () => {
  const find = (configured: string, file: string) => findProgram(at([file], { configured }));
  assert.deepEqual(find("~/bin/mkbc", "/home/u/bin/mkbc"), { program: "/home/u/bin/mkbc", from: "setting" });
  assert.deepEqual(find("${workspaceFolder}/mkbc", "/work/a/mkbc"), { program: "/work/a/mkbc", from: "setting" });
  assert.deepEqual(find("tools/mkbc", "/work/a/tools/mkbc"), { program: "/work/a/tools/mkbc", from: "setting" });
  assert.ok("problem" in find("~user/mkbc", "/home/u/user/mkbc"));
});

test("then the workspace's build, release before debug, then the PATH", () => {
  const files = ["/usr/bin/mkbc", "/work/b/target/debug/mkbc", "/work/b/target/release/mkbc"];
  assert.deepEqual(findProgram(at(files)), { program: "/work/b/target/release/mkbc", from: "workspace" });
  assert.deepEqual(findProgram(at(files.slice(0, 2))), { program: "/work/b/target/debug/mkbc", from: "workspace" });
  assert.deepEqual(findProgram(at(files.slice(0, 1))), { program: "/usr/bin/mkbc", from: "PATH" });
});

test("a relative folder of the PATH is not searched", () => {
  assert.ok("problem" in findProgram(at(["bin/mkbc"])));
});

test("Windows' programs have an ending", () => {
  assert.deepEqual(findProgram(at(["/opt/bin/mkbc.exe"], { windows: true })), { program: "/opt/bin/mkbc.exe", from: "PATH" });
});
