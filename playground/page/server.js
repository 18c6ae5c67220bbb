// The compiler in a worker: messages of the language server's protocol in, messages out.

let core;
let plans;
let planning;
let version;

addEventListener("message", async ({ data }) => {
  if (data.start !== undefined) {
    plans = data.plans;
    return start(data.start);
  }
  version = data.params.textDocument?.version ?? version;
  call(() => core.tell(), data);
  if (!plans || !core.waits()) return;
  // A text that stands still is planned.
  clearTimeout(planning);
  planning = setTimeout(() => call(() => core.plan()), 150);
});

async function start(cluster) {
  try {
    const imports = { page: { now: () => performance.now() } };
    const begun = performance.now();
    const bytes = await (await fetch("core.wasm")).arrayBuffer();
    const { instance } = await WebAssembly.instantiate(bytes, imports);
    core = instance.exports;
    write(cluster);
    const clusters = read(core.start());
    postMessage({ started: clusters, ms: performance.now() - begun });
  } catch (error) {
    postMessage({ fault: `the compiler cannot be loaded: ${error.message}` });
  }
}

function call(run, message) {
  try {
    if (message) write(JSON.stringify(message));
    const begun = performance.now();
    const said = read(run());
    postMessage({ said, ms: performance.now() - begun, planned: message ? 0 : version });
  } catch (error) {
    postMessage({ fault: error.message });
  }
}

function write(text) {
  const bytes = new TextEncoder().encode(text);
  // The memory is another buffer once it has grown.
  const at = core.room(bytes.length);
  new Uint8Array(core.memory.buffer, at, bytes.length).set(bytes);
}

function read(length) {
  return JSON.parse(new TextDecoder().decode(new Uint8Array(core.memory.buffer, core.answer(), length)));
}
