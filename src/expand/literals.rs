//! What a goal says outright: labels to choose from, languages to translate between.

use super::words::is_question;
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
    asked(goal)
}

/// What a question asks to choose between: `Is it a bill, an advert or a reminder?`. Of the first, what comes before it is left out: up to the
/// last article where the others have one, else all but as many words as the last has.
fn asked(goal: &str) -> Vec<EcoString> {
    const ARTICLES: [&str; 3] = ["a", "an", "the"];
    let Some((before, last)) = goal.trim_end_matches(['?', '.', '!', ' ']).rsplit_once(" or ") else {
        return Vec::new();
    };
    if !is_question(goal) && !goal.contains(" whether ") {
        return Vec::new();
    }
    let bare = |item: &str| -> EcoString {
        let words: Vec<&str> = item.split_whitespace().collect();
        let words = if words.first().is_some_and(|w| ARTICLES.contains(w)) { &words[1..] } else { &words[..] };
        words.join(" ").into()
    };
    let (last, mut items): (&str, Vec<&str>) = (last.trim(), before.split(',').map(str::trim).collect());
    let with_article = last.split_whitespace().next().is_some_and(|w| ARTICLES.contains(&w));
    let first: Vec<&str> = items.remove(0).split_whitespace().collect();
    let from = match with_article {
        true => first.iter().rposition(|w| ARTICLES.contains(w)),
        false => first.len().checked_sub(last.split_whitespace().count()).filter(|at| *at > 0),
    };
    let Some(from) = from else { return Vec::new() };
    let first = first[from..].join(" ");
    let all: Vec<EcoString> = std::iter::once(&*first).chain(items).chain([last]).map(bare).collect();
    if all.iter().all(|item| !item.is_empty() && item.split(' ').count() <= 4) { all } else { Vec::new() }
}

/// The value of an enum that a goal names for a parameter. Where a goal names two, the one behind `into` or `to` is the target.
pub(super) fn named(goal: &str, param: &str, ty: &Type) -> Option<EcoString> {
    let Type::Enum(_, values) = ty else { return None };
    let words: Vec<String> = goal
        .split(|c: char| !c.is_alphanumeric() && c != '_')
        .map(str::to_lowercase)
        .filter(|w| !w.is_empty())
        .collect();
    let mut named: Vec<(&EcoString, Role)> = Vec::new();
    for (i, word) in words.iter().enumerate() {
        let code = LANGUAGES.iter().find(|(name, _)| name == word).map_or(word.as_str(), |(_, code)| code);
        if let Some(value) = values.iter().find(|v| *v == code)
            && named.iter().all(|(seen, _)| *seen != value)
        {
            named.push((value, role(&words, i)));
        }
    }
    let of = |role: Role| named.iter().find(|(_, own)| *own == role).map(|(v, _)| (*v).clone());
    let open = || named.iter().filter(|(_, own)| *own == Role::Open);
    // Of two, what is left for the one is what the other is not.
    match (param, named.as_slice()) {
        ("target", [_, _]) => of(Role::Target).or_else(|| of(Role::Source).and(of(Role::Open))),
        ("source", [_, _]) => of(Role::Source).or_else(|| of(Role::Target).and(of(Role::Open))),
        ("target", _) => of(Role::Target),
        ("source", _) => of(Role::Source).or_else(|| open().next().map(|(v, _)| (*v).clone())),
        (_, [(only, _)]) => Some((*only).clone()),
        _ => None,
    }
}

/// What a language in a goal is meant as.
#[derive(Clone, Copy, PartialEq)]
enum Role {
    /// What is translated into: `into German`, `in German`, `a German translation`.
    Target,
    /// What is translated: `from Italian`, `written in Dutch`, `spoken Spanish`.
    Source,
    /// Nothing says.
    Open,
}

/// What the words around a language say of it.
fn role(words: &[String], at: usize) -> Role {
    const RENDERED: [&str; 6] = ["translation", "rendition", "rendering", "version", "translations", "versions"];
    const THERE: [&str; 6] = ["written", "spoken", "said", "is", "are", "speaks"];
    let word = |i: Option<usize>| i.and_then(|i| words.get(i)).map(String::as_str).unwrap_or_default();
    let (before, two_before, after) = (word(at.checked_sub(1)), word(at.checked_sub(2)), word(Some(at + 1)));
    match before {
        "into" | "to" => Role::Target,
        "in" if THERE.contains(&two_before) => Role::Source,
        "in" => Role::Target,
        "from" | "spoken" | "written" => Role::Source,
        _ if RENDERED.contains(&after) => Role::Target,
        _ => Role::Open,
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
        for goal in [
            "A Spanish translation of the English text",
            "Put this English letter in Spanish",
            "Render the letter in Spanish; it is written in English",
            "A Spanish rendition of this English voice memo",
            "Translate from English to Spanish",
        ] {
            let of = |param| named(goal, param, &ty);
            assert_eq!((of("source").as_deref(), of("target").as_deref()), (Some("eng"), Some("spa")), "{goal}");
        }
        assert_eq!(named("Translate from English", "source", &ty).as_deref(), Some("eng"));
        let asked = alternatives("Is each scanned letter a bill, an advert or a reminder?");
        assert_eq!(asked, ["bill", "advert", "reminder"]);
        assert_eq!(alternatives("Is the mood of the text friendly or hostile?"), ["friendly", "hostile"]);
        assert!(alternatives("Sort it or not").is_empty());
    }
}
