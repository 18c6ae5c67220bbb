// A job's inputs, for the questions that `run` asks: out of the JSON schema that `mkbc inputs --schema` prints. What a job is, and where
// it stands, the language server says.

/** An input of a job. */
export interface Input {
  name: string;
  /** What it is, in the words of the schema: `Video`, `Text`, one of an enum's values. */
  kind: string;
  /** The ends of file names that it takes; nothing where it is no file. */
  endings: string[] | undefined;
  /** Whether it takes several values. */
  list: boolean;
  /** Whether it may be left out. */
  optional: boolean;
}

/** A job of a file. */
export interface Job {
  name: string;
  /** The line that it begins on, from 0. */
  line: number;
}

/** An entry of a file's outline, as far as it says which ones are jobs. */
export interface Entry {
  name: string;
  detail: string;
  range: { start: { line: number } };
}

/** The jobs among the functions of an outline: they have a result, where a composition says what it implements. */
export function jobs(functions: readonly Entry[]): Job[] {
  const all = functions.filter(({ detail }) => detail.startsWith("->")).map(({ name, range }) => ({ name, line: range.start.line }));
  return all.sort((a, b) => a.line - b.line);
}

/** The job that a line belongs to: the last that begins at or above it, else the first. */
export function jobAt(all: readonly Job[], line: number): Job | undefined {
  return all.findLast((job) => job.line <= line) ?? all[0];
}

/** The schema of a value, as far as it is asked for. */
interface Schema {
  type?: string;
  title?: string;
  enum?: string[];
  items?: Schema;
  anyOf?: Schema[];
  properties?: Record<string, Schema>;
  required?: string[];
  "x-file"?: { type: string; endings: string[] };
}

/** The inputs that a schema describes, in its order. */
export function inputs(schema: string): Input[] {
  const whole = JSON.parse(schema) as Schema;
  const required = new Set(whole.required ?? []);
  return Object.entries(whole.properties ?? {}).map(([name, value]) => {
    const present = value.anyOf?.find(({ type }) => type !== "null") ?? value;
    const list = present.type === "array";
    const one = list ? (present.items ?? {}) : present;
    const file = one["x-file"];
    return { name, kind: kind(one), endings: file && file.endings.length > 0 ? file.endings : undefined, list, optional: !required.has(name) };
  });
}

function kind(value: Schema): string {
  if (value["x-file"] !== undefined) {
    return value["x-file"].type;
  }
  if (value.enum !== undefined) {
    return value.enum.join(" | ");
  }
  const named = { string: "Text", integer: "Int", number: "Float", boolean: "Bool" };
  return value.title ?? named[value.type as keyof typeof named] ?? "JSON";
}
