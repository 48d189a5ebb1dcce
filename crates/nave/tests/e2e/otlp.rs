//! OTLP requests, taken by us and by a real Prometheus: the same bodies, the same series.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::harness::{NAVE, Server, client, peer};
use crate::protobuf::Message;

fn value(text: &str) -> Message {
    Message::new().text(1, text)
}

fn attribute(message: Message, number: u64, key: &str, value: &Message) -> Message {
    message.message(number, &Message::new().text(1, key).message(2, value))
}

fn point(at: u64, value: f64) -> Message {
    Message::new().fixed64(2, at - 60_000_000_000).fixed64(3, at).double(4, value)
}

fn metric(name: &str, unit: &str, field: u64, points: &[Message], more: Message) -> Message {
    let kind = points.iter().fold(more, |kind, point| kind.message(1, point));
    Message::new().text(1, name).text(2, "Help.").text(3, unit).message(field, &kind)
}

fn packed(values: impl IntoIterator<Item = u64>) -> Vec<u8> {
    values.into_iter().flat_map(u64::to_le_bytes).collect()
}

fn explicit(at: u64) -> Message {
    let exemplar = Message::new().fixed64(2, at).double(3, 0.1).bytes_of(5, &[0xcd; 16]);
    Message::new()
        .fixed64(3, at)
        .fixed64(4, 6)
        .double(5, 21.5)
        .bytes_of(6, &packed([1, 0, 2, 3]))
        .bytes_of(7, &packed([0.5f64, 10.0, 1e7].map(f64::to_bits)))
        .message(8, &exemplar)
}

fn exponential(at: u64, scale: i64) -> Message {
    let positive = Message::new().zigzag(1, -2).bytes_of(2, &[1, 0, 0, 0, 2, 3]);
    let negative = Message::new().zigzag(1, 5).bytes_of(2, &[1]);
    let point = Message::new().fixed64(3, at).fixed64(4, 9).double(5, 4.0).zigzag(6, scale).fixed64(7, 2);
    point.message(8, &positive).message(9, &negative)
}

/// A request with every kind of metric, attributes of every type, names and units with edges.
fn request(at: u64) -> Message {
    let mut resource = Message::new();
    for (key, text) in [
        ("service.name", "shop"),
        ("service.namespace", "eu"),
        ("service.instance.id", "i-1"),
        ("host.name", "h\u{f6}st"),
        ("k8s.pod..name", "p"),
    ] {
        resource = attribute(resource, 1, key, &value(text));
    }
    let list = Message::new()
        .message(5, &Message::new().message(1, &value("a<\"")).message(1, &Message::new().varint(3, 7)));
    let map = Message::new().message(
        6,
        &attribute(attribute(Message::new(), 1, "b", &value("x")), 1, "a", &Message::new().double(4, 1e21)),
    );
    let rich = [
        ("http.method", value("GET")),
        ("_under", value("1")),
        ("1st", value("2")),
        ("a.b", value("3")),
        ("a_b", value("4")),
        ("flag", Message::new().varint(2, 1)),
        ("int", Message::new().varint(3, 42)),
        ("double", Message::new().double(4, 0.000_000_1)),
        ("list", list),
        ("map", map),
        ("bytes", Message::new().bytes_of(7, &[1, 2, 250])),
        ("empty", value("")),
    ];
    let rich = rich.iter().fold(point(at, 0.25), |point, (key, value)| attribute(point, 7, key, value));
    let cumulative = || Message::new().varint(2, 2);
    let exemplar = Message::new().fixed64(2, at).double(3, 0.5).bytes_of(4, &[0xab; 8]);
    let counted = point(at, 7.0).message(5, &attribute(exemplar, 7, "user", &value("u")));
    let integer = Message::new().fixed64(3, at).fixed64(6, (-3i64) as u64);
    let quantile = Message::new().double(1, 0.99).double(2, 7.0);
    let summary = Message::new().fixed64(3, at).fixed64(4, 2).double(5, 9.0).message(6, &quantile);
    let metrics = [
        metric("disk.used", "1", 5, &[rich], Message::new()),
        metric("http.requests", "{request}", 7, &[counted], cumulative().varint(3, 1)),
        metric("queue..length", "", 7, &[integer], cumulative()),
        metric("2xx.total.count", "By/s", 7, &[point(at, 1.0)], cumulative().varint(3, 1)),
        metric("speed", "m/s", 5, &[point(at, 1.0)], Message::new()),
        metric("odd name!", "ki lo?", 5, &[point(at, 1.0)], Message::new()),
        metric("io.bytes", "By", 5, &[point(at, f64::INFINITY)], Message::new()),
        metric("delta", "", 7, &[point(at, 1.0)], Message::new().varint(2, 1).varint(3, 1)),
        metric("latency", "ms", 9, &[explicit(at)], cumulative()),
        metric("sizes", "MiBy", 10, &[exponential(at, 3)], cumulative()),
        metric("finer", "", 10, &[exponential(at, 10)], cumulative()),
        metric("rpc", "s", 11, &[summary], Message::new()),
    ];
    let scope = attribute(Message::new().text(1, "lib.name").text(2, "1.2"), 3, "deploy.env", &value("prod"));
    let scoped = metrics.iter().fold(Message::new().message(1, &scope), |all, metric| all.message(2, metric));
    let scoped = scoped.text(3, "https://schema.example/1");
    Message::new().message(1, &Message::new().message(1, &resource).message(2, &scoped))
}

async fn send(server: &Server, body: &Message) -> (u16, String) {
    let post =
        client().post(server.url("/api/v1/otlp/v1/metrics")).header("content-type", "application/x-protobuf");
    let answer = post.body(body.bytes().to_vec()).send().await.unwrap();
    (answer.status().as_u16(), answer.text().await.unwrap())
}

async fn stored(server: &Server) -> BTreeMap<String, String> {
    let rows = server.query("{__name__!=\"\"}").await;
    let value = |row: &Value| {
        let found = if row["histogram"].is_null() { &row["value"][1] } else { &row["histogram"][1] };
        found.to_string()
    };
    rows.iter().map(|row| (row["metric"].to_string(), value(row))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn otlp_is_stored_as_by_a_real_prometheus() {
    let Some(program) = peer("prometheus") else { return };
    let help = std::process::Command::new(&program).arg("--help").output().unwrap();
    if !String::from_utf8_lossy(&help.stdout).contains("otlp-receiver") {
        // Distributions build it without: no flag, no `otlp` section.
        eprintln!("SKIPPED: {} is built without its OTLP receiver", program.display());
        return;
    }
    let mut compared = 0;
    for section in [
        "{}",
        "{promote_resource_attributes: [host.name, k8s.pod..name, service.name], translation_strategy: NoUTF8EscapingWithSuffixes}",
        "{translation_strategy: UnderscoreEscapingWithoutSuffixes, convert_histograms_to_nhcb: true, promote_scope_metadata: true}",
        "{promote_all_resource_attributes: true, ignore_resource_attributes: [host.name], keep_identifying_resource_attributes: true, translation_strategy: NoTranslation}",
    ] {
        let config = format!("global: {{}}\notlp: {section}\n");
        let on = "--web.enable-otlp-receiver";
        let theirs = [on, "--enable-feature=native-histograms,exemplar-storage"];
        let hub = Server::prometheus(NAVE, &config, &[on]).await;
        let prometheus = Server::prometheus(&program, &config, &theirs).await;
        let now = nave_base::clock::SystemClock::shared().now_ms() as u64 * 1_000_000;
        let body = request(now);
        let (theirs, ours) = (send(&prometheus, &body).await, send(&hub, &body).await);
        assert_eq!((ours.0, theirs.0), (200, 200), "{section}: {} {}", ours.1, theirs.1);
        assert!(ours.1.contains("delta"), "what was left out is told: {}", ours.1);
        let (ours, theirs) = (stored(&hub).await, stored(&prometheus).await);
        for (series, value) in &theirs {
            assert_eq!(ours.get(series), Some(value), "{section}: {series}\nours: {ours:#?}");
        }
        assert_eq!(ours.keys().collect::<Vec<_>>(), theirs.keys().collect::<Vec<_>>(), "{section}");
        compared += ours.len();
    }
    assert!(compared > 60, "{compared}");
    eprintln!("{compared} series agree");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_section_is_reloaded_and_off_is_said() {
    let hub = Server::hub("global: {}\n", &[]).await;
    let (status, text) = send(&hub, &request(1_000_000_000_000)).await;
    assert!(status == 404 && text.contains("--web.enable-otlp-receiver"), "{status} {text}");
    let hub = Server::hub("global: {}\n", &["--web.enable-otlp-receiver"]).await;
    let now = nave_base::clock::SystemClock::shared().now_ms() as u64 * 1_000_000;
    assert_eq!(send(&hub, &request(now)).await.0, 200);
    assert_eq!(hub.number("count(disk_used_ratio)").await, Some(1.0));
    std::fs::write(
        hub.home.join("prometheus.yml"),
        "otlp: {translation_strategy: UnderscoreEscapingWithoutSuffixes}\n",
    )
    .unwrap();
    hub.hang_up();
    hub.until("names by the new strategy", || async {
        send(&hub, &request(now)).await;
        hub.number("count(disk_used)").await
    })
    .await;
}

/// VictoriaMetrics names metrics by the same rules when it is asked to.
#[tokio::test(flavor = "multi_thread")]
async fn otlp_names_agree_with_a_real_victoria_metrics() {
    let Some(program) = peer("victoria-metrics") else { return };
    let args = [
        "-httpListenAddr=127.0.0.1:{port}",
        "-storageDataPath=data",
        "-opentelemetry.usePrometheusNaming",
        "-search.latencyOffset=0s",
    ];
    let theirs = Server::start(program, &args, &[], "/health").await;
    let hub = Server::hub("global: {}\n", &["--web.enable-otlp-receiver"]).await;
    let now = nave_base::clock::SystemClock::shared().now_ms() as u64 * 1_000_000;
    let body = request(now);
    assert_eq!(send(&hub, &body).await.0, 200);
    let post = client()
        .post(theirs.url("/opentelemetry/v1/metrics"))
        .header("content-type", "application/x-protobuf");
    let answer = post.body(body.bytes().to_vec()).send().await.unwrap();
    assert!(answer.status().is_success(), "{}", answer.text().await.unwrap());
    let names = |rows: Vec<Value>| {
        let name = |row: &Value| row["metric"]["__name__"].as_str().unwrap_or_default().to_owned();
        rows.iter().map(name).collect::<std::collections::BTreeSet<_>>()
    };
    let found = || async {
        let all = names(theirs.query("{__name__!=\"\"}").await);
        all.contains("rpc_seconds_count").then_some(all)
    };
    let theirs = theirs.until("the series", found).await;
    let ours = names(hub.query("{__name__!=\"\"}").await);
    // It has neither target_info nor native histograms, stores deltas, and leaves names that start with a digit or hold
    // other characters as they are.
    let beyond =
        ["target_info", "sizes_mebibytes", "finer", "_2xx_count_bytes_per_second_total", "odd_name_ki_lo_"];
    for name in ours.iter().filter(|name| !beyond.contains(&name.as_str())) {
        assert!(theirs.contains(name), "{name}: theirs are {theirs:?}");
    }
}
