// The arguments that `mkbc` is started with: lists, never a line for a shell.

/** The settings that commands share. */
export interface Options {
  /** Folders for `--library`. */
  libraries: readonly string[];
  /** The cluster to plan for; empty: what the job says. */
  cluster: string;
}

/** The values given for inputs, in the job's order. */
export type Values = ReadonlyArray<readonly [name: string, values: readonly string[]]>;

/** The commands that the server's code lenses may name; each takes a document's URI and a job's name. */
export const LENS_COMMANDS = ["mkbc.plan", "mkbc.run"];

/** The language server; it knows the same libraries as the commands do. */
export function serverArguments(options: Pick<Options, "libraries">): string[] {
  return ["lsp", ...libraries(options)];
}

/** Shows the plan of a job. */
export function planArguments(file: string, job: string | undefined, options: Options): string[] {
  return ["plan", file, ...named(job), ...libraries(options), ...cluster(options)];
}

/** A job's steps as a picture, with what its plan chose. */
export function graphArguments(file: string, job: string | undefined, options: Options): string[] {
  return ["graph", file, ...named(job), ...libraries(options), ...cluster(options), "--format", "svg"];
}

/** The JSON schema of a job's inputs. */
export function inputsArguments(file: string, job: string | undefined, options: Options): string[] {
  return ["inputs", file, ...named(job), ...libraries(options), "--schema"];
}

/** Fills the holes of a file. */
export function expandArguments(file: string, options: Options): string[] {
  return ["expand", file, ...libraries(options)];
}

/** Runs a job. A value that begins with `-` is joined to its option, so that it is none. */
export function runArguments(file: string, job: string | undefined, values: Values, options: Options): string[] {
  const inputs = values.flatMap(([name, given]) => {
    const option = `--${name}`;
    const plain = given.every((value) => !value.startsWith("-"));
    return plain ? (given.length > 0 ? [option, ...given] : []) : given.map((value) => `${option}=${value}`);
  });
  return ["run", file, ...named(job), ...libraries(options), ...cluster(options), ...inputs];
}

/** The page of a diagnostic's code. */
export function explainArguments(code: string): string[] {
  return ["explain", code];
}

function named(job: string | undefined): string[] {
  return job === undefined ? [] : ["--job", job];
}

function libraries(options: Pick<Options, "libraries">): string[] {
  return options.libraries.flatMap((folder) => ["--library", folder]);
}

function cluster(options: Options): string[] {
  return options.cluster === "" ? [] : ["--cluster", options.cluster];
}
