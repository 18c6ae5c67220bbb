// A client of the language server in the worker: one document, positions in UTF-16 as JavaScript counts them.

export const URI = "file:///job.mkb";

export class Client {
  /**
   * Starts two servers that plan for a cluster: one checks and answers at once, the other plans. `see` gets notifications of both, with
   * diagnostics of plans once they are made; `fault` what ends them. `text` says what the document is.
   */
  constructor(cluster, text, { started, see, fault }) {
    this.waiting = new Map();
    this.next = 1;
    this.version = 1;
    this.planned = 0;
    this.checkMs = 0;
    this.fault = fault;
    this.see = see;
    this.checker = this.start(cluster, text, false, started);
    this.planner = this.start(cluster, text, true, () => {});
  }

  start(cluster, text, plans, started) {
    const worker = new Worker("server.js");
    worker.onmessage = ({ data }) => {
      if (data.fault) {
        this.end();
        return this.fault(data.fault);
      }
      if (data.started) {
        this.request("initialize", { capabilities: CAPABILITIES }, worker);
        // What was typed while it was loading is in the text by now.
        const textDocument = { uri: URI, languageId: "mkb", version: this.version, text: text() };
        for (const [method, params] of [["initialized", {}], ["textDocument/didOpen", { textDocument }]]) {
          worker.postMessage({ jsonrpc: "2.0", method, params });
        }
        worker.opened = true;
        return started(data.started, data.ms);
      }
      if (!plans && data.said.some((m) => m.method === "textDocument/publishDiagnostics")) this.checkMs = data.ms;
      for (const message of data.said) {
        const waits = this.waiting.get(message.id);
        if (waits) {
          this.waiting.delete(message.id);
          message.error ? waits.reject(new Error(message.error.message)) : waits.resolve(message.result);
          // What the planner's own check finds, the other one has said.
        } else if (message.method && plans === !!data.planned) this.see(message);
      }
      if (data.planned) {
        this.planned = data.planned;
        this.see({ method: "planned", ms: data.ms });
      }
    };
    worker.postMessage({ start: cluster, plans });
    return worker;
  }

  end() {
    this.checker?.terminate();
    this.planner?.terminate();
  }

  /** Asks a server about the document; what plans say is the planner's, as long as its plan is of this text. */
  ask(feature, params = {}) {
    const method = feature.startsWith("mkbc/") ? feature : `textDocument/${feature}`;
    const current = feature === "codeAction" && this.planned === this.version;
    const worker = current || feature === "inlayHint" || feature === "mkbc/graph" ? this.planner : this.checker;
    return this.request(method, { textDocument: { uri: URI }, ...params }, worker);
  }

  request(method, params, worker) {
    const id = this.next++;
    worker.postMessage({ jsonrpc: "2.0", id, method, params });
    return new Promise((resolve, reject) => this.waiting.set(id, { resolve, reject }));
  }

  /** Replaces a range, or the whole text where there is none. */
  change(range, text) {
    this.version += 1;
    const contentChanges = [range ? { range, text } : { text }];
    const params = { textDocument: { uri: URI, version: this.version }, contentChanges };
    for (const worker of [this.checker, this.planner].filter((w) => w.opened)) worker.postMessage({ jsonrpc: "2.0", method: "textDocument/didChange", params });
  }
}

const CAPABILITIES = { general: { positionEncodings: ["utf-16"] } };
