import assert from "node:assert/strict";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { test } from "node:test";
import * as oniguruma from "vscode-oniguruma";
import * as textmate from "vscode-textmate";

const repository = "../..";
const file = `${repository}/editors/textmate/mkb.tmLanguage.json`;

async function grammar(): Promise<textmate.IGrammar> {
  const wasm = readFileSync(createRequire(`${process.cwd()}/`).resolve("vscode-oniguruma/release/onig.wasm"));
  await oniguruma.loadWASM({ data: wasm });
  const registry = new textmate.Registry({
    onigLib: Promise.resolve({
      createOnigScanner: (patterns) => new oniguruma.OnigScanner(patterns),
      createOnigString: (text) => new oniguruma.OnigString(text),
    }),
    loadGrammar: async () => textmate.parseRawGrammar(readFileSync(file, "utf8"), file),
  });
  return (await registry.loadGrammar("source.mkb"))!;
}

/** The pieces of a text with their innermost scope; white space is left out. */
function scopes(grammar: textmate.IGrammar, text: string): [line: number, scope: string, piece: string][] {
  const found: [number, string, string][] = [];
  let state = textmate.INITIAL;
  text.split("\n").forEach((line, number) => {
    const { tokens, ruleStack } = grammar.tokenizeLine(line, state);
    state = ruleStack;
    for (const { startIndex, endIndex, scopes } of tokens) {
      const piece = line.slice(startIndex, endIndex);
      if (piece.trim() !== "") {
        found.push([number + 1, scopes.at(-1)!, piece.trim()]);
      }
    }
  });
  return found;
}

test("golden scopes of a file that uses the whole language, and no text without a scope anywhere", async () => {
  const colours = await grammar();
  const golden = "test/accepted.scopes.txt";
  const text = readFileSync(`${repository}/tests/check/accepted.mkb`, "utf8");
  const written = scopes(colours, text).map(([line, scope, piece]) => `${line}: ${scope} ${piece}\n`).join("");
  if (process.env["BLESS"] !== undefined) {
    writeFileSync(golden, written);
  }
  assert.equal(written, readFileSync(golden, "utf8"), "BLESS=1 writes it again");

  let files = 0;
  for (const folder of ["examples", "examples/clusters", "stdlib"]) {
    for (const name of readdirSync(`${repository}/${folder}`).filter((name) => name.endsWith(".mkb"))) {
      files++;
      const bare = scopes(colours, readFileSync(`${repository}/${folder}/${name}`, "utf8")).filter(([, scope]) => scope === "source.mkb");
      assert.deepEqual(bare, [], `${folder}/${name}`);
    }
  }
  assert.ok(files > 20);

  const of = (line: string) => scopes(colours, line).map(([, scope, piece]) => `${piece} ${scope.replace(/\.mkb$/, "")}`);
  // What follows a number is a unit, but for the words of the language.
  assert.deepEqual(of("8 at 6.88 usd/h"), ["8 constant.numeric", "at keyword.control", "6.88 constant.numeric", "usd/h keyword.other.unit"]);
  assert.deepEqual(of("5 min"), ["5 constant.numeric", "min keyword.other.unit"]);
  // Words that lead lines are names elsewhere.
  assert.deepEqual(of("size + work.engine").map((part) => part.split(" ")[1]), ["variable.other", "keyword.operator", "variable.other", "punctuation", "variable.other.member"]);
  // A text that is not closed ends with its line.
  assert.deepEqual(of('"open\nlet').at(-1), "let keyword.control");
  assert.deepEqual(of("//// a ruler"), ["//// a ruler comment.line.double-slash"]);
});
