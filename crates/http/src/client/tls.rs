//! `tls_config`: whom to trust, which certificate to show.

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::SystemTime;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use serde::{Deserialize, Serialize};

use super::credential::resolve;
use super::macro_support::or_default;
use super::{Error, Secret};

/// A version of TLS as the configuration names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize)]
pub enum TlsVersion {
    /// 1.0; as a minimum it means 1.2, the oldest that is built.
    TLS10,
    /// 1.1; as a minimum it means 1.2.
    TLS11,
    /// 1.2.
    TLS12,
    /// 1.3.
    TLS13,
}

/// `tls_config` of a client.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct TlsSettings {
    /// Trusted certificates in PEM, instead of the system's.
    #[serde(skip_serializing_if = "String::is_empty", deserialize_with = "or_default")]
    pub ca: String,
    /// The same in a file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<PathBuf>,
    /// The client's certificate chain in PEM.
    #[serde(skip_serializing_if = "String::is_empty", deserialize_with = "or_default")]
    pub cert: String,
    /// The same in a file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cert_file: Option<PathBuf>,
    /// The client's key in PEM.
    #[serde(skip_serializing_if = "Secret::is_empty", deserialize_with = "or_default")]
    pub key: Secret,
    /// The same in a file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key_file: Option<PathBuf>,
    /// The name that the server's certificate must carry, instead of the URL's host.
    #[serde(skip_serializing_if = "String::is_empty", deserialize_with = "or_default")]
    pub server_name: String,
    /// Trusts anyone.
    #[serde(deserialize_with = "or_default")]
    pub insecure_skip_verify: bool,
    /// The oldest version spoken.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_version: Option<TlsVersion>,
    /// The newest version spoken.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_version: Option<TlsVersion>,
}

impl TlsSettings {
    pub(super) fn validate(&self) -> Result<(), String> {
        let cert = (!self.cert.is_empty(), self.cert_file.is_some());
        let key = (!self.key.is_empty(), self.key_file.is_some());
        let text = if !self.ca.is_empty() && self.ca_file.is_some() {
            "at most one of ca and ca_file must be configured"
        } else if cert == (true, true) {
            "at most one of cert and cert_file must be configured"
        } else if key == (true, true) {
            "at most one of key and key_file must be configured"
        } else if cert != (false, false) && key == (false, false) {
            "exactly one of key or key_file must be configured when a client certificate is configured"
        } else if key != (false, false) && cert == (false, false) {
            "exactly one of cert or cert_file must be configured when a client key is configured"
        } else if self.max_version.is_some_and(|max| max < TlsVersion::TLS12) {
            "max_version below TLS12 is not supported: TLS 1.0 and 1.1 are not built"
        } else if self.min_version.zip(self.max_version).is_some_and(|(min, max)| min > max) {
            "tls_config.max_version must be greater than or equal to tls_config.min_version if both are specified"
        } else {
            return Ok(());
        };
        Err(text.to_owned())
    }

    pub(super) fn resolve_paths(&mut self, dir: &Path) {
        for file in [&mut self.ca_file, &mut self.cert_file, &mut self.key_file] {
            resolve(file, dir);
        }
    }

    /// When each of the files was changed last; differs after a rotation.
    pub(super) fn file_times(&self) -> [Option<SystemTime>; 3] {
        [&self.ca_file, &self.cert_file, &self.key_file]
            .map(|file| std::fs::metadata(file.as_ref()?).ok()?.modified().ok())
    }

    /// The settings of a connection.
    pub(super) fn connection(&self, http2: bool) -> Result<ClientConfig, Error> {
        let provider = provider();
        let min = self.min_version.unwrap_or(TlsVersion::TLS12);
        let max = self.max_version.unwrap_or(TlsVersion::TLS13);
        let versions: Vec<_> =
            [(TlsVersion::TLS13, &rustls::version::TLS13), (TlsVersion::TLS12, &rustls::version::TLS12)]
                .into_iter()
                .filter(|(version, _)| *version <= max && *version >= min.max(TlsVersion::TLS12))
                .map(|(_, version)| version)
                .collect();
        let builder = ClientConfig::builder_with_provider(provider.clone())
            .with_protocol_versions(&versions)
            .map_err(|error| Error::Settings(format!("tls_config: {error}")))?
            .dangerous()
            .with_custom_certificate_verifier(self.verifier(&provider)?);
        let mut config = match self.identity()? {
            None => builder.with_no_client_auth(),
            Some((chain, key)) => builder
                .with_client_auth_cert(chain, key)
                .map_err(|error| Error::Settings(format!("tls_config: client certificate: {error}")))?,
        };
        config.alpn_protocols = match http2 {
            true => vec![b"h2".to_vec(), b"http/1.1".to_vec()],
            false => vec![b"http/1.1".to_vec()],
        };
        Ok(config)
    }

    fn verifier(&self, provider: &Arc<CryptoProvider>) -> Result<Arc<dyn ServerCertVerifier>, Error> {
        if self.insecure_skip_verify {
            return Ok(Arc::new(TrustAnyone(provider.clone())));
        }
        let verifier = match pem_of("ca", &self.ca, self.ca_file.as_deref())? {
            None => system_verifier(provider),
            Some(pem) => trust_only(&pem, provider)?,
        };
        if self.server_name.is_empty() {
            return Ok(verifier);
        }
        let name = ServerName::try_from(self.server_name.clone())
            .map_err(|error| Error::Settings(format!("tls_config.server_name: {error}")))?;
        Ok(Arc::new(OtherName { name, verifier }))
    }

    fn identity(&self) -> Result<Option<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)>, Error> {
        let Some(cert) = pem_of("cert", &self.cert, self.cert_file.as_deref())? else { return Ok(None) };
        let Some(key) = pem_of("key", self.key.expose(), self.key_file.as_deref())? else { return Ok(None) };
        let key = PrivateKeyDer::from_pem_slice(&key).map_err(|error| {
            Error::Settings(format!("tls_config: key is not a private key in PEM: {error}"))
        })?;
        Ok(Some((certificates("cert", &cert)?, key)))
    }
}

fn pem_of(field: &str, inline: &str, file: Option<&Path>) -> Result<Option<Vec<u8>>, Error> {
    match file {
        Some(file) => match std::fs::read(file) {
            Ok(pem) => Ok(Some(pem)),
            Err(error) => Err(Error::CredentialFile {
                file: file.to_owned(),
                error: format!("{error} (tls_config.{field}_file)"),
            }),
        },
        None => Ok((!inline.is_empty()).then(|| inline.as_bytes().to_vec())),
    }
}

fn certificates(field: &str, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, Error> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    match found {
        Ok(found) if !found.is_empty() => Ok(found),
        Ok(_) => Err(Error::Settings(format!("tls_config: {field} holds no certificate in PEM"))),
        Err(error) => Err(Error::Settings(format!("tls_config: {field}: {error}"))),
    }
}

fn trust_only(pem: &[u8], provider: &Arc<CryptoProvider>) -> Result<Arc<dyn ServerCertVerifier>, Error> {
    let mut roots = RootCertStore::empty();
    let trusted = certificates("ca", pem)?;
    for certificate in trusted.iter().cloned() {
        roots.add(certificate).map_err(|error| Error::Settings(format!("tls_config: ca: {error}")))?;
    }
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider.clone())
        .build()
        .map_err(|error| Error::Settings(format!("tls_config: ca: {error}")))?;
    Ok(Arc::new(TrustItself { trusted, verifier }))
}

/// The process' provider if one is installed, else aws-lc-rs.
fn provider() -> Arc<CryptoProvider> {
    CryptoProvider::get_default()
        .cloned()
        .unwrap_or_else(|| Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
}

/// Trust in the system's certificates, loaded once per process.
fn system_verifier(provider: &Arc<CryptoProvider>) -> Arc<dyn ServerCertVerifier> {
    static SYSTEM: OnceLock<Arc<dyn ServerCertVerifier>> = OnceLock::new();
    let load = || -> Arc<dyn ServerCertVerifier> {
        match rustls_platform_verifier::Verifier::new(provider.clone()) {
            Ok(verifier) => Arc::new(verifier),
            // A machine without certificates must still reach plain HTTP.
            Err(error) => Arc::new(TrustNobody { why: error.to_string(), provider: provider.clone() }),
        }
    };
    SYSTEM.get_or_init(load).clone()
}

/// `insecure_skip_verify`.
#[derive(Debug)]
struct TrustAnyone(Arc<CryptoProvider>);

impl ServerCertVerifier for TrustAnyone {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls12_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls13_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

/// Stands in where the system has no certificates; says so at the first handshake.
#[derive(Debug)]
struct TrustNobody {
    why: String,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for TrustNobody {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Err(rustls::Error::General(format!("{}; set tls_config.ca_file", self.why)))
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(rustls::Error::General(self.why.clone()))
    }

    fn verify_tls13_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(rustls::Error::General(self.why.clone()))
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// `server_name`: checks the certificate against another name than the URL's.
#[derive(Debug)]
struct OtherName {
    name: ServerName<'static>,
    verifier: Arc<dyn ServerCertVerifier>,
}

impl ServerCertVerifier for OtherName {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        self.verifier.verify_server_cert(end_entity, intermediates, &self.name, ocsp_response, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.verifier.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.verifier.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.verifier.supported_verify_schemes()
    }
}

/// Also takes a server that shows one of the trusted certificates itself, although that is marked as an
/// authority: what `openssl req -x509` makes, and what upstream takes.
#[derive(Debug)]
struct TrustItself {
    trusted: Vec<CertificateDer<'static>>,
    verifier: Arc<WebPkiServerVerifier>,
}

impl ServerCertVerifier for TrustItself {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let verified =
            self.verifier.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now);
        match verified {
            // Found after the dates were checked, so only the name remains.
            Err(error) if is_authority(&error) && self.trusted.iter().any(|known| known == end_entity) => {
                let certificate = rustls::server::ParsedCertificate::try_from(end_entity)?;
                rustls::client::verify_server_name(&certificate, server_name)?;
                Ok(ServerCertVerified::assertion())
            }
            verified => verified,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.verifier.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.verifier.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.verifier.supported_verify_schemes()
    }
}

/// Whether a server showed a certificate that is marked as an authority. The library names this error only
/// in its text.
pub(super) fn is_authority(error: &rustls::Error) -> bool {
    matches!(error, rustls::Error::InvalidCertificate(rustls::CertificateError::Other(other))
        if format!("{other:?}").contains("CaUsedAsEndEntity"))
}
