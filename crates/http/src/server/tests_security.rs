//! `web.config.file`: the server against the client of this crate and raw sockets, with certificates made
//! on the spot.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use nave_base::Shutdown;
use nave_base::clock::{FakeClock, SharedClock, SystemClock};
use nave_base::metric::{Format, Registry};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::*;
use crate::client::{BasicAuth, Client, Error, Request, Secret, Settings, TlsSettings, Url};

const TIMEOUT: Duration = Duration::from_secs(10);

fn parse(file: &Path, text: &str) -> Result<SecuritySettings, String> {
    let parsed = serde_saphyr::from_str::<Option<SecuritySettings>>(text);
    parsed
        .map(Option::unwrap_or_default)
        .map_err(|error| format!("{}: {}", file.display(), error.without_snippet()))
}

type Authority = CertifiedIssuer<'static, KeyPair>;

fn authority() -> Authority {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// Files of one test, and the authority that signs.
struct Files {
    dir: TempDir,
    authority: Authority,
}

impl Files {
    fn new() -> Self {
        let files = Self { dir: tempfile::tempdir().unwrap(), authority: authority() };
        files.write("ca.pem", &files.authority.pem());
        files.issue("server", &["hub.test", "127.0.0.1"]);
        files
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.dir.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).unwrap();
    }

    /// Writes `<name>.pem` and `<name>.key` for these names.
    fn issue(&self, name: &str, names: &[&str]) {
        self.issue_from(&self.authority, name, names);
    }

    fn issue_from(&self, authority: &Authority, name: &str, names: &[&str]) {
        let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new(names).unwrap().signed_by(&key, authority).unwrap();
        self.write(&format!("{name}.pem"), &certificate.pem());
        self.write(&format!("{name}.key"), &key.serialize_pem());
    }

    /// TLS with these further lines below `tls_server_config`.
    fn tls(&self, more: &str) -> String {
        format!("tls_server_config:\n  cert_file: server.pem\n  key_file: server.key\n{more}")
    }

    fn trusting(&self) -> Settings {
        let tls = TlsSettings { ca_file: Some(self.path("ca.pem")), ..TlsSettings::default() };
        Settings { tls_config: Some(tls), ..Settings::default() }
    }

    /// A client that trusts the authority and shows the certificate `name`.
    fn showing(&self, name: &str) -> Settings {
        let mut settings = self.trusting();
        let tls = settings.tls_config.as_mut().unwrap();
        tls.cert_file = Some(self.path(&format!("{name}.pem")));
        tls.key_file = Some(self.path(&format!("{name}.key")));
        settings
    }

    fn load(&self, clock: SharedClock, registry: &Registry) -> Result<Security, SecurityError> {
        Security::load(self.path("web.yml"), parse, clock, registry)
    }

    async fn serve(self, config: &str) -> Running {
        self.serve_at(config, SystemClock::shared()).await
    }

    async fn serve_at(self, config: &str, clock: SharedClock) -> Running {
        self.write("web.yml", config);
        let registry = Registry::default();
        let security = self.load(clock.clone(), &registry).unwrap();
        let version =
            get(|request: axum::extract::Request| async move { format!("{:?}", request.version()) });
        let names = get(|request: axum::extract::Request| async move {
            let names = request.extensions().get::<super::ClientNames>();
            names.map_or_else(|| "nobody".to_owned(), |names| names.iter().collect::<Vec<_>>().join(" "))
        });
        let router = Router::new().route("/", version).route("/names", names);
        let listeners = Listeners::bind(&["127.0.0.1:0"]).await.unwrap();
        let address = listeners.addresses()[0];
        let shutdown = Shutdown::new();
        let options = ServeOptions { security: Some(security), ..ServeOptions::default() };
        tokio::spawn(serve(listeners, router, options, clock, shutdown.clone()));
        Running { files: self, address, registry, stop: shutdown }
    }
}

struct Running {
    files: Files,
    address: SocketAddr,
    registry: Registry,
    stop: Shutdown,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl Running {
    async fn get(&self, scheme: &str, settings: &Settings) -> Result<crate::client::Response, Error> {
        let url = Url::parse(&format!("{scheme}://{}/", self.address)).unwrap();
        Client::new(settings, "test").unwrap().send(Request::get(url, TIMEOUT)).await
    }

    async fn https(&self, settings: &Settings) -> Result<String, Error> {
        let body = self.get("https", settings).await?.bytes(1000).await?;
        Ok(String::from_utf8(body.to_vec()).unwrap())
    }

    async fn status(&self, scheme: &str, settings: &Settings) -> u16 {
        self.get(scheme, settings).await.unwrap().status().as_u16()
    }

    fn has_line(&self, line: &str) {
        let page = self.registry.page(Format::Text);
        assert!(page.lines().any(|known| known == line), "{line} not in {page}");
    }
}

fn user(name: &str, password: &str) -> Settings {
    let login =
        BasicAuth { username: name.to_owned(), password: Secret::new(password), ..BasicAuth::default() };
    Settings { basic_auth: Some(login), ..Settings::default() }
}

fn users(pairs: &[(&str, &str)]) -> String {
    let line = |(name, password): &(&str, &str)| {
        format!("  {name}: {}\n", bcrypt::hash_with_salt(password, 4, [1; 16]).unwrap())
    };
    format!("basic_auth_users:\n{}", pairs.iter().map(line).collect::<String>())
}

#[tokio::test]
async fn https_for_those_who_trust_the_authority() {
    let server = {
        let files = Files::new();
        let tls = files.tls("");
        files.serve(&tls).await
    };
    assert_eq!(server.https(&server.files.trusting()).await.unwrap(), "HTTP/2.0", "negotiated");
    let mut named = server.files.trusting();
    named.tls_config.as_mut().unwrap().server_name = "hub.test".to_owned();
    assert!(server.https(&named).await.is_ok());
    named.tls_config.as_mut().unwrap().server_name = "other.test".to_owned();
    assert!(matches!(server.https(&named).await, Err(Error::Tls { .. })));
    let stranger = Files::new();
    let error = server.https(&stranger.trusting()).await.unwrap_err();
    assert!(matches!(error, Error::Tls { .. }), "{error}");
}

#[tokio::test]
async fn http2_can_be_switched_off() {
    let files = Files::new();
    let config = files.tls("http_server_config:\n  http2: false\n");
    let server = files.serve(&config).await;
    assert_eq!(server.https(&server.files.trusting()).await.unwrap(), "HTTP/1.1");
}

#[tokio::test]
async fn plain_http_is_told_that_this_is_https() {
    let files = Files::new();
    let config = files.tls("");
    let server = files.serve(&config).await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    stream.shutdown().await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.0 400 Bad Request\r\n"), "{answer}");
    assert!(answer.contains("Client sent an HTTP request to an HTTPS server."), "{answer}");
    server.has_line("nave_http_tls_handshake_failures_total 1");
    // Neither TLS nor HTTP: closed, and others come in.
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    stream.write_all(b"\0\0\0\0").await.unwrap();
    assert!(!matches!(stream.read(&mut [0; 8]).await, Ok(1..)));
    assert!(server.https(&server.files.trusting()).await.is_ok());
}

#[tokio::test]
async fn a_silent_client_is_closed_after_a_while() {
    let clock = FakeClock::at(0);
    let files = Files::new();
    let config = files.tls("");
    let server = files.serve_at(&config, clock.clone()).await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    while clock.sleepers() == 0 {
        tokio::task::yield_now().await;
    }
    clock.advance(Duration::from_secs(10));
    assert_eq!(stream.read(&mut [0]).await.unwrap(), 0);
}

#[tokio::test]
async fn client_certificates() {
    for (kind, without, strange, trusted) in [
        ("RequestClientCert", true, true, true),
        ("RequireAnyClientCert", false, true, true),
        ("VerifyClientCertIfGiven", true, false, true),
        ("RequireAndVerifyClientCert", false, false, true),
    ] {
        let files = Files::new();
        files.issue("agent", &["agent.test"]);
        files.issue_from(&authority(), "strange", &["agent.test"]);
        let ca = if kind.contains("Verify") { "  client_ca_file: ca.pem\n" } else { "" };
        let config = files.tls(&format!("  client_auth_type: {kind}\n{ca}"));
        let server = files.serve(&config).await;
        for (settings, expect) in [
            (server.files.trusting(), without),
            (server.files.showing("strange"), strange),
            (server.files.showing("agent"), trusted),
        ] {
            let answer = server.https(&settings).await;
            assert_eq!(answer.is_ok(), expect, "{kind}: {answer:?}");
        }
    }
}

#[tokio::test]
async fn only_listed_names() {
    let files = Files::new();
    files.issue("one", &["one.test", "x.test"]);
    files.issue("two", &["two.test"]);
    let config = files.tls(
        "  client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: ca.pem\n  client_allowed_sans: [one.test, '*.two.test']\n",
    );
    let server = files.serve(&config).await;
    assert!(server.https(&server.files.showing("one")).await.is_ok());
    assert!(server.https(&server.files.showing("two")).await.is_err());
}

#[tokio::test]
async fn certificates_are_rotated_without_a_restart() {
    let files = Files::new();
    let config = files.tls("");
    let server = files.serve(&config).await;
    let old = server.files.trusting();
    assert!(server.https(&old).await.is_ok());

    // A certificate without its key cannot be used, and the good one stays.
    let next = authority();
    let key = std::fs::read(server.files.path("server.key")).unwrap();
    server.files.issue_from(&next, "server", &["127.0.0.1"]);
    let next_key = std::fs::read(server.files.path("server.key")).unwrap();
    std::fs::write(server.files.path("server.key"), key).unwrap();
    assert!(server.https(&old).await.is_ok());
    server.has_line("nave_http_web_config_last_reload_successful 0");
    server.has_line("nave_http_web_config_reload_failures_total 1");

    // With it, the first connection sees the new one.
    std::fs::write(server.files.path("server.key"), next_key).unwrap();
    assert!(server.https(&old).await.is_err());
    server.has_line("nave_http_web_config_last_reload_successful 1");
    server.files.write("next.pem", &next.pem());
    let mut new = server.files.trusting();
    new.tls_config.as_mut().unwrap().ca_file = Some(server.files.path("next.pem"));
    assert!(server.https(&new).await.is_ok());
}

#[tokio::test]
async fn users_come_in_and_others_do_not() {
    let server = Files::new().serve(&users(&[("alice", "secret"), ("bob", "other")])).await;
    for (settings, expect) in [
        (user("alice", "secret"), 200),
        (user("bob", "other"), 200),
        (user("alice", "other"), 401),
        (user("eve", "secret"), 401),
        (user("eve", "other"), 401),
        (Settings::default(), 401),
    ] {
        assert_eq!(server.status("http", &settings).await, expect);
    }
    let answer = server.get("http", &Settings::default()).await.unwrap();
    assert_eq!(answer.header("www-authenticate"), Some("Basic"));
    server.has_line("nave_http_auth_failures_total{reason=\"wrong\"} 3");
    server.has_line("nave_http_auth_failures_total{reason=\"missing\"} 2");
}

#[tokio::test]
async fn users_change_with_the_file() {
    let clock = FakeClock::at(0);
    let server = Files::new().serve_at(&users(&[("alice", "secret")]), clock.clone()).await;
    assert_eq!(server.status("http", &user("alice", "secret")).await, 200);
    let changed = users(&[("alice", "new")]);
    for (text, old, new) in [
        (changed.as_str(), 401, 200),
        // What is broken, empty or wants another TLS is not taken over.
        ("basic_auth_users: [", 401, 200),
        ("", 401, 200),
        ("basic_auth_users:\n  alice: secret\n", 401, 200),
        ("tls_server_config: {cert_file: server.pem, key_file: server.key}\n", 401, 200),
        ("{}", 200, 200),
    ] {
        server.files.write("web.yml", text);
        clock.advance(Duration::from_secs(1));
        assert_eq!(server.status("http", &user("alice", "secret")).await, old, "{text}");
        assert_eq!(server.status("http", &user("alice", "new")).await, new, "{text}");
    }
    std::fs::remove_file(server.files.path("web.yml")).unwrap();
    clock.advance(Duration::from_secs(1));
    assert_eq!(server.status("http", &Settings::default()).await, 200);
    server.has_line("nave_http_web_config_reload_failures_total 5");
}

#[tokio::test]
async fn headers_are_on_every_answer() {
    let config = "http_server_config:\n  headers:\n    X-Frame-Options: deny\n    Content-Security-Policy: default-src 'self'\n";
    let server = Files::new().serve(&(users(&[("a", "b")]) + config)).await;
    for (settings, status) in [(user("a", "b"), 200), (Settings::default(), 401)] {
        let answer = server.get("http", &settings).await.unwrap();
        assert_eq!(answer.status().as_u16(), status);
        assert_eq!(answer.header("x-frame-options"), Some("deny"));
        assert_eq!(answer.header("content-security-policy"), Some("default-src 'self'"));
    }
}

#[test]
fn files_that_cannot_be_used() {
    let files = Files::new();
    let tls =
        |more: &str| format!("tls_server_config: {{cert_file: server.pem, key_file: server.key, {more}}}");
    for (text, expect) in [
        ("tls_server_config: {cert_file: server.pem}", "missing one of key or key_file"),
        ("tls_server_config: {key_file: server.key}", "missing one of cert or cert_file"),
        ("tls_server_config: {cert_file: gone.pem, key_file: server.key}", "gone.pem"),
        ("tls_server_config: {cert_file: server.key, key_file: server.key}", "cert holds no certificate"),
        ("tls_server_config: {cert_file: ca.pem, key_file: server.key}", "failed to load X509KeyPair"),
        (&tls("client_auth_type: Some"), "invalid ClientAuth: Some"),
        (&tls("client_ca_file: ca.pem"), "Client CA's have been configured without a Client Auth Policy"),
        (&tls("client_auth_type: RequireAndVerifyClientCert"), "set client_ca_file"),
        (&tls("client_auth_type: RequestClientCert, client_allowed_sans: [a]"), "client_allowed_sans needs"),
        (&tls("min_version: TLS11"), "TLS11 is not available"),
        (&tls("min_version: TLS14"), "unknown TLS version: TLS14"),
        (&tls("min_version: TLS13, max_version: TLS12"), "max_version must be"),
        (&tls("cipher_suites: [TLS_RSA_WITH_AES_128_CBC_SHA]"), "is not available"),
        (&tls("cipher_suites: [TLS_NONE]"), "unknown cipher: TLS_NONE"),
        (&tls("curve_preferences: [CurveP521]"), "curve CurveP521 is not available"),
        (&tls("curve_preferences: [P256]"), "unknown curve: P256"),
        ("http_server_config: {headers: {X-Other: a}}", "HTTP header \"X-Other\" can not be configured"),
        (
            "http_server_config: {headers: {X-Frame-Options: DENY}}",
            r#"invalid value for X-Frame-Options. Expected one of: ["deny", "sameorigin"], but got: "DENY""#,
        ),
        ("basic_auth_users: {a: plain-text}", "expected a bcrypt hash"),
        ("rate_limit: {interval: 1s, burst: 5}", "rate_limit is not supported"),
        ("other: 1", "other"),
    ] {
        files.write("web.yml", text);
        let error = files.load(SystemClock::shared(), &Registry::default()).unwrap_err().to_string();
        assert!(error.contains(expect) && error.contains("web.yml"), "{text}: {error}");
        assert!(!error.contains("plain-text"), "{error}");
    }
}

#[tokio::test]
async fn chosen_versions_suites_and_curves() {
    for (more, is_tls) in [
        ("max_version: TLS12, cipher_suites: [TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256]", true),
        ("max_version: TLS12, cipher_suites: [TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305]", true),
        ("min_version: TLS13, curve_preferences: [X25519MLKEM768, X25519, CurveP256, CurveP384]", true),
        ("cipher_suites: [TLS_AES_128_GCM_SHA256, TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384]", true),
        ("prefer_server_cipher_suites: false", true),
    ] {
        let files = Files::new();
        let config = format!("tls_server_config: {{cert_file: server.pem, key_file: server.key, {more}}}");
        let server = files.serve(&config).await;
        assert_eq!(server.https(&server.files.trusting()).await.is_ok(), is_tls, "{more}");
    }
    let server = Files::new().serve("tls_server_config: {}\n").await;
    assert_eq!(server.status("http", &Settings::default()).await, 200, "empty is plain HTTP");
}

#[tokio::test]
async fn pem_can_stand_in_the_file_itself() {
    let files = Files::new();
    files.issue("agent", &["agent.test"]);
    let indent = |name: &str| {
        let text = std::fs::read_to_string(files.path(name)).unwrap();
        text.lines().map(|line| format!("    {line}\n")).collect::<String>()
    };
    let config = format!(
        "tls_server_config:\n  cert: |\n{}  key: |\n{}  client_ca: |\n{}  client_auth_type: RequireAndVerifyClientCert\n",
        indent("server.pem"),
        indent("server.key"),
        indent("ca.pem")
    );
    let shown = format!("{:?}", parse(Path::new("x"), &config).unwrap());
    assert!(!shown.contains("PRIVATE"), "{shown}");
    let server = files.serve(&config).await;
    assert!(server.https(&server.files.showing("agent")).await.is_ok());
    assert!(server.https(&server.files.trusting()).await.is_err());
}

#[tokio::test]
async fn handlers_are_told_verified_names_only() {
    for (kind, expect) in [
        ("RequireAndVerifyClientCert", "rcgen self signed cert agent.test"),
        ("RequireAnyClientCert", "nobody"),
    ] {
        let files = Files::new();
        files.issue("agent", &["agent.test"]);
        let ca = if kind.contains("Verify") { "  client_ca_file: ca.pem\n" } else { "" };
        let config = files.tls(&format!("  client_auth_type: {kind}\n{ca}"));
        let server = files.serve(&config).await;
        let client = Client::new(&server.files.showing("agent"), "test").unwrap();
        let url = format!("https://127.0.0.1:{}/names", server.address.port());
        let request = Request::get(url.parse().unwrap(), Duration::from_secs(10));
        let body = client.send(request).await.unwrap().bytes(1000).await.unwrap();
        assert_eq!(String::from_utf8(body.to_vec()).unwrap(), expect, "{kind}");
    }
}
