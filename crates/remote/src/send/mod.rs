//! Sending to one endpoint.
//!
//! ```text
//! source --tail--> read --relabel--> lanes --batches--> shard, shard ... --HTTP--> endpoint
//!    ^                                                      |
//!    `------ position <------- progress <-------------------'
//! ```
//!
//! At least once: what is written down as delivered never has a sample that was neither delivered nor
//! refused for good. In order per series: see [`lane`]. What is in memory is bounded by the capacity per
//! shard and one batch per shard; everything else waits in the source. After an outage there are two of these
//! streams, see [`catch_up`].

mod batches;
mod catch_up;
mod deliver;
mod desired;
mod encode;
mod lane;
mod link;
mod metadata;
mod pace;
mod progress;
mod read;
mod retry_after;
mod series;
mod shard;
mod stream;
mod transport;

#[cfg(test)]
mod http_tests;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64};
use std::time::Duration;

use nave_base::Shutdown;
use nave_base::clock::SharedClock;
use nave_wal::Position;
use nave_wire::remote_write::Message;
use parking_lot::{Mutex, RwLock};
use tokio::task::JoinHandle;

use self::batches::{Batches, Left};
use self::catch_up::Streams;
use self::link::Link;
use self::pace::Pace;
use self::series::SeriesRules;
use self::transport::{HttpTransport, Transport};
use crate::{Delivered, Error, Metrics, RemoteWriteConfig, Source};

pub use self::catch_up::{CatchUp, CatchUpOptions};
pub use self::metadata::MetadataSource;

/// How often the position is written down while it moves.
const POSITION_INTERVAL: Duration = Duration::from_secs(5);

/// What a sender works with.
pub struct SenderOptions {
    /// The entry of `remote_write`.
    pub config: RemoteWriteConfig,
    /// Labels for series that do not have them, from `global`.
    pub external_labels: Vec<(String, String)>,
    /// What is sent first after an outage.
    pub catch_up: CatchUpOptions,
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
    streams: Arc<Streams>,
    running: JoinHandle<()>,
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
        let SenderOptions {
            config,
            external_labels,
            catch_up,
            source,
            metadata,
            metrics,
            clock,
            flush_deadline,
        } = options;
        let rules = SeriesRules { external: external_labels, rules: config.write_relabel_configs.clone() };
        let send_metadata = config.metadata_config.send;
        let delivered = source.resume(&config.remote_name());
        let (batches, left) = batches(&config, &rules, &source, &delivered);
        let link = Arc::new(link(config, catch_up, batches, source, transport, &metrics, clock));
        let (remote_name, url, position) = (&link.name, &link.url, delivered.next);
        let gaps = delivered.gaps.len();
        tracing::info!(remote_name, url, %position, gaps, "remote_write: sending starts");
        let streams = Arc::new(Streams::new(&link, delivered, left));
        let mut others = vec![tokio::spawn(write_positions(link.clone(), streams.clone()))];
        if let Some(metadata) = metadata.filter(|_| send_metadata) {
            others.push(tokio::spawn(metadata::run(link.clone(), metadata)));
        }
        let running = tokio::spawn(catch_up::run(link.clone(), streams.clone(), rules));
        Self { link, metrics, flush_deadline, streams, running, others }
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
        self.streams.delivered().oldest()
    }

    /// Stops reading, goes on sending what is in memory until the flush deadline, and writes the position
    /// down.
    pub async fn stop(mut self) {
        self.link.soft_stop.cancel();
        for mut task in std::mem::take(&mut self.others) {
            join(&mut task).await;
        }
        let mut running = std::mem::replace(&mut self.running, tokio::spawn(async {}));
        tokio::select! {
            () = join(&mut running) => {}
            () = self.link.clock.sleep(self.flush_deadline) => {
                let (remote_name, url) = (&self.link.name, &self.link.url);
                tracing::warn!(remote_name, url, "remote_write: flush deadline passed; the queue keeps the rest");
                self.link.hard_stop.cancel();
                join(&mut running).await;
            }
        }
        write_position(&self.link, &self.streams, None).await;
        self.metrics.forget(&self.link.name, &self.link.url);
    }
}

impl Drop for Sender {
    fn drop(&mut self) {
        self.link.soft_stop.cancel();
        self.link.hard_stop.cancel();
    }
}

/// What the life before was sending.
fn batches(
    config: &RemoteWriteConfig,
    rules: &SeriesRules,
    source: &Arc<dyn Source>,
    delivered: &Delivered,
) -> (Batches, Left) {
    let end = *source.durable_end().borrow();
    let histograms = config.send_native_histograms || config.protobuf_message.message() == Message::V2;
    let lanes = stream::lane_count(&config.queue_config);
    let fingerprint = rules.fingerprint(lanes, [histograms, config.send_exemplars]);
    Batches::load(source.clone(), &config.remote_name(), fingerprint, (delivered.next, end))
}

fn link(
    config: RemoteWriteConfig,
    catch_up: CatchUpOptions,
    batches: Batches,
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
    Link {
        name,
        url,
        queue,
        catch_up,
        pace: Pace::new(catch_up.share, clock.clone()),
        metadata: config.metadata_config,
        message: config.protobuf_message.message(),
        fallen_back: AtomicBool::new(false),
        zstd_refused: AtomicBool::new(false),
        send_exemplars: config.send_exemplars,
        send_native_histograms: config.send_native_histograms,
        families: RwLock::default(),
        source,
        batches,
        transport,
        clock,
        metrics,
        failure: Mutex::default(),
        newest_settled_ms: AtomicI64::new(0),
        delivered_at_ms: AtomicU64::new(0),
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

async fn join(task: &mut JoinHandle<()>) {
    if let Err(error) = task.await
        && error.is_panic()
    {
        std::panic::resume_unwind(error.into_panic());
    }
}

async fn write_positions(link: Arc<Link>, streams: Arc<Streams>) {
    let mut written = None;
    loop {
        tokio::select! {
            () = link.clock.sleep(POSITION_INTERVAL) => {}
            () = link.soft_stop.cancelled() => return,
        }
        written = write_position(&link, &streams, written).await;
    }
}

/// Writes what is delivered unless it is `written` already; gives back what is written now.
async fn write_position(
    link: &Arc<Link>,
    streams: &Streams,
    written: Option<Delivered>,
) -> Option<Delivered> {
    let delivered = streams.delivered();
    measure(link, streams);
    let same = written.as_ref() == Some(&delivered);
    let writing = link.clone();
    let result = tokio::task::spawn_blocking(move || {
        let bytes = delivered.gaps.iter().map(|gap| writing.source.bytes(*gap)).sum::<u64>();
        writing.metrics.backlog(delivered.gaps.len(), bytes);
        let result = if same { Ok(()) } else { writing.source.delivered(&writing.name, &delivered) };
        result.map(|()| delivered)
    });
    match result.await {
        Ok(Ok(delivered)) => Some(delivered),
        Ok(Err(error)) => {
            let remote_name = &link.name;
            tracing::error!(remote_name, err = %error, "remote_write: position not written; a restart sends more again");
            written
        }
        Err(_) => written,
    }
}

/// How far the newest delivered samples are behind the newest in the log.
fn measure(link: &Link, streams: &Streams) {
    let newest_ms = link.source.newest().0;
    let behind = |sent_ms: i64| if sent_ms == 0 { 0 } else { newest_ms.saturating_sub(sent_ms).max(0) };
    let (fresh, filling) = streams.newest_sent_ms();
    link.metrics.fresh_lag.set(behind(fresh) as f64 / 1000.0);
    link.metrics.backlog_lag.set(filling.map_or(0, behind) as f64 / 1000.0);
}
