// A text field with colours: a <textarea> that people type into, over a <pre> that shows the same text painted.

export class Editor {
  constructor(root, { changed, moved }) {
    this.area = root.querySelector("textarea");
    this.paintLayer = root.querySelector(".paint");
    this.gutter = root.querySelector(".gutter");
    this.changed = changed;
    this.old = "";
    this.tokens = [];
    this.problems = [];
    this.hints = new Map();
    this.area.addEventListener("input", () => this.typed());
    this.area.addEventListener("scroll", () => this.scrolled());
    this.area.addEventListener("keydown", (event) => this.key(event));
    document.addEventListener("selectionchange", () => {
      if (document.activeElement === this.area) moved(this.area.selectionStart);
    });
    const probe = document.createElement("span");
    probe.textContent = "0".repeat(100);
    this.paintLayer.append(probe);
    this.wide = probe.getBoundingClientRect().width / 100;
    this.high = parseFloat(getComputedStyle(this.area).lineHeight);
    this.pad = parseFloat(getComputedStyle(this.area).paddingLeft);
  }

  get text() {
    return this.area.value;
  }

  /** Shows another text; nothing can be undone over it. */
  open(text) {
    this.area.value = text;
    this.old = text;
    this.tokens = [];
    this.problems = [];
    this.hints.clear();
    this.starts = startsOf(text);
    this.area.setSelectionRange(0, 0);
    this.area.scrollTop = 0;
    this.paint();
  }

  /** What was typed, as one change from the text before; colours move with their words until new ones come. */
  typed() {
    const [old, text] = [this.old, this.text];
    if (old === text) return;
    let start = 0;
    while (start < old.length && start < text.length && old[start] === text[start]) start++;
    let tail = 0;
    while (tail < old.length - start && tail < text.length - start && old[old.length - 1 - tail] === text[text.length - 1 - tail]) tail++;
    const end = old.length - tail;
    const range = { start: this.position(start), end: this.position(end) };
    const by = text.length - old.length;
    const move = (at) => (at >= end ? at + by : Math.min(at, Math.max(start, at + Math.min(by, 0))));
    for (const mark of [...this.tokens, ...this.problems]) {
      mark.start = mark.start >= end ? mark.start + by : mark.start;
      mark.end = mark.end >= end ? mark.end + by : Math.max(move(mark.end), mark.start);
    }
    this.hints.clear();
    this.old = text;
    this.starts = startsOf(text);
    this.paint();
    this.changed(range, text.slice(start, text.length - tail));
  }

  /** Applies edits of the protocol as if they were typed, so that they can be undone. */
  apply(edits) {
    const places = edits.map((e) => ({ start: this.offset(e.range.start), end: this.offset(e.range.end), text: e.newText }));
    places.sort((a, b) => b.start - a.start || b.end - a.end);
    if (!places.length) return;
    const [first, last] = [places[places.length - 1], places[0]];
    let text = this.text.slice(first.start, last.end);
    for (const { start, end, text: insert } of places) {
      text = text.slice(0, start - first.start) + insert + text.slice(end - first.start);
    }
    const before = this.area.selectionStart;
    const { scrollTop, scrollLeft } = this.area;
    // Where the cursor stood, counted from the nearer end.
    const after = before >= last.end ? before + text.length - (last.end - first.start) : Math.min(before, first.start + text.length);
    this.replace(first.start, last.end, text);
    this.area.setSelectionRange(after, after);
    this.area.scrollTo(scrollLeft, scrollTop);
  }

  replace(start, end, text) {
    this.area.focus();
    this.area.setSelectionRange(start, end);
    // The only way that keeps the browser's undo; where it is gone, the text still changes.
    if (!document.execCommand("insertText", false, text) && this.text.slice(start, start + text.length) !== text) {
      this.area.setRangeText(text, start, end, "end");
    }
    this.typed();
  }

  select(range) {
    const [start, end] = [this.offset(range.start), this.offset(range.end)];
    this.area.focus();
    this.area.setSelectionRange(start, end);
    const top = range.start.line * this.high;
    if (top < this.area.scrollTop || top > this.area.scrollTop + this.area.clientHeight - 3 * this.high) {
      this.area.scrollTop = Math.max(0, top - this.area.clientHeight / 3);
    }
  }

  position(at) {
    const starts = this.starts;
    let [low, high] = [0, starts.length - 1];
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (starts[middle] <= at) low = middle;
      else high = middle - 1;
    }
    return { line: low, character: at - starts[low] };
  }

  offset({ line, character }) {
    if (line >= this.starts.length) return this.text.length;
    const end = line + 1 < this.starts.length ? this.starts[line + 1] - 1 : this.text.length;
    return Math.min(this.starts[line] + character, end);
  }

  /** The place under a pointer; none outside of the text. */
  under(event) {
    const box = this.area.getBoundingClientRect();
    const line = Math.floor((event.clientY - box.top - this.pad + this.area.scrollTop) / this.high);
    const character = Math.floor((event.clientX - box.left - this.pad + this.area.scrollLeft) / this.wide);
    if (line < 0 || character < 0 || line >= this.starts.length) return null;
    const end = (this.starts[line + 1] ?? this.text.length + 1) - 1;
    return this.starts[line] + character < end ? { line, character } : null;
  }

  /** Where a place is, in the sheet. */
  corner({ line, character }) {
    const left = this.pad + character * this.wide - this.area.scrollLeft;
    return { left, top: this.pad + (line + 1) * this.high - this.area.scrollTop };
  }

  key(event) {
    if (event.key !== "Enter" || event.defaultPrevented || event.ctrlKey || event.metaKey || event.isComposing) return;
    // A new line begins where the one before did, or two further in after a bracket.
    const at = this.area.selectionStart;
    const line = this.text.slice(this.text.lastIndexOf("\n", at - 1) + 1, at);
    const indent = line.match(/^ */)[0] + (/[{(]\s*$/.test(line) ? "  " : "");
    event.preventDefault();
    this.replace(at, this.area.selectionEnd, `\n${indent}`);
  }

  /** Colours of words: the numbers of `semanticTokens/full` and their legend. */
  colour(data, legend) {
    const tokens = [];
    let [line, column] = [0, 0];
    for (let i = 0; i < data.length; i += 5) {
      if (data[i]) column = 0;
      line += data[i];
      column += data[i + 1];
      const start = this.offset({ line, character: column });
      const library = data[i + 4] & 2 ? " library" : "";
      tokens.push({ start, end: start + data[i + 2], name: `t-${legend[data[i + 3]]}${library}` });
    }
    this.tokens = tokens;
    this.paint();
  }

  mark(diagnostics) {
    const severity = ["", "error", "warning", "info"];
    this.problems = diagnostics.map((d) => {
      const [start, end] = [this.offset(d.range.start), this.offset(d.range.end)];
      const unused = d.tags?.includes(1) ? " unused" : "";
      return { start, end: Math.max(end, start + 1), name: `p-${severity[d.severity]}${unused}` };
    });
    this.paint();
  }

  /** What stands behind lines: line → text. */
  hint(hints) {
    this.hints = hints;
    this.paint();
  }

  paint() {
    const text = this.text;
    const cuts = new Set();
    for (const mark of [...this.tokens, ...this.problems]) cuts.add(mark.start).add(mark.end);
    for (const start of this.starts) cuts.add(start).add(start - 1);
    cuts.add(text.length);
    const places = [...cuts].filter((c) => c > 0 && c <= text.length).sort((a, b) => a - b);
    const out = [];
    const open = this.problems.slice().sort((a, b) => a.start - b.start);
    let [token, from, line] = [0, 0, 0];
    const behind = () => {
      const hint = this.hints.get(line);
      if (hint) out.push(`<i>${escaped(hint)}</i>`);
      line += 1;
    };
    for (const to of places) {
      while (token < this.tokens.length && this.tokens[token].end <= from) token++;
      const word = this.tokens[token];
      const names = word && word.start <= from && to <= word.end ? [word.name] : [];
      for (const p of open) {
        if (p.start > from) break;
        if (p.end >= to) names.push(p.name);
      }
      const piece = text.slice(from, to);
      if (piece === "\n") {
        behind();
        out.push("\n");
      } else out.push(names.length ? `<span class="${names.join(" ")}">${escaped(piece)}</span>` : escaped(piece));
      from = to;
    }
    behind();
    this.paintLayer.innerHTML = out.join("") + "\n";
    if (this.gutter.childElementCount !== this.starts.length) {
      this.gutter.innerHTML = this.starts.map((_, i) => `<span>${i + 1}</span>`).join("\n");
    }
    this.scrolled();
  }

  scrolled() {
    const { scrollTop, scrollLeft } = this.area;
    this.paintLayer.style.transform = `translate(${-scrollLeft}px, ${-scrollTop}px)`;
    this.gutter.style.transform = `translateY(${-scrollTop}px)`;
  }
}

function startsOf(text) {
  const starts = [0];
  for (let at = text.indexOf("\n"); at >= 0; at = text.indexOf("\n", at + 1)) starts.push(at + 1);
  return starts;
}

export function escaped(text) {
  return text.replace(/[&<>"]/g, (c) => ({ "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" })[c]);
}
