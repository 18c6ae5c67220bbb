//! What a hole may want and what it may be given: lists, tuples, records, what may be absent, other jobs. Each fill is the first choice, and checks.

use murakkab::compile::{Texts, check_file, fill};
use murakkab::diag::Diagnostics;
use murakkab::expand::lock::Lock;

/// A file's only hole filled by typed search; the codes of what is wrong where it stays open.
fn filled(job: &str) -> String {
    let mut texts = Texts::with_stdlib();
    let file = texts.sources.add("job.mkb", job.to_string());
    let mut cx = Diagnostics::default();
    let checked = check_file(&texts, file, &mut cx);
    let done = fill(&mut texts, checked, &Lock::default(), false, &mut cx);
    match done.filter(|_| !cx.has_errors()) {
        Some((_, lock)) => lock.holes[0].fill.clone(),
        None => cx.iter().map(|d| d.code).collect::<Vec<_>>().join(" "),
    }
}

#[test]
fn what_may_be_absent_is_used() {
    let summary = |params: &str| filled(&format!("job j({params}) -> Text {{\n  goal \"A summary of the text\"\n}}\n"));
    assert_eq!(summary("text: Text?, other: Text"), "summarise(text or other)\n");
    let of = "use std.vision\n\njob j(frames: Frames, transcript: Transcript, question: Text, seen: List[Observation]?) -> Text {\n  \
        goal \"Answer the question from what is said, the frames and what is seen in them\"\n}\n";
    assert_eq!(filled(of), "question_answer(question, transcript, frames, seen)\n");
    let videos = "job j(videos: List[Video]?) -> List[Transcript] {\n  goal \"What is said in each video\"\n}\n";
    let each = "for video in videos or [] {\n  let (_, audio) = scene_detection(video)\n  speech_to_text(audio)\n}\n";
    assert_eq!(filled(videos), each);
}

#[test]
fn several_things_in_scope_are_a_list() {
    let job =
        "job j(a: Text, b: Text, c: Text) -> Text {\n  goal \"Combine the three answers about the war into one\"\n}\n";
    let wanted = "combine_answers(\"Combine the three answers about the war into one\", [a, b, c])\n";
    assert_eq!(filled(job), wanted);
}

#[test]
fn a_tuple_is_put_together_of_its_parts() {
    let job = "use std.vision\n\njob j(video: Video) -> (seen: List[Observation], said: Transcript) {\n  \
        goal \"The objects that are seen and the transcript of what is said\"\n}\n";
    let wanted = "let (frames, audio) = scene_detection(video)\nlet seen = object_detection(frames)\n\
        let said = speech_to_text(audio)\n(seen: seen, said: said)\n";
    assert_eq!(filled(job), wanted);
    let inner = "job j(videos: List[Video]) -> List[Transcript] {\n  for video in videos {\n    \
        let parts = ? \"the frames and what is said\": (frames: Frames, said: Transcript)\n    parts.said\n  }\n}\n";
    assert!(filled(inner).ends_with("(frames: frames, said: said)\n"), "{}", filled(inner));
}

#[test]
fn each_part_of_a_record_is_filled_by_its_own_words() {
    let job = "use std.llm\n\ntype Report {\n  summary: Text\n  labels: List[Classification]\n  english: Text\n}\n\n\
        job j(pages: List[Text], labels: List[Text], article: Text) -> Report {\n  \
        goal \"A summary of the article, a label for each page, and the article translated from German into English\"\n}\n";
    let wanted = "let summary = summarise(article)\nlet labels_2 = for page in pages {\n  classify(page, labels)\n}\n\
        let english = translate(article, deu, eng)\nReport(summary: summary, labels: labels_2, english: english)\n";
    assert_eq!(filled(job), wanted);
}

/// Every value is JSON: a text is no answer to who asks for fields.
#[test]
fn what_asks_for_json_gets_no_text() {
    let job = "job j(text: Text) -> Json {\n  goal \"Extract name and age out of the text\"\n}\n";
    assert_eq!(filled(job), "E0505");
}

/// A part of what is at hand is not made anew.
#[test]
fn a_part_that_the_goal_names_is_taken() {
    let job = "use std.text\n\njob j(text: Text, labels: List[Text]) -> Text {\n  let kind = classify(text, labels)\n  \
        ? \"a short summary of the label\"\n}\n";
    assert_eq!(filled(job), "summarise(kind.label)\n");
}
