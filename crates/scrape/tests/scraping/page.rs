//! One target and what its pages do: samples, staleness, refusals.

use std::io::Write;
use std::sync::atomic::Ordering;

use crate::world::{Answer, World, report, samples};

#[tokio::test]
async fn a_page_is_stored_with_its_report() {
    let mut world = World::new("# HELP a Counts.\n# TYPE a counter\na{x=\"1\"} 1\nb 2\n").await;
    world.reload("extra_scrape_metrics: true, sample_limit: 9").await;
    let batch = world.scrape().await;
    let at = world.now();
    assert_eq!(samples(&batch), [format!("a{{x=\"1\"}} 1 @{at}"), format!("b 2 @{at}")]);
    let check = |name: &str, want: &str| assert_eq!(report(&batch, name), want, "{name}");
    check("up", "1");
    check("scrape_samples_scraped", "2");
    check("scrape_samples_post_metric_relabeling", "2");
    check("scrape_series_added", "2");
    check("scrape_timeout_seconds", "10");
    check("scrape_sample_limit", "9");
    check("scrape_body_size_bytes", "49");
    check("scrape_duration_seconds", "0");
    let batch = world.scrape().await;
    assert_eq!((report(&batch, "scrape_series_added").as_str(), batch.len()), ("0", 10));
    assert_eq!(world.known_references(), 10, "known series come by reference");
    world.asleep(1).await;
    let targets = world.scraper.targets();
    let target = &targets.active[0];
    assert_eq!((target.health.as_str(), target.last_error.as_str()), ("up", ""));
    assert_eq!((target.scrape_pool.as_str(), target.last_scrape.unwrap().0), ("j", world.now()));
    assert_eq!(target.scrape_url.as_str(), format!("http://{}/metrics", world.address));
    let external = "https://nave.example/x".parse().unwrap();
    assert_eq!(target.global_url(&external, Some(1)).host_str(), Some("nave.example"));
    let metadata = world.scraper.metadata();
    assert_eq!((&*metadata[0].family, &*metadata[0].metadata.help), ("a", "Counts."));
    let metrics = world.metrics();
    for line in [
        "prometheus_target_metadata_cache_entries{scrape_job=\"j\"} 1\n",
        "prometheus_target_scrape_pool_targets{scrape_job=\"j\"} 1\n",
        "prometheus_target_interval_length_seconds{interval=\"10s\",quantile=\"0.5\"} 10\n",
        "prometheus_target_scrape_pools_total 1\n",
    ] {
        assert!(metrics.contains(line), "{line} in {metrics}");
    }
}

#[tokio::test]
async fn requests_say_what_upstreams_say() {
    let mut world = World::new("a 1\n").await;
    world.reload("scrape_timeout: 2500ms").await;
    world.scrape().await;
    let headers = world.requests.lock()[0].clone();
    let check = |name: &str, want: &str| assert_eq!(headers[name].to_str().unwrap(), want, "{name}");
    check(
        "accept",
        "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2",
    );
    check("accept-encoding", "gzip");
    check("x-prometheus-scrape-timeout-seconds", "2.5");
    check("user-agent", concat!("Nave/", env!("CARGO_PKG_VERSION")));
}

#[tokio::test]
async fn series_that_vanish_end() {
    let mut world = World::new("a 1\nb 2\nc 3 5000\n").await;
    world.reload("").await;
    world.scrape().await;
    world.page("a 1\n");
    let batch = world.scrape().await;
    let at = world.now();
    assert_eq!(samples(&batch), [format!("a 1 @{at}"), format!("b stale @{at}")]);
    let batch = world.scrape().await;
    assert_eq!(samples(&batch), [format!("a 1 @{}", world.now())], "once is enough");
    world.reload("track_timestamps_staleness: true").await;
    world.page("a 1\nc 3 5000\n");
    world.scrape().await;
    world.page("a 1\n");
    let batch = world.scrape().await;
    assert!(batch.contains(&format!("c stale @{}", world.now())), "{batch:?}");
}

#[tokio::test]
async fn a_broken_page_leaves_nothing_but_its_report() {
    let gzip = |bytes: &[u8]| {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    };
    let raw =
        |content_type, encoding, body: &[u8]| Answer::Raw { content_type, encoding, body: body.to_vec() };
    let bomb = gzip(&vec![b'a'; 16 << 20]);
    let half_gzip = gzip(b"a 1\nb 2\n")[..20].to_vec();
    let cases = [
        (Answer::Page("a 1\n<html>\n".into()), "line 2, column 1: expected"),
        (Answer::Status(503), "server returned HTTP status 503 Service Unavailable"),
        (Answer::Half("a 1\nb 2"), "Get "),
        (Answer::Endless, "body size limit exceeded"),
        (raw("text/plain", Some("gzip"), &bomb), "body size limit exceeded"),
        (raw("text/plain", Some("gzip"), &half_gzip), "gzip: "),
        (
            raw("", None, b"a 1\n"),
            "non-compliant scrape target sending blank Content-Type and no fallback_scrape_protocol specified for target",
        ),
        (
            raw("application/json", None, b"a 1\n"),
            "received unsupported Content-Type \"application/json\" and no fallback_scrape_protocol specified for target",
        ),
        (
            raw("plain", None, b"a 1\n"),
            "cannot parse Content-Type \"plain\" and no fallback_scrape_protocol for target",
        ),
        (raw("application/openmetrics-text", None, b"a 1\n"), "line 2"),
    ];
    let mut world = World::new("a 1\nb 2\n").await;
    world.reload("").await;
    for (answer, want) in cases {
        world.page("a 1\nb 2\n");
        let batch = world.scrape().await;
        assert_eq!((samples(&batch).len(), report(&batch, "up").as_str()), (2, "1"), "before {want}");
        world.tell(answer);
        let batch = world.scrape().await;
        let at = world.now();
        assert_eq!(samples(&batch), [format!("a stale @{at}"), format!("b stale @{at}")], "{want}");
        assert_eq!(report(&batch, "up"), "0", "{want}");
        let error = world.last_error().await;
        assert!(error.contains(want), "{want}: {error}");
    }
    assert!(world.metrics().contains("prometheus_target_scrapes_exceeded_body_size_limit_total 2\n"));
}

#[tokio::test]
async fn a_silent_target_is_down_after_the_timeout() {
    let mut world = World::new("a 1\n").await;
    world.reload("scrape_timeout: 50ms").await;
    world.tell(Answer::Silent);
    let batch = world.scrape().await;
    assert_eq!((samples(&batch).len(), report(&batch, "up").as_str()), (0, "0"));
    let error = world.last_error().await;
    assert!(error.contains("context deadline exceeded"), "{error}");
}

#[tokio::test]
async fn fallback_and_limits() {
    let mut world = World::new("").await;
    world.reload("fallback_scrape_protocol: PrometheusText0.0.4").await;
    world.tell(Answer::Raw { content_type: "", encoding: None, body: b"a 1\n".to_vec() });
    assert_eq!(samples(&world.scrape().await).len(), 1);
    world.page("a 1\nb 2\nc 3\n");
    world.reload("sample_limit: 2").await;
    let batch = world.scrape().await;
    assert_eq!(samples(&batch), [format!("a stale @{}", world.now())]);
    assert_eq!(report(&batch, "scrape_samples_scraped"), "3");
    assert_eq!(world.last_error().await, "sample limit exceeded");
    world.reload("body_size_limit: 5B").await;
    let batch = world.scrape().await;
    assert_eq!((samples(&batch).len(), world.last_error().await.as_str()), (0, "body size limit exceeded"));
}

#[tokio::test]
async fn what_is_not_stored_is_told_and_comes_again() {
    let mut world = World::new("a 1\nb 2\n").await;
    world.reload("").await;
    world.scrape().await;
    world.page("a 1\n");
    world.recorder.fails.store(true, Ordering::SeqCst);
    world.scrape().await;
    let error = world.last_error().await;
    assert!(error.contains("scraped, but not stored: no room"), "{error}");
    world.recorder.fails.store(false, Ordering::SeqCst);
    let batch = world.scrape().await;
    assert!(batch.contains(&format!("b stale @{}", world.now())), "{batch:?}");
    assert_eq!(world.last_error().await, "");
}

#[tokio::test]
async fn failures_are_written_to_their_file() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("failures.log");
    let mut world = World::new("a 1\n").await;
    world.reload(&format!("scrape_failure_log_file: '{}'", file.display())).await;
    world.scrape().await;
    world.tell(Answer::Status(500));
    world.scrape().await;
    let text = std::fs::read_to_string(&file).unwrap();
    let line: serde_json::Value = serde_json::from_str(&text).expect("one line of JSON");
    assert_eq!(line["msg"], "server returned HTTP status 500 Internal Server Error");
    assert_eq!((&line["job_name"], &line["time"]), (&"j".into(), &"2001-09-09T01:47:00Z".into()));
}
