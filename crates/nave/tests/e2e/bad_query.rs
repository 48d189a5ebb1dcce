//! Queries that ask for too much: each ends in a clear error within its limits, while writes and other queries go on.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use nave_base::clock::SystemClock;
use nave_model::label::Labels;
use nave_model::time::Timestamp;
use nave_wire::write_v1::Encoder;
use serde_json::Value;

use crate::harness::{Server, client};

const SERIES: usize = 4_000;
const LIMITS: [&str; 2] = ["--query.memory-limit=100MB", "--query.timeout=10s"];
/// A query may take its timeout, and some more until it looks at the clock.
const ENDS_WITHIN: Duration = Duration::from_secs(25);

/// A query and what its error says, with its kind.
struct Case {
    query: String,
    steps: i64,
    kind: &'static str,
    /// One of them.
    says: &'static [&'static str],
}

fn case(query: impl Into<String>, steps: i64, kind: &'static str, says: &'static [&'static str]) -> Case {
    Case { query: query.into(), steps, kind, says }
}

/// A limit on memory or samples, whichever is met first.
const LIMIT: &[&str] = &["--query.memory-limit", "too many samples"];

fn cases() -> Vec<Case> {
    let nested = |text: &str| text.repeat(100_000);
    vec![
        case(format!("{}1{}", nested("("), nested(")")), 1, "bad_data", &["nested deeper than"]),
        case(format!("{}m", nested("-")), 1, "bad_data", &["nested deeper than"]),
        case(format!("m{}", " + m".repeat(250_000)), 1, "bad_data", &["operators in a chain"]),
        case("m[99999999999y]", 1, "bad_data", &["duration"]),
        case("m offset 99999999999y", 1, "bad_data", &["duration"]),
        case("m @ 1e300", 1, "bad_data", &["timestamp"]),
        case(r#"m{i=~"((((a{999}){999}){999}){999})"}"#, 1, "bad_data", &["regex", "repetition", "too"]),
        case(r#"count_values("v", m * time())"#, 1_000, "execution", LIMIT),
        case("m * on () group_left () m", 1, "execution", &["found duplicate series", "many-to-many"]),
        case("m * on () m", 1, "execution", &["found duplicate series", "many-to-many"]),
        case("max_over_time(m[1y:1ms])", 1, "execution", LIMIT),
        case("max_over_time(vector(time())[1y:1ms])", 1, "execution", LIMIT),
        case("sum_over_time(vector(1)[1y:1ms])", 1, "execution", LIMIT),
        case(
            "max_over_time(max_over_time(max_over_time(vector(time())[1d:1s])[1d:1s])[1d:1s])",
            100,
            "timeout",
            &["query timed out in expression evaluation"],
        ),
        case(format!("vector({})", "9".repeat(500_000)), 1, "bad_data", &["value out of range"]),
    ]
}

/// Texts that are large and fine.
fn harmless() -> Vec<String> {
    vec![
        format!("vector(0.{})", "9".repeat(500_000)),
        format!(r#"m{{i=~"{}"}}"#, "no|".repeat(300_000)),
        r#"count(m{i=~"(((0*)*)*)*x"})"#.to_owned(),
        format!("count(m) # {}", "x".repeat(1_000_000)),
        "vector(1e308 * 10)".to_owned(),
    ]
}

async fn feed(hub: &Server, now: i64) {
    let mut encoder = Encoder::new();
    for i in 0..SERIES {
        let labels = Labels::from_pairs([("__name__", "m"), ("i", &i.to_string())]).unwrap();
        encoder.series(&labels, &[(Timestamp(now - 60_000), i as f64 + 0.5)]);
    }
    let (status, text) = hub.write(encoder.finish()).await.unwrap();
    assert!((200..300).contains(&status), "{status}: {text}");
}

async fn ask(hub: &Server, query: &str, now: i64, steps: i64) -> Value {
    // An instant query where one step is asked for.
    let (start, end) = ((now / 1000 - (steps - 1)).to_string(), (now / 1000).to_string());
    let (path, times) = match steps {
        1 => ("query", vec![("time", end.as_str())]),
        _ => ("query_range", vec![("start", start.as_str()), ("end", &end), ("step", "1")]),
    };
    let mut form = url::form_urlencoded::Serializer::new(String::new());
    form.append_pair("query", query).extend_pairs(times);
    let request = client().post(hub.url(&format!("/api/v1/{path}")));
    let request = request.header("Content-Type", "application/x-www-form-urlencoded").body(form.finish());
    let body = request.send().await.unwrap().bytes().await.unwrap();
    serde_json::from_slice(&body)
        .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&body[..body.len().min(300)])))
}

/// Writes a sample and asks for it, over and over; counts the rounds and gives the slowest.
async fn go_on(hub: &Server, now: i64, stop: &AtomicBool, rounds: &AtomicUsize) -> Duration {
    let mut slowest = Duration::ZERO;
    let labels = Labels::from_pairs([("__name__", "other")]).unwrap();
    while !stop.load(Ordering::Relaxed) {
        let begun = Instant::now();
        let mut encoder = Encoder::new();
        let round = rounds.load(Ordering::Relaxed);
        let value = round as f64;
        encoder.series(&labels, &[(Timestamp(now - 60_000 + round as i64), value)]);
        let (status, text) = hub.write(encoder.finish()).await.unwrap();
        assert!((200..300).contains(&status), "{status}: {text}");
        assert_eq!(hub.number("other").await, Some(value));
        rounds.fetch_add(1, Ordering::Relaxed);
        slowest = slowest.max(begun.elapsed());
    }
    slowest
}

fn short(text: &str) -> &str {
    &text[..text.floor_char_boundary(80)]
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_queries_end_in_clear_errors_while_others_go_on() {
    let hub = Server::hub("global: {}\n", &LIMITS).await;
    let now = SystemClock::shared().now_ms();
    feed(&hub, now).await;
    let (stop, rounds) = (AtomicBool::new(false), AtomicUsize::new(0));
    let hostile = async {
        for Case { query, steps, kind, says } in cases() {
            let (begun, before) = (Instant::now(), rounds.load(Ordering::Relaxed));
            let answer = ask(&hub, &query, now, steps).await;
            let took = begun.elapsed();
            let error = answer["error"].as_str().unwrap_or_default();
            let fits = answer["errorType"] == kind && says.iter().any(|say| error.contains(say));
            assert!(fits, "{}: expected {kind} {says:?}, got {}", short(&query), short(&answer.to_string()));
            assert!(error.len() < 1_000, "{}: an error of {} bytes", short(&query), error.len());
            assert!(took < ENDS_WITHIN, "{}: took {took:?}", short(&query));
            let gone_on = rounds.load(Ordering::Relaxed) > before;
            assert!(gone_on || took < Duration::from_secs(5), "{}: nothing else went on", short(&query));
        }
        for query in harmless() {
            let answer = ask(&hub, &query, now, 1).await;
            assert_eq!(answer["status"], "success", "{}: {}", short(&query), short(&answer.to_string()));
        }
        stop.store(true, Ordering::Relaxed);
    };
    let (slowest, ()) = tokio::join!(go_on(&hub, now, &stop, &rounds), hostile);
    assert!(slowest < Duration::from_secs(10), "a write and a query took {slowest:?}");
    assert!(rounds.load(Ordering::Relaxed) > 10);
}
