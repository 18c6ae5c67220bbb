// The heads of a file's jobs, for the questions that `run` asks. What is wrong in a head is the language server's to say.

/** An input of a job. */
export interface Input {
  name: string;
  /** As written: `List[Video]`, `Text?`. */
  type: string;
}

/** A job's head. */
export interface Job {
  name: string;
  /** The line that it begins on, from 0. */
  line: number;
  inputs: Input[];
}

/** The jobs of a text, in order. */
export function jobs(text: string): Job[] {
  const code = blanked(text);
  return [...code.matchAll(/^[ \t]*job\s+([A-Za-z_]\w*)\s*\(/gm)].map((head) => {
    const open = head.index + head[0].length;
    return {
      name: head[1]!,
      line: code.slice(0, head.index + head[0].indexOf("job")).split("\n").length - 1,
      inputs: inputs(code.slice(open, closing(code, open))),
    };
  });
}

/** The job that a line belongs to: the last that begins at or above it, else the first. */
export function jobAt(all: readonly Job[], line: number): Job | undefined {
  return all.findLast((job) => job.line <= line) ?? all[0];
}

/** The ends of file names that an input of this type takes; nothing where it is no file. */
export function fileEndings(type: string): string[] | undefined {
  return {
    Video: ["mp4", "mkv", "mov", "webm", "avi"],
    Audio: ["wav", "mp3", "flac", "ogg", "m4a"],
    Image: ["png", "jpg", "jpeg", "webp"],
    Document: ["pdf"],
  }[element(type)];
}

/** Whether an input takes several values. */
export function isList(type: string): boolean {
  return type.startsWith("List[");
}

/** Whether an input may be left out. */
export function isOptional(type: string): boolean {
  return type.endsWith("?");
}

function element(type: string): string {
  return type.replace(/\?$/, "").replace(/^List\[(.*)\]$/, "$1");
}

/** The text with comments and texts blanked out, of the same length. */
function blanked(text: string): string {
  return text.replace(/"(?:[^"\\\n]|\\[^\n])*"?|\/\/[^\n]*/g, (part) => " ".repeat(part.length));
}

function closing(code: string, open: number): number {
  let depth = 1;
  for (let at = open; at < code.length; at++) {
    depth += "([".includes(code[at]!) ? 1 : ")]".includes(code[at]!) ? -1 : 0;
    if (depth === 0) {
      return at;
    }
  }
  return code.length;
}

function inputs(parameters: string): Input[] {
  // No type has a comma but inside brackets.
  let depth = 0;
  const cuts = [...parameters].map((c) => {
    depth += "([".includes(c) ? 1 : ")]".includes(c) ? -1 : 0;
    return depth === 0 && c === "," ? "\0" : c;
  });
  return cuts
    .join("")
    .split("\0")
    .map((part) => /^\s*([A-Za-z_]\w*)\s*:\s*(.*?)\s*$/s.exec(part))
    .filter((match) => match !== null)
    .map((match) => ({ name: match[1]!, type: match[2]!.replace(/\s+/g, "") }));
}
