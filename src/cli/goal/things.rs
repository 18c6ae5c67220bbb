//! What a question is about → typed inputs: files by their contents, and by their names where contents say nothing; all else is text.

use crate::cli::Failure;
use crate::cli::load::read;
use crate::types::Type;
use std::io::Read;
use std::path::Path;

/// One thing.
#[derive(Clone, Debug, PartialEq)]
pub struct Thing {
    /// Its type.
    ty: Type,
    /// What it is called where there is one of its kind, and where there are several.
    names: [&'static str; 2],
    /// As a run takes it: a path, or the text itself.
    value: String,
}

/// An input of the job: one thing, or a list of them.
#[derive(Clone, Debug, PartialEq)]
pub struct Input {
    /// Its name.
    pub name: String,
    /// Its type.
    pub ty: Type,
    /// Its values, as typed.
    pub values: Vec<String>,
}

/// What files hold, by their endings. A picture is a document of one page: what reads pages reads it.
const ENDINGS: [(Kind, &[&str]); 4] = [
    (Kind::Video, &["mp4", "m4v", "mov", "mkv", "webm", "avi", "mpg", "mpeg"]),
    (Kind::Audio, &["wav", "mp3", "flac", "ogg", "opus", "m4a", "aac"]),
    (Kind::Document, &["pdf", "tif", "tiff", "png", "jpg", "jpeg", "webp"]),
    (
        Kind::Text,
        &["txt", "md", "csv", "tsv", "json", "jsonl", "html", "htm", "xml", "srt", "vtt", "log", "tex", "py", "rs"],
    ),
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Video,
    Audio,
    Document,
    Text,
}

/// Reads what was named.
pub fn read_things(words: &[String]) -> Result<Vec<Thing>, Failure> {
    words.iter().map(|word| thing(word)).collect()
}

fn thing(word: &str) -> Result<Thing, Failure> {
    let path = Path::new(word);
    let make = |ty: Type, names, value: &str| Ok(Thing { ty, names, value: value.to_string() });
    if word.starts_with("http://") || word.starts_with("https://") {
        return make(Type::Text, ["url", "urls"], word);
    }
    let about = match std::fs::metadata(path) {
        Ok(about) => about,
        // What looks like a file and is none is a slip, not a text.
        Err(_) if by_name(path).is_some() && !word.contains(char::is_whitespace) => {
            return Err(format!("there is no file `{word}`").into());
        }
        Err(_) => return make(Type::Text, ["text", "texts"], word),
    };
    if about.is_dir() {
        return Err(Failure::Usage(format!("`{word}` is a folder: name its files")));
    }
    if !about.is_file() {
        return Err(Failure::Usage(format!("`{word}` is no regular file")));
    }
    match by_contents(path).or_else(|| by_name(path)) {
        Some(Kind::Video) => make(Type::Video, ["video", "videos"], word),
        Some(Kind::Audio) => make(Type::Audio, ["audio", "recordings"], word),
        Some(Kind::Document) => make(Type::Document, ["document", "documents"], word),
        Some(Kind::Text) => make(Type::Text, ["text", "texts"], &read(path)?),
        None => {
            let known: Vec<&str> = ENDINGS.iter().flat_map(|(_, endings)| endings.iter().copied()).collect();
            Err(format!("`{word}` is of no known kind: neither its contents nor its ending say ({})", known.join(", "))
                .into())
        }
    }
}

fn by_name(path: &Path) -> Option<Kind> {
    let ending = path.extension()?.to_str()?.to_lowercase();
    ENDINGS.iter().find(|(_, endings)| endings.contains(&ending.as_str())).map(|(kind, _)| *kind)
}

/// What the first bytes of a file say that it is.
fn by_contents(path: &Path) -> Option<Kind> {
    let mut start = Vec::new();
    std::fs::File::open(path).ok()?.take(4096).read_to_end(&mut start).ok()?;
    kind_of(&start, by_name(path))
}

/// Some containers hold sound or pictures: then the name decides which.
fn kind_of(start: &[u8], named: Option<Kind>) -> Option<Kind> {
    let at = |from: usize, bytes: &[u8]| start.get(from..from + bytes.len()) == Some(bytes);
    let either = named.filter(|kind| matches!(kind, Kind::Video | Kind::Audio)).unwrap_or(Kind::Video);
    let begins = |kinds: &[&[u8]]| kinds.iter().any(|kind| start.starts_with(kind));
    if at(4, b"ftyp") || begins(&[b"\x1aE\xdf\xa3", b"OggS"]) {
        return Some(if at(8, b"M4A ") || start.starts_with(b"OggS") && named != Some(Kind::Video) {
            Kind::Audio
        } else {
            either
        });
    }
    if at(0, b"RIFF") {
        return match start.get(8..12) {
            Some(b"WAVE") => Some(Kind::Audio),
            Some(b"AVI ") => Some(Kind::Video),
            Some(b"WEBP") => Some(Kind::Document),
            _ => None,
        };
    }
    if begins(&[b"ID3", b"fLaC", b"\xff\xfb", b"\xff\xf3", b"\xff\xf1"]) {
        return Some(Kind::Audio);
    }
    if begins(&[b"%PDF-", b"\x89PNG", b"\xff\xd8\xff", b"II*\0", b"MM\0*"]) {
        return Some(Kind::Document);
    }
    // A character may be cut at the end of what was read.
    let text = match std::str::from_utf8(start) {
        Ok(_) => true,
        Err(e) => e.error_len().is_none() && start.len() > 8,
    };
    (text && !start.is_empty() && !start.contains(&0)).then_some(Kind::Text)
}

/// Gives things of a kind one input, a list where there are several.
pub fn inputs(things: Vec<Thing>) -> Vec<Input> {
    let mut kinds: Vec<(Type, [&'static str; 2], Vec<String>)> = Vec::new();
    for Thing { ty, names, value } in things {
        match kinds.iter_mut().find(|(_, known, _)| *known == names) {
            Some((_, _, values)) => values.push(value),
            None => kinds.push((ty, names, vec![value])),
        }
    }
    let input = |(ty, [one, several], values): (Type, [&'static str; 2], Vec<String>)| match values.len() {
        1 => Input { name: one.to_string(), ty, values },
        _ => Input { name: several.to_string(), ty: Type::List(Box::new(ty)), values },
    };
    kinds.into_iter().map(input).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contents_say_more_than_names() {
        let cases: [(&[u8], Option<Kind>, Option<Kind>); 10] = [
            (b"\0\0\0\x20ftypisom", Some(Kind::Video), Some(Kind::Video)),
            (b"\0\0\0\x20ftypM4A ", None, Some(Kind::Audio)),
            (b"\0\0\0\x20ftypisom", Some(Kind::Audio), Some(Kind::Audio)),
            (b"RIFF\0\0\0\0WAVE", Some(Kind::Video), Some(Kind::Audio)),
            (b"%PDF-1.7", Some(Kind::Text), Some(Kind::Document)),
            (b"\x89PNG\r\n", None, Some(Kind::Document)),
            (b"Dear all,", None, Some(Kind::Text)),
            (b"\0\x01\x02", None, None),
            (b"", Some(Kind::Text), None),
            ("na\u{ef}ve".as_bytes(), None, Some(Kind::Text)),
        ];
        for (start, named, kind) in cases {
            assert_eq!(kind_of(start, named), kind, "{:?}", String::from_utf8_lossy(start));
        }
    }

    #[test]
    fn things_of_a_kind_are_one_input() {
        let things = read_things(&["two words".into(), "more words".into(), "https://a.example/x.mp4".into()]);
        let inputs = inputs(things.unwrap_or_default());
        let named: Vec<(&str, usize)> = inputs.iter().map(|i| (i.name.as_str(), i.values.len())).collect();
        assert_eq!(named, [("texts", 2), ("url", 1)]);
        assert!(read_things(&["missing.mp4".into()]).is_err() && read_things(&["/tmp".into()]).is_err());
    }
}
