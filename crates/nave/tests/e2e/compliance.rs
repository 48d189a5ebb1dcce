//! The PromQL compliance queries against a real Prometheus that was fed the same bytes.

use serde_json::Value;

use nave_base::clock::SystemClock;
use nave_model::label::Labels;
use nave_model::time::Timestamp;
use nave_wire::write_v1::Encoder;

use crate::harness::{Server, corpus, peer};

pub(crate) const STEP_MS: i64 = 5_000;
pub(crate) const STEPS: i64 = 1_800;
const STEPS_PER_REQUEST: i64 = 60;

/// One series of the demo service: labels and its value at a step.
struct Series {
    labels: Labels,
    value: Box<dyn Fn(i64) -> Option<f64>>,
}

fn series(
    name: &str,
    instance: usize,
    more: &[(&str, &str)],
    value: impl Fn(i64) -> Option<f64> + 'static,
) -> Series {
    let host = format!("demo.promlabs.com:{}", 10_000 + instance);
    let pairs = [("__name__", name), ("instance", &host), ("job", "demo")];
    let labels = Labels::from_pairs(pairs.into_iter().chain(more.iter().copied())).unwrap();
    Series { labels, value: Box::new(value) }
}

/// A deterministic number in [0, 1) that looks random.
fn noise(seed: u64, step: i64) -> f64 {
    let mut rng = fastrand::Rng::with_seed(seed.wrapping_mul(0x9e37_79b9).wrapping_add(step as u64));
    rng.f64()
}

/// A counter that grows unevenly and starts over every 700 steps.
fn counter(seed: u64, rate: f64) -> impl Fn(i64) -> Option<f64> {
    move |step| {
        let life = (step + (seed as i64 * 131)) % 700;
        Some(life as f64 * rate + (noise(seed, step) * rate * 0.9))
    }
}

fn fleet() -> Vec<Series> {
    let mut all = Vec::new();
    for instance in 0..3usize {
        let seed = |n: u64| n * 10 + instance as u64;
        for (n, kind) in ["used", "buffers", "cached", "free"].into_iter().enumerate() {
            let s = seed(n as u64);
            all.push(series("demo_memory_usage_bytes", instance, &[("type", kind)], move |step| {
                Some((1e9 + 5e8 * (step as f64 / 97.0 + s as f64).sin()).round())
            }));
        }
        for (n, mode) in ["idle", "user", "system"].into_iter().enumerate() {
            all.push(series(
                "demo_cpu_usage_seconds_total",
                instance,
                &[("mode", mode)],
                counter(seed(10 + n as u64), 1.37),
            ));
        }
        all.push(series("demo_num_cpus", instance, &[], |_| Some(4.0)));
        all.push(series("demo_disk_usage_bytes", instance, &[], move |step| Some(1e10 + step as f64 * 1e5)));
        all.push(series("demo_disk_total_bytes", instance, &[], |_| Some(2.6e11)));
        all.push(series("demo_batch_last_success_timestamp_seconds", instance, &[], |step| {
            Some((step / 60 * 300) as f64 + 1.7e9)
        }));
        all.push(series("demo_batch_last_run_timestamp_seconds", instance, &[], |step| {
            Some((step / 30 * 150) as f64 + 1.7e9)
        }));
        all.push(series("demo_batch_last_run_duration_seconds", instance, &[], |step| {
            Some(noise(5, step / 30) * 20.0)
        }));
        all.push(series("demo_batch_last_run_processed_bytes", instance, &[], |step| {
            Some((noise(6, step / 30) * 1e6).round())
        }));
        all.push(series("demo_items_shipped_total", instance, &[], counter(seed(30), 11.0)));
        let s = seed(40);
        all.push(series("demo_intermittent_metric", instance, &[], move |step| {
            ((step / 30 + s as i64) % 2 == 0).then(|| noise(s, step))
        }));
        for (m, method) in ["GET", "POST"].into_iter().enumerate() {
            for (c, status) in ["200", "500"].into_iter().enumerate() {
                requests(&mut all, instance, method, status, seed(50 + (m * 2 + c) as u64));
            }
        }
    }
    all
}

fn requests(all: &mut Vec<Series>, instance: usize, method: &str, status: &str, seed: u64) {
    let labels = |le: Option<&str>| {
        let mut more = vec![
            ("method".to_owned(), method.to_owned()),
            ("path".into(), "/api/foo".into()),
            ("status".into(), status.to_owned()),
        ];
        more.extend(le.map(|le| ("le".to_owned(), le.to_owned())));
        more
    };
    let name = "demo_api_request_duration_seconds";
    let bounds = ["0.0001", "0.001", "0.01", "0.1", "0.25", "0.5", "1", "2.5", "+Inf"];
    for (i, le) in bounds.into_iter().enumerate() {
        let more = labels(Some(le));
        let more: Vec<_> = more.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
        let share = (i + 1) as f64 / bounds.len() as f64;
        let total = counter(seed, 7.0);
        all.push(series(&format!("{name}_bucket"), instance, &more, move |step| {
            total(step).map(|n| (n * share).floor())
        }));
    }
    let more = labels(None);
    let more: Vec<_> = more.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
    let total = counter(seed, 7.0);
    all.push(series(&format!("{name}_count"), instance, &more, move |step| total(step).map(f64::floor)));
    all.push(series(&format!("{name}_sum"), instance, &more, counter(seed + 1, 0.31)));
}

pub(crate) async fn feed(servers: &[&Server], start: i64) {
    let fleet = fleet();
    for first in (0..STEPS).step_by(STEPS_PER_REQUEST as usize) {
        let mut encoder = Encoder::new();
        for series in &fleet {
            let samples: Vec<_> = (first..first + STEPS_PER_REQUEST)
                .filter_map(|step| Some((Timestamp(start + step * STEP_MS), (series.value)(step)?)))
                .collect();
            if !samples.is_empty() {
                encoder.series(&series.labels, &samples);
            }
        }
        let body = encoder.finish();
        for server in servers {
            let (status, text) = server.write(body.clone()).await.unwrap();
            assert!((200..300).contains(&status), "{status}: {text}");
        }
    }
}

/// Equal as upstream's compliance tester sees it, and stricter: the same series, times, and values to a
/// relative 1e-12.
fn agrees(ours: &Value, theirs: &Value) -> Result<(), String> {
    let (Some(ours), Some(theirs)) = (ours["data"]["result"].as_array(), theirs["data"]["result"].as_array())
    else {
        return Err(format!("ours {ours}, theirs {theirs}"));
    };
    let key = |row: &&Value| row["metric"].to_string();
    let (mut ours, mut theirs): (Vec<_>, Vec<_>) = (ours.iter().collect(), theirs.iter().collect());
    ours.sort_by_key(key);
    theirs.sort_by_key(key);
    if ours.len() != theirs.len() {
        return Err(format!("{} series, want {}", ours.len(), theirs.len()));
    }
    for (ours, theirs) in ours.iter().zip(&theirs) {
        let (a, b) = (ours["values"].as_array().unwrap(), theirs["values"].as_array().unwrap());
        if ours["metric"] != theirs["metric"] || a.len() != b.len() {
            return Err(format!(
                "series {} with {} values, want {} with {}",
                ours["metric"],
                a.len(),
                theirs["metric"],
                b.len()
            ));
        }
        if let Some((a, b)) = a.iter().zip(b).find(|(a, b)| !same(a, b)) {
            return Err(format!("{}: {a}, want {b}", ours["metric"]));
        }
    }
    Ok(())
}

fn same(a: &Value, b: &Value) -> bool {
    if a == b {
        return true;
    }
    let number = |pair: &Value| pair[1].as_str().unwrap().parse::<f64>().unwrap();
    let (x, y) = (number(a), number(b));
    a[0] == b[0] && ((x.is_nan() && y.is_nan()) || (x - y).abs() <= 1e-12 * x.abs().max(y.abs()))
}

#[tokio::test(flavor = "multi_thread")]
async fn compliance_queries_agree_with_a_real_prometheus() {
    let (Some(program), Some(text)) = (peer("prometheus"), corpus("compliance/expanded-queries.json")) else {
        return;
    };
    let hub = Server::hub("global: {}\n", &[]).await;
    let prometheus = Server::prometheus(program, "global: {}\n", &[]).await;
    let end = SystemClock::shared().now_ms() / STEP_MS * STEP_MS;
    feed(&[&hub, &prometheus], end - STEPS * STEP_MS).await;
    compare(&hub, &prometheus, &text, end).await;
}

/// Asks both servers all queries of `text` about the last minutes before `end`.
pub(crate) async fn compare(hub: &Server, prometheus: &Server, text: &str, end: i64) {
    let (mut agree, mut refused, mut differ) = (0, Vec::new(), Vec::new());
    let cases: Value = serde_json::from_str(text).unwrap();
    let cases = cases.as_array().or_else(|| cases["queries"].as_array()).expect("a list of queries");
    for case in cases {
        let query = case["query"].as_str().unwrap();
        let (start, stop) = (((end - 720_000) / 1000).to_string(), ((end - 120_000) / 1000).to_string());
        let params = [("query", query), ("start", &start), ("end", &stop), ("step", "10")];
        let ours = hub.api("/api/v1/query_range", &params).await;
        let theirs = prometheus.api("/api/v1/query_range", &params).await;
        let error = ours["error"].as_str().unwrap_or_default();
        if theirs["status"] == "error" && ours["status"] == "error" {
            agree += 1;
        } else if error.contains("not supported yet") {
            refused.push(format!("{query}: {error}"));
        } else {
            match agrees(&ours, &theirs) {
                Ok(()) => agree += 1,
                Err(why) => differ.push(format!("{query}: {why}")),
            }
        }
    }
    eprintln!(
        "compliance: {agree} of {} agree, {} refused by name, {} differ",
        cases.len(),
        refused.len(),
        differ.len()
    );
    assert!(differ.is_empty(), "{}", differ.join("\n"));
    assert!(agree >= 400, "refused: {}", refused.join("\n"));
}
