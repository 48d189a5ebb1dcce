//! What the two ends of remote write agree on besides bodies: header names, values, versions.

/// The header that names the protocol version.
pub const VERSION_HEADER: &str = "X-Prometheus-Remote-Write-Version";
/// Its value for 1.0; the specification keeps the number of its draft.
pub const VERSION_1: &str = "0.1.0";
/// Its value for 2.0.
pub const VERSION_2: &str = "2.0.0";
/// `Content-Type` of 1.0 bodies.
pub const CONTENT_TYPE_1: &str = "application/x-protobuf";
/// `Content-Encoding` of all bodies: snappy's block format, without frames.
pub const CONTENT_ENCODING: &str = "snappy";

const MESSAGE_1: &str = "prometheus.WriteRequest";
const MESSAGE_2: &str = "io.prometheus.write.v2.Request";

/// Which message a body holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Message {
    /// `prometheus.WriteRequest`, remote write 1.0
    V1,
    /// `io.prometheus.write.v2.Request`, remote write 2.0
    V2,
}

/// A header that asks for something else: answer 415.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unsupported {
    /// Another `Content-Type`.
    #[error(
        "unsupported content type {0:?}: expected {CONTENT_TYPE_1}, with proto={MESSAGE_1} or \
         proto={MESSAGE_2} or without proto"
    )]
    ContentType(String),
    /// Another `Content-Encoding`.
    #[error("unsupported content encoding {0:?}: expected {CONTENT_ENCODING}")]
    ContentEncoding(String),
}

/// The message that the `Content-Type` header names. Without a header, or without its `proto` parameter, it
/// is 1.0's; other parameters are ignored.
///
/// # Errors
/// When the media type or the message is another.
pub fn content_type(header: Option<&str>) -> Result<Message, Unsupported> {
    let Some(header) = header.filter(|header| !header.trim().is_empty()) else { return Ok(Message::V1) };
    let unsupported = || Unsupported::ContentType(header.to_owned());
    let mut parts = header.split(';').map(str::trim);
    if !parts.next().unwrap_or_default().eq_ignore_ascii_case(CONTENT_TYPE_1) {
        return Err(unsupported());
    }
    let mut parameters = parts.filter_map(|part| part.split_once('='));
    match parameters.find(|(name, _)| name.trim().eq_ignore_ascii_case("proto")) {
        None => Ok(Message::V1),
        Some((_, value)) => match value.trim().trim_matches('"') {
            MESSAGE_1 => Ok(Message::V1),
            MESSAGE_2 => Ok(Message::V2),
            _ => Err(unsupported()),
        },
    }
}

/// Checks the `Content-Encoding` header; without one the body is snappy.
///
/// # Errors
/// When it names another encoding.
pub fn content_encoding(header: Option<&str>) -> Result<(), Unsupported> {
    match header.map(str::trim) {
        None | Some("") => Ok(()),
        Some(value) if value.eq_ignore_ascii_case(CONTENT_ENCODING) => Ok(()),
        Some(value) => Err(Unsupported::ContentEncoding(value.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn negotiation() {
        let check = |header, want| assert_eq!(content_type(header).ok(), want, "{header:?}");
        check(None, Some(Message::V1));
        check(Some(""), Some(Message::V1));
        check(Some("application/x-protobuf"), Some(Message::V1));
        check(Some("Application/X-Protobuf; charset=utf-8"), Some(Message::V1));
        check(Some("application/x-protobuf;proto=prometheus.WriteRequest"), Some(Message::V1));
        check(Some("application/x-protobuf; proto=\"io.prometheus.write.v2.Request\""), Some(Message::V2));
        check(Some("application/x-protobuf;proto=prometheus.Other"), None);
        check(Some("application/json"), None);
        assert!(content_encoding(None).is_ok() && content_encoding(Some("Snappy")).is_ok());
        let error = content_encoding(Some("gzip")).unwrap_err().to_string();
        assert_eq!(error, "unsupported content encoding \"gzip\": expected snappy");
    }
}
