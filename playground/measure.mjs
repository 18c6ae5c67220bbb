// What checks and plans take in WebAssembly, by the processor's time (V8, as in Chromium): `node measure.mjs` after `build.sh`, Node 20.

import { readFileSync, readdirSync } from "node:fs";
import { basename, join } from "node:path";

const here = import.meta.dirname;
const imports = { page: { now: () => performance.now() } };
const { instance } = await WebAssembly.instantiate(readFileSync(join(here, "dist/core.wasm")), imports);
const core = instance.exports;

function write(text) {
  const bytes = new TextEncoder().encode(text);
  const at = core.room(bytes.length);
  new Uint8Array(core.memory.buffer, at, bytes.length).set(bytes);
}

function tell(message) {
  write(JSON.stringify({ jsonrpc: "2.0", ...message }));
  return core.tell();
}

function timed(run) {
  const before = process.cpuUsage();
  run();
  const { user, system } = process.cpuUsage(before);
  return ((user + system) / 1000).toFixed(1).padStart(8);
}

write("azure_mixed");
console.log(`start ${timed(() => core.start())} ms`);
tell({ id: 1, method: "initialize", params: { capabilities: {} } });
tell({ method: "initialized", params: {} });
for (const folder of ["../examples", "examples"].map((f) => join(here, f))) {
  for (const name of readdirSync(folder).filter((n) => n.endsWith(".mkb"))) {
    const [uri, text] = [`file:///${name}`, readFileSync(join(folder, name), "utf8")];
    tell({ method: "textDocument/didOpen", params: { textDocument: { uri, languageId: "mkb", version: 1, text } } });
    const change = { textDocument: { uri, version: 2 }, contentChanges: [{ text: `${text}\n` }] };
    const check = timed(() => tell({ method: "textDocument/didChange", params: change }));
    console.log(`${basename(name, ".mkb").padEnd(18)} check ${check} ms   plan ${timed(() => core.plan())} ms`);
  }
}
console.log(`memory ${(core.memory.buffer.byteLength / 1e6).toFixed(0)} MB`);
