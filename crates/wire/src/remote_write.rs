//! What the two ends of remote write agree on besides bodies: header names, values, versions.

/// The header that names the protocol version.
pub const VERSION_HEADER: &str = "X-Prometheus-Remote-Write-Version";
/// Its value for 1.0; the specification keeps the number of its draft.
pub const VERSION_1: &str = "0.1.0";
/// Its value for 2.0.
pub const VERSION_2: &str = "2.0.0";
/// `Content-Type` of 1.0 bodies.
pub const CONTENT_TYPE_1: &str = "application/x-protobuf";
/// `Content-Encoding` of bodies: snappy's block format, without frames.
pub const CONTENT_ENCODING: &str = "snappy";
/// `Content-Encoding` of bodies of 2.0 between two Naves: one zstd frame that tells its length.
pub const CONTENT_ENCODING_ZSTD: &str = "zstd";
/// The `Accept-Encoding` of answers by which a receiver says what it takes, as RFC 7694 has it.
pub const ACCEPT_ENCODING: &str = "zstd, snappy";

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

/// How a body is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Encoding {
    /// As every receiver knows it.
    #[default]
    Snappy,
    /// For 2.0, where the receiver says so.
    Zstd,
}

impl Encoding {
    /// The `Content-Encoding` that a sender writes.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Snappy => CONTENT_ENCODING,
            Self::Zstd => CONTENT_ENCODING_ZSTD,
        }
    }
}

/// Whether the `Accept-Encoding` of an answer has zstd.
#[must_use]
pub fn takes_zstd(header: Option<&str>) -> bool {
    let codings = header.unwrap_or_default().split(',');
    codings.map(|coding| coding.split_once(';').unwrap_or((coding, ""))).any(|(name, weight)| {
        name.trim().eq_ignore_ascii_case(CONTENT_ENCODING_ZSTD)
            && !matches!(weight.replace(' ', "").as_str(), "q=0" | "q=0.0" | "q=0.00" | "q=0.000")
    })
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
    #[error(
        "unsupported content encoding {0:?}: expected {CONTENT_ENCODING}, or {CONTENT_ENCODING_ZSTD} with 2.0"
    )]
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

/// How the `Content-Encoding` header says that a body of `message` is compressed; without one it is snappy.
///
/// # Errors
/// When it names another encoding, or zstd for 1.0: others mean messages of their own by that.
pub fn content_encoding(header: Option<&str>, message: Message) -> Result<Encoding, Unsupported> {
    match header.map(str::trim) {
        None | Some("") => Ok(Encoding::Snappy),
        Some(value) if value.eq_ignore_ascii_case(CONTENT_ENCODING) => Ok(Encoding::Snappy),
        Some(value) if value.eq_ignore_ascii_case(CONTENT_ENCODING_ZSTD) && message == Message::V2 => {
            Ok(Encoding::Zstd)
        }
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
        let check =
            |header, message, want| assert_eq!(content_encoding(header, message).ok(), want, "{header:?}");
        check(None, Message::V2, Some(Encoding::Snappy));
        check(Some("Snappy"), Message::V1, Some(Encoding::Snappy));
        check(Some("zstd"), Message::V2, Some(Encoding::Zstd));
        check(Some("zstd"), Message::V1, None);
        let error = content_encoding(Some("gzip"), Message::V1).unwrap_err().to_string();
        assert_eq!(error, "unsupported content encoding \"gzip\": expected snappy, or zstd with 2.0");
        let check = |header, want| assert_eq!(takes_zstd(header), want, "{header:?}");
        check(Some(ACCEPT_ENCODING), true);
        check(Some("gzip, ZSTD;q=0.5"), true);
        check(Some("snappy, zstd; q=0"), false);
        check(Some("snappy"), false);
        check(None, false);
    }
}
