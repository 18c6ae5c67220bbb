//! Sources that the library on the client's machine does not know, or knows otherwise: the server's library decides.

use crate::mkbc::{Done, Mkbc};
use crate::server::{Server, project};

/// A job of types and tasks that only the server's library has.
const MOOD: &str = "
enum Mood { calm, loud }
task greet(name: Text, mood: Mood) -> Text
tool greeter implements greet {
  runs on cpu * 1
  engine process { command [\"echo\", \"{name} is {mood}\"] }
  profile \"shout.csv\"
}
";
const GREET: &str = "use mood\n\njob greeting(name: Text, mood: Mood) -> Text {\n  greet(name, mood)\n}\n";
const HOLE: &str = "use mood\n\njob open(name: Text, mood: Mood) -> Text {\n  goal \"Greet by name and mood\"\n}\n";

fn folder() -> Mkbc {
    let mkbc = project("0");
    mkbc.write("lib/mood.mkb", MOOD);
    mkbc.write("greet.mkb", GREET);
    mkbc
}

fn submit(mkbc: &Mkbc, url: &str, words: &[&str]) -> Done {
    mkbc.run(&[&["submit", words[0], "--to", url, "--wait"], &words[1..]].concat())
}

#[test]
fn a_source_that_only_the_server_knows_is_the_servers_to_check() {
    let mkbc = folder();
    let server = Server::start(&mkbc, &[]);
    let url = server.url();
    let done = submit(&mkbc, &url, &["greet.mkb", "--name", "Ada", "--mood", "loud"]);
    assert_eq!((done.code, done.out.trim()), (Some(0), "Ada is loud"), "{}", done.err);
    // What is here is said in a line, and is no error.
    assert!(done.err.contains("the server's decides") && !done.err.contains("E0"), "{}", done.err);
    let deployed = mkbc.run(&["deploy", "greet.mkb", "--rate", "0.1/s", "--to", &url]);
    assert_eq!(deployed.code, Some(0), "{}", deployed.err);
    assert!(deployed.out.contains("/v1/workflows/greeting/run"), "{}", deployed.out);
    // With the library there is nothing to say.
    let done = submit(&mkbc, &url, &["greet.mkb", "--library", "lib", "--name", "Ada", "--mood", "calm"]);
    assert!(done.code == Some(0) && !done.err.contains("decides"), "{}", done.err);
    // A value that the server's library does not know is refused by the server.
    let done = submit(&mkbc, &url, &["greet.mkb", "--name", "Ada", "--mood", "shy"]);
    assert!(done.code == Some(1) && done.err.contains("mood"), "{}", done.err);
}

#[test]
fn a_source_that_the_server_does_not_know_is_refused_by_the_server() {
    let mkbc = folder();
    std::fs::rename(mkbc.path("lib/mood.mkb"), mkbc.path("mood.mkb")).expect("moved");
    std::fs::create_dir(mkbc.path("own")).expect("a folder");
    let server = Server::start(&mkbc, &[]);
    // Fine by the library here, which is another one.
    std::fs::create_dir_all(mkbc.path("own/profiles")).expect("a folder");
    mkbc.write("own/mood.mkb", MOOD);
    mkbc.write("own/profiles/shout.csv", mkbc.read("lib/profiles/shout.csv"));
    for command in ["submit", "deploy"] {
        let mut words = vec![command, "greet.mkb", "--library", "own", "--to"];
        let url = server.url();
        words.push(&url);
        if command == "submit" {
            words.extend(["--name", "Ada", "--mood", "calm"]);
        } else {
            words.extend(["--rate", "0.1/s"]);
        }
        let done = mkbc.run(&words);
        assert_eq!(done.code, Some(1), "{}", done.out);
        // The server's diagnostics, once, by the file's name.
        assert_eq!(done.err.matches("there is no module `mood`").count(), 1, "{}", done.err);
        assert!(done.err.contains("greet.mkb"), "{}", done.err);
    }
}

#[test]
fn holes_that_nothing_here_fills_are_filled_by_the_server() {
    let mkbc = folder();
    mkbc.write("open.mkb", HOLE);
    let server = Server::start(&mkbc, &[]);
    let done = submit(&mkbc, &server.url(), &["open.mkb", "--name", "Ada", "--mood", "loud"]);
    assert_eq!((done.code, done.out.trim()), (Some(0), "Ada is loud"), "{}", done.err);
    assert!(!mkbc.path("open.mkb.lock").exists());
}

#[test]
fn a_text_that_is_no_source_is_refused_here() {
    let mkbc = folder();
    mkbc.write("broken.mkb", "job broken(name: Text) -> Text {\n  greet(name\n");
    // There is no server to ask.
    for words in [["submit", "broken.mkb", "--name", "Ada"], ["deploy", "broken.mkb", "--rate", "1/s"]] {
        let done = mkbc.run(&[&words[..], &["--to", "http://127.0.0.1:9"]].concat());
        assert!(done.code == Some(1) && done.err.contains("error[E0"), "{}", done.err);
    }
}
