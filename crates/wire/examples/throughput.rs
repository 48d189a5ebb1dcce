//! Measures parsing and decoding on one core: `cargo run --release --example throughput [page]`.

use std::hint::black_box;
use std::io::Write;
use std::sync::Arc;
use std::time::{Duration, Instant};

use nave_model::append::Principal;
use nave_model::label::Labels;
use nave_model::metadata::MetricType;
use nave_model::time::Timestamp;
use nave_wire::exposition::{Entry, Format, PageWriter, Parser};
use nave_wire::write_v1::{Encoder, decode, decompress};

fn main() -> std::io::Result<()> {
    let mut out = std::io::stdout();
    let page = match std::env::args().nth(1) {
        Some(path) => std::fs::read_to_string(path)?,
        None => made_up_page(),
    };
    let (samples, took) = fastest(|| parse(&page));
    writeln!(out, "text parser: {}", rate(page.len(), samples, took, "samples"))?;

    let body = made_up_body();
    let plain = decompress(&body, usize::MAX).map_err(std::io::Error::other)?;
    let principal = Arc::new(Principal::anonymous("throughput"));
    let (series, took) = fastest(|| decode(plain.clone(), principal.clone()).map_or(0, |b| b.series.len()));
    writeln!(out, "remote write decode: {}", rate(plain.len(), series, took, "series"))?;
    let both = || {
        let plain = decompress(&body, usize::MAX).unwrap_or_default();
        decode(plain, principal.clone()).map_or(0, |batch| batch.series.len())
    };
    let (series, took) = fastest(both);
    writeln!(out, "  with decompression: {}", rate(plain.len(), series, took, "series"))
}

/// The fastest of the runs of a second.
fn fastest(mut run: impl FnMut() -> usize) -> (usize, Duration) {
    let start = Instant::now();
    let mut best = (0, Duration::MAX);
    while start.elapsed() < Duration::from_secs(1) {
        let before = Instant::now();
        let count = black_box(run());
        let took = before.elapsed();
        if took < best.1 {
            best = (count, took);
        }
    }
    best
}

fn rate(bytes: usize, count: usize, took: Duration, what: &str) -> String {
    let seconds = took.as_secs_f64();
    let megabytes = bytes as f64 / 1e6 / seconds;
    let millions = count as f64 / 1e6 / seconds;
    format!("{megabytes:.0} MB/s, {millions:.2} M {what}/s ({count} {what}, {bytes} bytes)")
}

fn parse(page: &str) -> usize {
    let mut parser = Parser::new(page.as_bytes(), Format::Text);
    let mut samples = 0;
    while let Ok(Some(entry)) = parser.next() {
        if let Entry::Sample(sample) = black_box(entry) {
            samples += usize::from(!sample.series.is_empty());
        }
    }
    samples
}

fn label_values(i: usize) -> [(&'static str, String); 3] {
    [
        ("code", (200 + i % 7).to_string()),
        ("handler", format!("/api/v1/things/{}", i % 97)),
        ("instance", format!("10.0.{}.{}:9100", i / 256 % 256, i % 256)),
    ]
}

fn made_up_page() -> String {
    let mut page = PageWriter::new(Format::Text);
    page.family("http_requests_total", "Requests by code and handler.", MetricType::Counter);
    for i in 0..20_000 {
        let labels = label_values(i);
        let labels: Vec<_> = labels.iter().map(|(name, value)| (*name, value.as_str())).collect();
        page.sample("http_requests_total", &labels, i as f64 * 1.25);
    }
    page.finish()
}

fn made_up_body() -> Vec<u8> {
    let mut encoder = Encoder::new();
    for i in 0..2_000 {
        let labels = label_values(i);
        let name = [("__name__", "http_requests_total".to_owned()), ("job", "things".to_owned())];
        let Ok(labels) = Labels::from_pairs(labels.into_iter().chain(name)) else { continue };
        encoder.series(&labels, &[(Timestamp(1_780_000_000_000 + i as i64), i as f64 * 1.25)]);
    }
    encoder.finish()
}
