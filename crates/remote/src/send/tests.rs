//! The sender against scripted endpoints: what is delivered, in which order, after which waits.

use std::collections::{HashMap, HashSet, VecDeque};
use std::path::Path;

use futures_util::future::BoxFuture;
use nave_base::clock::{FakeClock, SystemClock};
use nave_base::disk::{Disk as _, LocalDisk, MemoryDisk, SharedDisk};
use nave_base::metric::{Format, Registry};
use nave_base::random::Random;
use nave_model::append::{Append as _, Batch, BatchBuilder, Principal, SeriesRef};
use nave_model::duration::PromDuration;
use nave_model::label::Labels;
use nave_model::metadata::{Metadata, MetricType};
use nave_model::time::Timestamp;
use nave_wire::remote_write::{Encoding, Message};
use nave_wire::{write_v1, write_v2, zstd_body};

use super::transport::{Answer, Body, Refusal};
use super::*;
use crate::{Queue, QueueOptions};

mod batches;
mod catch_up;
mod versions;

const START_MS: i64 = 1_700_000_000_000;

/// A sample as the endpoint saw it.
type Seen = (String, i64, u64);

/// An endpoint in memory.
#[derive(Default)]
struct Endpoint {
    script: Mutex<VecDeque<Answer>>,
    /// When the script is empty: a chance in 100 for each kind of failure.
    random: Option<Random>,
    delivered: Mutex<Vec<Vec<Seen>>>,
    /// How many senders there were, and which of them each delivery came from.
    lives: Mutex<usize>,
    delivered_by: Mutex<Vec<usize>>,
    /// Also what was taken although the sender was told otherwise.
    seen: Mutex<HashSet<Seen>>,
    metadata: Mutex<Vec<String>>,
    attempts_ms: Mutex<Vec<i64>>,
    /// As a stock Prometheus: a request with one of these values is refused whole.
    refused_values: HashSet<u64>,
    /// Knows 1.0 only.
    old: bool,
    /// Says that it takes zstd, and then does not.
    zstd: bool,
    zstd_lies: bool,
    /// Of every body.
    bytes: Mutex<Vec<(Encoding, usize)>>,
    /// Says that it takes late samples.
    late: bool,
    /// The messages that were delivered.
    messages: Mutex<Vec<Message>>,
    /// Everything that was delivered.
    batches: Mutex<Vec<Batch>>,
}

/// A number under `bound`.
fn below(random: &Random, bound: u64) -> u64 {
    random.u64() % bound
}

struct Wire {
    endpoint: Arc<Endpoint>,
    clock: SharedClock,
    life: usize,
}

impl Transport for Wire {
    fn post(&self, body: Body, _attempt: u32) -> BoxFuture<'_, Answer> {
        Box::pin(async move {
            let Body { message, encoding, bytes } = body;
            self.endpoint.bytes.lock().push((encoding, bytes.len()));
            let plain = match encoding {
                Encoding::Snappy => write_v1::decompress(&bytes, 1 << 20).unwrap(),
                Encoding::Zstd if self.endpoint.zstd_lies => {
                    return Answer::Refused { cause: "415".to_owned(), refusal: Refusal::Message };
                }
                Encoding::Zstd => zstd_body::decompress(&bytes, 1 << 20).unwrap(),
            };
            let principal = Arc::new(Principal::anonymous("test"));
            let batch = match message {
                Message::V1 => write_v1::decode(plain, principal).unwrap(),
                Message::V2 => write_v2::Request::open(plain, 1 << 20).unwrap().decode(principal).unwrap(),
            };
            let mut samples = Vec::new();
            for series in &batch.series {
                let labels = (batch.label_format.decode)(batch.label_bytes(series)).unwrap().to_string();
                samples.extend(batch.samples(series).map(|(t, v)| (labels.clone(), t.0, v.to_bits())));
            }
            let endpoint = &self.endpoint;
            endpoint.attempts_ms.lock().push(self.clock.now_ms() - START_MS);
            if endpoint.old && message == Message::V2 {
                return Answer::Refused { cause: "415".to_owned(), refusal: Refusal::Message };
            }
            if samples.iter().any(|(_, _, bits)| endpoint.refused_values.contains(bits)) {
                return Answer::Refused { cause: "out of order".to_owned(), refusal: Refusal::Divisible };
            }
            let dice = endpoint.random.as_ref().map(|random| below(random, 100));
            let scripted = endpoint.script.lock().pop_front();
            let answer = match (scripted, dice) {
                (Some(answer), _) => answer,
                (None, Some(0..25)) => later("no luck"),
                (None, Some(25..35)) => {
                    // Taken, but the answer gets lost.
                    endpoint.seen.lock().extend(samples.iter().cloned());
                    later("answer lost")
                }
                _ => Answer::Delivered,
            };
            if answer == Answer::Delivered {
                endpoint.messages.lock().push(message);
                endpoint.batches.lock().push(batch.clone());
                endpoint.metadata.lock().extend(batch.metadata.iter().map(|(family, _)| family.to_string()));
                endpoint.seen.lock().extend(samples.iter().cloned());
                let mut delivered = endpoint.delivered.lock();
                delivered.push(samples);
                endpoint.delivered_by.lock().push(self.life);
            }
            answer
        })
    }

    fn takes_zstd(&self) -> bool {
        self.endpoint.zstd
    }

    fn takes_late(&self) -> bool {
        self.endpoint.late
    }
}

fn later(cause: &str) -> Answer {
    Answer::Later { cause: cause.to_owned(), wait: None, too_many: false }
}

fn too_many(seconds: u64) -> Answer {
    let wait = Some(Duration::from_secs(seconds));
    Answer::Later { cause: "429".to_owned(), wait, too_many: true }
}

/// A queue, a sender and an endpoint on a clock that the test moves.
struct Bench {
    clock: Arc<FakeClock>,
    registry: Registry,
    metrics: Arc<Metrics>,
    queue: Arc<Queue>,
    endpoint: Arc<Endpoint>,
    config: RemoteWriteConfig,
}

impl Bench {
    fn new(disk: SharedDisk, options: QueueOptions, clock: Arc<FakeClock>, endpoint: Arc<Endpoint>) -> Self {
        let registry = Registry::default();
        let metrics = Metrics::register(&registry);
        let queue = Queue::open(options, disk, clock.clone(), &registry, metrics.clone()).unwrap();
        queue.set_endpoints(&["hub".to_owned()]);
        let mut config = RemoteWriteConfig::new("http://hub/");
        config.name = "hub".to_owned();
        Self { clock, registry, metrics, queue: Arc::new(queue), endpoint, config }
    }

    fn in_memory() -> Self {
        Self::with(Endpoint::default())
    }

    fn with(endpoint: Endpoint) -> Self {
        let options = QueueOptions::new("/queue", 1 << 30);
        let endpoint = Arc::new(endpoint);
        Self::new(Arc::new(MemoryDisk::default()), options, FakeClock::at(START_MS), endpoint)
    }

    fn sender(&self, metadata: Option<Arc<dyn MetadataSource>>) -> Sender {
        let options = SenderOptions {
            config: self.config.clone(),
            external_labels: vec![("cluster".to_owned(), "spoke1".to_owned())],
            catch_up: CatchUpOptions::default(),
            source: self.queue.clone(),
            metadata,
            metrics: self.metrics.clone(),
            clock: self.clock.clone(),
            flush_deadline: Duration::from_secs(60),
        };
        let life = {
            let mut lives = self.endpoint.lives.lock();
            *lives += 1;
            *lives
        };
        let wire = Wire { endpoint: self.endpoint.clone(), clock: self.clock.clone(), life };
        Sender::start_with(options, Box::new(wire))
    }

    /// Appends the samples `(series, value)`, each at its own millisecond.
    async fn append(&self, samples: &[(u64, u64)]) -> Vec<Seen> {
        let mut builder = BatchBuilder::new(Arc::new(Principal::anonymous("test")));
        let mut seen = Vec::new();
        for (series, value) in samples {
            let name = format!("m{series}");
            let labels = Labels::from_pairs([("__name__", &name)]).unwrap();
            let timestamp = START_MS + *value as i64;
            builder.series(&labels, SeriesRef::NONE).sample(Timestamp(timestamp), *value as f64);
            let sent = format!(r#"{{__name__="{name}", cluster="spoke1"}}"#);
            seen.push((sent, timestamp, (*value as f64).to_bits()));
        }
        let outcome = self.queue.append(builder.build()).await.unwrap();
        assert_eq!(outcome.samples.stored, samples.len());
        seen
    }

    /// Lets time pass in small steps until `done`.
    async fn until(&self, what: &str, done: impl Fn() -> bool) {
        let real = SystemClock::shared();
        while !done() {
            self.clock.advance(Duration::from_millis(10));
            for _ in 0..20 {
                tokio::task::yield_now().await;
            }
            assert!(real.monotonic() < Duration::from_secs(120), "waited for {what}");
        }
    }

    fn delivered(&self) -> usize {
        self.endpoint.delivered.lock().iter().map(Vec::len).sum()
    }

    fn value(&self, start: &str) -> f64 {
        let page = self.registry.page(Format::Text);
        let line = page.lines().find(|line| line.starts_with(start));
        line.and_then(|line| line.rsplit(' ').next()?.parse().ok()).unwrap_or(f64::NAN)
    }

    async fn stop(&self, sender: Sender) {
        let stopping = tokio::spawn(sender.stop());
        self.until("the sender to stop", || stopping.is_finished()).await;
        stopping.await.unwrap();
    }
}

#[tokio::test]
async fn failures_that_pass_are_retried_with_growing_waits_and_delivered_once() {
    let bench = Bench::in_memory();
    bench.endpoint.script.lock().extend([later("503"), later("503"), later("503")]);
    let sender = bench.sender(None);
    let mut want = bench.append(&[(1, 1), (2, 1)]).await;
    want.extend(bench.append(&[(1, 2)]).await);
    bench.until("delivery", || bench.delivered() == 3).await;
    let attempts = bench.endpoint.attempts_ms.lock().clone();
    let waits: Vec<i64> = attempts.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert_eq!(waits, [30, 60, 120], "attempts at {attempts:?}");
    assert!(attempts[0] >= 5_000, "a part batch waits for the deadline: {attempts:?}");
    let delivered = bench.endpoint.delivered.lock().concat();
    assert_eq!(
        delivered.iter().filter(|seen| seen.0.contains("m1")).map(|seen| seen.1).collect::<Vec<_>>(),
        [START_MS + 1, START_MS + 2]
    );
    assert_eq!(delivered.iter().cloned().collect::<HashSet<_>>(), want.into_iter().collect());
    let end = *bench.queue.durable_end().borrow();
    assert_eq!(sender.position(), end);
    let metric = |name: &str| bench.value(&format!("prometheus_remote_storage_{name}{{remote_name=\"hub\""));
    assert_eq!((metric("samples_total"), metric("samples_retried_total")), (3.0, 9.0));
    assert_eq!((metric("samples_failed_total"), metric("samples_pending")), (0.0, 0.0));
    assert_eq!((metric("queue_length"), metric("shards")), (0.0, 1.0));
    bench.stop(sender).await;
    assert_eq!(bench.queue.resume("hub"), Delivered::up_to(end));
}

#[tokio::test]
async fn refused_batches_are_dropped_and_counted() {
    let bench = Bench::in_memory();
    bench
        .endpoint
        .script
        .lock()
        .extend([Answer::Refused { cause: "404".to_owned(), refusal: Refusal::Final }, too_many(1)]);
    let sender = bench.sender(None);
    bench.append(&[(1, 1)]).await;
    let failed = || bench.value("prometheus_remote_storage_samples_failed_total{remote_name=\"hub\"");
    bench.until("the refusal", || failed() == 1.0).await;
    bench.append(&[(1, 2)]).await;
    bench.until("429 without retry", || failed() == 2.0).await;
    bench.append(&[(1, 3)]).await;
    bench.until("delivery of the next", || bench.delivered() == 1).await;
    assert_eq!(sender.position(), *bench.queue.durable_end().borrow());
}

#[tokio::test]
async fn a_refused_batch_is_halved_until_only_what_is_refused_is_dropped() {
    let refused = [17.0f64, 18.0, 301.0].map(f64::to_bits).into();
    let bench = Bench::with(Endpoint { refused_values: refused, ..Endpoint::default() });
    bench.endpoint.script.lock().push_back(later("503"));
    let sender = bench.sender(None);
    let samples: Vec<(u64, u64)> = (0..1000).map(|n| (n % 50, n)).collect();
    bench.append(&samples).await;
    bench.until("delivery", || bench.delivered() == 997).await;
    let end = *bench.queue.durable_end().borrow();
    bench.until("the position", || sender.position() == end).await;
    let metric = |name: &str| bench.value(&format!("prometheus_remote_storage_{name}{{remote_name=\"hub\""));
    assert_eq!((metric("samples_failed_total"), metric("samples_total")), (3.0, 1000.0));
    assert_eq!(metric("samples_pending"), 0.0);
    assert!(bench.endpoint.attempts_ms.lock().len() < 80, "halving, not one by one");
    // Order per series is kept.
    let mut last = HashMap::new();
    for (series, at, _) in bench.endpoint.delivered.lock().concat() {
        assert!(last.insert(series, at).is_none_or(|before| before < at));
    }
}

#[tokio::test]
async fn an_endpoint_that_refuses_everything_ends_the_halving() {
    let refused: HashSet<u64> = (0..2000).map(|n| f64::from(n).to_bits()).collect();
    let bench = Bench::with(Endpoint { refused_values: refused, ..Endpoint::default() });
    let sender = bench.sender(None);
    let samples: Vec<(u64, u64)> = (0..2000).map(|n| (n, n)).collect();
    bench.append(&samples).await;
    let end = *bench.queue.durable_end().borrow();
    bench.until("the position", || sender.position() == end).await;
    assert_eq!(bench.value("prometheus_remote_storage_samples_failed_total{remote_name=\"hub\""), 2000.0);
    assert!(bench.endpoint.attempts_ms.lock().len() <= 513);
}

#[tokio::test]
async fn retry_after_is_honoured() {
    let mut bench = Bench::in_memory();
    bench.config.queue_config.retry_on_http_429 = true;
    bench.endpoint.script.lock().push_back(too_many(7));
    let _sender = bench.sender(None);
    bench.append(&[(1, 1)]).await;
    bench.until("delivery", || bench.delivered() == 1).await;
    let attempts = bench.endpoint.attempts_ms.lock().clone();
    assert_eq!(attempts[1] - attempts[0], 7_000);
}

#[tokio::test]
async fn no_batch_is_larger_than_the_setting_and_stopping_flushes() {
    let mut bench = Bench::in_memory();
    bench.config.queue_config.max_samples_per_send = 3;
    bench.config.queue_config.batch_send_deadline = PromDuration::from_secs(3600);
    let sender = bench.sender(None);
    let samples: Vec<(u64, u64)> = (0..10).map(|n| (n % 4, n)).collect();
    bench.append(&samples).await;
    bench.until("full batches", || bench.delivered() == 9).await;
    assert!(bench.endpoint.attempts_ms.lock().iter().all(|at| *at < 60_000), "full batches wait for nothing");
    bench.stop(sender).await;
    assert_eq!(bench.delivered(), 10);
    assert!(bench.endpoint.delivered.lock().iter().all(|batch| batch.len() <= 3));
}

#[tokio::test]
async fn stopping_does_not_wait_for_a_dead_endpoint_and_the_next_life_goes_on() {
    let bench = Bench::in_memory();
    bench.endpoint.script.lock().extend(vec![later("refused"); 100_000]);
    let sender = bench.sender(None);
    bench.append(&[(1, 1), (2, 2)]).await;
    bench.until("an attempt", || !bench.endpoint.attempts_ms.lock().is_empty()).await;
    bench.stop(sender).await;
    assert_eq!(bench.delivered(), 0);
    bench.endpoint.script.lock().clear();
    let _sender = bench.sender(None);
    bench.until("delivery", || bench.delivered() == 2).await;
}

#[tokio::test]
async fn old_samples_are_dropped_when_the_settings_say_so() {
    let mut bench = Bench::in_memory();
    bench.config.queue_config.sample_age_limit = PromDuration::from_secs(30);
    bench.endpoint.script.lock().extend(vec![later("503"); 20]);
    let sender = bench.sender(None);
    bench.append(&[(1, 1)]).await;
    let dropped = || {
        let page = bench.registry.page(Format::Text);
        page.contains("samples_dropped_total{remote_name=\"hub\",url=\"http://hub/\",reason=\"too_old\"} 1\n")
    };
    bench.until("the drop", dropped).await;
    let end = *bench.queue.durable_end().borrow();
    bench.until("the position", || sender.position() == end).await;
    assert_eq!(bench.delivered(), 0);
}

#[tokio::test]
async fn metadata_is_sent_once_per_interval_in_portions() {
    struct Families;
    impl MetadataSource for Families {
        fn metadata(&self) -> Vec<(Arc<str>, Metadata)> {
            let metadata = Metadata { kind: MetricType::Counter, ..Metadata::default() };
            ["a", "b", "c"].map(|family| (Arc::from(family), metadata.clone())).to_vec()
        }
    }
    let mut bench = Bench::in_memory();
    bench.config.metadata_config.max_samples_per_send = 2;
    bench.endpoint.script.lock().push_back(later("503"));
    let _sender = bench.sender(Some(Arc::new(Families)));
    bench.until("metadata", || bench.endpoint.metadata.lock().len() == 3).await;
    assert_eq!(*bench.endpoint.metadata.lock(), ["a", "b", "c"]);
    assert_eq!(bench.endpoint.delivered.lock().len(), 2);
    bench.until("the count", || bench.value("prometheus_remote_storage_metadata_total{") == 3.0).await;
    assert_eq!(bench.value("prometheus_remote_storage_metadata_retried_total{"), 2.0);
    assert!(bench.endpoint.attempts_ms.lock()[0] >= 60_000);
}

#[tokio::test]
async fn shards_grow_when_the_endpoint_is_slow() {
    struct Slow(SharedClock, Arc<Mutex<(usize, usize)>>);
    impl Transport for Slow {
        fn post(&self, _: Body, _: u32) -> BoxFuture<'_, Answer> {
            Box::pin(async move {
                {
                    let mut running = self.1.lock();
                    running.0 += 1;
                    running.1 = running.1.max(running.0);
                }
                self.0.sleep(Duration::from_secs(1)).await;
                self.1.lock().0 -= 1;
                Answer::Delivered
            })
        }

        fn takes_zstd(&self) -> bool {
            false
        }

        fn takes_late(&self) -> bool {
            false
        }
    }
    let mut bench = Bench::in_memory();
    let queue = &mut bench.config.queue_config;
    (queue.max_shards, queue.max_samples_per_send, queue.capacity) = (7, 2, 10);
    let running = Arc::new(Mutex::new((0, 0)));
    let options = SenderOptions {
        config: bench.config.clone(),
        external_labels: Vec::new(),
        catch_up: CatchUpOptions::default(),
        source: bench.queue.clone(),
        metadata: None,
        metrics: bench.metrics.clone(),
        clock: bench.clock.clone(),
        flush_deadline: Duration::from_secs(1),
    };
    let sender = Sender::start_with(options, Box::new(Slow(bench.clock.clone(), running.clone())));
    for second in 0..60 {
        let samples: Vec<(u64, u64)> = (0..50).map(|series| (series, second)).collect();
        bench.append(&samples).await;
    }
    bench.until("all shards at work", || running.lock().1 == 7).await;
    let metric = |name: &str| bench.value(&format!("prometheus_remote_storage_{name}{{remote_name=\"hub\""));
    assert_eq!((metric("shards"), metric("shards_max"), metric("shards_min")), (7.0, 7.0, 1.0));
    assert!(metric("shards_desired") > 7.0);
    let end = *bench.queue.durable_end().borrow();
    bench.until("the backlog", || sender.position() == end).await;
    bench.until("shrinking", || metric("shards") == 1.0).await;
    assert_eq!(running.lock().1, 7, "never more than the bound");
}

/// Whatever fails, restarts or loses power: what was acknowledged arrives, nothing else does, and in
/// every life of the sender each series arrives in order.
#[test]
fn nothing_is_lost_invented_or_reordered() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    for seed in 1..=25 {
        runtime.block_on(storm(seed));
    }
}

async fn storm(seed: u64) {
    let random = Random::from_seed(seed);
    let luck = Some(Random::from_seed(seed + 1000));
    let endpoint = Arc::new(Endpoint { random: luck, ..Endpoint::default() });
    let clock = FakeClock::at(START_MS);
    let options = || QueueOptions { segment_bytes: 600, ..QueueOptions::new("/queue", 1 << 30) };
    let mut disk = MemoryDisk::default();
    let mut bench = Bench::new(Arc::new(disk.clone()), options(), clock.clone(), endpoint.clone());
    let (mut acknowledged, mut value) = (HashSet::new(), 0);
    let configure = |bench: &mut Bench| {
        let queue = &mut bench.config.queue_config;
        queue.max_samples_per_send = 1 + below(&random, 7) as usize;
        queue.capacity = 1 + below(&random, 30) as usize;
        queue.min_shards = 1 + below(&random, 4) as usize;
        queue.max_shards = queue.min_shards + below(&random, 4) as usize;
        queue.batch_send_deadline = PromDuration::from_ms(100);
    };
    configure(&mut bench);
    let mut sender = Some(bench.sender(None));
    for _ in 0..40 {
        match below(&random, 10) {
            0 => {
                // The sender dies and begins again.
                drop(sender.take());
                configure(&mut bench);
                sender = Some(bench.sender(None));
            }
            1 => {
                // The power fails.
                let torn = below(&random, 40) as usize;
                disk = disk.after_power_cut(torn);
                drop(sender.take());
                bench = Bench::new(Arc::new(disk.clone()), options(), clock.clone(), endpoint.clone());
                configure(&mut bench);
                sender = Some(bench.sender(None));
            }
            2 => {
                let position = sender.as_ref().map(Sender::position);
                for _ in 0..below(&random, 30) {
                    bench.clock.advance(Duration::from_millis(below(&random, 3_000)));
                    tokio::task::yield_now().await;
                }
                assert!(
                    sender.as_ref().map(Sender::position) >= position,
                    "seed {seed}: the position went back"
                );
            }
            _ => {
                let count = 1 + below(&random, 12);
                let samples: Vec<_> = (0..count).map(|n| (below(&random, 6), value + n)).collect();
                value += count;
                acknowledged.extend(bench.append(&samples).await);
            }
        }
    }
    let missing = || !acknowledged.is_subset(&endpoint.seen.lock());
    bench.until(&format!("every sample of seed {seed}"), || !missing()).await;
    drop(sender.take());
    check_order(&endpoint, seed);
    let seen = endpoint.seen.lock();
    assert!(seen.is_subset(&acknowledged), "seed {seed}: invented {:?}", seen.difference(&acknowledged));
}

/// In each life of the sender every series came in order. Lives may overlap: a request that was on its way
/// when its sender died may arrive late.
fn check_order(endpoint: &Endpoint, seed: u64) {
    let mut newest: HashMap<(usize, String), i64> = HashMap::new();
    let (delivered, lives) = (endpoint.delivered.lock(), endpoint.delivered_by.lock());
    for (batch, life) in delivered.iter().zip(lives.iter()) {
        for (series, timestamp, _) in batch {
            let before = newest.insert((*life, series.clone()), *timestamp);
            assert!(
                before < Some(*timestamp),
                "seed {seed}, life {life}: {series} {timestamp} after {before:?}"
            );
        }
    }
}

#[tokio::test]
async fn a_real_folder_survives_a_kill_and_a_torn_end() {
    let dir = tempfile::tempdir().unwrap();
    let endpoint = Arc::new(Endpoint::default());
    let clock = FakeClock::at(START_MS);
    let mut want = HashSet::new();
    for life in 0..4u64 {
        // Tasks of the life before may still hold the queue.
        let options =
            QueueOptions { segment_bytes: 300, lock: false, ..QueueOptions::new(dir.path(), 1 << 30) };
        let bench = Bench::new(LocalDisk::shared(), options, clock.clone(), endpoint.clone());
        for n in 0..10 {
            want.extend(bench.append(&[(n % 3, life * 10 + n), (7, life * 10 + n)]).await);
        }
        let sender = bench.sender(None);
        if life % 2 == 1 {
            bench.until("delivery", || want.is_subset(&endpoint.seen.lock())).await;
        }
        drop((sender, bench));
        tear(dir.path());
    }
    assert_eq!(*endpoint.seen.lock(), want);
    let names = LocalDisk.list(dir.path()).unwrap();
    // A position may be on its way.
    let good =
        |name: &str| [".wal", ".position", ".batches", ".tmp"].iter().any(|suffix| name.ends_with(suffix));
    assert!(names.iter().all(|entry| good(&entry.name)), "only log and position files: {names:?}");
}

/// Half a record at the end of the newest segment, as a crash leaves it.
fn tear(dir: &Path) {
    let names = LocalDisk.list(dir).unwrap();
    let last = names.iter().rfind(|entry| entry.name.ends_with(".wal")).unwrap();
    LocalDisk.append(&dir.join(&last.name)).unwrap().append(&[40, 0, 0, 0, 1, 2, 3, 4, 3, 9]).unwrap();
}
