// A client of the language server in the worker: one document, positions in UTF-16 as JavaScript counts them.

export const URI = "file:///job.mkb";

export class Client {
  /** Starts a server that plans for a cluster; `see` gets its notifications, `fault` what ends it. */
  constructor(cluster, text, { started, see, fault }) {
    this.waiting = new Map();
    this.next = 1;
    this.version = 1;
    this.checkMs = 0;
    this.worker = new Worker("server.js");
    this.worker.onmessage = ({ data }) => {
      if (data.fault) {
        this.worker.terminate();
        return fault(data.fault);
      }
      if (data.started) {
        this.request("initialize", { capabilities: CAPABILITIES }).then(() => {
          this.notify("initialized", {});
          this.notify("textDocument/didOpen", { textDocument: { uri: URI, languageId: "mkb", version: 1, text } });
          started(data.started, data.ms);
        });
        return;
      }
      if (data.said.some((m) => m.method === "textDocument/publishDiagnostics") && !data.planned) this.checkMs = data.ms;
      for (const message of data.said) {
        const waits = this.waiting.get(message.id);
        if (waits) {
          this.waiting.delete(message.id);
          message.error ? waits.reject(new Error(message.error.message)) : waits.resolve(message.result);
        } else if (message.method) see(message);
      }
      if (data.planned) see({ method: "planned", ms: data.ms });
    };
    this.worker.postMessage({ start: cluster });
  }

  end() {
    this.worker.terminate();
  }

  notify(method, params) {
    this.worker.postMessage({ jsonrpc: "2.0", method, params });
  }

  request(method, params) {
    const id = this.next++;
    this.worker.postMessage({ jsonrpc: "2.0", id, method, params });
    return new Promise((resolve, reject) => this.waiting.set(id, { resolve, reject }));
  }

  /** Asks about the document. */
  ask(feature, params = {}) {
    return this.request(feature.startsWith("mkbc/") ? feature : `textDocument/${feature}`, { textDocument: { uri: URI }, ...params });
  }

  /** Replaces a range, or the whole text where there is none. */
  change(range, text) {
    this.version += 1;
    const contentChanges = [range ? { range, text } : { text }];
    this.notify("textDocument/didChange", { textDocument: { uri: URI, version: this.version }, contentChanges });
  }
}

const CAPABILITIES = { general: { positionEncodings: ["utf-16"] } };
