//! The server on the loopback, asked by the client of this crate and by raw sockets.

use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::extract::Path;
use axum::routing::{get, post};
use bytes::Bytes;
use nave_base::Shutdown;
use nave_base::clock::{FakeClock, SharedClock, SystemClock};
use nave_base::metric::{Format, Registry};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

use super::*;
use crate::client::{Client, Method, Request, Response, Settings, Url};

const TIMEOUT: Duration = Duration::from_secs(5);

struct Running {
    address: SocketAddr,
    registry: Registry,
    shutdown: Shutdown,
    task: JoinHandle<()>,
}

fn routes() -> Router {
    Router::new()
        .route("/", get(|| async { "home" }))
        .route("/api/v1/label/{name}/values", get(|Path(name): Path<String>| async move { name }))
        .route("/long", get(|| async { "x".repeat(5000) }))
        .route("/length", post(|body: Bytes| async move { body.len().to_string() }))
        .route("/panic", get(panics))
}

async fn panics() -> &'static str {
    let empty: Vec<u8> = Vec::new();
    assert!(!empty.is_empty(), "on purpose");
    ""
}

async fn start(layers: LayerOptions, options: ServeOptions, clock: SharedClock) -> Running {
    let registry = Registry::default();
    let router = layered(routes(), layers, Metrics::register(&registry));
    let listeners = Listeners::bind(&["127.0.0.1:0"]).await.unwrap();
    let address = listeners.addresses()[0];
    let shutdown = Shutdown::new();
    let task = tokio::spawn(serve(listeners, router, options, clock, shutdown.clone()));
    Running { address, registry, shutdown, task }
}

async fn start_default() -> Running {
    start(LayerOptions::default(), ServeOptions::default(), SystemClock::shared()).await
}

impl Running {
    async fn send(&self, method: Method, path: &str, headers: &[(&'static str, &str)]) -> Response {
        let url = Url::parse(&format!("http://{}{path}", self.address)).unwrap();
        let mut request = Request::get(url, TIMEOUT);
        request.method = method;
        for (name, value) in headers {
            request.headers.insert(*name, value.parse().unwrap());
        }
        let settings = Settings { follow_redirects: Some(false), ..Settings::default() };
        Client::new(&settings, "test").unwrap().send(request).await.unwrap()
    }

    async fn get(&self, path: &str) -> (u16, String) {
        let response = self.send(Method::GET, path, &[]).await;
        let status = response.status().as_u16();
        (status, String::from_utf8(response.bytes(10_000).await.unwrap().to_vec()).unwrap())
    }

    async fn stop(self) {
        self.shutdown.cancel();
        self.task.await.unwrap();
    }
}

#[tokio::test]
async fn counts_by_route_template() {
    let server = start_default().await;
    assert_eq!(server.get("/api/v1/label/a%2Fb/values").await, (200, "a/b".to_owned()));
    assert_eq!(server.get("/nothing/a").await, (404, "404 page not found\n".to_owned()));
    assert_eq!(server.get("/nothing/b").await.0, 404);
    let page = server.registry.page(Format::Text);
    for line in [
        "prometheus_http_requests_total{handler=\"/api/v1/label/:name/values\",code=\"200\"} 1\n",
        "prometheus_http_requests_total{handler=\"not_found\",code=\"404\"} 2\n",
        "prometheus_http_response_size_bytes_bucket{handler=\"/api/v1/label/:name/values\",le=\"100\"} 1\n",
        "prometheus_http_request_duration_seconds_count{handler=\"/api/v1/label/:name/values\"} 1\n",
    ] {
        assert!(page.contains(line), "{line} not in {page}");
    }
    server.stop().await;
}

#[tokio::test]
async fn a_panic_is_a_500_for_that_request() {
    let server = start_default().await;
    let (status, body) = server.get("/panic").await;
    assert_eq!(status, 500);
    assert!(body.starts_with(r#"{"status":"error","errorType":"internal","#), "{body}");
    assert_eq!(server.get("/").await, (200, "home".to_owned()));
    server.stop().await;
}

#[tokio::test]
async fn compresses_when_asked() {
    let server = start_default().await;
    for (accept, packed) in
        [("gzip", true), ("deflate, gzip;q=0.5", true), ("gzip;q=0", false), ("br", false)]
    {
        let response = server.send(Method::GET, "/long", &[("accept-encoding", accept)]).await;
        assert_eq!(response.header("content-encoding") == Some("gzip"), packed, "{accept}");
        let body = response.bytes(10_000).await.unwrap();
        let mut text = String::new();
        if packed {
            std::io::Read::read_to_string(&mut flate2::read::GzDecoder::new(&body[..]), &mut text).unwrap();
        } else {
            text = String::from_utf8(body.to_vec()).unwrap();
        }
        assert_eq!(text, "x".repeat(5000), "{accept}");
    }
    server.stop().await;
}

#[tokio::test]
async fn other_origins_need_permission() {
    let layers = LayerOptions {
        cors_origin: Some(CorsOrigin::new(r"https?://(a|b)\.test").unwrap()),
        ..LayerOptions::default()
    };
    let server = start(layers, ServeOptions::default(), SystemClock::shared()).await;
    for (path, origin, allowed) in [
        ("/api/v1/label/x/values", "http://a.test", true),
        ("/api/v1/label/x/values", "http://a.test.evil", false),
        ("/long", "http://a.test", false),
    ] {
        let response = server.send(Method::GET, path, &[("origin", origin)]).await;
        let expect = allowed.then_some(origin);
        assert_eq!(response.header("access-control-allow-origin"), expect, "{path} {origin}");
    }
    let preflight = server.send(Method::OPTIONS, "/api/v1/query", &[("origin", "https://b.test")]).await;
    assert_eq!(preflight.status().as_u16(), 204);
    assert_eq!(preflight.header("access-control-allow-methods"), Some("GET, POST, OPTIONS"));
    server.stop().await;
}

#[tokio::test]
async fn routes_live_under_the_prefix() {
    let layers = LayerOptions { route_prefix: "/prom/".into(), ..LayerOptions::default() };
    let server = start(layers, ServeOptions::default(), SystemClock::shared()).await;
    assert_eq!(server.get("/prom/api/v1/label/x/values").await, (200, "x".to_owned()));
    assert_eq!(server.get("/prom").await, (200, "home".to_owned()));
    assert_eq!(server.get("/prom/").await, (200, "home".to_owned()));
    assert_eq!(server.get("/long").await.0, 404);
    let response = server.send(Method::GET, "/", &[]).await;
    assert_eq!((response.status().as_u16(), response.header("location")), (303, Some("/prom/")));
    let page = server.registry.page(Format::Text);
    assert!(page.contains(r#"{handler="/api/v1/label/:name/values",code="200"} 1"#), "{page}");
    server.stop().await;
}

#[tokio::test]
async fn bodies_are_bounded() {
    let layers = LayerOptions { body_bytes_max: 100, ..LayerOptions::default() };
    let server = start(layers, ServeOptions::default(), SystemClock::shared()).await;
    let client = Client::new(&Settings::default(), "test").unwrap();
    for (len, status) in [(100, 200), (101, 413)] {
        let url = Url::parse(&format!("http://{}/length", server.address)).unwrap();
        let response = client.send(Request::post(url, vec![0; len].into(), TIMEOUT)).await.unwrap();
        assert_eq!(response.status().as_u16(), status, "{len}");
    }
    server.stop().await;
}

#[tokio::test]
async fn addresses_may_be_typed_as_they_are() {
    let server = start_default().await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    for _ in 0..2 {
        let request = b"GET /api/v1/label/x/values?match[]=up{a=\"<b>\"} HTTP/1.1\r\nhost: x\r\n\r\n";
        stream.write_all(request).await.unwrap();
        let mut buffer = vec![0; 1000];
        let count = stream.read(&mut buffer).await.unwrap();
        assert!(buffer[..count].starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&buffer));
    }
    server.stop().await;
}

#[tokio::test]
async fn connections_over_the_limit_wait() {
    let options = ServeOptions { max_connections: 1, ..ServeOptions::default() };
    let server = start(LayerOptions::default(), options, SystemClock::shared()).await;
    let request = b"GET / HTTP/1.1\r\nhost: anything at all\r\n\r\n";
    let mut first = TcpStream::connect(server.address).await.unwrap();
    first.write_all(request).await.unwrap();
    let mut buffer = [0; 12];
    first.read_exact(&mut buffer).await.unwrap();
    assert_eq!(&buffer, b"HTTP/1.1 200");
    let mut second = TcpStream::connect(server.address).await.unwrap();
    second.write_all(request).await.unwrap();
    let waited = tokio::time::timeout(Duration::from_millis(50), second.read_exact(&mut buffer)).await;
    assert!(waited.is_err(), "the second connection was served beside the first");
    drop(first);
    second.read_exact(&mut buffer).await.unwrap();
    assert_eq!(&buffer, b"HTTP/1.1 200");
    server.stop().await;
}

#[tokio::test]
async fn shutdown_cuts_off_what_does_not_end() {
    let clock = FakeClock::at(0);
    let server = start(LayerOptions::default(), ServeOptions::default(), clock.clone()).await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    stream.write_all(b"POST /length HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\n12345").await.unwrap();
    // The read timeout of the request in flight.
    while clock.sleepers() == 0 {
        tokio::task::yield_now().await;
    }
    server.shutdown.cancel();
    while clock.sleepers() < 2 {
        tokio::task::yield_now().await;
    }
    assert!(!server.task.is_finished());
    clock.advance(ServeOptions::default().shutdown_timeout);
    server.task.await.unwrap();
    assert_eq!(stream.read(&mut [0; 10]).await.unwrap_or(0), 0);
}

#[tokio::test]
async fn slow_bodies_time_out() {
    let clock = FakeClock::at(0);
    let server = start(LayerOptions::default(), ServeOptions::default(), clock.clone()).await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    stream.write_all(b"POST /length HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\n12345").await.unwrap();
    while clock.sleepers() == 0 {
        tokio::task::yield_now().await;
    }
    clock.advance(ServeOptions::default().read_timeout);
    let mut buffer = [0; 12];
    stream.read_exact(&mut buffer).await.unwrap();
    assert_eq!(&buffer, b"HTTP/1.1 400");
    server.stop().await;
}

#[tokio::test]
async fn a_taken_address_is_named() {
    let first = Listeners::bind(&["127.0.0.1:0"]).await.unwrap();
    let address = first.addresses()[0].to_string();
    let error = Listeners::bind(&[&address]).await.unwrap_err().to_string();
    assert!(error.contains(&address) && error.contains("in use"), "{error}");
}

#[tokio::test]
async fn a_request_ends_when_its_client_goes_away() {
    let (ended, mut has_ended) = tokio::sync::mpsc::unbounded_channel::<&'static str>();
    let wait = move || {
        let ended = ended.clone();
        async move {
            let _ = ended.send("begun");
            // Sends when the request is dropped.
            let token = Shutdown::new();
            let _dropped = token.clone().drop_guard();
            tokio::spawn(async move {
                token.cancelled().await;
                let _ = ended.send("dropped");
            });
            std::future::pending::<()>().await;
        }
    };
    let listeners = Listeners::bind(&["127.0.0.1:0"]).await.unwrap();
    let address = listeners.addresses()[0];
    let shutdown = Shutdown::new();
    let router = Router::new().route("/", get(wait));
    let task = tokio::spawn(serve(
        listeners,
        router,
        ServeOptions::default(),
        SystemClock::shared(),
        shutdown.clone(),
    ));
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    assert_eq!(has_ended.recv().await, Some("begun"));
    drop(stream);
    assert_eq!(has_ended.recv().await, Some("dropped"));
    shutdown.cancel();
    task.await.unwrap();
}
