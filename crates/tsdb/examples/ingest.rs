//! How fast batches are taken: `cargo run --release -p nave-tsdb --example ingest [senders] [rounds]`.
//!
//! Every sender has 2000 series of its own and appends one sample of each per batch, as raw label bytes, the
//! next batch when the last one is durable. Once on the real disk, once with syncs that do nothing. Then what
//! a sample costs in the log and in memory, and how long a restart takes.

use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use nave_base::clock::SystemClock;
use nave_base::disk::{Disk, Entry, File, LocalDisk, Lock, SharedDisk};
use nave_base::metric::Registry;
use nave_model::append::{Append, Batch, BatchBuilder, Principal, SeriesRef};
use nave_model::label::Labels;
use nave_model::matcher::Matcher;
use nave_model::select::{Columns, Select, Selection};
use nave_model::time::{TimeRange, Timestamp};
use nave_tsdb::{Options, Tsdb};

const SERIES: usize = 2000;

/// The local disk without syncs.
#[derive(Debug)]
struct Unsynced(LocalDisk);

#[derive(Debug)]
struct UnsyncedFile(Arc<dyn File>);

impl Disk for Unsynced {
    fn open(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        self.0.open(path)
    }
    fn append(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        Ok(Arc::new(UnsyncedFile(self.0.append(path)?)))
    }
    fn list(&self, dir: &Path) -> io::Result<Vec<Entry>> {
        self.0.list(dir)
    }
    fn create_dir_all(&self, dir: &Path) -> io::Result<()> {
        self.0.create_dir_all(dir)
    }
    fn remove(&self, path: &Path) -> io::Result<()> {
        self.0.remove(path)
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.0.rename(from, to)
    }
    fn sync_dir(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }
    fn lock(&self, path: &Path) -> io::Result<Lock> {
        self.0.lock(path)
    }
}

impl File for UnsyncedFile {
    fn append(&self, bytes: &[u8]) -> io::Result<()> {
        self.0.append(bytes)
    }
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.0.read_at(buffer, offset)
    }
    fn sync(&self) -> io::Result<()> {
        Ok(())
    }
    fn len(&self) -> io::Result<u64> {
        self.0.len()
    }
    fn truncate(&self, len: u64) -> io::Result<()> {
        self.0.truncate(len)
    }
}

/// Labels as a node exporter's, about 200 bytes.
fn series(sender: usize, i: usize) -> Labels {
    let (cluster, instance) = (format!("spoke{sender}"), format!("10.0.{}.{}:9100", sender % 256, i % 40));
    let (name, device) = (format!("node_disk_reads_completed_total_{}", i % 25), format!("nvme{i}n1"));
    let pairs = [
        ("__name__", name.as_str()),
        ("cluster", &cluster),
        ("device", &device),
        ("instance", &instance),
        ("job", "node"),
        ("namespace", "monitoring"),
        ("pod", "node-exporter-x7k2p"),
        ("region", "eu-central-1"),
    ];
    Labels::from_pairs(pairs).unwrap_or_default()
}

/// A third counters, a third gauges with fractions, a third that stand still.
fn value(i: usize, round: usize) -> f64 {
    match i % 3 {
        0 => (i * 1000 + round * (7 + i % 13)) as f64,
        1 => 0.37 * ((i * 31 + round * 17) % 1000) as f64,
        _ => (i % 5) as f64,
    }
}

fn batch(template: &Batch, now: i64, round: usize) -> Batch {
    let mut batch = template.clone();
    batch.timestamps = vec![Timestamp(now); SERIES];
    batch.values = (0..SERIES).map(|i| value(i, round)).collect();
    batch
}

async fn send(tsdb: Arc<Tsdb>, sender: usize, rounds: usize, start: i64) -> usize {
    let mut principal = Principal::anonymous("bench");
    principal.id = u32::try_from(sender).unwrap_or(0);
    let mut builder = BatchBuilder::new(Arc::new(principal));
    for i in 0..SERIES {
        builder.series(&series(sender, i), SeriesRef::NONE).sample(Timestamp(0), 0.0);
    }
    let template = builder.build();
    let mut stored = 0;
    for round in 0..rounds {
        let now = start + i64::try_from(round).unwrap_or(0) * 15_000;
        let outcome = tsdb.append(batch(&template, now, round)).await;
        stored += outcome.map_or(0, |outcome| outcome.samples.stored);
    }
    stored
}

/// Opens, fetches and decodes everything of one sender; gives the samples and the seconds.
async fn read(tsdb: &Tsdb) -> Result<(usize, f64), Box<dyn std::error::Error>> {
    let begin = Instant::now();
    let matchers = vec![Matcher::equal("cluster", "spoke0")];
    let selected = tsdb.open(Selection::new(matchers, TimeRange::ALL)).await?;
    let pages = selected.fetch(0..selected.len()).await?;
    let (mut columns, mut samples) = (Columns::default(), 0);
    for index in 0..selected.len() {
        pages.decode(index, &mut columns)?;
        samples += columns.len();
    }
    Ok((samples, begin.elapsed().as_secs_f64()))
}

async fn run(
    name: &str,
    disk: SharedDisk,
    senders: usize,
    rounds: usize,
) -> Result<(), Box<dyn std::error::Error>> {
    let dir = tempfile::tempdir()?;
    let clock = SystemClock::shared();
    let open = || Tsdb::open(Options::new(dir.path()), disk.clone(), clock.clone(), &Registry::default());
    let tsdb = Arc::new(open()?);
    let first = clock.now_ms() - i64::try_from(rounds + 2)? * 15_000;
    // Series are made before the clock runs.
    for sender in 0..senders {
        send(tsdb.clone(), sender, 1, first).await;
    }
    let begin = Instant::now();
    let tasks: Vec<_> =
        (0..senders).map(|sender| tokio::spawn(send(tsdb.clone(), sender, rounds, first + 15_000))).collect();
    let mut stored = 0;
    for task in tasks {
        stored += task.await?;
    }
    let seconds = begin.elapsed().as_secs_f64();
    let log_bytes = tsdb.retain().await?.log_bytes;
    let memory = tsdb.sample_bytes();
    let (read, read_seconds) = read(&tsdb).await?;
    tsdb.close().await;
    let begin = Instant::now();
    let replayed = open()?.replayed().samples;
    let replay = begin.elapsed().as_secs_f64();
    let samples = stored as f64;
    writeln!(
        io::stdout(),
        "{name}: a query of one sender's {SERIES} series takes {:.1} ms, {:.0} M samples/s on one core",
        read_seconds * 1e3,
        read as f64 / read_seconds / 1e6,
    )?;
    writeln!(
        io::stdout(),
        "{name}: {senders} senders, {:.2} M samples/s; log {:.2} and memory {:.2} bytes/sample; replay {:.2} M samples/s",
        samples / seconds / 1e6,
        log_bytes as f64 / samples,
        memory as f64 / samples,
        replayed as f64 / replay / 1e6,
    )?;
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1).filter_map(|argument| argument.parse().ok());
    let (senders, rounds) = (arguments.next().unwrap_or(8), arguments.next().unwrap_or(240));
    run("with fsync", LocalDisk::shared(), senders, rounds).await?;
    run("without fsync", Arc::new(Unsynced(LocalDisk)), senders, rounds).await
}
