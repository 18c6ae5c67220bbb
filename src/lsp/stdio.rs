//! A server over standard input and output: one thread reads, one writes, one plans, this one answers. Changes that wait in the
//! queue are taken together, so that a burst of keystrokes is checked once.

use super::{Server, Setup, Wanted, wire, worker};
use crate::compile::Texts;
use crate::ide::planning::Plans;
use lsp_server::{Message, Request};
use std::collections::VecDeque;
use std::io::{Read, Write};
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};

/// Something that happened.
enum Event {
    Frame(wire::Frame),
    Planned(String, i64, Plans),
}

/// Serves until the client says `exit` or goes away. `true` where it said `shutdown` before.
pub fn serve(setup: Setup, texts: Texts) -> bool {
    converse(setup, texts, std::io::stdin(), std::io::stdout())
}

/// The same over any two streams.
pub fn converse(setup: Setup, texts: Texts, from: impl Read + Send + 'static, to: impl Write + Send + 'static) -> bool {
    let (setup, texts) = (Arc::new(setup), Arc::new(texts));
    let (events, happened) = channel();
    let (out, written) = channel::<String>();
    let from_client = events.clone();
    std::thread::spawn(move || {
        let mut input = std::io::BufReader::new(from);
        loop {
            let frame = wire::read(&mut input);
            let last = matches!(frame, wire::Frame::End);
            if from_client.send(Event::Frame(frame)).is_err() || last {
                return;
            }
        }
    });
    let writer = std::thread::spawn(move || {
        let mut output = std::io::BufWriter::new(to);
        written.iter().all(|message| wire::write(&mut output, &message).is_ok());
    });
    let (wanted, plan) = channel::<Wanted>();
    let (planners, library) = (setup.clone(), texts.clone());
    std::thread::spawn(move || {
        worker::work(&planners, library, &plan, &|uri, version, plans| {
            let _ = events.send(Event::Planned(uri, version, plans));
        });
    });
    // The writer and the planner end only with this thread.
    let say = move |message| drop(out.send(message));
    let want = move |text| drop(wanted.send(text));
    let mut server = Server::new(texts, setup, Box::new(say), Box::new(want));
    let clean = run(&mut server, &happened);
    drop(server);
    let _ = writer.join();
    clean
}

fn run(server: &mut Server, happened: &Receiver<Event>) -> bool {
    let mut queue: VecDeque<Event> = VecDeque::new();
    loop {
        queue.extend(happened.try_iter());
        let Some(event) = queue.pop_front() else {
            server.publish_all();
            match happened.recv() {
                Ok(event) => queue.push_back(event),
                Err(_) => return false,
            }
            continue;
        };
        match event {
            Event::Planned(uri, version, plans) => server.planned(&uri, version, plans),
            Event::Frame(frame) => {
                let request = match &frame {
                    wire::Frame::Message(Message::Request(request)) => Some(request),
                    _ => None,
                };
                let cancelled = request.is_some_and(|request| queue.iter().any(|e| cancels(e, request)));
                if let ControlFlow::Break(clean) = server.take(frame, cancelled) {
                    return clean;
                }
            }
        }
    }
}

/// Whether an event takes back a request.
fn cancels(event: &Event, request: &Request) -> bool {
    match event {
        Event::Frame(wire::Frame::Message(Message::Notification(note))) if note.method == "$/cancelRequest" => {
            serde_json::to_value(&request.id).is_ok_and(|id| note.params["id"] == id)
        }
        _ => false,
    }
}
