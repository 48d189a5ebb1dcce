//! Credentials: what a request presents, and whether it is what the clusters file holds.
//!
//! The file holds SHA-256 of secrets, never a secret. A plain hash is enough because secrets are random and
//! long (`nave cluster add` makes 256 bits): there is nothing to guess, so nothing that a slow hash would
//! slow down. Comparing takes the same time wherever two hashes differ, and looks at all clusters.

use std::fmt;

use aws_lc_rs::{constant_time, digest};
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD as BASE64;
use nave_http::server::ClientNames;
use serde::{Deserialize, Serialize};

const DIGITS: &[u8; 16] = b"0123456789abcdef";

/// SHA-256 of a secret; in files 64 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Deserialize, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct SecretHash([u8; 32]);

impl SecretHash {
    /// The hash of `secret`.
    #[must_use]
    pub fn of(secret: &[u8]) -> Self {
        let mut bytes = [0; 32];
        bytes.copy_from_slice(digest::digest(&digest::SHA256, secret).as_ref());
        Self(bytes)
    }

    /// Whether both are the same, in a time that does not depend on where they differ.
    #[must_use]
    pub fn matches(&self, other: &Self) -> bool {
        constant_time::verify_slices_are_equal(&self.0, &other.0).is_ok()
    }
}

impl fmt::Debug for SecretHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<hash>")
    }
}

impl From<SecretHash> for String {
    fn from(hash: SecretHash) -> Self {
        hex(&hash.0)
    }
}

impl TryFrom<String> for SecretHash {
    type Error = &'static str;

    // The text is not repeated in the error: it may be a secret that stands in the wrong place.
    fn try_from(text: String) -> Result<Self, Self::Error> {
        const EXPECTED: &str = "expected a SHA-256 as 64 hexadecimal digits (printf %s SECRET | sha256sum)";
        let digit = |c: u8| char::from(c).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        let mut bytes = [0; 32];
        if text.len() != 64 {
            return Err(EXPECTED);
        }
        for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
            let (Some(high), Some(low)) = (digit(pair[0]), digit(pair[1])) else { return Err(EXPECTED) };
            *byte = high << 4 | low;
        }
        Ok(Self(bytes))
    }
}

fn hex(bytes: &[u8]) -> String {
    let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    digits.map(|digit| char::from(DIGITS[usize::from(digit)])).collect()
}

/// A new secret of 256 random bits that shows what it is: `nave_` and 64 hexadecimal digits.
///
/// # Errors
/// When the system's random source fails.
pub fn new_token() -> Result<String, &'static str> {
    let mut bytes = [0; 32];
    aws_lc_rs::rand::fill(&mut bytes).map_err(|_| "the system's random source failed")?;
    Ok(format!("nave_{}", hex(&bytes)))
}

/// What a request presents, hashed at once.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Presented {
    Token(SecretHash),
    Basic {
        username: SecretHash,
        password: SecretHash,
    },
    /// Names that were verified by TLS.
    Certificate(ClientNames),
}

/// Why a request has no cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unauthorized {
    Missing,
    Malformed,
    Unknown,
    Ambiguous,
}

impl Unauthorized {
    /// As in metrics.
    pub(super) fn reason(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Malformed => "malformed",
            Self::Unknown => "unknown",
            Self::Ambiguous => "ambiguous",
        }
    }

    pub(super) fn text(self) -> &'static str {
        match self {
            Self::Missing => {
                "credentials are missing: this hub has a clusters file, expected an Authorization header with \
                 the cluster's bearer token or basic auth (nave cluster add makes one), or a client certificate of it"
            }
            Self::Malformed => "the Authorization header is malformed: expected Bearer TOKEN or Basic BASE64",
            Self::Unknown => "no cluster of this hub has these credentials",
            Self::Ambiguous => "the client certificate has names of more than one cluster of this hub",
        }
    }
}

/// The credentials of a request: its header, and only without one the certificate.
pub(super) fn presented(request: &Parts) -> Result<Presented, Unauthorized> {
    let mut all = request.headers.get_all(AUTHORIZATION).iter();
    let Some(value) = all.next() else {
        let names = request.extensions.get::<ClientNames>();
        return names.cloned().map(Presented::Certificate).ok_or(Unauthorized::Missing);
    };
    if all.next().is_some() {
        return Err(Unauthorized::Malformed);
    }
    let (scheme, rest) =
        value.to_str().ok().and_then(|text| text.split_once(' ')).ok_or(Unauthorized::Malformed)?;
    let rest = rest.trim();
    if scheme.eq_ignore_ascii_case("bearer") && !rest.is_empty() {
        return Ok(Presented::Token(SecretHash::of(rest.as_bytes())));
    }
    if !scheme.eq_ignore_ascii_case("basic") {
        return Err(Unauthorized::Malformed);
    }
    let pair = BASE64.decode(rest).map_err(|_| Unauthorized::Malformed)?;
    let colon = pair.iter().position(|byte| *byte == b':').ok_or(Unauthorized::Malformed)?;
    let (username, password) = (SecretHash::of(&pair[..colon]), SecretHash::of(&pair[colon + 1..]));
    Ok(Presented::Basic { username, password })
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn hashes_are_those_of_sha256sum() {
        let text = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad".to_owned();
        let hash = SecretHash::try_from(text.clone()).unwrap();
        assert!(hash.matches(&SecretHash::of(b"abc")) && !hash.matches(&SecretHash::of(b"abd")));
        assert_eq!(String::from(hash), text);
        assert_eq!(format!("{hash:?}"), "<hash>");
        for wrong in ["", "abc", &"g".repeat(64), &"é".repeat(32)] {
            assert!(SecretHash::try_from(wrong.to_owned()).is_err(), "{wrong}");
        }
    }

    #[test]
    fn tokens_are_long_and_never_the_same() {
        let (one, two) = (new_token().unwrap(), new_token().unwrap());
        assert!(one.len() == 69 && one.starts_with("nave_") && one != two);
    }

    fn nobody() -> Parts {
        axum::http::Request::new(()).into_parts().0
    }

    #[test]
    fn what_a_request_presents() {
        let basic = |user: &str, password: &str| {
            let of = |text: &str| SecretHash::of(text.as_bytes());
            Ok(Presented::Basic { username: of(user), password: of(password) })
        };
        let token = |text: &str| Ok(Presented::Token(SecretHash::of(text.as_bytes())));
        let check = |header: &'static str, expect: Result<Presented, Unauthorized>| {
            let mut request = nobody();
            request.headers.insert(AUTHORIZATION, HeaderValue::from_static(header));
            assert_eq!(presented(&request), expect, "{header}");
        };
        check("Bearer abc", token("abc"));
        check("bearer  abc ", token("abc"));
        check("Basic dTpw", basic("u", "p"));
        check("basic dTpwOng=", basic("u", "p:x"));
        check("Basic Og==", basic("", ""));
        for wrong in ["", "Bearer", "Bearer ", "Basic !", "Basic dQ==", "Digest x"] {
            check(wrong, Err(Unauthorized::Malformed));
        }
        let mut twice = nobody();
        assert_eq!(presented(&twice), Err(Unauthorized::Missing));
        let names = ClientNames::new(vec!["spoke1".to_owned()]);
        twice.extensions.insert(names.clone());
        assert_eq!(presented(&twice), Ok(Presented::Certificate(names)));
        twice.headers.append(AUTHORIZATION, HeaderValue::from_static("Bearer a"));
        assert_eq!(presented(&twice), token("a"), "the header decides where there is one");
        twice.headers.append(AUTHORIZATION, HeaderValue::from_static("Bearer b"));
        assert_eq!(presented(&twice), Err(Unauthorized::Malformed));
    }
}
