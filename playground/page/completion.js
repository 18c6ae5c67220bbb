// The list of completions below the cursor.

export class Completions {
  constructor(list, editor, ask) {
    Object.assign(this, { list, editor, ask, items: [], chosen: 0, turn: 0 });
    editor.area.addEventListener("keydown", (event) => this.key(event), true);
    editor.area.addEventListener("blur", () => this.hide());
    editor.area.addEventListener("scroll", () => this.hide());
    list.addEventListener("mousedown", (event) => {
      event.preventDefault();
      const item = event.target.closest("li");
      if (item) this.accept([...list.children].indexOf(item));
    });
  }

  get open() {
    return !this.list.hidden;
  }

  /** After a keystroke: words are completed as they are typed, others when asked for. */
  async typed() {
    const at = this.editor.area.selectionStart;
    const word = this.editor.text.slice(0, at).match(/[\p{L}_][\p{L}\p{N}_]*$/u)?.[0] ?? "";
    if (word.length >= 2 || this.editor.text[at - 1] === ".") await this.show(false);
    else this.hide();
  }

  async show(all) {
    const turn = ++this.turn;
    const at = this.editor.area.selectionStart;
    const position = this.editor.position(at);
    const { items } = await this.ask("completion", { position });
    if (turn !== this.turn || at !== this.editor.area.selectionStart) return;
    const typed = items.length ? this.editor.text.slice(this.editor.offset(items[0].textEdit.range.start), at).toLowerCase() : "";
    const score = (item) => {
      const name = item.filterText.toLowerCase();
      if (name.startsWith(typed)) return 0;
      return name.includes(typed) ? 1 : 2;
    };
    const fitting = items.filter((i) => score(i) < 2);
    fitting.sort((a, b) => score(a) - score(b) || (a.sortText < b.sortText ? -1 : 1));
    // What is there already needs no list.
    if (!fitting.length || (!all && fitting.length === 1 && fitting[0].textEdit.newText.toLowerCase() === typed)) return this.hide();
    this.items = fitting.slice(0, 60);
    this.list.replaceChildren(
      ...this.items.map((item, i) => {
        const row = document.createElement("li");
        row.id = `completion-${i}`;
        row.role = "option";
        const name = document.createElement("b");
        name.textContent = item.label;
        const detail = document.createElement("small");
        detail.textContent = item.detail ?? "";
        row.append(name, detail);
        return row;
      }),
    );
    this.list.hidden = false;
    const corner = this.editor.corner(this.editor.position(at - typed.length));
    const area = this.editor.area;
    const below = corner.top + this.list.offsetHeight < area.clientHeight;
    this.list.style.top = `${below ? corner.top : corner.top - this.editor.high - this.list.offsetHeight}px`;
    this.list.style.left = `${Math.max(4, Math.min(corner.left, area.clientWidth - this.list.offsetWidth - 8))}px`;
    this.choose(0);
  }

  choose(i) {
    this.chosen = (i + this.items.length) % this.items.length;
    [...this.list.children].forEach((row, r) => row.setAttribute("aria-selected", r === this.chosen));
    this.list.children[this.chosen].scrollIntoView({ block: "nearest" });
    this.editor.area.setAttribute("aria-activedescendant", `completion-${this.chosen}`);
  }

  hide() {
    this.turn++;
    this.list.hidden = true;
    this.editor.area.removeAttribute("aria-activedescendant");
  }

  accept(i) {
    const item = this.items[i];
    this.hide();
    const end = this.editor.position(this.editor.area.selectionStart);
    const edit = { newText: item.textEdit.newText, range: { start: item.textEdit.range.start, end } };
    this.editor.apply([edit, ...(item.additionalTextEdits ?? [])]);
    this.hide();
  }

  key(event) {
    if (event.key === " " && event.ctrlKey) {
      event.preventDefault();
      return this.show(true);
    }
    if (!this.open) return;
    const done = () => event.preventDefault();
    if (event.key === "ArrowDown") done(this.choose(this.chosen + 1));
    else if (event.key === "ArrowUp") done(this.choose(this.chosen - 1));
    else if (event.key === "Enter" || event.key === "Tab") done(this.accept(this.chosen));
    else if (event.key === "Escape") done(this.hide());
    else if (event.key === "ArrowLeft" || event.key === "ArrowRight") this.hide();
  }
}
