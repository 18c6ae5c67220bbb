// The little of Markdown that hovers use → elements. Text stays text: nothing of it is read as HTML.

export function markdown(text) {
  const out = document.createElement("div");
  let list = null;
  for (const [i, part] of text.split(/^```.*\n?/m).entries()) {
    if (i % 2) {
      out.append(element("pre", part.trimEnd()));
      continue;
    }
    for (const block of part.split(/\n/)) {
      const item = block.match(/^\s*[-*] (.*)/);
      if (item) {
        if (!list) out.append((list = document.createElement("ul")));
        list.append(inline("li", item[1]));
        continue;
      }
      list = null;
      if (block.trim()) out.append(inline(block.startsWith("#") ? "h3" : "p", block.replace(/^#+ /, "")));
    }
    list = null;
  }
  return out;
}

export function inline(tag, text) {
  const out = document.createElement(tag);
  for (const piece of text.split(/(`[^`]+`|\*\*[^*]+\*\*)/)) {
    if (piece.startsWith("`") && piece.length > 1) out.append(element("code", piece.slice(1, -1)));
    else if (piece.startsWith("**") && piece.length > 3) out.append(element("strong", piece.slice(2, -2)));
    else out.append(piece);
  }
  return out;
}

export function element(tag, text, attributes = {}) {
  const out = document.createElement(tag);
  out.textContent = text;
  for (const [key, value] of Object.entries(attributes)) out.setAttribute(key, value);
  return out;
}
