//! The fields of upstream's `web.config.file`, checked while they are read.
//!
//! Not the YAML, which is read elsewhere, and not the certificates' files: those are opened by `tls`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use rustls::SupportedCipherSuite;
use rustls::crypto::SupportedKxGroup;
use rustls::crypto::aws_lc_rs::{ALL_CIPHER_SUITES, kx_group};
use serde::Deserialize;

use crate::client::Secret;

/// A whole `web.config.file`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SecuritySettings {
    /// Certificates; without them the server speaks plain HTTP.
    pub tls_server_config: Option<TlsServer>,
    /// HTTP/2 and headers.
    pub http_server_config: Option<HttpServer>,
    /// Who may come in, by user name; everyone when empty.
    pub basic_auth_users: Option<BTreeMap<String, PasswordHash>>,
    /// Known by name only, see [`RateLimit`].
    pub rate_limit: Option<RateLimit>,
}

impl SecuritySettings {
    pub(super) fn http2(&self) -> bool {
        self.http_server_config.as_ref().is_none_or(|http| http.http2)
    }

    /// Makes relative paths relative to `dir`, the folder of the file.
    pub(super) fn resolve_paths(&mut self, dir: &Path) {
        let Some(tls) = &mut self.tls_server_config else { return };
        for file in [&mut tls.cert_file, &mut tls.key_file, &mut tls.client_ca_file].into_iter().flatten() {
            *file = dir.join(&*file);
        }
    }
}

/// A bcrypt hash that can be compared with.
#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "Secret")]
pub struct PasswordHash {
    pub(super) text: Secret,
    pub(super) cost: u32,
}

impl TryFrom<Secret> for PasswordHash {
    type Error = String;

    fn try_from(text: Secret) -> Result<Self, String> {
        // Without the text: someone may have written the password itself.
        let expected = "expected a bcrypt hash such as `htpasswd -nB USER` prints, came another text";
        let parts = bcrypt::HashParts::from_str(text.expose()).map_err(|_| expected.to_owned())?;
        let cost = parts.get_cost();
        // The parser takes any shape; a comparison shows whether it is one that can be computed.
        if text.expose().len() != 60 || !(4..=20).contains(&cost) {
            return Err(format!("{expected} or one whose cost is not from 4 to 20"));
        }
        Ok(Self { text, cost })
    }
}

/// `http_server_config`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HttpServer {
    /// Whether HTTP/2 is offered on TLS connections.
    pub http2: bool,
    /// Headers of every response.
    pub headers: Option<Headers>,
}

impl Default for HttpServer {
    fn default() -> Self {
        Self { http2: true, headers: None }
    }
}

/// Checked response headers.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(try_from = "BTreeMap<String, String>")]
pub struct Headers(pub(super) Vec<(&'static str, axum::http::HeaderValue)>);

/// The names that upstream knows, and the values of those that are enumerations.
const HEADERS: [(&str, &str, &[&str]); 5] = [
    ("Strict-Transport-Security", "strict-transport-security", &[]),
    ("X-Content-Type-Options", "x-content-type-options", &["nosniff"]),
    ("X-Frame-Options", "x-frame-options", &["deny", "sameorigin"]),
    ("X-XSS-Protection", "x-xss-protection", &[]),
    ("Content-Security-Policy", "content-security-policy", &[]),
];

impl TryFrom<BTreeMap<String, String>> for Headers {
    type Error = String;

    fn try_from(map: BTreeMap<String, String>) -> Result<Self, String> {
        let check = |(name, value): (String, String)| {
            let Some((_, wire, allowed)) = HEADERS.iter().find(|(known, ..)| *known == name) else {
                return Err(format!("HTTP header {name:?} can not be configured"));
            };
            if !allowed.is_empty() && !allowed.contains(&value.as_str()) {
                return Err(format!(
                    "invalid value for {name}. Expected one of: {allowed:?}, but got: {value:?}"
                ));
            }
            let bytes = value.parse().map_err(|_| {
                format!("invalid value for {name}: expected visible ASCII, but got: {value:?}")
            })?;
            Ok((*wire, bytes))
        };
        map.into_iter().map(check).collect::<Result<_, _>>().map(Self)
    }
}

/// `rate_limit`: refused unless it is off, so that nobody believes in a limit that is not there.
#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "RawRateLimit")]
pub struct RateLimit;

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
#[derive(Default)]
struct RawRateLimit {
    interval: String,
    #[allow(dead_code, reason = "means nothing while the interval is 0")]
    burst: u64,
}

impl TryFrom<RawRateLimit> for RateLimit {
    type Error = String;

    fn try_from(raw: RawRateLimit) -> Result<Self, String> {
        match raw.interval.as_str() {
            "" | "0" | "0s" => Ok(Self),
            _ => Err("rate_limit is not supported by this version; limit requests in the proxy in front, \
                      or leave it out"
                .to_owned()),
        }
    }
}

/// A version of TLS that is spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "String")]
pub enum Version {
    /// 1.2.
    Tls12,
    /// 1.3.
    Tls13,
}

impl TryFrom<String> for Version {
    type Error = String;

    fn try_from(name: String) -> Result<Self, String> {
        match name.as_str() {
            "TLS12" => Ok(Self::Tls12),
            "TLS13" => Ok(Self::Tls13),
            "TLS10" | "TLS11" => Err(format!(
                "{name} is not available: TLS 1.0 and 1.1 are broken (RFC 8996) and not built; \
                 use TLS12 or TLS13"
            )),
            _ => Err(format!("unknown TLS version: {name}; expected TLS12 or TLS13")),
        }
    }
}

/// What is asked of clients, by Go's names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(try_from = "String")]
pub enum ClientAuth {
    /// No certificate is asked for.
    #[default]
    None,
    /// Asked for; whatever comes, or nothing, is taken.
    Request,
    /// Any certificate whose key the client has.
    RequireAny,
    /// None, or one of a trusted authority.
    VerifyIfGiven,
    /// One of a trusted authority.
    RequireAndVerify,
}

impl TryFrom<String> for ClientAuth {
    type Error = String;

    fn try_from(name: String) -> Result<Self, String> {
        Ok(match name.as_str() {
            "" | "NoClientCert" => Self::None,
            "RequestClientCert" => Self::Request,
            "RequireAnyClientCert" | "RequireClientCert" => Self::RequireAny,
            "VerifyClientCertIfGiven" => Self::VerifyIfGiven,
            "RequireAndVerifyClientCert" => Self::RequireAndVerify,
            _ => return Err(format!("invalid ClientAuth: {name}")),
        })
    }
}

impl ClientAuth {
    /// Whether certificates are checked against the trusted authorities.
    pub(super) fn verifies(self) -> bool {
        matches!(self, Self::VerifyIfGiven | Self::RequireAndVerify)
    }
}

/// A cipher suite of TLS 1.2, or the name of one of TLS 1.3, which are always on.
#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "String")]
pub struct Cipher(pub(super) SupportedCipherSuite);

/// Names of Go's that are no suites here: CBC or RC4, or keys without forward secrecy.
const WEAK: [&str; 4] = ["_CBC_", "_RC4_", "_3DES_", "TLS_RSA_WITH_"];

impl TryFrom<String> for Cipher {
    type Error = String;

    fn try_from(name: String) -> Result<Self, String> {
        let standard = match name.as_str() {
            // Go had these names first.
            "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305" | "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305" => {
                format!("{name}_SHA256")
            }
            _ => name.clone(),
        };
        let built = |suite: &&SupportedCipherSuite| {
            let built = format!("{:?}", suite.suite());
            built.strip_prefix("TLS13_").map_or(built == standard, |rest| standard == format!("TLS_{rest}"))
        };
        match ALL_CIPHER_SUITES.iter().find(built) {
            Some(suite) => Ok(Self(*suite)),
            None if WEAK.iter().any(|part| name.contains(part)) => Err(format!(
                "cipher {name} is not available: only suites with forward secrecy and authenticated \
                 encryption are built"
            )),
            None => Err(format!("unknown cipher: {name}")),
        }
    }
}

/// A key exchange by Go's name.
#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "String")]
pub struct Curve(pub(super) &'static dyn SupportedKxGroup);

impl TryFrom<String> for Curve {
    type Error = String;

    fn try_from(name: String) -> Result<Self, String> {
        Ok(Self(match name.as_str() {
            "CurveP256" => kx_group::SECP256R1,
            "CurveP384" => kx_group::SECP384R1,
            "X25519" => kx_group::X25519,
            "X25519MLKEM768" => kx_group::X25519MLKEM768,
            "CurveP521" => {
                return Err("curve CurveP521 is not available; use CurveP384 or X25519".to_owned());
            }
            _ => return Err(format!("unknown curve: {name}")),
        }))
    }
}

/// `tls_server_config`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(try_from = "RawTlsServer")]
pub struct TlsServer {
    pub(super) cert: String,
    pub(super) cert_file: Option<PathBuf>,
    pub(super) key: Secret,
    pub(super) key_file: Option<PathBuf>,
    pub(super) client_ca: String,
    pub(super) client_ca_file: Option<PathBuf>,
    pub(super) client_auth: ClientAuth,
    pub(super) client_sans: Vec<String>,
    pub(super) versions: Vec<Version>,
    pub(super) ciphers: Vec<SupportedCipherSuite>,
    pub(super) curves: Vec<&'static dyn SupportedKxGroup>,
    pub(super) prefer_own_order: bool,
    /// Present in the file, but empty: plain HTTP, as upstream has it.
    pub(super) is_off: bool,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct RawTlsServer {
    cert: String,
    cert_file: Option<PathBuf>,
    key: Secret,
    key_file: Option<PathBuf>,
    client_ca: String,
    client_ca_file: Option<PathBuf>,
    client_auth_type: ClientAuth,
    client_allowed_sans: Vec<String>,
    min_version: Option<Version>,
    max_version: Option<Version>,
    cipher_suites: Vec<Cipher>,
    curve_preferences: Vec<Curve>,
    prefer_server_cipher_suites: Option<bool>,
}

impl TryFrom<RawTlsServer> for TlsServer {
    type Error = String;

    fn try_from(raw: RawTlsServer) -> Result<Self, String> {
        let named = |file: Option<PathBuf>| file.filter(|file| !file.as_os_str().is_empty());
        let min = raw.min_version.unwrap_or(Version::Tls12);
        let max = raw.max_version.unwrap_or(Version::Tls13);
        let mut tls = Self {
            cert: raw.cert,
            cert_file: named(raw.cert_file),
            key: raw.key,
            key_file: named(raw.key_file),
            client_ca: raw.client_ca,
            client_ca_file: named(raw.client_ca_file),
            client_auth: raw.client_auth_type,
            client_sans: raw.client_allowed_sans,
            versions: [Version::Tls13, Version::Tls12]
                .into_iter()
                .filter(|v| (min..=max).contains(v))
                .collect(),
            ciphers: raw.cipher_suites.into_iter().map(|cipher| cipher.0).collect(),
            curves: raw.curve_preferences.into_iter().map(|curve| curve.0).collect(),
            prefer_own_order: raw.prefer_server_cipher_suites.unwrap_or(true),
            is_off: false,
        };
        tls.is_off =
            !tls.has_cert() && !tls.has_key() && !tls.has_ca() && tls.client_auth == ClientAuth::None;
        if tls.is_off { Ok(tls) } else { tls.check() }
    }
}

impl TlsServer {
    fn has_cert(&self) -> bool {
        !self.cert.is_empty() || self.cert_file.is_some()
    }

    fn has_key(&self) -> bool {
        !self.key.is_empty() || self.key_file.is_some()
    }

    fn has_ca(&self) -> bool {
        !self.client_ca.is_empty() || self.client_ca_file.is_some()
    }

    fn check(self) -> Result<Self, String> {
        let text = if !self.has_cert() {
            "missing one of cert or cert_file"
        } else if !self.has_key() {
            "missing one of key or key_file"
        } else if !self.cert.is_empty() && self.cert_file.is_some() {
            "only one of cert and cert_file can be configured"
        } else if !self.key.is_empty() && self.key_file.is_some() {
            "only one of key and key_file can be configured"
        } else if !self.client_ca.is_empty() && self.client_ca_file.is_some() {
            "only one of client_ca and client_ca_file can be configured"
        } else if self.has_ca() && self.client_auth == ClientAuth::None {
            "Client CA's have been configured without a Client Auth Policy; set client_auth_type"
        } else if !self.has_ca() && self.client_auth.verifies() {
            "this client_auth_type verifies certificates; set client_ca_file to the authority that signs them"
        } else if !self.client_sans.is_empty() && !self.client_auth.verifies() {
            "client_allowed_sans needs a client_auth_type that verifies: without it anyone can write any \
             name into a certificate"
        } else if self.versions.is_empty() {
            "max_version must be greater than or equal to min_version"
        } else {
            return Ok(self);
        };
        Err(text.to_owned())
    }
}
