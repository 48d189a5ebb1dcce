//! Batch boundaries over retries and kills, towards a receiver that refuses a request whole for what it has seen.

use std::sync::atomic::Ordering;

use super::*;

/// A stock receiver: one sample that is not newer than what its series has costs the whole request, unless it is
/// the newest one again. Nothing is halved here: every request that mixes old and new samples loses new ones.
#[derive(Default)]
struct Stock {
    newest: Mutex<HashMap<String, Seen>>,
    seen: Mutex<HashSet<Seen>>,
    random: Option<Random>,
    refused: Mutex<usize>,
    divisible: bool,
    down: std::sync::atomic::AtomicBool,
}

struct ToStock(Arc<Stock>);

impl Transport for ToStock {
    fn post(&self, body: Body, _: u32) -> BoxFuture<'_, Answer> {
        Box::pin(async move {
            // Here a sender may be killed.
            tokio::task::yield_now().await;
            let dice = self.0.random.as_ref().map_or(99, |random| below(random, 100));
            if dice < 15 || self.0.down.load(Ordering::Relaxed) {
                return later("no luck");
            }
            let plain = write_v1::decompress(&body.bytes, 1 << 20).unwrap();
            let batch = write_v1::decode(plain, Arc::new(Principal::anonymous("test"))).unwrap();
            let mut newest = self.0.newest.lock().clone();
            let mut taken = Vec::new();
            for series in &batch.series {
                let labels = (batch.label_format.decode)(batch.label_bytes(series)).unwrap().to_string();
                for (at, value) in batch.samples(series) {
                    let sample = (labels.clone(), at.0, value.to_bits());
                    if newest.get(&labels).is_some_and(|before| before.1 >= at.0 && *before != sample) {
                        *self.0.refused.lock() += 1;
                        let refusal = if self.0.divisible { Refusal::Divisible } else { Refusal::Final };
                        return Answer::Refused { cause: "out of order".to_owned(), refusal };
                    }
                    newest.insert(labels.clone(), sample.clone());
                    taken.push(sample);
                }
            }
            *self.0.newest.lock() = newest;
            self.0.seen.lock().extend(taken);
            tokio::task::yield_now().await;
            if dice < 30 { later("answer lost") } else { Answer::Delivered }
        })
    }

    fn takes_zstd(&self) -> bool {
        false
    }

    fn takes_late(&self) -> bool {
        false
    }
}

fn sender(bench: &Bench, stock: &Arc<Stock>) -> Sender {
    let options = SenderOptions {
        config: bench.config.clone(),
        external_labels: vec![("cluster".to_owned(), "spoke1".to_owned())],
        catch_up: CatchUpOptions::default(),
        source: bench.queue.clone(),
        metadata: None,
        metrics: bench.metrics.clone(),
        clock: bench.clock.clone(),
        flush_deadline: Duration::from_secs(60),
    };
    Sender::start_with(options, Box::new(ToStock(stock.clone())))
}

/// Killed at random moments, with requests on their way, answers lost and the position anywhere.
#[test]
fn a_stock_receiver_misses_nothing_although_nothing_is_halved() {
    let runtime = tokio::runtime::Builder::new_current_thread().max_blocking_threads(1).enable_all().build();
    let runtime = runtime.unwrap();
    let mut refused = 0;
    for seed in 1..=60 {
        refused += runtime.block_on(storm(seed));
    }
    assert!(refused > 60, "only {refused} requests were refused: the test does not reach what it is for");
}

async fn storm(seed: u64) -> usize {
    let random = Random::from_seed(seed);
    let stock = Arc::new(Stock { random: Some(Random::from_seed(seed + 1000)), ..Stock::default() });
    let clock = FakeClock::at(START_MS);
    let options = || QueueOptions { segment_bytes: 2_000, ..QueueOptions::new("/queue", 1 << 30) };
    let mut disk = MemoryDisk::default();
    let (size, shards) = (2 + below(&random, 9) as usize, 1 + below(&random, 4) as usize);
    let open = |disk: &MemoryDisk| {
        let endpoint = Arc::new(Endpoint::default());
        let mut bench = Bench::new(Arc::new(disk.clone()), options(), clock.clone(), endpoint);
        let queue = &mut bench.config.queue_config;
        (queue.max_samples_per_send, queue.min_shards, queue.max_shards) = (size, shards, 8);
        // May differ from life to life.
        queue.capacity = 3 + below(&random, 30) as usize;
        queue.batch_send_deadline = PromDuration::from_ms(100 + below(&random, 900));
        bench
    };
    let mut bench = open(&disk);
    let mut running = Some(sender(&bench, &stock));
    let (mut acknowledged, mut value) = (HashSet::new(), 0);
    for _ in 0..60 {
        match below(&random, 10) {
            0 => {
                // kill -9: everything that was written is there, nothing more happens.
                disk = disk.after_power_cut(1 << 30);
                drop(running.take());
                bench = open(&disk);
                running = Some(sender(&bench, &stock));
            }
            1..4 => {
                for _ in 0..below(&random, 40) {
                    bench.clock.advance(Duration::from_millis(below(&random, 700)));
                    tokio::task::yield_now().await;
                    if below(&random, 3) == 0 {
                        tokio::task::spawn_blocking(|| {}).await.unwrap();
                    }
                }
            }
            _ => {
                let count = 1 + below(&random, 12);
                let samples: Vec<_> = (0..count).map(|n| (below(&random, 9), value + n)).collect();
                value += count;
                acknowledged.extend(bench.append(&samples).await);
            }
        }
    }
    let end = *bench.queue.durable_end().borrow();
    let settled = || running.as_ref().is_some_and(|sender| sender.position() >= end);
    bench.until(&format!("the end of seed {seed}"), settled).await;
    drop(running.take());
    let seen = stock.seen.lock();
    let missing: Vec<_> = acknowledged.difference(&seen).collect();
    assert!(missing.is_empty(), "seed {seed}: missing {missing:?}");
    assert!(seen.is_subset(&acknowledged), "seed {seed}: invented {:?}", seen.difference(&acknowledged));
    *stock.refused.lock()
}

/// A batch that was being halved when its sender died: parts of it are there, others are not.
#[tokio::test]
async fn a_batch_that_was_being_halved_is_halved_to_the_end() {
    let stock = Arc::new(Stock { divisible: true, down: true.into(), ..Stock::default() });
    let mut bench = Bench::in_memory();
    bench.config.queue_config.batch_send_deadline = PromDuration::from_ms(100);
    let samples: Vec<(u64, u64)> = (0..1500).map(|n| (n % 700, n)).collect();
    let acknowledged = bench.append(&samples).await;
    // The life before has noted the batch; of it three quarters are there, with newer samples of the same series.
    let first = sender(&bench, &stock);
    let noted = || !bench.queue.notes("hub").is_empty();
    bench.until("the note", noted).await;
    drop(first);
    {
        let (mut newest, mut seen) = (stock.newest.lock(), stock.seen.lock());
        assert!(newest.is_empty() && seen.is_empty());
        for sample in acknowledged.iter().filter(|sample| sample.1 % 4 != 0) {
            seen.insert(sample.clone());
            // As if a later one had come.
            newest.insert(sample.0.clone(), (sample.0.clone(), sample.1, 0));
        }
    }
    stock.down.store(false, Ordering::Relaxed);
    let second = sender(&bench, &stock);
    let end = *bench.queue.durable_end().borrow();
    bench.until("the end", || second.position() >= end).await;
    let seen = stock.seen.lock();
    let newest = stock.newest.lock();
    let lost = acknowledged.iter().filter(|sample| {
        !seen.contains(*sample) && newest.get(&sample.0).is_none_or(|newest| newest.1 < sample.1)
    });
    assert_eq!(lost.count(), 0, "only what is really out of order is missing");
}
