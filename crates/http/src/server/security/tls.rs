//! `tls_server_config` as rustls takes it, and the check of client certificates.
//!
//! Every load makes a new configuration, so sessions that were begun under an older one are not resumed:
//! a client whose authority was taken away has to show its certificate again.

use std::path::Path;
use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    DigitallySignedStruct, DistinguishedName, RootCertStore, ServerConfig, SignatureScheme,
    SupportedCipherSuite,
};

use super::names::subject_alt_names;
use super::settings::{ClientAuth, TlsServer, Version};

/// Reads the files and builds the configuration of a connection. Blocks on the disk.
pub(super) fn server_config(tls: &TlsServer, http2: bool) -> Result<Arc<ServerConfig>, String> {
    let provider = Arc::new(provider(tls));
    let version = |version: &Version| match version {
        Version::Tls12 => &rustls::version::TLS12,
        Version::Tls13 => &rustls::version::TLS13,
    };
    let versions: Vec<_> = tls.versions.iter().map(version).collect();
    let builder = ServerConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(&versions)
        .map_err(|error| format!("tls_server_config: {error}"))?;
    let builder = match client_verifier(tls, &provider)? {
        None => builder.with_no_client_auth(),
        Some(verifier) => builder.with_client_cert_verifier(verifier),
    };
    let chain = certificates("cert", &pem("cert", &tls.cert, tls.cert_file.as_deref())?)?;
    let key = pem("key", tls.key.expose(), tls.key_file.as_deref())?;
    let key = PrivateKeyDer::from_pem_slice(&key)
        .map_err(|error| format!("tls_server_config: key is not a private key in PEM: {error}"))?;
    let mut config = builder
        .with_single_cert(chain, key)
        .map_err(|error| format!("failed to load X509KeyPair: {error}"))?;
    config.ignore_client_order = tls.prefer_own_order;
    config.alpn_protocols = match http2 {
        true => vec![b"h2".to_vec(), b"http/1.1".to_vec()],
        false => vec![b"http/1.1".to_vec()],
    };
    Ok(Arc::new(config))
}

/// aws-lc-rs, with the suites and key exchanges that are configured. Those of TLS 1.3 are always on.
fn provider(tls: &TlsServer) -> CryptoProvider {
    let mut provider = aws_lc_rs::default_provider();
    if !tls.ciphers.is_empty() {
        let modern = provider.cipher_suites.iter().filter(|suite| suite.tls13().is_some()).copied();
        let chosen = tls.ciphers.iter().filter(|suite| suite.tls13().is_none()).copied();
        provider.cipher_suites = modern.chain(chosen).collect::<Vec<SupportedCipherSuite>>();
    }
    if !tls.curves.is_empty() {
        provider.kx_groups.clone_from(&tls.curves);
    }
    provider
}

fn client_verifier(
    tls: &TlsServer,
    provider: &Arc<CryptoProvider>,
) -> Result<Option<Arc<dyn ClientCertVerifier>>, String> {
    if tls.client_auth == ClientAuth::None {
        return Ok(None);
    }
    let trusted = match tls.client_auth.verifies() {
        false => None,
        true => {
            let mut roots = RootCertStore::empty();
            let pem = pem("client_ca", &tls.client_ca, tls.client_ca_file.as_deref())?;
            for certificate in certificates("client_ca", &pem)? {
                roots.add(certificate).map_err(|error| format!("tls_server_config: client_ca: {error}"))?;
            }
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone())
                .build()
                .map_err(|error| format!("tls_server_config: client_ca: {error}"))?;
            Some(verifier)
        }
    };
    Ok(Some(Arc::new(Clients {
        trusted,
        is_mandatory: matches!(tls.client_auth, ClientAuth::RequireAny | ClientAuth::RequireAndVerify),
        names: tls.client_sans.clone(),
        provider: provider.clone(),
    })))
}

fn pem(field: &str, inline: &str, file: Option<&Path>) -> Result<Vec<u8>, String> {
    match file {
        None => Ok(inline.as_bytes().to_vec()),
        Some(file) => std::fs::read(file)
            .map_err(|error| format!("tls_server_config.{field}_file: open {}: {error}", file.display())),
    }
}

fn certificates(field: &str, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    match CertificateDer::pem_slice_iter(pem).collect::<Result<Vec<_>, _>>() {
        Ok(found) if !found.is_empty() => Ok(found),
        Ok(_) => Err(format!("tls_server_config: {field} holds no certificate in PEM")),
        Err(error) => Err(format!("tls_server_config: {field}: {error}")),
    }
}

/// The check of client certificates. That the client has the key is always proven.
#[derive(Debug)]
struct Clients {
    /// `None` takes certificates of anyone.
    trusted: Option<Arc<dyn ClientCertVerifier>>,
    is_mandatory: bool,
    /// One of these must be in the certificate; any may be when empty.
    names: Vec<String>,
    provider: Arc<CryptoProvider>,
}

impl ClientCertVerifier for Clients {
    fn client_auth_mandatory(&self) -> bool {
        self.is_mandatory
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.trusted.as_ref().map_or(&[], |trusted| trusted.root_hint_subjects())
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        let Some(trusted) = &self.trusted else { return Ok(ClientCertVerified::assertion()) };
        let verified = trusted.verify_client_cert(end_entity, intermediates, now)?;
        if self.names.is_empty() || subject_alt_names(end_entity).iter().any(|name| self.names.contains(name))
        {
            return Ok(verified);
        }
        // Reported to the client as access_denied, and in the log with this text.
        Err(rustls::CertificateError::Other(rustls::OtherError(Arc::new(NameNotAllowed {
            found: subject_alt_names(end_entity),
        })))
        .into())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, cert, dss, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, cert, dss, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// A trusted certificate with names that are not in `client_allowed_sans`.
#[derive(Debug, thiserror::Error)]
#[error("could not find allowed SANs in client cert, found: {found:?}")]
struct NameNotAllowed {
    found: Vec<String>,
}
