//! Codes → their pages: what is wrong, why it matters, an example that fails and one that passes.

/// The table of pages from the codes; each page is the file of that name.
macro_rules! pages {
    ($($code:literal),* $(,)?) => {
        &[$(($code, include_str!(concat!("codes/", $code, ".md")))),*]
    };
}

/// Every code with its page, in order of the number.
#[rustfmt::skip]
pub const PAGES: &[(&str, &str)] = pages![
    "E0001",
    "E0101", "E0102", "E0103", "E0104", "E0105", "E0106", "E0107",
    "E0201", "E0202", "E0203", "E0204", "E0205", "E0206", "E0207", "E0208", "E0209", "W0210",
    "W0211", "W0212", "E0213", "E0214", "E0215", "E0216", "E0217", "E0218", "E0219", "E0220",
    "E0221", "E0222", "E0223", "W0224", "W0225",
    "E0260", "E0261", "E0262", "E0263", "E0264", "E0265", "E0266",
    "E0301", "E0302", "E0303", "E0304", "E0305", "E0306", "E0307", "E0308", "E0309", "E0310",
    "W0311", "E0312", "E0313", "E0314", "E0315", "E0316", "W0317", "E0318", "E0320", "E0321", "E0322",
    "E0401", "E0402", "E0403", "E0404", "E0405", "E0406", "E0407", "E0408", "E0409", "E0410",
    "E0411", "E0412", "E0414", "W0415",
    "I0501", "E0502", "E0503", "E0504", "E0505", "E0507", "W0508",
    "E0601", "W0620", "E0621",
    "E0701", "I0702", "E0703", "E0704", "E0705", "E0710", "E0711", "E0720", "E0721", "E0722", "E0723", "E0740", "E0741",
];

/// The page of a code.
pub fn page(code: &str) -> Option<&'static str> {
    PAGES.iter().find(|(c, _)| *c == code).map(|(_, page)| *page)
}

/// Whether a code is of lexer, layout pass and parser.
pub fn is_syntax(code: &str) -> bool {
    code.starts_with("E01")
}

/// Whether a code says that a bracket has no partner: what stands around it may have been read as something else.
pub fn is_of_brackets(code: &str) -> bool {
    matches!(code, "E0103" | "E0104")
}

/// The title of a page: its first line, without the code.
pub fn title(page: &str) -> &str {
    let line = page.lines().next().unwrap_or("").trim_start_matches("# ");
    line.split_once(": ").map_or(line, |(_, title)| title)
}
