//! Server-sent events -> the data of each.

use super::{Exchange, MOST_OF_PART, endless, unreadable};
use crate::run::engines::openai::http::Opened;
use crate::run::fault::Fault;
use eventsource_stream::{EventStream, EventStreamError};
use futures_util::{Stream, StreamExt};
use std::collections::VecDeque;

/// The data of the events of a body.
pub fn data<'a>(opened: Opened, of: &'a Exchange<'_>) -> impl Stream<Item = Result<String, Fault>> + 'a {
    let origin = opened.origin.clone();
    // One line at a time: what reads events would look through all that it holds again with every line.
    let lines = futures_util::stream::unfold(Some((opened, Lines::default())), move |state| async move {
        let (mut opened, mut lines) = state?;
        match lines.next(&mut opened, of).await {
            Ok(Some(line)) => Some((Ok(line), Some((opened, lines)))),
            // What has no end of line at the end of a stream is no event.
            Ok(None) => None,
            Err(fault) => Some((Err(fault), None)),
        }
    });
    EventStream::new(lines).map(move |event| match event {
        Ok(event) => Ok(event.data),
        Err(EventStreamError::Transport(fault)) => Err(fault),
        Err(_) => Err(unreadable(&origin)),
    })
}

/// A body that is cut into lines.
#[derive(Default)]
struct Lines {
    whole: VecDeque<Vec<u8>>,
    rest: Vec<u8>,
}

impl Lines {
    /// The next line, with its end; none at the end of the body.
    async fn next(&mut self, opened: &mut Opened, of: &Exchange<'_>) -> Result<Option<Vec<u8>>, Fault> {
        loop {
            if let Some(line) = self.whole.pop_front() {
                // Bytes that are no text would end the stream.
                return Ok(Some(String::from_utf8_lossy(&line).into_owned().into_bytes()));
            }
            let Some(part) = opened.chunk(of.to).await? else { return Ok(None) };
            of.heard.keep(&part);
            for piece in part.split_inclusive(|b| *b == b'\n') {
                self.rest.extend_from_slice(piece);
                if piece.ends_with(b"\n") {
                    let line = std::mem::take(&mut self.rest);
                    // A comment is a sign of life and nothing else.
                    self.whole.extend(Some(line).filter(|line| line[0] != b':'));
                }
            }
            if self.rest.len() > MOST_OF_PART {
                return Err(endless(&opened.origin, "a line"));
            }
        }
    }
}
