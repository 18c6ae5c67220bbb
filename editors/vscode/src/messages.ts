// What the extension says.

import type { Input } from "./jobs";
import type { Found } from "./program";

/** How the language server is. */
export type State = "starting" | "running" | "stopped" | "missing" | "untrusted";

/** The status item: its text, and what stands behind it. */
export function status(state: State, found: Found | undefined): { text: string; detail: string; wrong: boolean } {
  const program = found !== undefined && "program" in found ? `${found.program} (${found.from})` : "";
  switch (state) {
    case "starting":
      return { text: "mkbc starts", detail: program, wrong: false };
    case "running":
      return { text: "mkbc", detail: program, wrong: false };
    case "stopped":
      return { text: "mkbc has stopped", detail: program, wrong: true };
    case "missing":
      return { text: "mkbc is missing", detail: found !== undefined && "problem" in found ? found.problem : "", wrong: true };
    case "untrusted":
      return { text: "mkbc is not started", detail: "The workspace is not trusted.", wrong: false };
  }
}

/** What is said where a program's end was not a good one: the end of what it said, without colours. */
export function failure(what: string, code: number | null, said: string): string {
  const plain = said.replace(/\u001b\[[0-9;]*m/g, "").trim();
  const first = plain.split("\n").find((line) => /^error/.test(line)) ?? plain.split("\n").at(-1) ?? "";
  const how = code === null ? "was ended by a signal" : `ended with ${code}`;
  return first === "" ? `${what} ${how}.` : `${what} ${how}: ${first}`;
}

/** What an input box asks for. */
export function question({ name, kind, list, optional }: Input): string {
  return `${name}: ${kind}${list ? ", one after another; empty: no more" : optional ? " (empty: left out)" : ""}`;
}
