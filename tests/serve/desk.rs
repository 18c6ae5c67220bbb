//! A job with more than one way to do it: letters are sorted, by a tool that fails the first time, and answered quickly or carefully.

use crate::mkbc::Mkbc;
use serde_json::{Value, json};

/// Fails on the first attempt at each text, and says a topic on the next; fails always at `boom`.
const SORT: &str = "#!/bin/sh\nif [ \"$2\" = boom ]; then echo 'it went off' >&2; exit 4; fi\nmark=\"$1/$(printf %s \"$2\" | cksum | cut -d' ' -f1)\"\nif [ ! -e \"$mark\" ]; then : > \"$mark\"; echo 'the index is locked' >&2; exit 3; fi\nsleep \"$3\"\necho billing\n";
const ANSWER: &str = "#!/bin/sh\nsleep \"$1\"\nprintf 'On %s: %s\\n' \"$3\" \"$2\"\n";

const LIBRARY: &str = r#"task sort_letter(letter: Text) -> Text
tool sorter implements sort_letter {
  runs on cpu * 1
  engine process { command ["sh", "SORT", "FOLDER", "{letter}", "PAUSE"] }
  profile "sorter.csv"
}

task answer_letter(letter: Text, topic: Text) -> Text
tool quick_reply implements answer_letter {
  runs on cpu * 1
  engine process { command ["sh", "ANSWER", "PAUSE", "{letter}", "{topic}"] }
  profile "quick.csv"
}
tool careful_reply implements answer_letter {
  runs on cpu * 1
  engine process { command ["sh", "ANSWER", "PAUSE", "{letter}", "{topic}"] }
  profile "careful.csv"
}

task bind(replies: List[Text]) -> Text
tool binder implements bind {
  runs on cpu * 1
  engine process { command ["printf", "%s", "{replies}"] }
  profile "binder.csv"
}
"#;

/// The job.
pub const JOB: &str = "use desk

/// Sorts letters and answers them.
job answer_letters(letters: List[Text]) -> Text {
  slo {
    latency <= 20 s
    quality >= 80 %
  }
  minimize latency
  expect letters * 3

  let replies = for letter in letters {
    let topic = sort_letter(letter) retry 2
    answer_letter(letter, topic)
  }
  bind(replies)
}
";

fn profile(latency: &str, quality: &str) -> String {
    format!(
        "device,units,figure,value,unit,low,high,evidence,source\ncpu,,latency,{latency},s,,,estimated,made for this test\n\
         ,,quality,{quality},%,,,estimated,made for this test\n"
    )
}

/// A folder with the library and the job; each call takes so long.
pub fn project(pause: &str) -> Mkbc {
    let mkbc = Mkbc::new();
    std::fs::create_dir_all(mkbc.path("lib/profiles")).expect("a folder");
    std::fs::create_dir_all(mkbc.path("marks")).expect("a folder");
    mkbc.write("sort.sh", SORT);
    mkbc.write("answer.sh", ANSWER);
    let path = |name: &str| mkbc.path(name).display().to_string();
    let library = LIBRARY.replace("SORT", &path("sort.sh")).replace("ANSWER", &path("answer.sh"));
    mkbc.write("lib/desk.mkb", library.replace("FOLDER", &path("marks")).replace("PAUSE", pause));
    let figures =
        [("sorter", "0.3", "98"), ("quick", "0.4", "90"), ("careful", "1.2", "97"), ("binder", "0.02", "100")];
    for (name, latency, quality) in figures {
        mkbc.write(&format!("lib/profiles/{name}.csv"), profile(latency, quality));
    }
    mkbc.write("job.mkb", JOB);
    mkbc
}

/// A submission of the job's source.
pub fn source(letters: &[&str]) -> Value {
    json!({"source": JOB, "inputs": {"letters": letters}})
}
