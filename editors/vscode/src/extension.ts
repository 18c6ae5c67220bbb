// Starts `mkbc lsp` and offers what the command line does. Everything that needs no editor stands in the files beside this one.

import { execFile } from "node:child_process";
import * as fs from "node:fs";
import * as os from "node:os";
import * as vscode from "vscode";
import { LanguageClient, State } from "vscode-languageclient/node";
import * as mkbc from "./arguments";
import { page } from "./graph";
import { type Entry, type Input, inputs, type Job, jobAt, jobs } from "./jobs";
import { failure, question, status } from "./messages";
import { type Found, findProgram } from "./program";

let server: Server;

/** Called by the editor when a file of the language is opened. */
export async function activate(context: vscode.ExtensionContext): Promise<void> {
  server = new Server();
  const command = (name: string, does: (...given: unknown[]) => unknown) => vscode.commands.registerCommand(`mkbc.${name}`, does);
  context.subscriptions.push(
    server,
    command("plan", withJob((file, job, options) => inTerminal("plan", file, mkbc.planArguments(file, job?.name, options)))),
    command("expand", withJob((file, _job, options) => inTerminal("expand", file, mkbc.expandArguments(file, options)))),
    command("run", withJob(run)),
    command("graph", withJob(showGraph)),
    command("explain", explain),
    command("restart", () => server.restart()),
    command("showOutput", () => server.output.show()),
    vscode.workspace.onDidGrantWorkspaceTrust(() => server.restart()),
    vscode.workspace.onDidChangeConfiguration((change) => (change.affectsConfiguration("mkbc.path") || change.affectsConfiguration("mkbc.libraries")) && server.restart()),
  );
  await server.restart();
}

/** Called by the editor before it ends. */
export async function deactivate(): Promise<void> {
  await server?.stop();
}

/** The language server and the item that says how it is. */
class Server implements vscode.Disposable {
  readonly output = vscode.window.createOutputChannel("mkbc", { log: true });
  private readonly item = vscode.languages.createLanguageStatusItem("mkbc.server", { language: "mkb" });
  private client: LanguageClient | undefined;

  /** Stops what runs and starts what is set up now. */
  async restart(): Promise<void> {
    await this.stop();
    if (!vscode.workspace.isTrusted) {
      return this.show("untrusted", undefined);
    }
    const found = program();
    if ("problem" in found) {
      this.show("missing", found);
      const choice = await vscode.window.showErrorMessage(found.problem, "Open settings");
      if (choice !== undefined) {
        await vscode.commands.executeCommand("workbench.action.openSettings", "mkbc.path");
      }
      return;
    }
    this.show("starting", found);
    const libraries = vscode.workspace.getConfiguration("mkbc").get<string[]>("libraries", []);
    const run = { command: found.program, args: mkbc.serverArguments({ libraries }) };
    const client = new LanguageClient("mkbc", "mkbc", run, {
      documentSelector: [{ scheme: "file", language: "mkb" }],
      outputChannel: this.output,
      initializationOptions: { commands: mkbc.LENS_COMMANDS },
    });
    client.onDidChangeState(({ newState }) => {
      if (this.client === client) {
        this.show(newState === State.Running ? "running" : newState === State.Starting ? "starting" : "stopped", found);
      }
    });
    this.client = client;
    try {
      await client.start();
    } catch (problem) {
      this.show("stopped", found);
      await vscode.window.showErrorMessage(`${found.program} lsp does not start: ${String(problem)}`);
    }
  }

  /** Stops the server, if one runs. */
  async stop(): Promise<void> {
    const client = this.client;
    this.client = undefined;
    if (client?.needsStop()) {
      await client.stop();
    }
  }

  dispose(): void {
    this.item.dispose();
    this.output.dispose();
  }

  private show(state: Parameters<typeof status>[0], found: Found | undefined): void {
    const { text, detail, wrong } = status(state, found);
    this.item.text = text;
    this.item.detail = detail;
    this.item.busy = state === "starting";
    this.item.severity = wrong ? vscode.LanguageStatusSeverity.Error : vscode.LanguageStatusSeverity.Information;
    this.item.command = state === "missing"
      ? { command: "workbench.action.openSettings", title: "Settings", arguments: ["mkbc.path"] }
      : { command: "mkbc.restart", title: "Restart" };
  }
}

function program(): Found {
  return findProgram({
    configured: vscode.workspace.getConfiguration("mkbc").get("path", ""),
    folders: (vscode.workspace.workspaceFolders ?? []).map((folder) => folder.uri.fsPath),
    home: os.homedir(),
    searchPath: process.env["PATH"] ?? "",
    windows: process.platform === "win32",
    isFile: (file) => fs.statSync(file, { throwIfNoEntry: false })?.isFile() ?? false,
  });
}

/**
 * A command for a job: the one that a code lens names by its document and name, else the one at the cursor. The file is saved first,
 * since `mkbc` reads from the disk.
 */
function withJob(does: (file: string, job: Job | undefined, options: mkbc.Options) => unknown) {
  return async (uri?: unknown, name?: unknown): Promise<void> => {
    const editor = vscode.window.activeTextEditor;
    const document = typeof uri === "string" ? await vscode.workspace.openTextDocument(vscode.Uri.parse(uri)) : editor?.document;
    if (document?.languageId !== "mkb" || document.uri.scheme !== "file") {
      await vscode.window.showInformationMessage("Open a .mkb file first.");
      return;
    }
    if (!vscode.workspace.isTrusted) {
      await vscode.window.showInformationMessage("mkbc is not started in a workspace that is not trusted.");
      return;
    }
    if (document.isDirty && !(await document.save())) {
      return;
    }
    const all = await jobsOf(document);
    const line = editor?.document === document ? editor.selection.active.line : 0;
    const job = all.find((job) => job.name === name) ?? jobAt(all, line);
    const settings = vscode.workspace.getConfiguration("mkbc", document.uri);
    await does(document.fileName, job, { libraries: settings.get("libraries", []), cluster: settings.get("cluster", "") });
  };
}

/** The jobs of a document, as the language server knows them; none where it does not run. */
async function jobsOf(document: vscode.TextDocument): Promise<Job[]> {
  const outline = await vscode.commands.executeCommand<vscode.DocumentSymbol[] | undefined>("vscode.executeDocumentSymbolProvider", document.uri);
  const functions: Entry[] = (outline ?? []).filter(({ kind }) => kind === vscode.SymbolKind.Function);
  return jobs(functions);
}

/** Runs `mkbc` as a task, so that its output stands in a terminal and can be stopped. */
async function inTerminal(name: string, file: string, args: string[]): Promise<void> {
  const found = program();
  if ("problem" in found) {
    await vscode.window.showErrorMessage(found.problem);
    return;
  }
  const folder = vscode.workspace.getWorkspaceFolder(vscode.Uri.file(file));
  const execution = new vscode.ProcessExecution(found.program, args, { cwd: folder?.uri.fsPath ?? vscode.Uri.joinPath(vscode.Uri.file(file), "..").fsPath });
  const task = new vscode.Task({ type: "mkbc", command: name }, folder ?? vscode.TaskScope.Workspace, name, "mkbc", execution);
  task.presentationOptions = { reveal: vscode.TaskRevealKind.Always, clear: true };
  await vscode.tasks.executeTask(task);
}

async function run(file: string, job: Job | undefined, options: mkbc.Options): Promise<void> {
  const schema = await output("mkbc inputs", mkbc.inputsArguments(file, job?.name, options));
  if (schema === undefined) {
    return;
  }
  const values: [string, string[]][] = [];
  for (const input of inputs(schema)) {
    const given = await valuesOf(input);
    if (given === undefined) {
      return;
    }
    values.push([input.name, given]);
  }
  await inTerminal("run", file, mkbc.runArguments(file, job?.name, values, options));
}

/** What the user gives for an input; nothing where they gave up. */
async function valuesOf(input: Input): Promise<string[] | undefined> {
  const title = question(input);
  if (input.endings !== undefined) {
    const files = await vscode.window.showOpenDialog({
      title,
      canSelectMany: input.list,
      filters: { [input.kind]: input.endings, "All files": ["*"] },
    });
    return files?.map((uri) => uri.fsPath) ?? (input.optional ? [] : undefined);
  }
  const given: string[] = [];
  do {
    const value = await vscode.window.showInputBox({ title, ignoreFocusOut: true });
    if (value === undefined) {
      return undefined;
    }
    if (value === "" && (input.list || input.optional)) {
      break;
    }
    given.push(value);
  } while (input.list);
  return given;
}

async function showGraph(file: string, job: Job | undefined, options: mkbc.Options): Promise<void> {
  const picture = await vscode.window.withProgress({ location: vscode.ProgressLocation.Notification, title: "mkbc plans", cancellable: true }, (_, stop) =>
    output("mkbc graph", mkbc.graphArguments(file, job?.name, options), stop),
  );
  if (picture === undefined) {
    return;
  }
  const title = job === undefined ? "steps" : `${job.name}: steps`;
  const panel = vscode.window.createWebviewPanel("mkbc.graph", title, vscode.ViewColumn.Beside, { enableScripts: true });
  panel.webview.html = page(picture, crypto.getRandomValues(new Uint8Array(16)));
  panel.webview.onDidReceiveMessage(async ({ line }: { line: number }) => {
    const at = new vscode.Range(Math.max(0, line - 1), 0, Math.max(0, line - 1), 0);
    await vscode.window.showTextDocument(vscode.Uri.file(file), { viewColumn: vscode.ViewColumn.One, selection: at });
  });
}

/** What `mkbc` prints; nothing where it fails, which is said. */
async function output(what: string, args: string[], stop?: vscode.CancellationToken): Promise<string | undefined> {
  const found = program();
  if ("problem" in found) {
    await vscode.window.showErrorMessage(found.problem);
    return undefined;
  }
  return new Promise((done) => {
    const child = execFile(found.program, args, { maxBuffer: 64 << 20 }, (problem, out, said) => {
      if (problem === null) {
        done(out);
        return;
      }
      if (stop?.isCancellationRequested !== true) {
        void vscode.window.showErrorMessage(failure(what, child.exitCode, said));
      }
      done(undefined);
    });
    stop?.onCancellationRequested(() => child.kill());
  });
}

/** Shows the page of a diagnostic: of the one at the cursor, or of a code that is asked for. */
async function explain(given: unknown): Promise<void> {
  const editor = vscode.window.activeTextEditor;
  const here = editor === undefined ? [] : vscode.languages.getDiagnostics(editor.document.uri);
  const at = here.find((diagnostic) => diagnostic.range.contains(editor!.selection.active))?.code;
  const guess = typeof given === "string" ? given : String(typeof at === "object" ? at.value : (at ?? ""));
  const code = /^[EWI]\d{4}$/.test(guess)
    ? guess
    : await vscode.window.showInputBox({ title: "The code, as E0105", validateInput: (text) => (/^[EWI]\d{4}$/.test(text) ? undefined : "E, W or I and four digits") });
  const found = program();
  if (code === undefined || "problem" in found) {
    return;
  }
  execFile(found.program, mkbc.explainArguments(code), async (problem, out, said) => {
    if (problem !== null) {
      await vscode.window.showErrorMessage(failure("mkbc explain", typeof problem.code === "number" ? problem.code : null, said));
      return;
    }
    const document = await vscode.workspace.openTextDocument({ language: "markdown", content: out });
    await vscode.window.showTextDocument(document, { viewColumn: vscode.ViewColumn.Beside, preview: true });
  });
}
