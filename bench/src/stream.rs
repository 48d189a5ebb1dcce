//! Sends while it encodes: a thread scrapes the fleet round by round and packs the requests, connections
//! send them, at a pace or as fast as they are acknowledged. Memory does not grow with the run's length.
//!
//! Readers (`soak.rs`) can hold the senders back, so that every target is asked the same for the same data.

use crate::live::{self, Lane};
use crate::proto::STALE_NAN;
use crate::server;
use crate::workload::Spec;
use crate::write::{self, NotSent, Packer, Payload};
use anyhow::Result;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

/// Requests that wait for each connection, at most, beyond those of one round.
const QUEUE: usize = 16;

/// What is sent and how fast.
#[derive(Debug, Clone)]
pub struct Plan {
    pub spec: Spec,
    pub connections: usize,
    /// Samples per request.
    pub batch: usize,
    /// Scrapes of each target.
    pub rounds: u32,
    /// Time of the first scrape, Unix milliseconds.
    pub start_ms: i64,
    /// Simulated seconds per second; 0: as fast as requests are acknowledged.
    pub speedup: f64,
    /// Limit of the whole run.
    pub max: Duration,
}

impl Plan {
    /// End of the first `rounds` scrapes, Unix milliseconds.
    pub fn time_of(&self, rounds: u32) -> i64 {
        self.start_ms + i64::from(rounds) * self.spec.interval_ms
    }
}

/// The least of several counters that only grow, each with an owner, for others to wait for.
pub struct Slowest {
    each: Mutex<Vec<u32>>,
    least: watch::Sender<u32>,
}

impl Slowest {
    pub fn new(count: usize) -> Self {
        let least = if count == 0 { u32::MAX } else { 0 };
        Slowest { each: Mutex::new(vec![0; count]), least: watch::Sender::new(least) }
    }
    /// Owner `index` has come to `value`.
    pub fn set(&self, index: usize, value: u32) {
        let mut each = self.each.lock().expect("lock");
        each[index] = value;
        let least = each.iter().copied().min().unwrap_or(u32::MAX);
        self.least.send_if_modified(|v| std::mem::replace(v, least) != least);
    }
    pub fn get(&self) -> u32 {
        *self.least.borrow()
    }
    /// Waits until the least has come to `value`.
    pub async fn reach(&self, value: u32) {
        let mut watch = self.least.subscribe();
        // The sender lives as long as `self`, so this cannot fail.
        let _ = watch.wait_for(|v| *v >= value).await;
    }
}

/// One acknowledged request.
#[derive(Debug, Clone, Copy)]
pub struct Ack {
    /// When it was asked.
    pub asked: Instant,
    /// From request to acknowledgement, and from the time it was due (the same without a pace), milliseconds.
    pub ms: f64,
    pub due_ms: f64,
}

/// What the senders have done so far.
pub struct Progress {
    /// Whole rounds that every connection has sent.
    pub done: Slowest,
    /// Rounds that the readers allow.
    pub allowed: Slowest,
    pub acked: AtomicU64,
    pub acked_stale: AtomicU64,
    pub failed: AtomicU64,
    pub retries: AtomicU64,
    pub raw_bytes: AtomicU64,
    /// Acknowledgements since they were last taken.
    pub acks: Mutex<Vec<Ack>>,
    pub first_error: Mutex<Option<String>>,
    /// Set to end the run early.
    pub abort: AtomicBool,
}

impl Progress {
    pub fn take_acks(&self) -> Vec<Ack> {
        std::mem::take(&mut *self.acks.lock().expect("lock"))
    }
    /// Samples and stale markers acknowledged.
    pub fn taken(&self) -> u64 {
        self.acked.load(Relaxed) + self.acked_stale.load(Relaxed)
    }
}

/// A request and when it is due, in rounds since the start.
struct Parcel {
    payload: Payload,
    due: f64,
    /// Set on the last one of a round: how many rounds are done with it.
    ends: Option<u32>,
}

/// A run in progress.
pub struct Stream {
    pub progress: Arc<Progress>,
    pub begun: Instant,
    /// Series and targets alive at any one time.
    pub series: usize,
    pub targets: usize,
    tasks: JoinSet<Vec<Payload>>,
    cpu: f64,
}

/// How a run ended.
pub struct Ended {
    pub wall_seconds: f64,
    pub sender_cpu_seconds: f64,
    /// Requests that may have been taken but were not acknowledged.
    pub in_flight: Vec<Payload>,
}

/// Starts to send to `url`; `readers` is the number of those who hold the senders back.
pub fn start(plan: &Plan, url: &str, readers: usize) -> Result<Stream> {
    let fleet = live::live(&plan.spec, plan.connections);
    let progress = Arc::new(Progress {
        done: Slowest::new(plan.connections),
        allowed: Slowest::new(readers),
        acked: 0.into(),
        acked_stale: 0.into(),
        failed: 0.into(),
        retries: 0.into(),
        raw_bytes: 0.into(),
        acks: Mutex::default(),
        first_error: Mutex::default(),
        abort: false.into(),
    });
    let room = fleet.series / plan.connections.max(1) / plan.batch.max(1) + QUEUE;
    let (mut senders, mut tasks) = (Vec::new(), JoinSet::new());
    let begun = Instant::now();
    for index in 0..plan.connections {
        let (sender, receiver) = mpsc::channel(room);
        senders.push(sender);
        let connection = Connection {
            index,
            client: write::connection()?,
            url: url.to_string(),
            begun,
            deadline: begun + plan.max,
            round: (plan.speedup > 0.0).then(|| plan.spec.interval_ms as f64 / 1e3 / plan.speedup),
            progress: progress.clone(),
        };
        tasks.spawn(connection.run(receiver));
    }
    let (plan, counted, lanes) = (plan.clone(), progress.clone(), fleet.lanes);
    std::thread::Builder::new()
        .name("encoder".into())
        .spawn(move || encode(&plan, lanes, &senders, &counted))?;
    let cpu = server::cpu_seconds("self")?;
    Ok(Stream { progress, begun, series: fleet.series, targets: fleet.targets, tasks, cpu })
}

impl Stream {
    /// Waits until all has been sent, or the run was aborted.
    pub async fn finish(mut self) -> Result<Ended> {
        let mut in_flight = Vec::new();
        while let Some(done) = self.tasks.join_next().await {
            in_flight.extend(done?);
        }
        let sender_cpu_seconds = server::cpu_seconds("self")? - self.cpu;
        Ok(Ended { wall_seconds: self.begun.elapsed().as_secs_f64(), sender_cpu_seconds, in_flight })
    }
}

/// Packs one scrape of a lane into requests.
pub fn pack(lane: &mut Lane, plan: &Plan, round: u32, packer: &mut Packer) -> Vec<Payload> {
    let (spec, dt, mut out) = (&plan.spec, plan.spec.interval_ms as f64 / 1e3, Vec::new());
    lane.scrape(spec, round, |target, ends| {
        let ts = target.scrape_time(spec, plan.start_ms, round);
        for series in &mut target.series {
            let value = if ends { f64::from_bits(STALE_NAN) } else { series.next(ts, dt) };
            out.extend(packer.put(&series.labels, value, ts));
        }
    });
    out.extend(packer.flush());
    out
}

/// The encoder's thread: ends when all is encoded or nobody listens any more.
fn encode(plan: &Plan, mut lanes: Vec<Lane>, senders: &[mpsc::Sender<Parcel>], progress: &Progress) {
    let mut packer = Packer::new(plan.batch);
    for round in 0..plan.rounds {
        for (index, lane) in lanes.iter_mut().enumerate() {
            let payloads = pack(lane, plan, round, &mut packer);
            let count = payloads.len();
            for (i, payload) in payloads.into_iter().enumerate() {
                // Spread over the round, each connection a little after the one before.
                let share = (i as f64 + index as f64 / plan.connections as f64) / count as f64;
                let ends = (i + 1 == count).then_some(round + 1);
                let due = f64::from(round) + share;
                if senders[index].blocking_send(Parcel { payload, due, ends }).is_err() {
                    return;
                }
            }
            progress.raw_bytes.store(packer.raw_bytes, Relaxed);
        }
    }
}

/// One connection to the server.
struct Connection {
    index: usize,
    client: reqwest::Client,
    url: String,
    begun: Instant,
    deadline: Instant,
    /// Seconds that a round takes, with a pace.
    round: Option<f64>,
    progress: Arc<Progress>,
}

impl Connection {
    /// Sends until there is no more; returns what was not acknowledged when the run was aborted.
    async fn run(self, mut parcels: mpsc::Receiver<Parcel>) -> Vec<Payload> {
        let p = &self.progress;
        while let Some(parcel) = parcels.recv().await {
            p.allowed.reach(parcel.due as u32).await;
            let mut due = None;
            if let Some(seconds) = self.round {
                let at = self.begun + Duration::from_secs_f64(parcel.due * seconds);
                tokio::time::sleep_until(at.into()).await;
                due = Some(at);
            }
            let (asked, mut retries) = (Instant::now(), 0);
            let sent = write::send_one(
                &self.client,
                &self.url,
                &parcel.payload,
                self.deadline,
                &p.abort,
                &mut retries,
            )
            .await;
            p.retries.fetch_add(retries, Relaxed);
            match sent {
                Ok(()) => {
                    let ms = |since: Instant| since.elapsed().as_secs_f64() * 1e3;
                    let ack = Ack { asked, ms: ms(asked), due_ms: ms(due.unwrap_or(asked)) };
                    p.acks.lock().expect("lock").push(ack);
                    p.acked.fetch_add(parcel.payload.samples.into(), Relaxed);
                    p.acked_stale.fetch_add(parcel.payload.stale.into(), Relaxed);
                }
                Err(NotSent::GaveUp) => {
                    p.done.set(self.index, u32::MAX); // nobody waits for what will not come
                    return vec![parcel.payload];
                }
                Err(NotSent::Refused(answer)) => {
                    p.failed.fetch_add(u64::from(parcel.payload.samples + parcel.payload.stale), Relaxed);
                    p.first_error.lock().expect("lock").get_or_insert(answer);
                }
            }
            if let Some(rounds) = parcel.ends {
                p.done.set(self.index, rounds);
            }
        }
        p.done.set(self.index, u32::MAX);
        Vec::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto;

    #[test]
    fn a_stream_has_one_sample_of_each_series_each_round() {
        let spec = Spec { churn: 0.0, ..crate::workload::tests::spec() };
        let plan = Plan {
            spec,
            connections: 3,
            batch: 500,
            rounds: 3,
            start_ms: 1_700_000_000_000,
            speedup: 0.0,
            max: Duration::from_secs(1),
        };
        let mut fleet = live::live(&plan.spec, plan.connections);
        let (mut samples, mut packer) = (0, Packer::new(plan.batch));
        for round in 0..plan.rounds {
            for lane in &mut fleet.lanes {
                for payload in pack(lane, &plan, round, &mut packer) {
                    let raw = snap::raw::Decoder::new().decompress_vec(&payload.body).unwrap();
                    assert_eq!(
                        proto::count_samples(&raw),
                        Some((payload.samples.into(), payload.stale.into()))
                    );
                    assert!((1..=500).contains(&payload.samples) && payload.stale == 0);
                    samples += payload.samples as usize;
                }
            }
        }
        assert_eq!(samples, 3 * fleet.series);
    }

    #[tokio::test]
    async fn the_slowest_is_waited_for() {
        let slowest = Slowest::new(2);
        slowest.set(0, 5);
        assert_eq!(slowest.get(), 0);
        slowest.set(1, 3);
        assert_eq!(slowest.get(), 3);
        slowest.reach(3).await;
        Slowest::new(0).reach(u32::MAX).await;
    }
}
