//! What the headers say about the body. Missing ones mean remote write 1.0 with snappy, as old senders
//! and people with curl expect.

use axum::http::HeaderMap;
use axum::http::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderName};
use nave_wire::remote_write::{self, Encoding, Message};

use super::answer::Refusal;

/// The message of the body, when `accepted` has it, and how it is compressed.
pub(super) fn check(headers: &HeaderMap, accepted: &[Message]) -> Result<(Message, Encoding), Refusal> {
    let text = |name: HeaderName| {
        headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
    };
    let unsupported = |error: remote_write::Unsupported| {
        Refusal::Unsupported(format!("{error}; accepted here: {}", names(accepted)))
    };
    let message = remote_write::content_type(text(CONTENT_TYPE).as_deref()).map_err(unsupported)?;
    let encoding = text(CONTENT_ENCODING);
    let encoding = remote_write::content_encoding(encoding.as_deref(), message).map_err(unsupported)?;
    if accepted.contains(&message) {
        return Ok((message, encoding));
    }
    let (name, accepted) = (message.name(), names(accepted));
    Err(Refusal::Unsupported(format!(
        "message {name} is not accepted here, accepted: {accepted}: set protobuf_message of the sender to that, or \
         --web.remote-write-receiver.accepted-protobuf-messages here"
    )))
}

fn names(messages: &[Message]) -> String {
    let names: Vec<_> = messages.iter().map(|message| message.name()).collect();
    names.join(", ")
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn what_is_accepted_is_said() {
        let check = |content_type: &'static str, accepted: &[Message], want: Result<Message, &str>| {
            let mut headers = HeaderMap::new();
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
            match (super::check(&headers, accepted), want) {
                (Ok(got), Ok(want)) => assert_eq!(got, (want, Encoding::Snappy)),
                (Err(got), Err(want)) => {
                    let got = got.to_string();
                    assert!(got.contains(want), "{got}");
                }
                (got, want) => panic!("{content_type}: {got:?}, wanted {want:?}"),
            }
        };
        let v2 = "application/x-protobuf;proto=io.prometheus.write.v2.Request";
        check("", &Message::ALL, Ok(Message::V1));
        check(v2, &Message::ALL, Ok(Message::V2));
        check(v2, &[Message::V1], Err("accepted: prometheus.WriteRequest:"));
        check("application/x-protobuf", &[Message::V2], Err("accepted: io.prometheus.write.v2.Request:"));
        let both = "accepted here: prometheus.WriteRequest, io.prometheus.write.v2.Request";
        check("text/plain", &Message::ALL, Err(both));
    }
}
