//! Text of others as people may be shown it: nothing in it hides, reorders or repaints what stands around it.

/// Whether a character turns the order of what is read around.
pub fn turns(c: char) -> bool {
    matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Whether a character shows nothing of itself: controls, direction marks, joiners and the like.
pub fn hidden(c: char) -> bool {
    let code = c as u32;
    c.is_control()
        || turns(c)
        || matches!(code, 0xad | 0x180e | 0x200b..=0x200d | 0x2028 | 0x2029 | 0x2060..=0x206f | 0xfeff | 0xfff9..=0xfffb)
        || (0xe0000..=0xe0fff).contains(&code)
}

/// A text on one line, without what is hidden, bounded.
pub fn plain(text: &str, most: usize) -> String {
    let shown: String = text.chars().map(|c| if c.is_whitespace() { ' ' } else { c }).filter(|c| !hidden(*c)).collect();
    let words = shown.split(' ').filter(|w| !w.is_empty()).collect::<Vec<_>>().join(" ");
    match words.char_indices().nth(most) {
        None => words,
        Some((at, _)) => format!("{}…", words[..at].trim_end()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_hidden_goes_and_the_rest_is_one_line() {
        assert_eq!(plain("a\n*/ tool x\u{1b}[2J {\u{202e}b\u{200b}\u{e0041}", 100), "a */ tool x[2J {b");
        assert_eq!(plain("abcdef", 3), "abc…");
    }
}
