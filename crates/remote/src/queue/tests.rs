//! The queue's bounds, its restarts, and disks that fail.

use std::path::Path;

use nave_base::clock::FakeClock;
use nave_base::disk::MemoryDisk;
use nave_base::metric::Format;
use nave_model::append::{BatchBuilder, Principal, SeriesRef};
use nave_model::label::Labels;

use super::*;
use crate::{Piece, Step};

const START_MS: i64 = 1_700_000_000_000;

struct Bench {
    metrics: Arc<Metrics>,
    disk: MemoryDisk,
    clock: Arc<FakeClock>,
    registry: Registry,
    queue: Queue,
}

fn options() -> QueueOptions {
    QueueOptions { segment_bytes: 400, ..QueueOptions::new("/queue", 1 << 30) }
}

impl Bench {
    fn open(disk: MemoryDisk, options: QueueOptions) -> Self {
        let (clock, registry) = (FakeClock::at(START_MS), Registry::default());
        let metrics = Metrics::register(&registry);
        let queue = Queue::open(options, Arc::new(disk.clone()), clock.clone(), &registry, metrics.clone());
        let queue = queue.unwrap();
        Self { metrics, disk, clock, registry, queue }
    }

    fn new(options: QueueOptions) -> Self {
        Self::open(MemoryDisk::default(), options)
    }

    /// One sample of each of three series at `timestamp`.
    async fn append(&self, timestamp: i64) -> Result<Outcome, AppendError> {
        let mut builder = BatchBuilder::new(Arc::new(Principal::anonymous("test")));
        for series in ["a", "b", "c"] {
            let labels = Labels::from_pairs([("__name__", series)]).unwrap();
            builder.series(&labels, SeriesRef::NONE).sample(Timestamp(timestamp), timestamp as f64);
        }
        self.queue.append(builder.build()).await
    }

    /// Times of all samples that can be read from `from` on, and how many places are damaged. Every
    /// sample's series has a name.
    fn read(&self, from: Position) -> (Vec<i64>, usize) {
        let (mut tail, mut piece) = (self.queue.tail(from), Piece::default());
        let (mut times, mut damaged) = (Vec::new(), 0);
        let mut named = std::collections::HashMap::new();
        loop {
            match tail.next(&mut piece).unwrap() {
                Step::End => return (times, damaged),
                Step::Damaged(_) => damaged += 1,
                Step::Record => {
                    named.extend(piece.series.drain(..));
                    for (id, timestamp, _) in &piece.samples {
                        assert!(named.contains_key(id), "series {id} has no name");
                        times.push(timestamp.0);
                    }
                }
            }
        }
    }

    fn value(&self, name: &str) -> f64 {
        let page = self.registry.page(Format::Text);
        let line = page.lines().find(|line| line.starts_with(name));
        line.and_then(|line| line.rsplit(' ').next()?.parse().ok()).unwrap_or(f64::NAN)
    }

    fn segments(&self) -> usize {
        use nave_base::disk::Disk as _;
        let names = self.disk.list(Path::new("/queue")).unwrap();
        names.iter().filter(|entry| entry.name.ends_with(".wal")).count()
    }
}

fn thrice(times: std::ops::Range<i64>) -> Vec<i64> {
    times.flat_map(|time| [time; 3]).collect()
}

#[tokio::test]
async fn every_segment_stands_alone() {
    let bench = Bench::new(options());
    for time in 0..60 {
        bench.append(time).await.unwrap();
    }
    assert!(bench.segments() > 3);
    assert_eq!(bench.read(Position::default()), (thrice(0..60), 0));
    for segment in 2..=bench.segments() as u64 {
        let (times, damaged) = bench.read(Position { segment, offset: 0 });
        assert!(!times.is_empty() && damaged == 0 && thrice(0..60).ends_with(&times), "segment {segment}");
    }
    assert_eq!(bench.value("prometheus_agent_active_series "), 3.0);
    assert_eq!(bench.value("prometheus_agent_samples_appended_total{type=\"float\"} "), 180.0);
    assert_eq!(bench.value("prometheus_remote_storage_samples_in_total "), 180.0);
}

#[tokio::test]
async fn a_reader_in_the_middle_of_a_segment_knows_the_names_and_skips_the_samples() {
    let bench = Bench::new(QueueOptions::new("/queue", 1 << 30));
    bench.append(1).await.unwrap();
    let middle = *bench.queue.durable_end().borrow();
    bench.append(2).await.unwrap();
    assert_eq!(bench.read(middle), (vec![2, 2, 2], 0));
}

#[tokio::test]
async fn the_oldest_go_when_bytes_are_over_the_bound_and_the_loss_is_counted() {
    let bench = Bench::new(QueueOptions { bytes_max: 2_000, ..options() });
    let _endpoint = bench.metrics.endpoint("hub", "http://hub");
    bench.queue.set_endpoints(&["hub".to_owned()]);
    for time in 0..300 {
        bench.append(time).await.unwrap();
    }
    bench.append(300).await.unwrap();
    let (times, damaged) = bench.read(Position::default());
    assert_eq!(damaged, 0);
    assert!(thrice(0..301).ends_with(&times) && times.len() < 300, "{} samples left", times.len());
    let bytes = bench.value("nave_remote_queue_bytes ");
    assert!((1_000.0..2_800.0).contains(&bytes), "{bytes} bytes");
    let lost = bench.value("nave_remote_queue_lost_samples_total ");
    assert_eq!(lost as usize + times.len(), 903, "every sample is there or counted");
    let endpoint = "prometheus_remote_storage_samples_dropped_total{remote_name=\"hub\",url=\"http://hub\",reason=\"queue_full\"} ";
    assert_eq!(bench.value(endpoint), lost);
}

#[tokio::test]
async fn what_everyone_has_goes_and_is_no_loss() {
    let bench = Bench::new(options());
    bench.queue.set_endpoints(&["a".to_owned(), "b".to_owned()]);
    for time in 0..60 {
        bench.append(time).await.unwrap();
    }
    let before = bench.segments();
    let end = *bench.queue.durable_end().borrow();
    bench.queue.delivered("a", &Delivered::up_to(end)).unwrap();
    bench.append(60).await.unwrap();
    assert!(bench.segments() >= before, "b has nothing yet");
    bench.queue.delivered("b", &Delivered::up_to(end)).unwrap();
    bench.append(61).await.unwrap();
    bench.append(62).await.unwrap();
    assert!(bench.segments() <= 2);
    assert_eq!(bench.value("nave_remote_queue_lost_samples_total "), 0.0);
    assert_eq!(bench.read(end).0, thrice(60..63));
}

#[tokio::test]
async fn old_segments_go_whatever_their_size() {
    let bench = Bench::new(QueueOptions::new("/queue", 1 << 30));
    bench.queue.set_endpoints(&["hub".to_owned()]);
    bench.append(1).await.unwrap();
    bench.clock.advance(Duration::from_secs(3600));
    bench.append(2).await.unwrap();
    assert_eq!(bench.read(Position::default()).0.len(), 6);
    bench.clock.advance(Duration::from_secs(4 * 3600 + 1));
    bench.append(3).await.unwrap();
    bench.append(4).await.unwrap();
    assert_eq!(bench.read(Position::default()).0, thrice(2..5), "the segment of 2 ended just now");
    assert_eq!(bench.value("nave_remote_queue_lost_samples_total "), 3.0);
}

#[tokio::test]
async fn a_full_disk_takes_the_room_of_the_oldest() {
    let bench = Bench::new(options());
    for time in 0..60 {
        bench.append(time).await.unwrap();
    }
    let used: usize = {
        use nave_base::disk::Disk as _;
        let names = bench.disk.list(Path::new("/queue")).unwrap();
        names.iter().map(|entry| usize::try_from(entry.len).unwrap()).sum()
    };
    bench.disk.set_limit(Some(used + 50));
    for time in 60..120 {
        let result = bench.append(time).await;
        assert!(result.is_ok(), "{time}: {result:?}, {} segments", bench.segments());
    }
    let (times, damaged) = bench.read(Position::default());
    assert!(damaged == 0 && thrice(0..120).ends_with(&times) && times.len() > 90, "{} left", times.len());
    bench.disk.set_limit(Some(0));
    let refused = loop {
        if let Err(error) = bench.append(200).await {
            break error;
        }
    };
    assert!(matches!(refused, AppendError::Full { .. }), "{refused:?}");
    bench.disk.set_limit(None);
    bench.append(201).await.unwrap();
    let (times, damaged) = bench.read(Position::default());
    assert!(times.ends_with(&[201; 3]) && damaged == 0, "it goes on when there is room");
}

#[tokio::test]
async fn a_power_cut_at_any_byte_keeps_a_prefix() {
    let bench = Bench::new(QueueOptions { fsync: false, ..options() });
    for time in 0..8 {
        bench.append(time).await.unwrap();
    }
    let mut lengths = std::collections::BTreeSet::new();
    for torn in 0..600 {
        let options = QueueOptions { fsync: false, ..options() };
        let after = Bench::open(bench.disk.after_power_cut(torn), options);
        after.append(100).await.unwrap();
        let (mut times, damaged) = after.read(Position::default());
        assert_eq!((times.split_off(times.len() - 3), damaged), (vec![100; 3], 0), "torn {torn}");
        assert!(thrice(0..8).starts_with(&times), "torn {torn}: {times:?}");
        lengths.insert(times.len());
    }
    assert!(lengths.len() > 4 && lengths.last() == Some(&24), "{lengths:?}");
}

#[tokio::test]
async fn synced_appends_survive_a_power_cut() {
    let bench = Bench::new(options());
    for time in 0..30 {
        bench.append(time).await.unwrap();
        let after = Bench::open(bench.disk.after_power_cut(0), options());
        assert_eq!(after.read(Position::default()), (thrice(0..time + 1), 0));
    }
}

#[tokio::test]
async fn damage_in_the_middle_is_named_and_the_rest_is_read() {
    use nave_base::disk::Disk as _;
    let bench = Bench::new(options());
    for time in 0..60 {
        bench.append(time).await.unwrap();
    }
    let first = Path::new("/queue").join("00000002.wal");
    let bytes = bench.disk.open(&first).unwrap().read_from(0).unwrap();
    bench.disk.remove(&first).unwrap();
    let mut broken = bytes.clone();
    broken[bytes.len() / 2] ^= 0x40;
    bench.disk.append(&first).unwrap().append(&broken).unwrap();
    let (times, damaged) = bench.read(Position::default());
    assert_eq!(damaged, 1);
    assert!(times.len() < 180 && times.starts_with(&[0, 0, 0]) && times.ends_with(&[59; 3]));
}

#[tokio::test]
async fn what_has_no_labels_is_refused_and_the_rest_is_queued() {
    let bench = Bench::new(options());
    let mut builder = BatchBuilder::new(Arc::new(Principal::anonymous("test")));
    let labels = Labels::from_pairs([("__name__", "a")]).unwrap();
    builder
        .series(&labels, SeriesRef::NONE)
        .sample(Timestamp(1), 1.0)
        .exemplar(nave_model::sample::Exemplar { labels: Labels::empty(), value: 1.0, timestamp: None });
    builder.series(&Labels::empty(), SeriesRef::NONE).sample(Timestamp(1), 1.0);
    let outcome = bench.queue.append(builder.build()).await.unwrap();
    assert_eq!((outcome.samples.stored, outcome.samples.rejected, outcome.exemplars.stored), (1, 1, 1));
    let reasons: Vec<_> = outcome.rejections.iter().map(|rejection| rejection.reason.to_string()).collect();
    assert_eq!(reasons, ["invalid labels: empty label set: expected at least __name__"]);
    assert_eq!(bench.read(Position::default()).0, [1]);
}

#[test]
fn two_queues_do_not_share_a_folder() {
    let dir = tempfile::tempdir().unwrap();
    let open = |lock| {
        let (clock, registry) = (FakeClock::at(START_MS), Registry::default());
        let metrics = Metrics::register(&registry);
        let options = QueueOptions { lock, ..QueueOptions::new(dir.path(), 1 << 30) };
        Queue::open(options, nave_base::disk::LocalDisk::shared(), clock, &registry, metrics)
    };
    let first = open(true).unwrap();
    let error = open(true).unwrap_err().to_string();
    assert!(
        error.contains("is in use by another process") && error.contains("--storage.agent.path"),
        "{error}"
    );
    drop(open(false).unwrap());
    drop(first);
    open(true).unwrap();
}
