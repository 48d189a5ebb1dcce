//! Sending to one endpoint.
//!
//! ```text
//! source --tail--> read --relabel--> lanes --batches--> shard, shard ... --HTTP--> endpoint
//!    ^                                                      |
//!    `------ position <------- progress <-------------------'
//! ```
//!
//! At least once: the position that is written down never passes a sample that was neither delivered nor
//! refused for good. In order per series: see [`lane`]. What is in memory is bounded by the capacity per
//! shard and one batch per shard; everything else waits in the source.

mod deliver;
mod desired;
mod encode;
mod lane;
mod link;
mod metadata;
mod progress;
mod read;
mod retry_after;
mod series;
mod shard;
mod transport;

#[cfg(test)]
mod http_tests;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicUsize};
use std::time::Duration;

use nave_base::Shutdown;
use nave_base::clock::SharedClock;
use nave_wal::Position;
use parking_lot::{Mutex, RwLock};
use tokio::task::JoinHandle;

use self::lane::Lanes;
use self::link::{Flow, Link};
use self::progress::Progress;
use self::series::SeriesCache;
use self::transport::{HttpTransport, Transport};
use crate::{Error, Metrics, RemoteWriteConfig, Source};

pub use self::metadata::MetadataSource;

/// How often the position is written down while it moves.
const POSITION_INTERVAL: Duration = Duration::from_secs(5);
/// Lanes per shard that can ever run: enough that a batch rarely finds its lanes taken.
const LANES_PER_SHARD: usize = 8;

/// What a sender works with.
pub struct SenderOptions {
    /// The entry of `remote_write`.
    pub config: RemoteWriteConfig,
    /// Labels for series that do not have them, from `global`.
    pub external_labels: Vec<(String, String)>,
    /// Where samples come from.
    pub source: Arc<dyn Source>,
    /// Where metadata comes from, when there is any.
    pub metadata: Option<Arc<dyn MetadataSource>>,
    /// The process' metrics of the link.
    pub metrics: Arc<Metrics>,
    /// For waits and ages.
    pub clock: SharedClock,
    /// How long [`Sender::stop`] goes on sending what is in memory.
    pub flush_deadline: Duration,
}

/// A running sender. Dropping it stops it at once; nothing is lost, as the source keeps what was not
/// delivered.
#[derive(Debug)]
pub struct Sender {
    link: Arc<Link>,
    metrics: Arc<Metrics>,
    flush_deadline: Duration,
    shards: JoinHandle<()>,
    others: Vec<JoinHandle<()>>,
}

impl Sender {
    /// Starts sending where the endpoint of this name stopped. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// When the HTTP settings cannot be used.
    pub fn start(options: SenderOptions) -> Result<Self, Error> {
        let transport = HttpTransport::new(&options.config, options.clock.clone())?;
        Ok(Self::start_with(options, Box::new(transport)))
    }

    fn start_with(options: SenderOptions, transport: Box<dyn Transport>) -> Self {
        let SenderOptions { config, external_labels, source, metadata, metrics, clock, flush_deadline } =
            options;
        let rules = config.write_relabel_configs.clone();
        let send_metadata = config.metadata_config.send;
        let link = Arc::new(link(config, source, transport, &metrics, clock));
        let (remote_name, url) = (&link.name, &link.url);
        let position = link.progress.position();
        tracing::info!(remote_name, url, %position, "remote_write: sending starts");
        let cache = SeriesCache::new(external_labels, rules, link.lanes.count());
        let mut others =
            vec![tokio::spawn(read::run(link.clone(), cache)), tokio::spawn(write_positions(link.clone()))];
        if let Some(metadata) = metadata.filter(|_| send_metadata) {
            others.push(tokio::spawn(metadata::run(link.clone(), metadata)));
        }
        let shards = tokio::spawn(shard::run(link.clone()));
        Self { link, metrics, flush_deadline, shards, others }
    }

    /// The endpoint's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.link.name
    }

    /// Where it sends to, without a password.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.link.url
    }

    /// Why a request failed last, and when, in ms; `None` while none has.
    #[must_use]
    pub fn last_failure(&self) -> Option<(i64, String)> {
        self.link.failure.lock().clone()
    }

    /// Everything in the source before this was delivered or refused for good.
    #[must_use]
    pub fn position(&self) -> Position {
        self.link.progress.position()
    }

    /// Stops reading, goes on sending what is in memory until the flush deadline, and writes the position
    /// down.
    pub async fn stop(mut self) {
        self.link.soft_stop.cancel();
        for task in std::mem::take(&mut self.others) {
            join(task).await;
        }
        let shards = std::mem::replace(&mut self.shards, tokio::spawn(async {}));
        tokio::pin!(shards);
        tokio::select! {
            _ = &mut shards => {}
            () = self.link.clock.sleep(self.flush_deadline) => {
                let (remote_name, url) = (&self.link.name, &self.link.url);
                tracing::warn!(remote_name, url, "remote_write: flush deadline passed; the queue keeps the rest");
                self.link.hard_stop.cancel();
                let _ = shards.await;
            }
        }
        write_position(&self.link, None).await;
        self.metrics.forget(&self.link.name, &self.link.url);
    }
}

impl Drop for Sender {
    fn drop(&mut self) {
        self.link.soft_stop.cancel();
        self.link.hard_stop.cancel();
    }
}

fn link(
    config: RemoteWriteConfig,
    source: Arc<dyn Source>,
    transport: Box<dyn Transport>,
    metrics: &Metrics,
    clock: SharedClock,
) -> Link {
    let (name, url) = (config.remote_name(), redacted(&config.url));
    let queue = config.queue_config;
    let metrics = metrics.endpoint(&name, &url);
    metrics.shards_max.set(queue.max_shards as f64);
    metrics.shards_min.set(queue.min_shards as f64);
    metrics.shards_desired.set(queue.min_shards as f64);
    metrics.shard_capacity.set(queue.capacity as f64);
    metrics.max_samples_per_send.set(queue.max_samples_per_send as f64);
    let lanes = queue.max_shards.saturating_mul(LANES_PER_SHARD).clamp(64, 4096);
    let deadline = queue.batch_send_deadline.into();
    Link {
        lanes: Lanes::new(lanes, queue.max_samples_per_send, deadline, clock.clone()),
        progress: Progress::new(source.resume(&name)),
        name,
        url,
        queue,
        metadata: config.metadata_config,
        message: config.protobuf_message.message(),
        fallen_back: AtomicBool::new(false),
        send_exemplars: config.send_exemplars,
        send_native_histograms: config.send_native_histograms,
        families: RwLock::default(),
        source,
        transport,
        clock,
        metrics,
        flow: Mutex::new(Flow::default()),
        failure: Mutex::default(),
        newest_sent_ms: AtomicI64::new(0),
        shards_wanted: AtomicUsize::new(0),
        shards_running: AtomicUsize::new(0),
        soft_stop: Shutdown::new(),
        hard_stop: Shutdown::new(),
    }
}

/// The URL for logs and labels: without the password that may stand in it.
fn redacted(url: &str) -> String {
    match url::Url::parse(url) {
        Ok(mut parsed) if parsed.password().is_some() => {
            // Only URLs without a host refuse a password, and those have none.
            let _ = parsed.set_password(Some("xxxxx"));
            parsed.to_string()
        }
        _ => url.to_owned(),
    }
}

async fn join(task: JoinHandle<()>) {
    if let Err(error) = task.await
        && error.is_panic()
    {
        std::panic::resume_unwind(error.into_panic());
    }
}

async fn write_positions(link: Arc<Link>) {
    let mut written = None;
    loop {
        tokio::select! {
            () = link.clock.sleep(POSITION_INTERVAL) => {}
            () = link.soft_stop.cancelled() => return,
        }
        written = write_position(&link, written).await;
    }
}

/// Writes the position unless it is `written` already; gives back what is written now.
async fn write_position(link: &Arc<Link>, written: Option<Position>) -> Option<Position> {
    let position = link.progress.position();
    if written == Some(position) {
        return written;
    }
    let writing = link.clone();
    let result = tokio::task::spawn_blocking(move || writing.source.delivered(&writing.name, position)).await;
    match result {
        Ok(Ok(())) => Some(position),
        Ok(Err(error)) => {
            let remote_name = &link.name;
            tracing::error!(remote_name, err = %error, "remote_write: position not written; a restart sends more again");
            written
        }
        Err(_) => written,
    }
}
