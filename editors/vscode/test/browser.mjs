// The extension in a real VS Code that runs in a browser: code-server with mkb.vsix, driven by headless Chromium. A job is opened, its
// mistake is underlined, a hole is filled by a code action, and the file on disk says so.
//
//   npm run package && npm run test:browser
//
// Wanted: `code-server` (npm install -g code-server), Chromium, and `mkbc`; CODE_SERVER, CHROMIUM and MKBC say where they are, if
// not on the PATH. What is missing is said, and the test passes without having run.

import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, mkdirSync, readFileSync, rmSync, writeFileSync, existsSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import assert from "node:assert/strict";
import { chromium } from "playwright-core";

const HERE = import.meta.dirname;
const VSIX = resolve(HERE, "../mkb.vsix");
const JOB = `use std.video
use std.llm

job who(video: Video, question: Text) -> Text {
  let (frames, audio) = scene_detection(video)
  let words: Transcript = ?
  question_anser(question, words, frames)
}
`;
const HOLE = { line: 6, column: 27 };

const programs = {
  "code-server": found(process.env.CODE_SERVER, ["code-server"]),
  chromium: found(process.env.CHROMIUM, ["chromium", "chromium-browser", "google-chrome"]),
  mkbc: found(process.env.MKBC, [resolve(HERE, "../../../target/release/mkbc"), resolve(HERE, "../../../target/debug/mkbc"), "mkbc"]),
  "mkb.vsix": existsSync(VSIX) ? VSIX : null,
};
const missing = Object.keys(programs).filter((name) => !programs[name]);
if (missing.length) {
  console.log(`skipped: ${missing.join(", ")} not found`);
  process.exit(0);
}

const folder = mkdtempSync(join(tmpdir(), "mkb-browser-"));
let server, browser;
try {
  await run();
  console.log("the extension works in code-server: a mistake is underlined and mended, a hole is filled");
} finally {
  await browser?.close();
  if (server && server.exitCode === null) {
    // Its children are of its group, and end with it.
    process.kill(-server.pid, "SIGTERM");
    await once(server, "exit");
  }
  rmSync(folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 200 });
}

async function run() {
  const work = join(folder, "work");
  const settings = join(folder, "data/User");
  for (const path of [work, settings]) mkdirSync(path, { recursive: true });
  writeFileSync(join(work, "who.mkb"), JOB);
  const set = {
    "mkbc.path": programs.mkbc,
    "mkbc.cluster": "azure_mixed",
    "security.workspace.trust.enabled": false,
    "telemetry.telemetryLevel": "off",
    "workbench.startupEditor": "none",
    "workbench.tips.enabled": false,
    "extensions.ignoreRecommendations": true,
    "files.autoSave": "off",
  };
  writeFileSync(join(settings, "settings.json"), JSON.stringify(set));
  const places = ["--user-data-dir", join(folder, "data"), "--extensions-dir", join(folder, "extensions")];
  const env = { ...process.env, HOME: folder, XDG_CACHE_HOME: join(folder, "cache") };
  const installed = spawnSync(programs["code-server"], [...places, "--install-extension", VSIX], { env, encoding: "utf8" });
  assert.equal(installed.status, 0, installed.stdout + installed.stderr);
  const port = await freePort();
  const options = ["--auth", "none", "--bind-addr", `127.0.0.1:${port}`, "--disable-telemetry", "--disable-update-check"];
  server = spawn(programs["code-server"], [...places, ...options, work], { env, detached: true, stdio: ["ignore", "pipe", "pipe"] });
  let said = "";
  for (const stream of [server.stdout, server.stderr]) stream.on("data", (data) => (said += data));
  await until(async () => (await fetch(`http://127.0.0.1:${port}/healthz`).catch(() => null))?.ok, () => said);

  browser = await chromium.launch({ executablePath: programs.chromium, args: process.getuid() === 0 ? ["--no-sandbox"] : [] });
  const page = await browser.newPage({ viewport: { width: 1280, height: 800 } });
  page.setDefaultTimeout(120_000);
  await page.goto(`http://127.0.0.1:${port}/?folder=${encodeURIComponent(work)}`);
  try {
    await page.getByRole("treeitem", { name: "who.mkb" }).dblclick();
    await page.locator(".monaco-editor .view-lines").getByText("question_anser").waitFor();

    // The mistake is underlined.
    await page.locator(".squiggly-error").first().waitFor();

    // The hole is filled by its first action.
    await goTo(page, HOLE);
    await actions(page, "Fill the hole");
    await until(async () => (await shown(page)).includes("speech_to_text(audio)"), () => shown(page));

    // The mistake is mended; the fill has brought a `use` line.
    await goTo(page, { line: 8, column: 6 });
    await actions(page, "question_answer");
    await page.locator(".squiggly-error").first().waitFor({ state: "detached" });
    await page.keyboard.press("Control+S");
    const wanted = JOB.replace("use std.llm\n", "use std.llm\nuse std.speech\n").replace("?", "speech_to_text(audio)").replace("anser", "answer");
    await until(() => readFileSync(join(work, "who.mkb"), "utf8") === wanted, () => readFileSync(join(work, "who.mkb"), "utf8"));
  } finally {
    if (process.env.PICTURE) await page.screenshot({ path: process.env.PICTURE });
  }
}

async function goTo(page, { line, column }) {
  await page.keyboard.press("Control+G");
  const box = page.locator(".quick-input-widget input.input");
  await box.waitFor();
  await box.fill(`:${line}:${column}`);
  await page.keyboard.press("Enter");
  await box.waitFor({ state: "hidden" });
}

/** Takes the first action of the menu at the cursor that says something, by its keys: the menu keeps the pointer from its rows. */
async function actions(page, wanted) {
  const rows = page.locator(".action-widget .monaco-list-row.action");
  // The editor takes its question back where diagnostics come in between: it is asked again.
  await until(async () => {
    await page.keyboard.press("Escape");
    await page.keyboard.press("Control+.");
    const there = rows.filter({ hasText: wanted }).first().waitFor({ timeout: 10_000 });
    return there.then(() => true, () => false);
  }, () => shown(page));
  const at = (await rows.allTextContents()).findIndex((text) => text.includes(wanted));
  for (let down = 0; down < at; down++) await page.keyboard.press("ArrowDown");
  await page.keyboard.press("Enter");
  await page.locator(".action-widget").waitFor({ state: "hidden" });
}

async function shown(page) {
  const lines = await page.locator(".monaco-editor .view-line").allTextContents();
  return lines.join("\n").replaceAll("\u00a0", " ");
}

async function until(true_, why) {
  const begun = Date.now();
  while (!(await true_())) {
    if (Date.now() - begun > 120_000) assert.fail(`it did not come about: ${await why()}`);
    await new Promise((done) => setTimeout(done, 200));
  }
}

function found(named, names) {
  for (const name of named ? [named] : names) {
    const path = name.includes("/") ? name : spawnSync("sh", ["-c", `command -v ${name}`], { encoding: "utf8" }).stdout.trim();
    if (path && existsSync(path)) return path;
  }
  return null;
}

async function freePort() {
  const probe = createServer().listen(0, "127.0.0.1");
  await once(probe, "listening");
  const { port } = probe.address();
  probe.close();
  await once(probe, "close");
  return port;
}
