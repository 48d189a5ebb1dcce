//! Remote write: encodes the fleet's samples ahead of time, then sends them as fast as acknowledged.

use crate::workload::{LATE_MS_MAX, Spec, Target};
use crate::{fleet, proto, server};
use anyhow::{Context, Result};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::Barrier;

/// Connections meet at the end of each such stretch of simulated time, so that none runs far ahead.
const WINDOW_MS: i64 = 5 * 60_000;

/// How samples are packed and sent.
#[derive(Debug, Clone, clap::Args, Serialize, Deserialize)]
pub struct SendOptions {
    /// Connections; each series keeps to one of them.
    #[arg(long, default_value_t = 8)]
    pub connections: usize,
    /// Samples per write request (Prometheus' own default is 2000).
    #[arg(long, default_value_t = 2000)]
    pub batch: usize,
    /// Limit for each ingest, seconds; past it the rest counts as failed.
    #[arg(long, default_value_t = 900)]
    pub max_seconds: u64,
    /// Refuse to hold more than this many GiB of encoded requests.
    #[arg(long, default_value_t = 10.0)]
    pub max_gib: f64,
}

/// One encoded write request.
#[derive(Clone, Default)]
pub struct Payload {
    /// Snappy block of a WriteRequest.
    pub body: Bytes,
    /// Samples in it, stale markers left out.
    pub samples: u32,
    pub stale: u32,
    /// Time of its newest sample, Unix milliseconds.
    pub last_ts: i64,
}

/// Packs samples into requests of `batch` samples.
pub struct Packer {
    batch: usize,
    raw: Vec<u8>,
    now: Payload,
    snappy: snap::raw::Encoder,
    /// Bytes of all requests so far, before snappy.
    pub raw_bytes: u64,
}

impl Packer {
    pub fn new(batch: usize) -> Self {
        let snappy = snap::raw::Encoder::new();
        Packer { batch, raw: Vec::new(), now: Payload::default(), snappy, raw_bytes: 0 }
    }

    /// Adds one sample; returns the request that it filled.
    pub fn put(&mut self, labels: &[u8], value: f64, ts: i64) -> Option<Payload> {
        if value.to_bits() == proto::STALE_NAN {
            self.now.stale += 1;
        } else {
            self.now.samples += 1;
        }
        proto::put_series(&mut self.raw, labels, value, ts);
        self.now.last_ts = self.now.last_ts.max(ts);
        if (self.now.samples + self.now.stale) as usize >= self.batch { self.flush() } else { None }
    }

    /// The request begun, if any.
    pub fn flush(&mut self) -> Option<Payload> {
        if self.raw.is_empty() {
            return None;
        }
        self.raw_bytes += self.raw.len() as u64;
        let body = self.snappy.compress_vec(&self.raw).expect("a request is far below snappy's limit");
        self.raw.clear();
        Some(Payload { body: Bytes::from(body.into_boxed_slice()), ..std::mem::take(&mut self.now) })
    }
}

/// What one connection sends: the payloads of each window, in order.
type Lane = Vec<Vec<Payload>>;

/// All requests of one workload, ready to send, and what they hold.
pub struct Encoded {
    pub main: Vec<Lane>,
    pub tail: Vec<Lane>,
    pub facts: Facts,
}

/// The facts of a workload that later stages and reports need; kept beside the data directory.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Facts {
    pub spec: Spec,
    pub send: SendOptions,
    /// Unix milliseconds: start of the data, end of the main part, end of the tail.
    pub start_ms: i64,
    pub end_ms: i64,
    pub tail_end_ms: i64,
    /// No sample is older than this.
    pub oldest_ms: i64,
    pub targets: usize,
    /// Series alive at the first scrape, and all there will ever be.
    pub active_series: usize,
    pub all_series: usize,
    pub main_samples: u64,
    pub tail_samples: u64,
    pub stale_markers: u64,
    pub requests: usize,
    /// Bytes of all requests, before and after snappy.
    pub raw_bytes: u64,
    pub snappy_bytes: u64,
    pub encode_seconds: f64,
}

fn encode_lane(
    lane: &mut [Target],
    spec: &Spec,
    start_ms: i64,
    rounds: Range<u32>,
    batch: usize,
    raw_bytes: &mut u64,
) -> Lane {
    let dt = spec.interval_ms as f64 / 1000.0;
    let per_window = (WINDOW_MS / spec.interval_ms).max(1) as u32;
    let (mut packer, mut windows) = (Packer::new(batch), Vec::new());
    for first in rounds.clone().step_by(per_window as usize) {
        let mut out = Vec::new();
        for round in first..(first + per_window).min(rounds.end) {
            for target in lane.iter_mut() {
                let ts = target.scrape_time(spec, start_ms, round);
                for series in &mut target.series {
                    if round < series.from || round > series.until {
                        continue;
                    }
                    let value = if round == series.until {
                        f64::from_bits(proto::STALE_NAN)
                    } else {
                        series.next(ts, dt)
                    };
                    out.extend(packer.put(&series.labels, value, ts));
                }
            }
        }
        out.extend(packer.flush());
        windows.push(out);
    }
    *raw_bytes += packer.raw_bytes;
    windows
}

/// Builds the fleet and encodes all its requests; the data ends at `now_ms`.
pub fn encode(spec: &Spec, send: &SendOptions, now_ms: i64) -> Result<Encoded> {
    let begun = Instant::now();
    let tail_end_ms = now_ms / spec.interval_ms * spec.interval_ms;
    let start_ms = tail_end_ms - i64::from(spec.all_rounds()) * spec.interval_ms;
    let mut targets = fleet::fleet(spec);
    targets.sort_by_key(|t| t.phase_ms);
    let count = targets.len();
    let all_series = targets.iter().map(|t| t.series.len()).sum();
    let active_series = targets.iter().flat_map(|t| &t.series).filter(|s| s.from == 0).count();
    let mut lanes: Vec<(usize, Vec<Target>)> = (0..send.connections).map(|_| (0, Vec::new())).collect();
    for target in targets {
        let lane = lanes.iter_mut().min_by_key(|l| l.0).context("no connections")?;
        lane.0 += target.series.len();
        lane.1.push(target);
    }
    let threads = std::thread::available_parallelism()?.get();
    let (middle, last) = (spec.rounds(), spec.all_rounds());
    let (mut main, mut tail, mut raw_bytes) = (Vec::new(), Vec::new(), 0);
    let mut size = 0u64;
    while !lanes.is_empty() {
        let group: Vec<_> = lanes.drain(..threads.min(lanes.len())).collect();
        let done: Vec<_> = std::thread::scope(|scope| {
            let handles: Vec<_> = group
                .into_iter()
                .map(|(_, mut lane)| {
                    scope.spawn(move || {
                        let mut raw = 0;
                        let main = encode_lane(&mut lane, spec, start_ms, 0..middle, send.batch, &mut raw);
                        (
                            main,
                            encode_lane(&mut lane, spec, start_ms, middle..last, send.batch, &mut raw),
                            raw,
                        )
                    })
                })
                .collect();
            handles.into_iter().map(|h| h.join().expect("encoder thread")).collect()
        });
        for (m, t, raw) in done {
            size += m.iter().chain(&t).flatten().map(|p| p.body.len() as u64).sum::<u64>();
            main.push(m);
            tail.push(t);
            raw_bytes += raw;
        }
        // Estimated from the lanes done so far, so that too large a workload is refused before it fills memory.
        let whole = size as f64 * send.connections as f64 / main.len() as f64;
        anyhow::ensure!(
            whole < send.max_gib * 1_073_741_824.0,
            "the requests need about {:.1} GiB; see --max-gib",
            whole / 1_073_741_824.0
        );
    }
    let sum = |lanes: &[Lane], f: fn(&Payload) -> u64| lanes.iter().flatten().flatten().map(f).sum::<u64>();
    let facts = Facts {
        spec: spec.clone(),
        send: send.clone(),
        start_ms,
        end_ms: start_ms + i64::from(middle) * spec.interval_ms,
        tail_end_ms,
        oldest_ms: start_ms - if spec.late_share > 0.0 { LATE_MS_MAX / 60_000 * 60_000 } else { 0 },
        targets: count,
        active_series,
        all_series,
        main_samples: sum(&main, |p| p.samples.into()),
        tail_samples: sum(&tail, |p| p.samples.into()),
        stale_markers: sum(&main, |p| p.stale.into()) + sum(&tail, |p| p.stale.into()),
        requests: (sum(&main, |_| 1) + sum(&tail, |_| 1)) as usize,
        raw_bytes,
        snappy_bytes: size,
        encode_seconds: begun.elapsed().as_secs_f64(),
    };
    Ok(Encoded { main, tail, facts })
}

/// Outcome of sending one part.
#[derive(Debug, Default, Clone, Serialize)]
pub struct Sent {
    pub wall_seconds: f64,
    /// Samples acknowledged, stale markers left out, and stale markers acknowledged.
    pub acked: u64,
    pub acked_stale: u64,
    /// Samples, stale markers included, that the server refused or never took.
    pub failed: u64,
    pub retries: u64,
    /// Newest acknowledged sample, Unix milliseconds.
    pub last_ts: i64,
    /// CPU-seconds this harness itself used while it sent.
    pub sender_cpu_seconds: f64,
    /// Time from request to acknowledgement, milliseconds.
    pub ack_p50_ms: f64,
    pub ack_p99_ms: f64,
    pub ack_max_ms: f64,
    /// First refusal, for the report.
    pub first_error: Option<String>,
}

/// Sends every lane over its own connection and waits for all acknowledgements.
pub async fn send(lanes: &[Lane], url: &str, max: Duration) -> Result<Sent> {
    let barrier = Arc::new(Barrier::new(lanes.len()));
    let abort = Arc::new(AtomicBool::new(false));
    let cpu = server::cpu_seconds("self")?;
    let begun = Instant::now();
    let deadline = begun + max;
    let mut tasks = tokio::task::JoinSet::new();
    for lane in lanes {
        // `Bytes` are shared, not copied: the same requests go to every target under test.
        let lane: Lane = lane.clone();
        let client = connection()?;
        let (url, barrier, abort) = (url.to_string(), barrier.clone(), abort.clone());
        tasks.spawn(async move {
            let (mut sent, mut waits) = (Sent::default(), Vec::new());
            for window in lane {
                for payload in window {
                    let asked = Instant::now();
                    match send_one(&client, &url, &payload, deadline, &abort, &mut sent.retries).await {
                        Ok(()) => {
                            sent.acked += u64::from(payload.samples);
                            sent.acked_stale += u64::from(payload.stale);
                            sent.last_ts = sent.last_ts.max(payload.last_ts);
                            waits.push(asked.elapsed().as_secs_f64() * 1e3);
                        }
                        Err(e) => {
                            sent.failed += u64::from(payload.samples + payload.stale);
                            sent.first_error.get_or_insert(e.to_string());
                        }
                    }
                }
                barrier.wait().await;
            }
            (sent, waits)
        });
    }
    let (mut total, mut waits) = (Sent::default(), Vec::new());
    while let Some(done) = tasks.join_next().await {
        let (sent, mut w) = done?;
        total.acked += sent.acked;
        total.acked_stale += sent.acked_stale;
        total.failed += sent.failed;
        total.retries += sent.retries;
        total.last_ts = total.last_ts.max(sent.last_ts);
        total.first_error = total.first_error.or(sent.first_error);
        waits.append(&mut w);
    }
    total.wall_seconds = begun.elapsed().as_secs_f64();
    total.sender_cpu_seconds = server::cpu_seconds("self")? - cpu;
    waits.sort_by(f64::total_cmp);
    [total.ack_p50_ms, total.ack_p99_ms, total.ack_max_ms] =
        [0.5, 0.99, 1.0].map(|q| crate::report::quantile(&waits, q));
    Ok(total)
}

/// A client that keeps one connection.
pub fn connection() -> Result<reqwest::Client> {
    Ok(reqwest::Client::builder().pool_max_idle_per_host(1).timeout(Duration::from_secs(120)).build()?)
}

/// Why a request was not taken.
#[derive(Debug)]
pub enum NotSent {
    /// The server's answer.
    Refused(String),
    /// The time limit, or the end of the run; the server may have taken it or not.
    GaveUp,
}

impl std::fmt::Display for NotSent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            NotSent::Refused(answer) => f.write_str(answer),
            NotSent::GaveUp => f.write_str("gave up at the time limit"),
        }
    }
}

/// One attempt: the status, and the answer's text unless it is a success.
pub async fn post(client: &reqwest::Client, url: &str, payload: &Payload) -> Result<(u16, String)> {
    let answer = client
        .post(url)
        .header("Content-Encoding", "snappy")
        .header("Content-Type", "application/x-protobuf")
        .header("X-Prometheus-Remote-Write-Version", "0.1.0")
        .header("User-Agent", "fleetbench")
        .body(payload.body.clone())
        .send()
        .await?;
    let status = answer.status();
    let text = answer.bytes().await.unwrap_or_default(); // read, so that the connection is used again
    let text = if status.is_success() { String::new() } else { String::from_utf8_lossy(&text).trim().into() };
    Ok((status.as_u16(), text))
}

/// Sends one request, again after 429, 5xx and broken connections, until the deadline.
pub async fn send_one(
    client: &reqwest::Client,
    url: &str,
    payload: &Payload,
    deadline: Instant,
    abort: &AtomicBool,
    retries: &mut u64,
) -> Result<(), NotSent> {
    let mut pause = Duration::from_millis(30);
    loop {
        if abort.load(Ordering::Relaxed) || Instant::now() > deadline {
            abort.store(true, Ordering::Relaxed);
            return Err(NotSent::GaveUp);
        }
        match post(client, url, payload).await {
            Ok((200..=299, _)) => return Ok(()),
            Ok((429 | 500.., _)) | Err(_) => {}
            Ok((status, text)) => return Err(NotSent::Refused(format!("{status}: {text}"))),
        }
        *retries += 1;
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(Duration::from_secs(5));
    }
}
