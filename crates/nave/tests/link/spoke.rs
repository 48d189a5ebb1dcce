//! A queue and a sender that are killed and started again.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use nave_base::clock::SharedClock;
use nave_base::disk::FaultDisk;
use nave_base::metric::{Format, Registry};
use nave_model::append::{Append as _, BatchBuilder, Principal, SeriesRef};
use nave_model::duration::PromDuration;
use nave_model::time::Timestamp;
use nave_remote::{
    CatchUp, CatchUpOptions, Metrics, ProtobufMessage, Queue, QueueOptions, RemoteWriteConfig, Sender,
    SenderOptions, Source as _,
};

use crate::ledger::Content;

pub(crate) struct Spoke {
    disk: FaultDisk,
    clock: SharedClock,
    config: RemoteWriteConfig,
    catch_up: CatchUpOptions,
    /// Of all lives but the present one.
    failed_before: u64,
    life: Life,
}

struct Life {
    registry: Registry,
    queue: Arc<Queue>,
    sender: Sender,
}

impl Spoke {
    /// Sends to `proxy`; by remote write 2.0 if `second`.
    pub(crate) fn start(seed: u64, proxy: SocketAddr, second: bool, clock: &SharedClock) -> Self {
        let mut config = RemoteWriteConfig::new(&format!("http://{proxy}/api/v1/write"));
        config.remote_timeout = PromDuration::from_secs(2);
        config.protobuf_message =
            if second { ProtobufMessage::Request } else { ProtobufMessage::WriteRequest };
        let queue = &mut config.queue_config;
        (queue.max_samples_per_send, queue.capacity, queue.max_shards) = (50, 200, 4);
        queue.batch_send_deadline = PromDuration::from_ms(5);
        (queue.min_backoff, queue.max_backoff) = (PromDuration::from_ms(1), PromDuration::from_ms(20));
        queue.retry_on_http_429 = true;
        let order = [None, Some(CatchUp::InOrder), Some(CatchUp::FreshFirst)][(seed % 3) as usize];
        let catch_up = CatchUpOptions { order, ..CatchUpOptions::default() };
        let disk = FaultDisk::new(!seed, None);
        let life = Life::begin(&disk, &config, &catch_up, clock);
        Self { disk, clock: clock.clone(), config, catch_up, failed_before: 0, life }
    }

    /// Killed in the middle of whatever it does, and started again on what the kill left.
    pub(crate) fn kill(&mut self) {
        self.disk = self.disk.after_kill();
        self.failed_before += self.life.failed();
        self.life = Life::begin(&self.disk, &self.config, &self.catch_up, &self.clock);
    }

    /// Resolves when the queue has promised to deliver `samples`.
    pub(crate) async fn append(&self, samples: &Content) {
        let mut builder = BatchBuilder::new(Arc::new(Principal::anonymous("test")));
        for ((labels, at), value) in samples {
            builder.series(labels, SeriesRef::NONE).sample(Timestamp(*at), f64::from_bits(*value));
        }
        let outcome = self.life.queue.append(builder.build()).await.expect("the queue's disk is well");
        assert_eq!(outcome.samples.stored, samples.len());
    }

    /// Whether everything that was appended is delivered or refused for good.
    pub(crate) fn is_drained(&self) -> bool {
        self.life.sender.position() >= *self.life.queue.durable_end().borrow()
    }

    pub(crate) fn describe(&self) -> String {
        let (sender, end) = (&self.life.sender, *self.life.queue.durable_end().borrow());
        format!("at {} of {end}, last failure {:?}", sender.position(), sender.last_failure())
    }

    /// Samples that the sender counts as refused for good, over all lives.
    pub(crate) fn failed_total(&self) -> u64 {
        self.failed_before + self.life.failed()
    }
}

impl Life {
    fn begin(
        disk: &FaultDisk,
        config: &RemoteWriteConfig,
        catch_up: &CatchUpOptions,
        clock: &SharedClock,
    ) -> Self {
        let registry = Registry::default();
        let metrics = Metrics::register(&registry);
        let options = QueueOptions::new("/spoke", 1 << 30);
        let disk = Arc::new(disk.clone());
        let queue = Queue::open(options, disk, clock.clone(), &registry, metrics.clone());
        let queue = Arc::new(queue.expect("the queue opens"));
        queue.set_endpoints(&[config.remote_name()]);
        let sender = Sender::start(SenderOptions {
            config: config.clone(),
            external_labels: Vec::new(),
            catch_up: *catch_up,
            source: queue.clone(),
            metadata: None,
            metrics,
            clock: clock.clone(),
            flush_deadline: Duration::from_secs(1),
        });
        Self { registry, queue, sender: sender.expect("the settings are good") }
    }

    fn failed(&self) -> u64 {
        let page = self.registry.page(Format::Text);
        let lines =
            page.lines().filter(|line| line.starts_with("prometheus_remote_storage_samples_failed_total{"));
        let values = lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok());
        values.sum::<f64>() as u64
    }
}
