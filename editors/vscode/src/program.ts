// Where `mkbc` is. Nothing is downloaded: it is where the user says, in the workspace's own build, or in the PATH.

import * as path from "node:path";

/** What the search looks at; the editor's part of it is handed in. */
export interface Surroundings {
  /** The setting `mkbc.path`; empty where it is not set. */
  configured: string;
  /** Folders of the workspace. */
  folders: readonly string[];
  /** The user's home. */
  home: string;
  /** The environment's `PATH`. */
  searchPath: string;
  /** Whether programs end in `.exe`. */
  windows: boolean;
  /** Whether a file is there. */
  isFile(file: string): boolean;
}

/** The program, or why there is none. */
export type Found = { program: string; from: "setting" | "workspace" | "PATH" } | { problem: string };

/** Looks for `mkbc`. */
export function findProgram(at: Surroundings): Found {
  const name = at.windows ? "mkbc.exe" : "mkbc";
  const configured = at.configured.trim();
  if (configured !== "") {
    const program = replaced(configured, at);
    return at.isFile(program)
      ? { program, from: "setting" }
      : { problem: `The setting mkbc.path names ${program}, and no such file is there.` };
  }
  for (const folder of at.folders) {
    for (const profile of ["release", "debug"]) {
      const program = path.join(folder, "target", profile, name);
      if (at.isFile(program)) {
        return { program, from: "workspace" };
      }
    }
  }
  for (const folder of at.searchPath.split(path.delimiter).filter((folder) => path.isAbsolute(folder))) {
    const program = path.join(folder, name);
    if (at.isFile(program)) {
      return { program, from: "PATH" };
    }
  }
  return { problem: `${name} is neither in the workspace's target folder nor in the PATH. Install it, or say in the setting mkbc.path where it is.` };
}

function replaced(configured: string, at: Surroundings): string {
  const folder = at.folders[0] ?? at.home;
  const named = configured.replaceAll("${workspaceFolder}", folder).replace(/^~(?=$|[\\/])/, () => at.home);
  return path.resolve(folder, named);
}
