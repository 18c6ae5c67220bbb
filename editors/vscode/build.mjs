// Bundles the extension (`node build.mjs`) or its tests (`node build.mjs test`) into dist/. The TextMate grammar is copied from its one place.

import { build } from "esbuild";
import { copyFileSync, mkdirSync, readdirSync, rmSync } from "node:fs";

const tests = process.argv[2] === "test";
const shared = { bundle: true, platform: "node", target: "node20", logLevel: "warning" };
if (tests) {
  rmSync("dist/test", { recursive: true, force: true });
  const entryPoints = readdirSync("test").filter((name) => name.endsWith(".test.ts")).map((name) => `test/${name}`);
  await build({ ...shared, entryPoints, outdir: "dist/test", format: "cjs", packages: "external" });
} else {
  mkdirSync("syntaxes", { recursive: true });
  copyFileSync("../textmate/mkb.tmLanguage.json", "syntaxes/mkb.tmLanguage.json");
  copyFileSync("../../LICENSE", "LICENSE");
  await build({ ...shared, entryPoints: ["src/extension.ts"], outfile: "dist/extension.js", format: "cjs", external: ["vscode"], minify: true });
}
