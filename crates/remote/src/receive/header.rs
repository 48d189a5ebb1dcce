//! What the headers say about the body. Missing ones mean remote write 1.0 with snappy, as old senders
//! and people with curl expect.

use axum::http::HeaderMap;
use axum::http::header::{CONTENT_ENCODING, CONTENT_TYPE};

use super::answer::Refusal;

const V1: &str = "prometheus.WriteRequest";

pub(super) fn check(headers: &HeaderMap) -> Result<(), Refusal> {
    let text = |name| headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
    check_type(text(CONTENT_TYPE).as_deref().unwrap_or(""))?;
    let encoding = text(CONTENT_ENCODING).unwrap_or_default();
    if encoding.is_empty() || encoding.eq_ignore_ascii_case("snappy") {
        return Ok(());
    }
    Err(Refusal::Unsupported(format!("Content-Encoding {encoding:?} is not supported, expected snappy")))
}

fn check_type(content_type: &str) -> Result<(), Refusal> {
    let mut parts = content_type.split(';').map(str::trim);
    let media = parts.next().unwrap_or_default();
    if !media.is_empty() && !media.eq_ignore_ascii_case("application/x-protobuf") {
        return Err(Refusal::Unsupported(format!(
            "Content-Type {content_type:?} is not supported, expected application/x-protobuf"
        )));
    }
    for part in parts {
        let Some((name, value)) = part.split_once('=') else { continue };
        if name.trim().eq_ignore_ascii_case("proto") && value.trim().trim_matches('"') != V1 {
            return Err(Refusal::Unsupported(format!(
                "message {value} is not supported, accepted is {V1} (remote write 1.0): set protobuf_message: {V1} \
                 at the sender"
            )));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn media_types() {
        let check = |content_type: &str, good: bool| {
            assert_eq!(check_type(content_type).is_ok(), good, "{content_type:?}");
        };
        check("", true);
        check("application/x-protobuf", true);
        check("Application/X-Protobuf", true);
        check("application/x-protobuf;proto=prometheus.WriteRequest", true);
        check("application/x-protobuf; proto=\"prometheus.WriteRequest\"", true);
        check("application/x-protobuf; charset", true);
        check("application/x-protobuf;proto=io.prometheus.write.v2.Request", false);
        check("application/x-protobuf;proto=x", false);
        check("application/json", false);
        check("text/plain", false);
    }
}
