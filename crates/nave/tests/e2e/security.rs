//! TLS and basic authentication by `web.config.file`, on every listening side and over the whole way from
//! an agent to a hub.

use nave_http::client::{BasicAuth, Client, Request, Secret, Settings, TlsSettings, Url};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};

use crate::harness::{NAVE, Server, client};

/// bcrypt of `secret`, at the least cost.
const WEB: &str = "tls_server_config:\n  cert_file: hub.pem\n  key_file: hub.key\n\
basic_auth_users:\n  spoke: $2b$04$abcdefghijklmnopqrstuu2r9OfJnfCsdneAXAGHnS4UpFFP8WIrW\n";

pub(crate) struct Certificates {
    pub(crate) ca: String,
    pub(crate) cert: String,
    pub(crate) key: String,
}

impl Certificates {
    /// An authority and a certificate of it for 127.0.0.1.
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let ca = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
        let cert = params.signed_by(&key, &ca).unwrap();
        Self { ca: ca.pem(), cert: cert.pem(), key: key.serialize_pem() }
    }

    /// The program with TLS and one user, in a folder with everything.
    fn start(&self, args: &[&str], config: &str, password: &str) -> Server {
        let files = [
            ("prometheus.yml", config),
            ("web.yml", WEB),
            ("ca.pem", &self.ca),
            ("hub.pem", &self.cert),
            ("hub.key", &self.key),
            ("password", password),
        ];
        let mut all = vec!["--web.config.file=web.yml", "--web.listen-address=127.0.0.1:{port}"];
        all.splice(0..0, args.iter().copied());
        let mut server = Server::prepare(NAVE, &all, &files, "/-/ready");
        server.launch();
        server
    }

    /// Status and body by HTTPS, once the server answers.
    async fn get(&self, server: &Server, path: &str, password: &str) -> (u16, String) {
        // The TLS provider of this process.
        drop(client());
        let tls = TlsSettings { ca: self.ca.clone(), ..TlsSettings::default() };
        let login = BasicAuth {
            username: "spoke".to_owned(),
            password: Secret::new(password),
            ..BasicAuth::default()
        };
        let settings = Settings { tls_config: Some(tls), basic_auth: Some(login), ..Settings::default() };
        let client = Client::new(&settings, "test").unwrap();
        let mut url = Url::parse(&format!("https://127.0.0.1:{}", server.port)).unwrap();
        let (path, query) = path.split_once('?').map_or((path, None), |(path, query)| (path, Some(query)));
        url.set_path(path);
        url.set_query(query);
        let url = &url;
        let client = &client;
        let answer = server.until("an answer by HTTPS", || async move {
            client.send(Request::get(url.clone(), crate::harness::PATIENCE)).await.ok()
        });
        let answer = answer.await;
        let status = answer.status().as_u16();
        (status, String::from_utf8(answer.bytes(10 << 20).await.unwrap().to_vec()).unwrap())
    }

    async fn wait_for(&self, server: &Server, path: &str, text: &str) {
        let found = || async { self.get(server, path, "secret").await.1.contains(text).then_some(()) };
        server.until(&format!("{text} at {path}"), found).await;
    }
}

fn pushing(hub: &Server, job: &str) -> String {
    format!(
        "global: {{scrape_interval: 1s, scrape_timeout: 1s}}\n\
         scrape_configs:\n  - job_name: {job}\n    static_configs: [{{targets: ['127.0.0.1:1']}}]\n\
         remote_write:\n  - url: https://127.0.0.1:{}/api/v1/write\n    tls_config: {{ca_file: ca.pem}}\n\
         \x20   basic_auth: {{username: spoke, password_file: password}}\n",
        hub.port
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_password_stores_nothing_and_the_right_one_does() {
    let certificates = Certificates::new();
    let hub = certificates.start(
        &["--config.file=prometheus.yml", "--storage.tsdb.path=data", "--web.enable-remote-write-receiver"],
        "global: {}\n",
        "",
    );
    certificates.wait_for(&hub, "/-/ready", "Ready").await;
    assert_eq!(certificates.get(&hub, "/-/healthy", "wrong").await.0, 401);

    let agent = ["--agent", "--config.file=prometheus.yml", "--storage.agent.path=data-agent"];
    let wrong = certificates.start(&agent, &pushing(&hub, "wrong"), "guess\n");
    let right = certificates.start(&agent, &pushing(&hub, "right"), "secret\n");
    certificates.wait_for(&hub, "/api/v1/query?query=up", "\"job\":\"right\"").await;
    let said = || async { wrong.log().to_lowercase().contains("authentication").then_some(()) };
    wrong.until("the log names authentication", said).await;

    let (_, answer) = certificates.get(&hub, "/api/v1/query?query=up", "secret").await;
    assert!(!answer.contains("\"job\":\"wrong\""), "{answer}");
    let (_, page) = certificates.get(&hub, "/metrics", "secret").await;
    let refused =
        page.lines().find(|line| line.starts_with("nave_http_auth_failures_total{reason=\"wrong\"}"));
    assert!(refused.is_some_and(|line| !line.ends_with(" 0")), "{refused:?}");
    for server in [&hub, &wrong, &right] {
        let log = server.log();
        assert!(!log.contains("guess") && !log.contains("$2b$"), "{log}");
    }
    assert!(hub.log().contains("authentication failed"), "{}", hub.log());
    // The agents listen by the same rules.
    assert_eq!(certificates.get(&right, "/-/healthy", "secret").await.0, 200);
    assert_eq!(certificates.get(&right, "/-/healthy", "wrong").await.0, 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_exporter_has_tls_and_a_broken_file_stops_the_start() {
    let certificates = Certificates::new();
    let exporter = certificates.start(&["exporter", "node"], "", "");
    certificates.wait_for(&exporter, "/metrics", "node_load1").await;
    assert_eq!(certificates.get(&exporter, "/metrics", "wrong").await.0, 401);

    let files = [("web.yml", "basic_auth_users:\n  spoke: secret\n")];
    let mut broken = Server::prepare(NAVE, &["exporter", "node", "--web.config.file=web.yml"], &files, "/");
    broken.launch();
    let said = || async { broken.log().contains("web.yml:2:10: ").then_some(()) };
    broken.until("the place of the error", said).await;
    assert!(broken.log().contains("expected a bcrypt hash"), "{}", broken.log());
}

/// The name in a verified client certificate says which cluster writes: no token, no password.
#[tokio::test(flavor = "multi_thread")]
async fn a_client_certificate_is_a_cluster() {
    drop(client());
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let issue = |common: &str, san: &str| {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![san.to_owned()]).unwrap();
        params.distinguished_name.push(DnType::CommonName, common);
        (params.signed_by(&key, &ca).unwrap().pem(), key.serialize_pem())
    };
    let own = issue("hub", "127.0.0.1");
    let web = "tls_server_config: {cert_file: hub.pem, key_file: hub.key, client_auth_type: RequireAndVerifyClientCert, client_ca_file: ca.pem}\n";
    let clusters = "clusters:\n  spoke1: {client_certificate: [spoke1.internal]}\n  spoke2: {client_certificate: [spoke2]}\n";
    let files = [
        ("prometheus.yml", "global: {}\n"),
        ("web.yml", web),
        ("clusters.yml", clusters),
        ("ca.pem", &ca.pem()),
        ("hub.pem", &own.0),
        ("hub.key", &own.1),
    ];
    let args = [
        "hub",
        "--config.file=prometheus.yml",
        "--storage.tsdb.path=data",
        "--web.config.file=web.yml",
        "--web.listen-address=127.0.0.1:{port}",
        "--clusters.file=clusters.yml",
    ];
    let mut hub = Server::prepare(NAVE, &args, &files, "/-/ready");
    hub.launch();
    let mut agents = Vec::new();
    for (common, san) in
        [("first", "spoke1.internal"), ("spoke2", "two.internal"), ("stranger", "three.internal")]
    {
        let (cert, key) = issue(common, san);
        let config = pushing(&hub, common).replace(
            "{ca_file: ca.pem}\n    basic_auth: {username: spoke, password_file: password}",
            "{ca_file: ca.pem, cert_file: own.pem, key_file: own.key}",
        );
        assert!(config.contains("own.pem"), "{config}");
        let files = [
            ("prometheus.yml", config.as_str()),
            ("ca.pem", &ca.pem()),
            ("own.pem", &cert),
            ("own.key", &key),
        ];
        let args = [
            "--agent",
            "--config.file=prometheus.yml",
            "--storage.agent.path=data-agent",
            "--web.listen-address=127.0.0.1:{port}",
        ];
        agents.push(Server::start(NAVE, &args, &files, "/-/ready").await);
    }
    let (cert, key) = issue("reader", "reader.internal");
    let key = Secret::new(&key);
    let tls = TlsSettings { ca: ca.pem(), cert, key, ..TlsSettings::default() };
    let reader = Client::new(&Settings { tls_config: Some(tls), ..Settings::default() }, "test").unwrap();
    let page = |path: &'static str, query: Option<&'static str>| {
        let mut url = Url::parse(&format!("https://127.0.0.1:{}", hub.port)).unwrap();
        url.set_path(path);
        url.set_query(query);
        let reader = &reader;
        async move {
            let answer = reader.send(Request::get(url, crate::harness::PATIENCE)).await.ok()?;
            String::from_utf8(answer.bytes(10 << 20).await.ok()?.to_vec()).ok()
        }
    };
    let found = || async {
        let answer = page("/api/v1/query", Some("query=up")).await?;
        let pair = |cluster: &str, job: &str| {
            answer.contains(&format!("\"cluster\":\"{cluster}\""))
                && answer.contains(&format!("\"job\":\"{job}\""))
        };
        (pair("spoke1", "first") && pair("spoke2", "spoke2")).then_some(answer)
    };
    hub.until("series of both clusters", found).await;
    let refused = || async {
        let metrics = page("/metrics", None).await?;
        let line =
            metrics.lines().find(|line| line.contains("unauthorized_requests_total{reason=\"unknown\"}"))?;
        (!line.ends_with(" 0")).then_some(())
    };
    hub.until("the stranger is refused", refused).await;
    let answer = page("/api/v1/query", Some("query=up")).await.unwrap();
    assert!(!answer.contains("stranger"), "{answer}");
}
