//! Bytes per series of the label index on a Kubernetes-like fleet:
//! `cargo run --release -p nave-block --example measure_index`.
//!
//! 1,076 pods on 40 nodes: container metrics with cgroup ids and image names, pod states, volumes whose ids
//! no other series has, and histograms of the application. Prints the size of each part and the time of lookups.

use std::error::Error;
use std::io::Write;

use nave_base::Shutdown;
use nave_block::index::{Index, IndexWriter, RowCache};
use nave_block::{Scratch, select};
use nave_model::label::Labels;
use nave_model::matcher::{MatchOp, Matcher};

const PODS: usize = 1076;
const NODES: usize = 40;
const BOUNDS: [&str; 12] =
    ["0.005", "0.01", "0.025", "0.05", "0.1", "0.25", "0.5", "1", "2.5", "5", "10", "+Inf"];

/// Seconds that this thread has run, which others on the machine do not lengthen much.
fn cpu_seconds() -> f64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    text.split(' ').next().and_then(|ns| ns.parse::<f64>().ok()).unwrap_or_default() / 1e9
}

/// Hexadecimal digits that look random and depend on `seed` alone.
fn hex(seed: usize, digits: usize) -> String {
    let mut state = seed as u64 ^ 0x9E37_79B9_7F4A_7C15;
    let digit = |_| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        char::from(b"0123456789abcdef"[(state >> 60) as usize])
    };
    (0..digits).map(digit).collect()
}

fn pod_series(pod: usize, series: &mut Vec<Labels>) -> Result<(), Box<dyn Error>> {
    let app = format!("service-{:02}", pod % 60);
    let name = format!("{app}-{}-{}", hex(pod % 60, 10), hex(pod, 5));
    let (node, namespace) =
        (format!("node-{:02}.example.net", pod % NODES), format!("team-{:02}", pod % 60 / 4));
    let cgroup = format!("/kubepods/burstable/pod{}/{}", hex(pod + 7000, 32), hex(pod + 9000, 64));
    let image = format!("registry.example.net/{app}@sha256:{}", hex(pod % 60 + 500, 64));
    let instance = format!("10.{}.{}.{}:8080", pod % NODES, pod / 250, pod % 250);
    let uid = hex(pod + 3000, 32);
    for metric in 0..40 {
        let metric = format!("container_metric_{metric:02}_total");
        series.push(Labels::from_pairs([
            ("__name__", metric.as_str()),
            ("container", &app),
            ("id", &cgroup),
            ("image", &image),
            ("instance", &node),
            ("job", "kubelet"),
            ("namespace", &namespace),
            ("pod", &name),
        ])?);
    }
    for metric in 0..8 {
        let metric = format!("kube_pod_state_{metric}");
        series.push(Labels::from_pairs([
            ("__name__", metric.as_str()),
            ("instance", "10.0.0.7:8080"),
            ("job", "kube-state-metrics"),
            ("namespace", &namespace),
            ("node", &node),
            ("pod", &name),
            ("uid", &uid),
        ])?);
    }
    let common = [
        ("container", app.as_str()),
        ("instance", &instance),
        ("job", &app),
        ("namespace", &namespace),
        ("pod", &name),
    ];
    for volume in 0..16 {
        // A value that no other series has, as container and volume ids are.
        let claim = format!("pvc-{}", hex(pod * 16 + volume + 50_000, 24));
        let own = [("__name__", "kube_pod_volume_info"), ("persistentvolumeclaim", claim.as_str())];
        series.push(Labels::from_pairs(common.into_iter().chain(own))?);
    }
    for path in ["/api/items", "/api/orders"] {
        for bound in BOUNDS {
            let own = [("__name__", "http_request_duration_seconds_bucket"), ("le", bound), ("path", path)];
            series.push(Labels::from_pairs(common.into_iter().chain(own))?);
        }
    }
    Ok(())
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut series = Vec::new();
    for pod in 0..PODS {
        pod_series(pod, &mut series)?;
    }
    series.sort_by(|a, b| (a.metric_name(), a).cmp(&(b.metric_name(), b)));
    let text: usize = series.iter().map(|labels| labels.as_bytes().len()).sum();
    let start = cpu_seconds();
    let mut writer = IndexWriter::new();
    for labels in &series {
        writer.push(labels)?;
    }
    let memory = writer.memory();
    let parts = writer.finish()?;
    let seconds = cpu_seconds() - start;
    let mut out = std::io::stdout().lock();
    let each = |bytes: usize| bytes as f64 / series.len() as f64;
    writeln!(out, "{} series, {:.0} B of labels each, written in {seconds:.2} s", series.len(), each(text))?;
    let (dictionary, postings, rows) = (parts.dictionary.len(), parts.postings.len(), parts.rows.len());
    writeln!(
        out,
        "dictionary {:.2}  postings {:.2}  rows {:.2}",
        each(dictionary),
        each(postings),
        each(rows)
    )?;
    writeln!(out, "together   {:.2} B/series", each(dictionary + postings + rows))?;

    let (mut cache, mut scratch) = (RowCache::default(), Scratch::new());
    let index = Index::open(parts, &mut scratch)?;
    let start = cpu_seconds();
    for (i, labels) in series.iter().enumerate() {
        assert_eq!(&index.labels(i as u32, &mut cache, &mut scratch)?, labels);
    }
    let rows = (cpu_seconds() - start) * 1e6 / series.len() as f64;
    let pods = index.values("pod", "")?;
    let start = cpu_seconds();
    for pod in pods.iter().cycle().take(pods.len() * 100) {
        assert_eq!(index.postings("pod", pod)?.len(), 88);
    }
    let lookup = (cpu_seconds() - start) * 1e4 / pods.len() as f64;
    writeln!(
        out,
        "{} symbols, labels of all series {rows:.2} us each, postings of a pod {lookup:.2} us",
        index.symbols()
    )?;
    writeln!(out, "{:.1} B/series in memory, the writer took {:.1}", each(index.memory()), each(memory))?;
    measure_select(&index, &mut out)
}

fn measure_select(index: &Index, out: &mut impl Write) -> Result<(), Box<dyn Error>> {
    use MatchOp::{Equal, NotEqual, NotRegex, Regex};
    let name = "container_metric_07_total";
    let selectors: [&[(&str, MatchOp, &str)]; 8] = [
        &[("__name__", Equal, name)],
        &[("__name__", Equal, name), ("namespace", Equal, "team-03")],
        &[("__name__", Equal, name), ("pod", Regex, "service-0[1-3].*")],
        &[("__name__", Equal, name), ("pod", Regex, ".*-5.*")],
        &[("__name__", Equal, name), ("namespace", NotEqual, "team-03")],
        &[("__name__", Equal, "kube_pod_volume_info"), ("persistentvolumeclaim", Regex, ".*abc.*")],
        &[("__name__", Regex, "container_metric_1.*"), ("image", NotRegex, ".*service-07.*")],
        &[("persistentvolumeclaim", Equal, ""), ("job", Regex, "kubelet|kube-state-metrics")],
    ];
    for selector in selectors {
        let matchers = selector.iter().map(|(name, op, value)| Matcher::new(*op, name, value));
        let matchers = matchers.collect::<Result<Vec<_>, _>>()?;
        let matchers: Vec<&Matcher> = matchers.iter().collect();
        let (start, mut found) = (cpu_seconds(), 0);
        for _ in 0..500 {
            found = select(index, &matchers, &Shutdown::new())?.len();
        }
        let us = (cpu_seconds() - start) * 1e6 / 500.0;
        writeln!(out, "{us:>9.1} us  {found:>6} series  {matchers:?}")?;
    }
    Ok(())
}
