//! A text with `{placeholders}` -> its pieces. Read once: what is put in is never read again.

/// A piece of a template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece<'t> {
    /// Text as it stands.
    Text(&'t str),
    /// `{name.part.part}`: the name, then the parts.
    Slot(Vec<&'t str>),
}

/// The pieces of a template. Braces that hold no dotted name (`{"a": 1}`) are text.
pub fn pieces(template: &str) -> Vec<Piece<'_>> {
    let mut found = Vec::new();
    let mut text = 0;
    let mut at = 0;
    while let Some(open) = template[at..].find('{').map(|i| at + i) {
        let close = template[open..].find('}').map(|i| open + i);
        match close.and_then(|close| Some((close, names(&template[open + 1..close])?))) {
            Some((close, slot)) => {
                if text < open {
                    found.push(Piece::Text(&template[text..open]));
                }
                found.push(Piece::Slot(slot));
                text = close + 1;
                at = text;
            }
            None => at = open + 1,
        }
    }
    if text < template.len() {
        found.push(Piece::Text(&template[text..]));
    }
    found
}

fn names(inside: &str) -> Option<Vec<&str>> {
    let names: Vec<&str> = inside.split('.').collect();
    let good = |n: &&str| !n.is_empty() && n.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    (names.iter().all(good) && !inside.starts_with(|c: char| c.is_ascii_digit())).then_some(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_and_text() {
        assert_eq!(
            pieces("a{x}b{y.as.py}{\"k\": 1}{"),
            [
                Piece::Text("a"),
                Piece::Slot(vec!["x"]),
                Piece::Text("b"),
                Piece::Slot(vec!["y", "as", "py"]),
                Piece::Text("{\"k\": 1}{")
            ]
        );
        assert_eq!(pieces("{{x}}"), [Piece::Text("{"), Piece::Slot(vec!["x"]), Piece::Text("}")]);
        assert_eq!(pieces(""), []);
        assert_eq!(pieces("{3}{a b}{é}"), [Piece::Text("{3}{a b}{é}")]);
    }

    proptest::proptest! {
        /// Nothing of a template is lost or invented.
        #[test]
        fn pieces_make_up_the_template(template in "[a-c{}. é\n]{0,40}") {
            let back: String = pieces(&template)
                .into_iter()
                .map(|piece| match piece {
                    Piece::Text(text) => text.to_owned(),
                    Piece::Slot(names) => format!("{{{}}}", names.join(".")),
                })
                .collect();
            proptest::prop_assert_eq!(back, template);
        }
    }
}
