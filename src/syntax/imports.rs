//! Where `use` lines are added to a file.

/// The place and the text of lines that use modules: behind the last `use` line, else below the comment that heads the file.
pub fn lines(source: &str, modules: &[&str]) -> (u32, String) {
    let line_end = if source.contains("\r\n") { "\r\n" } else { "\n" };
    let written: Vec<String> = modules.iter().map(|module| format!("use {module}{line_end}")).collect();
    let written = written.concat();
    let start = if source.starts_with('\u{feff}') { '\u{feff}'.len_utf8() } else { 0 };
    let (mut at, mut last) = (start, None);
    for line in source[start..].split_inclusive('\n') {
        at += line.len();
        if line.starts_with("use ") {
            last = Some((at, line.ends_with('\n')));
        }
    }
    match last {
        Some((end, true)) => (end as u32, written),
        Some((end, false)) => (end as u32, format!("{line_end}{}", written.trim_end())),
        None => {
            let top = below_the_head(source, start);
            let apart = source[top..].lines().next().is_some_and(|line| !line.trim().is_empty());
            (top as u32, if apart { written + line_end } else { written })
        }
    }
}

/// Behind the comments that head a file. A comment that touches an item is the item's.
fn below_the_head(source: &str, start: usize) -> usize {
    let (mut at, mut top) = (start, start);
    for line in source[start..].split_inclusive('\n') {
        let text = line.trim();
        let comment = text.starts_with("//") && (!text.starts_with("///") || text.starts_with("////"));
        if !(comment || text.is_empty()) || !line.ends_with('\n') {
            break;
        }
        at += line.len();
        if text.is_empty() {
            top = at;
        }
    }
    top
}

#[cfg(test)]
mod tests {
    use super::lines;

    #[test]
    fn a_line_goes_behind_the_others_or_below_the_head() {
        let cases = [
            ("", "use m\n"),
            ("job j", "use m\n\njob j"),
            ("\njob j", "\nuse m\n\njob j"),
            ("// of all\n\n// of j\njob j", "// of all\n\nuse m\n\n// of j\njob j"),
            ("use a // x\nuse b // y\n\njob j", "use a // x\nuse b // y\nuse m\n\njob j"),
            ("use a\r\njob j", "use a\r\nuse m\r\njob j"),
            ("use a", "use a\nuse m"),
            ("\u{feff}job j", "\u{feff}use m\n\njob j"),
        ];
        for (before, after) in cases {
            let (at, text) = lines(before, &["m"]);
            let (head, rest) = before.split_at(at as usize);
            assert_eq!(format!("{head}{text}{rest}"), after, "{before:?}");
        }
        assert_eq!(lines("use a\n", &["m", "n"]), (6, "use m\nuse n\n".to_string()));
    }
}
