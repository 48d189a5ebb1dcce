//! Fresh first: lateness, the backlog's pace and completeness in simulated time, and what survives kills.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use super::*;

const SERIES: u64 = 200;

/// A hub that takes 20 ms per request, and can be away.
struct Hub {
    clock: SharedClock,
    down: AtomicBool,
    late: bool,
    /// Per series, the seconds in order of their first arrival.
    came: Mutex<HashMap<String, Came>>,
    newest: AtomicI64,
    /// All together.
    distinct: AtomicUsize,
}

#[derive(Default)]
struct Came {
    order: Vec<i64>,
    known: Vec<bool>,
}

impl Came {
    /// Whether it is new.
    fn note(&mut self, second: i64) -> bool {
        let at = usize::try_from(second).unwrap();
        self.known.resize(self.known.len().max(at + 1), false);
        let new = !std::mem::replace(&mut self.known[at], true);
        self.order.extend(new.then_some(second));
        new
    }
}

struct ToHub(Arc<Hub>);

impl Transport for ToHub {
    fn post(&self, body: Body, _: u32) -> BoxFuture<'_, Answer> {
        Box::pin(async move {
            let hub = &self.0;
            hub.clock.sleep(Duration::from_millis(20)).await;
            if hub.down.load(Ordering::Relaxed) {
                return later("no route");
            }
            let plain = write_v1::decompress(&body.bytes, 1 << 22).unwrap();
            let batch = write_v1::decode(plain, Arc::new(Principal::anonymous("test"))).unwrap();
            let mut came = hub.came.lock();
            for series in &batch.series {
                let labels = (batch.label_format.decode)(batch.label_bytes(series)).unwrap();
                let seconds = batch.samples(series).map(|(at, _)| (at.0 - START_MS) / 1000);
                let all = came.entry(labels.metric_name().to_owned()).or_default();
                for second in seconds {
                    hub.newest.fetch_max(second, Ordering::Relaxed);
                    hub.distinct.fetch_add(usize::from(all.note(second)), Ordering::Relaxed);
                }
            }
            Answer::Delivered
        })
    }

    fn takes_zstd(&self) -> bool {
        false
    }

    fn takes_late(&self) -> bool {
        self.0.late
    }
}

struct Simulation {
    bench: Bench,
    hub: Arc<Hub>,
    second: i64,
    sender: Option<Sender>,
}

impl Simulation {
    fn new(late: bool) -> Self {
        let bench = Bench::in_memory();
        let clock: SharedClock = bench.clock.clone();
        let hub = Arc::new(Hub {
            clock,
            down: AtomicBool::new(false),
            late,
            came: Mutex::default(),
            newest: AtomicI64::new(0),
            distinct: AtomicUsize::new(0),
        });
        let mut simulation = Self { bench, hub, second: 0, sender: None };
        simulation.start();
        simulation
    }

    fn start(&mut self) {
        let options = SenderOptions {
            config: self.bench.config.clone(),
            external_labels: Vec::new(),
            catch_up: CatchUpOptions::default(),
            source: self.bench.queue.clone(),
            metadata: None,
            metrics: self.bench.metrics.clone(),
            clock: self.bench.clock.clone(),
            flush_deadline: Duration::from_secs(1),
        };
        self.sender = Some(Sender::start_with(options, Box::new(ToHub(self.hub.clone()))));
    }

    /// One second: every series gets a sample, and time passes in `steps`.
    async fn pass(&mut self, steps: u32) {
        self.second += 1;
        let mut builder = BatchBuilder::new(Arc::new(Principal::anonymous("test")));
        for series in 0..SERIES {
            let labels = Labels::from_pairs([("__name__", format!("m{series}"))]).unwrap();
            let at = Timestamp(START_MS + self.second * 1000);
            builder.series(&labels, SeriesRef::NONE).sample(at, self.second as f64);
        }
        self.bench.queue.append(builder.build()).await.unwrap();
        for _ in 0..steps {
            self.bench.clock.advance(Duration::from_secs(1) / steps);
            for _ in 0..3 {
                for _ in 0..10 {
                    tokio::task::yield_now().await;
                }
                // There is one thread for reading: what was asked of it before is done after this.
                tokio::task::spawn_blocking(|| {}).await.unwrap();
            }
        }
    }

    async fn pass_seconds(&mut self, seconds: i64, steps: u32) {
        for _ in 0..seconds {
            self.pass(steps).await;
        }
    }

    /// Seconds that the newest delivered sample is behind.
    fn behind(&self) -> i64 {
        self.second - self.hub.newest.load(Ordering::Relaxed)
    }

    fn missing(&self) -> usize {
        self.second as usize * SERIES as usize - self.hub.distinct.load(Ordering::Relaxed)
    }

    fn value(&self, name: &str) -> f64 {
        self.bench.value(&format!("{name}{{remote_name=\"hub\""))
    }
}

fn simulate(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().max_blocking_threads(1).enable_all().build();
    runtime.unwrap().block_on(test);
}

/// The figures of the design: 30 minutes of outage, fresh data under 30 s behind from the first minute after it,
/// the backlog gone in a quarter of the outage, and nothing missing or out of order in either part.
#[test]
fn after_an_outage_fresh_samples_go_first_and_the_backlog_drains_beside_them() {
    simulate(async {
        let mut simulation = Simulation::new(true);
        simulation.pass_seconds(60, 5).await;
        assert!(simulation.behind() <= 6, "{} s behind in peace", simulation.behind());
        simulation.hub.down.store(true, Ordering::Relaxed);
        simulation.pass_seconds(1800, 1).await;
        simulation.hub.down.store(false, Ordering::Relaxed);
        let back = simulation.second;
        let before = simulation.hub.distinct.load(Ordering::Relaxed);
        simulation.pass_seconds(60, 5).await;
        // What the fresh samples of a minute allow, the trickle, and what went in order in the first second.
        let drained = simulation.hub.distinct.load(Ordering::Relaxed) - before - 60 * SERIES as usize;
        assert!(
            (40_000..60 * (200 * 6 + 1000) + 60_000).contains(&drained),
            "{drained} older ones in a minute"
        );
        assert!(simulation.value("nave_remote_backlog_bytes") > 1e6);
        let guess = simulation.value("nave_remote_backlog_samples") / simulation.missing() as f64;
        assert!((0.8..1.2).contains(&guess), "the estimate is {guess} of what is missing");
        assert_eq!(simulation.value("nave_remote_left_behind_total"), 1.0);
        assert!(simulation.value("nave_remote_backlog_lag_seconds") > 60.0);
        let mut worst = 0;
        while simulation.missing() > 2_000 {
            simulation.pass(5).await;
            worst = worst.max(simulation.behind());
            assert!(simulation.second - back <= 450, "{} missing after a quarter", simulation.missing());
        }
        assert!(worst < 15, "fresh samples were {worst} s behind");
        let took = simulation.second - back;
        assert!(took > 150, "the backlog took {took} s: a bounded share");
        // Without new ones everything arrives.
        let end = *simulation.bench.queue.durable_end().borrow();
        for _ in 0..20 {
            simulation.bench.clock.advance(Duration::from_secs(1));
            for _ in 0..20 {
                tokio::task::yield_now().await;
                tokio::task::spawn_blocking(|| {}).await.unwrap();
            }
        }
        assert_eq!(simulation.missing(), 0);
        assert_eq!(simulation.bench.queue.resume("hub"), Delivered::up_to(end));
        assert_eq!(simulation.value("nave_remote_backlog_gaps"), 0.0);
        assert_eq!(simulation.value("prometheus_remote_storage_samples_pending"), 0.0);
        assert_eq!(simulation.value("prometheus_remote_storage_shards"), 1.0);
        for (series, all) in simulation.hub.came.lock().iter() {
            // In the seconds between either may have come first.
            let in_order = |part: &dyn Fn(i64) -> bool| all.order.iter().filter(|at| part(**at)).is_sorted();
            let descents: Vec<_> = all.order.windows(2).filter(|pair| pair[0] > pair[1]).collect();
            assert!(
                in_order(&|at| at < back) && in_order(&|at| at > back + 8),
                "{back} {series}: {descents:?}"
            );
        }
    });
}

#[test]
fn an_endpoint_that_does_not_say_that_it_takes_late_samples_gets_them_in_order() {
    simulate(async {
        let mut simulation = Simulation::new(false);
        simulation.pass_seconds(10, 5).await;
        simulation.hub.down.store(true, Ordering::Relaxed);
        simulation.pass_seconds(120, 1).await;
        simulation.hub.down.store(false, Ordering::Relaxed);
        simulation.pass_seconds(20, 5).await;
        assert_eq!(simulation.value("nave_remote_left_behind_total"), 0.0);
        for (series, all) in simulation.hub.came.lock().iter() {
            assert!(all.order.is_sorted(), "{series}: {:?}", all.order);
        }
        assert!(simulation.missing() < 10 * SERIES as usize);
    });
}

/// Outages that come while the backlog of an earlier one drains, and a restart in between.
#[test]
fn gaps_queue_up_survive_a_restart_and_are_filled_oldest_first() {
    simulate(async {
        let mut simulation = Simulation::new(true);
        simulation.pass_seconds(10, 5).await;
        for outage in 1..=3 {
            simulation.hub.down.store(true, Ordering::Relaxed);
            simulation.pass_seconds(300, 1).await;
            simulation.hub.down.store(false, Ordering::Relaxed);
            // The longest backoff, a look per second, and the deadline of a part batch.
            simulation.pass_seconds(13, 5).await;
            assert!(simulation.behind() <= 6, "outage {outage}: {} s behind", simulation.behind());
            assert_eq!(simulation.value("nave_remote_left_behind_total"), f64::from(outage));
        }
        drop(simulation.sender.take());
        simulation.pass(5).await;
        assert!(!simulation.bench.queue.resume("hub").gaps.is_empty());
        simulation.start();
        simulation.pass_seconds(10, 5).await;
        assert!(simulation.behind() <= 6, "{} s behind after the restart", simulation.behind());
        assert!(simulation.missing() > 10_000);
        let mut seconds = 0;
        while simulation.missing() > 2_000 {
            simulation.pass(5).await;
            seconds += 1;
            assert!(seconds < 450, "{} missing", simulation.missing());
        }
        assert_eq!(simulation.value("nave_remote_left_behind_total"), 3.0);
    });
}

/// Whatever fails, restarts or loses power, with as many gaps as come: what was acknowledged arrives, and nothing
/// else does.
#[test]
fn nothing_is_lost_with_gaps() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    for seed in 1..=25 {
        runtime.block_on(storm(seed));
    }
}

async fn storm(seed: u64) {
    let random = Random::from_seed(seed);
    let luck = Some(Random::from_seed(seed + 1000));
    let endpoint = Arc::new(Endpoint { random: luck, late: true, ..Endpoint::default() });
    let clock = FakeClock::at(START_MS);
    let options = || QueueOptions { segment_bytes: 600, ..QueueOptions::new("/queue", 1 << 30) };
    let mut disk = MemoryDisk::default();
    let open = |disk: &MemoryDisk| {
        let mut bench = Bench::new(Arc::new(disk.clone()), options(), clock.clone(), endpoint.clone());
        let queue = &mut bench.config.queue_config;
        queue.max_samples_per_send = 1 + below(&random, 7) as usize;
        queue.capacity = 1 + below(&random, 30) as usize;
        queue.batch_send_deadline = PromDuration::from_ms(100);
        bench
    };
    let mut bench = open(&disk);
    let mut sender = Some(bench.sender(None));
    let (mut acknowledged, mut value, mut gaps) = (HashSet::new(), 0, 0);
    for _ in 0..60 {
        match below(&random, 10) {
            0 => {
                drop(sender.take());
                sender = Some(bench.sender(None));
            }
            1 => {
                disk = disk.after_power_cut(below(&random, 40) as usize);
                drop(sender.take());
                bench = open(&disk);
                sender = Some(bench.sender(None));
            }
            2 => {
                // An outage: after it the sender is late.
                endpoint.script.lock().extend(vec![later("down"); 5 + below(&random, 10) as usize]);
                for _ in 0..20 {
                    bench.clock.advance(Duration::from_millis(below(&random, 3_000)));
                    tokio::task::yield_now().await;
                }
            }
            3..5 => {
                for _ in 0..below(&random, 30) {
                    bench.clock.advance(Duration::from_millis(below(&random, 1_000)));
                    tokio::task::yield_now().await;
                }
                gaps = gaps.max(bench.queue.resume("hub").gaps.len());
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
    let end = *bench.queue.durable_end().borrow();
    let settled = || sender.as_ref().is_some_and(|sender| sender.position() >= end);
    bench.until(&format!("the end of seed {seed}"), settled).await;
    drop(sender.take());
    let seen = endpoint.seen.lock();
    assert!(seen.is_subset(&acknowledged), "seed {seed}: invented {:?}", seen.difference(&acknowledged));
}
