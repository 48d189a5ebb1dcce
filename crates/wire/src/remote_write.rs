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

/// `Content-Type` of 2.0 bodies.
pub const CONTENT_TYPE_2: &str = "application/x-protobuf;proto=io.prometheus.write.v2.Request";
/// The header by which a receiver of 2.0 says how many float samples it has written.
pub const SAMPLES_WRITTEN_HEADER: &str = "X-Prometheus-Remote-Write-Samples-Written";
/// The same for native histograms.
pub const HISTOGRAMS_WRITTEN_HEADER: &str = "X-Prometheus-Remote-Write-Histograms-Written";
/// The same for exemplars.
pub const EXEMPLARS_WRITTEN_HEADER: &str = "X-Prometheus-Remote-Write-Exemplars-Written";

/// The header by which a receiver says in every answer whether it takes samples in any order. Nave's own.
pub const LATE_HEADER: &str = "x-nave-late";
/// Its value when it does.
pub const LATE_ACCEPTED: &str = "accepted";

const MESSAGE_1: &str = "prometheus.WriteRequest";
const MESSAGE_2: &str = "io.prometheus.write.v2.Request";

/// Which message a body holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub enum Message {
    /// `prometheus.WriteRequest`, remote write 1.0
    #[default]
    V1,
    /// `io.prometheus.write.v2.Request`, remote write 2.0
    V2,
}

impl Message {
    /// Both, in order.
    pub const ALL: [Self; 2] = [Self::V1, Self::V2];

    /// The full name of the protobuf message.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::V1 => MESSAGE_1,
            Self::V2 => MESSAGE_2,
        }
    }

    /// The message of that full name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|message| message.name() == name)
    }

    /// The `Content-Type` that a sender writes.
    #[must_use]
    pub fn content_type(self) -> &'static str {
        match self {
            Self::V1 => CONTENT_TYPE_1,
            Self::V2 => CONTENT_TYPE_2,
        }
    }

    /// The value of [`VERSION_HEADER`] that a sender writes.
    #[must_use]
    pub fn version(self) -> &'static str {
        match self {
            Self::V1 => VERSION_1,
            Self::V2 => VERSION_2,
        }
    }
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
    fn messages_have_names() {
        for message in Message::ALL {
            assert_eq!(Message::from_name(message.name()), Some(message));
            assert_eq!(content_type(Some(message.content_type())), Ok(message));
        }
        assert_eq!(Message::from_name("prometheus.Other"), None);
    }

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
