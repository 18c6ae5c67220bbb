//! What a goal says outright: labels to choose from, languages to translate between.

use crate::types::Type;
use ecow::EcoString;

/// English names of languages by their codes of ISO 639-3.
const LANGUAGES: [(&str, &str); 21] = [
    ("arabic", "ara"),
    ("czech", "ces"),
    ("german", "deu"),
    ("greek", "ell"),
    ("english", "eng"),
    ("french", "fra"),
    ("hindi", "hin"),
    ("indonesian", "ind"),
    ("italian", "ita"),
    ("japanese", "jpn"),
    ("korean", "kor"),
    ("dutch", "nld"),
    ("polish", "pol"),
    ("portuguese", "por"),
    ("russian", "rus"),
    ("spanish", "spa"),
    ("swedish", "swe"),
    ("turkish", "tur"),
    ("ukrainian", "ukr"),
    ("vietnamese", "vie"),
    ("chinese", "zho"),
];

/// The alternatives that a goal lists: in quotes, or behind `as` or `into`.
pub(super) fn alternatives(goal: &str) -> Vec<EcoString> {
    let quoted: Vec<EcoString> = goal.split('"').skip(1).step_by(2).map(EcoString::from).collect();
    if quoted.len() >= 2 {
        return quoted;
    }
    for before in [" as ", " into ", " between ", ": "] {
        let Some((_, list)) = goal.split_once(before) else { continue };
        let list = list.trim_end_matches(['.', '?', '!']).replace(" and ", ", ").replace(" or ", ", ");
        let items: Vec<EcoString> = list.split(',').map(str::trim).filter(|i| !i.is_empty()).map(Into::into).collect();
        if items.len() >= 2 && items.iter().all(|i| i.split_whitespace().count() <= 4) {
            return items;
        }
    }
    Vec::new()
}

/// The value of an enum that a goal names for a parameter. Where a goal names two, the one behind `into` or `to` is the target.
pub(super) fn named(goal: &str, param: &str, ty: &Type) -> Option<EcoString> {
    let Type::Enum(_, values) = ty else { return None };
    let words: Vec<String> = goal
        .split(|c: char| !c.is_alphanumeric() && c != '_')
        .map(str::to_lowercase)
        .filter(|w| !w.is_empty())
        .collect();
    let mut named: Vec<(&EcoString, bool)> = Vec::new();
    for (i, word) in words.iter().enumerate() {
        let code = LANGUAGES.iter().find(|(name, _)| name == word).map_or(word.as_str(), |(_, code)| code);
        if let Some(value) = values.iter().find(|v| *v == code)
            && named.iter().all(|(seen, _)| *seen != value)
        {
            let target = i.checked_sub(1).is_some_and(|before| matches!(words[before].as_str(), "into" | "to"));
            named.push((value, target));
        }
    }
    match (param, named.as_slice()) {
        ("target", _) => named.iter().find(|(_, target)| *target).map(|(v, _)| (*v).clone()),
        ("source", _) => named.iter().find(|(_, target)| !*target).map(|(v, _)| (*v).clone()),
        (_, [(only, _)]) => Some((*only).clone()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn goals_list_alternatives_and_name_languages() {
        assert_eq!(alternatives("Classify it as praise, complaint or question"), ["praise", "complaint", "question"]);
        assert_eq!(alternatives("\"a b\" or \"c\"?"), ["a b", "c"]);
        assert!(alternatives("A short summary").is_empty());
        let ty = Type::Enum("Language".into(), ["eng", "spa"].map(Into::into).to_vec());
        assert_eq!(named("Translate the Spanish letter into English", "target", &ty).as_deref(), Some("eng"));
        assert_eq!(named("Translate the Spanish letter into English", "source", &ty).as_deref(), Some("spa"));
        assert_eq!(named("Translate it into English", "source", &ty), None);
    }
}
