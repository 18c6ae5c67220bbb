//! Messages of AWS' event streams (`application/vnd.amazon.eventstream`) -> the data of each: an object whose only field is the event's
//! type, or `error` for an exception.

use super::{Exchange, MOST_OF_PART, endless, unreadable};
use crate::run::engines::openai::http::Opened;
use crate::run::fault::Fault;
use aws_smithy_eventstream::frame::read_message_from;
use futures_util::Stream;
use serde_json::{Value, json};

/// The data of the messages of a body.
pub fn data<'a>(opened: Opened, of: &'a Exchange<'_>) -> impl Stream<Item = Result<String, Fault>> + 'a {
    futures_util::stream::unfold(Some((opened, Vec::new())), move |state| async move {
        let (mut opened, mut held) = state?;
        match next(&mut opened, &mut held, of).await {
            Ok(Some(data)) => Some((Ok(data), Some((opened, held)))),
            Ok(None) => None,
            Err(fault) => Some((Err(fault), None)),
        }
    })
}

/// The next message; none at the end of the body.
async fn next(opened: &mut Opened, held: &mut Vec<u8>, of: &Exchange<'_>) -> Result<Option<String>, Fault> {
    loop {
        let length = held.first_chunk().map(|bytes| u32::from_be_bytes(*bytes) as usize);
        if length.is_some_and(|length| length > MOST_OF_PART) {
            return Err(endless(&opened.origin, "a message"));
        }
        if let Some(length) = length.filter(|length| *length <= held.len()) {
            let whole: Vec<u8> = held.drain(..length).collect();
            return read(&whole).map(Some).ok_or_else(|| unreadable(&opened.origin));
        }
        let Some(part) = opened.chunk(of.to).await? else { return Ok(None) };
        of.heard.keep(&part);
        held.extend_from_slice(&part);
    }
}

/// A message's data; `None` where it is none, or was changed on the way.
fn read(whole: &[u8]) -> Option<String> {
    let message = read_message_from(whole).ok()?;
    let header = |name: &str| {
        let of_name = message.headers().iter().find(|header| header.name().as_str() == name);
        of_name.and_then(|header| header.value().as_string().ok()).map(|text| text.as_str())
    };
    let body: Value = serde_json::from_slice(message.payload()).ok()?;
    let data = match header(":message-type")? {
        "event" => json!({(header(":event-type")?): body}),
        "exception" => json!({"error": {"code": header(":exception-type")?, "message": body["message"]}}),
        _ => json!({"error": {"code": header(":error-code")?, "message": header(":error-message")?}}),
    };
    Some(data.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        /// Whatever comes is a message or none.
        #[test]
        fn no_bytes_break_the_reader(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..200)) {
            read(&bytes);
        }
    }
}
