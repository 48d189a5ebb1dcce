//! The client against servers on the loopback.

use std::time::Duration;

use axum::Router;
use axum::http::HeaderMap;
use axum::routing::{get, post};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;

const TIMEOUT: Duration = Duration::from_secs(5);

async fn serve(router: Router) -> Url {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    Url::parse(&format!("http://{address}/")).unwrap()
}

fn client(yaml: &str) -> Client {
    Client::new(&serde_saphyr::from_str(yaml).unwrap(), "test").unwrap()
}

async fn get_text(client: &Client, url: &Url) -> String {
    let response = client.send(Request::get(url.clone(), TIMEOUT)).await.unwrap();
    String::from_utf8(response.bytes(1000).await.unwrap().to_vec()).unwrap()
}

fn echo() -> Router {
    let show = |headers: HeaderMap| async move {
        let mut lines: Vec<_> = headers
            .iter()
            .filter(|(name, _)| !matches!(name.as_str(), "host" | "accept"))
            .map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()))
            .collect();
        lines.sort();
        lines.join("\n")
    };
    Router::new().route("/", get(show))
}

#[tokio::test]
async fn credentials_become_headers() {
    let url = serve(echo()).await;
    let agent = concat!("\nuser-agent: nave/", env!("CARGO_PKG_VERSION"));
    for (yaml, expect) in [
        (
            "{basic_auth: {username: Aladdin, password: open sesame}}",
            "authorization: Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==",
        ),
        ("{authorization: {credentials: abc}}", "authorization: Bearer abc"),
        ("{authorization: {type: ApiKey, credentials: abc}}", "authorization: ApiKey abc"),
        ("{bearer_token: abc}", "authorization: Bearer abc"),
        ("{http_headers: {X-Scope: {values: [a], secrets: [b]}}}", "x-scope: a\nx-scope: b"),
    ] {
        let got = get_text(&client(yaml), &url).await;
        let expect = match expect.starts_with('x') {
            true => format!("{}\n{expect}", &agent[1..]),
            false => format!("{expect}{agent}"),
        };
        assert_eq!(got, expect, "{yaml}");
    }
}

#[tokio::test]
async fn credential_files_are_read_again() {
    let url = serve(echo()).await;
    let file = tempfile::NamedTempFile::new().unwrap();
    let client = client(&format!("{{authorization: {{credentials_file: {}}}}}", file.path().display()));
    for token in ["first", "second"] {
        std::fs::write(file.path(), format!("{token}\n")).unwrap();
        assert!(get_text(&client, &url).await.contains(&format!("Bearer {token}\n")));
    }
    let path = file.path().to_owned();
    drop(file);
    let error = client.send(Request::get(url, TIMEOUT)).await.unwrap_err();
    assert!(matches!(&error, Error::CredentialFile { file, .. } if *file == path), "{error}");
}

#[tokio::test]
async fn oauth2_tokens_are_kept() {
    let asked = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let count = asked.clone();
    let token = move |headers: HeaderMap, body: String| async move {
        let number = count.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        assert_eq!(body, "grant_type=client_credentials&scope=a+b&audience=x");
        assert!(headers["authorization"].to_str().unwrap().starts_with("Basic "));
        format!(r#"{{"access_token":"t{number}","token_type":"bearer","expires_in":3600}}"#)
    };
    let url = serve(echo().route("/token", post(token))).await;
    let client = client(&format!(
        "{{oauth2: {{client_id: c, client_secret: s, scopes: [a, b], endpoint_params: {{audience: x}}, token_url: '{url}token'}}}}"
    ));
    for _ in 0..2 {
        assert!(get_text(&client, &url).await.contains("authorization: Bearer t0\n"));
    }
    assert_eq!(asked.load(std::sync::atomic::Ordering::SeqCst), 1);
}

#[tokio::test]
async fn redirects_are_followed_unless_turned_off() {
    let moved = || async { (StatusCode::FOUND, [("location", "/")]) };
    let url = serve(Router::new().route("/", get(|| async { "here" })).route("/old", get(moved))).await;
    let old = url.join("old").unwrap();
    assert_eq!(get_text(&client("{}"), &old).await, "here");
    let response = client("{follow_redirects: false}").send(Request::get(old, TIMEOUT)).await.unwrap();
    assert_eq!(response.status(), StatusCode::FOUND);
}

#[tokio::test]
async fn bodies_are_bounded() {
    let url = serve(Router::new().route("/", get(|| async { "x".repeat(1000) }))).await;
    let response = client("{}").send(Request::get(url.clone(), TIMEOUT)).await.unwrap();
    assert_eq!(response.bytes(999).await.unwrap_err(), Error::TooLarge { limit: 999 });
    let response = client("{}").send(Request::get(url, TIMEOUT)).await.unwrap();
    assert_eq!(response.bytes(1000).await.unwrap().len(), 1000);
}

/// Answers each connection with `bytes` after it has read something, then closes or holds it.
async fn raw_server(bytes: &'static [u8], hold: bool) -> Url {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let mut held = Vec::new();
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut buffer = [0; 1024];
            let _ = stream.read(&mut buffer).await;
            let _ = stream.write_all(bytes).await;
            if hold {
                held.push(stream);
            }
        }
    });
    Url::parse(&format!("http://{address}/")).unwrap()
}

async fn failure(url: &str, timeout: Duration) -> Error {
    let request = Request::get(Url::parse(url).unwrap(), timeout);
    match client("{}").send(request).await {
        Err(error) => error,
        Ok(response) => response.bytes(1000).await.unwrap_err(),
    }
}

#[tokio::test]
async fn failures_are_told_apart() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    drop(listener);
    assert_eq!(failure(&format!("http://{address}/"), TIMEOUT).await, Error::Refused { address });

    let silent = raw_server(b"", true).await;
    let short = Duration::from_millis(50);
    assert_eq!(failure(silent.as_str(), short).await, Error::Timeout(short));

    let closing = raw_server(b"", false).await;
    assert!(matches!(failure(closing.as_str(), TIMEOUT).await, Error::Reset(_)));

    let half = raw_server(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf", false).await;
    let error = failure(half.as_str(), TIMEOUT).await;
    assert!(matches!(error, Error::Reset(_)), "{error:?}");

    let garbage = raw_server(b"SSH-2.0-x\r\n", false).await;
    let error = failure(garbage.as_str(), TIMEOUT).await;
    assert!(matches!(error, Error::Protocol(_)), "{error:?}");

    let plain = raw_server(b"HTTP/1.1 400 Bad Request\r\n\r\n", false).await;
    let error = failure(&plain.as_str().replace("http", "https"), TIMEOUT).await;
    assert!(matches!(error, Error::Tls(_)), "{error:?}");

    // `.invalid` never resolves, with or without a network.
    let error = failure("http://nave.invalid/", TIMEOUT).await;
    assert!(matches!(error, Error::Dns { .. }), "{error:?}");
}

#[test]
fn missing_tls_files_are_named() {
    let settings = serde_saphyr::from_str("{tls_config: {ca_file: /nonexistent/ca.pem}}").unwrap();
    let error = Client::new(&settings, "test").unwrap_err().to_string();
    assert!(error.contains("unable to read file /nonexistent/ca.pem"), "{error}");
}

const TESTDATA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/testdata");

/// A server with a self-signed certificate for `nave.test`; answers one request per connection.
fn tls_server() -> Url {
    use rustls::pki_types::pem::PemObject;
    use rustls::pki_types::{CertificateDer, PrivateKeyDer};
    use std::io::{Read, Write};

    let chain = vec![CertificateDer::from_pem_file(format!("{TESTDATA}/self-signed.pem")).unwrap()];
    let key = PrivateKeyDer::from_pem_file(format!("{TESTDATA}/self-signed.key")).unwrap();
    let provider = std::sync::Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    let config = std::sync::Arc::new(config);
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let connection = rustls::ServerConnection::new(config.clone()).unwrap();
            let mut stream = rustls::StreamOwned::new(connection, stream.unwrap());
            // A client that trusts nobody ends the handshake.
            if stream.read(&mut [0; 1024]).is_ok() {
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok");
            }
        }
    });
    Url::parse(&format!("https://{address}/")).unwrap()
}

#[tokio::test]
async fn servers_are_trusted_as_configured() {
    let url = tls_server();
    let unknown = "certificate signed by unknown authority";
    for (tls, expect) in [
        ("{insecure_skip_verify: true}", Ok(())),
        ("{insecure_skip_verify: true, max_version: TLS12}", Ok(())),
        ("{ca_file: self-signed.pem, server_name: nave.test}", Ok(())),
        ("{ca_file: self-signed.pem, server_name: other.test}", Err("certificate is not valid for")),
        ("{ca_file: self-signed.pem}", Err("certificate is not valid for 127.0.0.1")),
        ("{ca_file: other.pem, server_name: nave.test}", Err(unknown)),
    ] {
        let mut settings: Settings = serde_saphyr::from_str(&format!("{{tls_config: {tls}}}")).unwrap();
        settings.resolve_paths(std::path::Path::new(TESTDATA));
        let client = Client::new(&settings, "test").unwrap();
        match (client.send(Request::get(url.clone(), TIMEOUT)).await, expect) {
            (Ok(response), Ok(())) => assert_eq!(&response.bytes(10).await.unwrap()[..], b"ok", "{tls}"),
            (Err(error), Err(text)) => assert!(error.to_string().contains(text), "{tls}: {error}"),
            (got, expect) => panic!("{tls}: {got:?}, expected {expect:?}"),
        }
    }
}
