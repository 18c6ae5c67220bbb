// The page around the picture that `mkbc graph` draws: in the editor's colours, and a click on a step leads to its line.

/** The page: no script but the one that opens a step's line, nothing from anywhere else. `chance` is what the page's own script is known by. */
export function page(picture: string, chance: Uint8Array): string {
  const nonce = [...chance].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  return `<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'nonce-${nonce}'; script-src 'nonce-${nonce}'">
<style nonce="${nonce}">
svg { font-family: var(--vscode-editor-font-family); max-width: 100%; height: auto; }
.paper { fill: none; }
.title { fill: var(--vscode-editor-foreground); }
.about { fill: var(--vscode-descriptionForeground); }
.over { stroke: var(--vscode-editor-background); }
.arrow { stroke: var(--vscode-descriptionForeground); }
.arrow.critical { stroke: var(--vscode-focusBorder); }
marker path { fill: var(--vscode-descriptionForeground); }
[data-line] { cursor: pointer; }
[data-line]:hover rect, [data-line]:focus rect { stroke: var(--vscode-focusBorder); }
[data-line]:focus { outline: none; }
</style>
</head>
<body>
${picture}
<script nonce="${nonce}">
const editor = acquireVsCodeApi();
for (const step of document.querySelectorAll("[data-line]")) {
  const open = () => editor.postMessage({ line: Number(step.dataset.line) });
  step.setAttribute("tabindex", "0");
  step.setAttribute("role", "button");
  step.addEventListener("click", open);
  step.addEventListener("keydown", (key) => key.key === "Enter" && open());
}
</script>
</body>
</html>`;
}
