//! The sender's transport against a real HTTP server, and against nothing at all.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, Response};
use bytes::Bytes;
use nave_base::clock::{FakeClock, SystemClock};
use nave_model::duration::PromDuration;
use parking_lot::Mutex;
use std::time::Duration;

use nave_wire::remote_write::Message;

use super::transport::{Answer, Body as Sent, HttpTransport, Refusal, Transport as _};
use crate::RemoteWriteConfig;

type Late = Arc<Mutex<Vec<(u16, Option<&'static str>)>>>;
type Script = Arc<Mutex<(Vec<(u16, Option<&'static str>)>, Vec<HeaderMap>)>>;

async fn answer(State(script): State<Script>, headers: HeaderMap, body: Bytes) -> Response<Body> {
    let (status, retry_after) = {
        let mut script = script.lock();
        script.1.push(headers);
        script.0.remove(0)
    };
    let mut response = Response::builder().status(status);
    if let Some(wait) = retry_after {
        response = response.header("Retry-After", wait);
    }
    response.body(Body::from(format!("got {} bytes", body.len()))).unwrap()
}

async fn serve(script: Script) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = Router::new().route("/write", axum::routing::post(answer)).with_state(script);
    tokio::spawn(async move { axum::serve(listener, router).await });
    format!("http://{address}/write")
}

fn body(message: Message) -> Sent {
    Sent { message, bytes: Bytes::from_static(b"body"), ..Sent::default() }
}

fn transport(config: &RemoteWriteConfig) -> HttpTransport {
    HttpTransport::new(config, FakeClock::at(0)).unwrap()
}

#[tokio::test]
async fn statuses_mean_what_the_protocol_says() {
    let script = Script::default();
    let mut config = RemoteWriteConfig::new(&serve(script.clone()).await);
    config.headers.insert("X-Scope-OrgID".to_owned(), "team".to_owned());
    let transport = transport(&config);
    let later = |status: &str, wait: Option<u64>, too_many| Answer::Later {
        cause: format!("server returned HTTP status {status}: got 4 bytes"),
        wait: wait.map(Duration::from_secs),
        too_many,
    };
    let refused = |status: &str, refusal| Answer::Refused {
        cause: format!("server returned HTTP status {status}: got 4 bytes"),
        refusal,
    };
    let (script, transport) = (&script, &transport);
    let check = |status: u16, retry_after: Option<&'static str>, want: Answer| async move {
        script.lock().0.push((status, retry_after));
        assert_eq!(transport.post(body(Message::V1), 2).await, want, "{status}");
    };
    check(204, None, Answer::Delivered).await;
    check(200, None, Answer::Delivered).await;
    check(503, None, later("503 Service Unavailable", None, false)).await;
    check(503, Some("7"), later("503 Service Unavailable", Some(7), false)).await;
    check(500, Some("soon"), later("500 Internal Server Error", None, false)).await;
    check(429, Some("1"), later("429 Too Many Requests", Some(1), true)).await;
    check(
        304,
        None,
        Answer::Later {
            cause: "server returned HTTP status 304 Not Modified: ".to_owned(),
            wait: None,
            too_many: false,
        },
    )
    .await;
    check(400, None, refused("400 Bad Request", Refusal::Divisible)).await;
    check(404, None, refused("404 Not Found", Refusal::Final)).await;
    check(413, None, refused("413 Payload Too Large", Refusal::Divisible)).await;
    check(415, None, refused("415 Unsupported Media Type", Refusal::Message)).await;
    let headers = script.lock().1[0].clone();
    for (name, want) in [
        ("content-type", "application/x-protobuf"),
        ("content-encoding", "snappy"),
        ("x-prometheus-remote-write-version", "0.1.0"),
        ("x-scope-orgid", "team"),
        ("retry-attempt", "2"),
    ] {
        assert_eq!(headers[name], want, "{name}");
    }
    script.lock().0.push((204, None));
    let second = transport.post(body(Message::V2), 0).await;
    assert_eq!(second, Answer::Delivered);
    let headers = script.lock().1.last().unwrap().clone();
    assert_eq!(headers["content-type"], "application/x-protobuf;proto=io.prometheus.write.v2.Request");
    assert_eq!(headers["x-prometheus-remote-write-version"], "2.0.0");
}

#[tokio::test]
async fn a_refusal_that_says_what_was_written_is_partial() {
    let answer = || async {
        let names =
            ["x-prometheus-remote-write-samples-written", "x-prometheus-remote-write-exemplars-written"];
        let response = Response::builder().status(400).header(names[0], "3").header(names[1], "1");
        response.body(Body::from("no")).unwrap()
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let config = RemoteWriteConfig::new(&format!("http://{}/write", listener.local_addr().unwrap()));
    let router = Router::new().route("/write", axum::routing::post(answer));
    tokio::spawn(async move { axum::serve(listener, router).await });
    let got = transport(&config).post(body(Message::V2), 0).await;
    let cause = "server returned HTTP status 400 Bad Request: no".to_owned();
    assert_eq!(got, Answer::Refused { cause, refusal: Refusal::Partial([3, 0, 1]) });
}

#[tokio::test]
async fn who_takes_late_samples_says_so() {
    let answers: Late = Arc::new(Mutex::new(vec![
        (503, Some("accepted")),
        (204, None),
        (204, Some("accepted")),
        (502, None),
    ]));
    let answer = |State(answers): State<Late>| async move {
        let (status, late) = answers.lock().remove(0);
        let response = Response::builder().status(status);
        let response = if let Some(late) = late { response.header("X-Nave-Late", late) } else { response };
        response.body(Body::empty()).unwrap()
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let config = RemoteWriteConfig::new(&format!("http://{}/write", listener.local_addr().unwrap()));
    let router = Router::new().route("/write", axum::routing::post(answer)).with_state(answers);
    tokio::spawn(async move { axum::serve(listener, router).await });
    let transport = transport(&config);
    let mut says = vec![transport.takes_late()];
    for _ in 0..4 {
        transport.post(body(Message::V1), 0).await;
        says.push(transport.takes_late());
    }
    // The last answer is a proxy's.
    assert_eq!(says, [false, true, false, true, true]);
}

#[test]
fn passwords_stay_out_of_logs_and_labels() {
    let check = |url: &str, want: &str| assert_eq!(super::redacted(url), want);
    check("http://hub/api/v1/write", "http://hub/api/v1/write");
    check("http://me:secret@hub/api", "http://me:xxxxx@hub/api");
    check("http://me@hub", "http://me@hub");
}

#[tokio::test]
async fn causes_are_told_apart() {
    let cause = |config: RemoteWriteConfig| async move {
        let transport = HttpTransport::new(&config, SystemClock::shared()).unwrap();
        match transport.post(body(Message::V1), 0).await {
            Answer::Later { cause, wait: None, too_many: false } => cause,
            other => panic!("{other:?}"),
        }
    };
    // A port that was free a moment ago.
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let refused = cause(RemoteWriteConfig::new(&format!("http://{address}/write"))).await;
    assert!(refused.contains("connection refused"), "{refused}");
    // Takes connections and never answers.
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = silent.local_addr().unwrap();
    let mut config = RemoteWriteConfig::new(&format!("http://{address}/write"));
    config.remote_timeout = PromDuration::from_ms(50);
    let timeout = cause(config).await;
    assert!(timeout.contains("deadline exceeded"), "{timeout}");
    let dns = cause(RemoteWriteConfig::new("http://no-such-host.invalid/write")).await;
    assert!(dns.contains("lookup no-such-host.invalid"), "{dns}");
    // Speaks HTTP where TLS is expected.
    let plain = serve(Script::default()).await;
    let tls = cause(RemoteWriteConfig::new(&plain.replace("http://", "https://"))).await;
    assert!(tls.contains("tls"), "{tls}");
}
