//! Codes → their pages: what is wrong, why it matters, an example that fails and one that passes.

/// Every code with its page, in order.
pub const PAGES: &[(&str, &str)] = &[];

/// The page of a code.
pub fn page(code: &str) -> Option<&'static str> {
    PAGES.iter().find(|(c, _)| *c == code).map(|(_, page)| *page)
}

/// The title of a page: its first line, without the code.
pub fn title(page: &str) -> &str {
    let line = page.lines().next().unwrap_or("").trim_start_matches("# ");
    line.split_once(": ").map_or(line, |(_, title)| title)
}
