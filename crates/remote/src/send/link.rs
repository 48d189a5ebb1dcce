//! What the streams of one endpoint share.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use nave_base::Shutdown;
use nave_base::clock::SharedClock;
use nave_wire::remote_write::{Encoding, Message};
use parking_lot::{Mutex, RwLock};

use super::batches::Batches;
use super::catch_up::CatchUpOptions;
use super::encode::Families;
use super::pace::Pace;
use super::transport::Transport;
use crate::metric::EndpointMetrics;
use crate::{MetadataConfig, QueueConfig, Source};

/// One endpoint.
pub(super) struct Link {
    pub(super) name: String,
    pub(super) url: String,
    pub(super) queue: QueueConfig,
    pub(super) catch_up: CatchUpOptions,
    pub(super) pace: Pace,
    pub(super) metadata: MetadataConfig,
    /// The message that the settings ask for.
    pub(super) message: Message,
    /// The endpoint does not know 2.0: send 1.0 from now on.
    pub(super) fallen_back: AtomicBool,
    /// The endpoint said that it takes zstd, and did not.
    pub(super) zstd_refused: AtomicBool,
    pub(super) send_exemplars: bool,
    pub(super) send_native_histograms: bool,
    /// What series of 2.0 say about their families.
    pub(super) families: RwLock<Families>,
    pub(super) source: Arc<dyn Source>,
    pub(super) batches: Batches,
    pub(super) transport: Box<dyn Transport>,
    pub(super) clock: SharedClock,
    pub(super) metrics: EndpointMetrics,
    /// Why a request failed last, and when, in ms.
    pub(super) failure: Mutex<Option<(i64, String)>>,
    /// Newest timestamp that was delivered or refused, in ms.
    pub(super) newest_settled_ms: AtomicI64,
    /// When something was last delivered, in ms of the monotonic clock.
    pub(super) delivered_at_ms: AtomicU64,
    /// Stop reading; send what is in memory.
    pub(super) soft_stop: Shutdown,
    /// Stop everything.
    pub(super) hard_stop: Shutdown,
}

impl Link {
    /// The message to send now.
    pub(super) fn message(&self) -> Message {
        if self.fallen_back.load(Ordering::Relaxed) { Message::V1 } else { self.message }
    }

    /// How to compress `message` now.
    pub(super) fn encoding(&self, message: Message) -> Encoding {
        let zstd = message == Message::V2
            && self.transport.takes_zstd()
            && !self.zstd_refused.load(Ordering::Relaxed);
        if zstd { Encoding::Zstd } else { Encoding::Snappy }
    }

    /// When something was last delivered, on the monotonic clock; 0 when nothing was.
    pub(super) fn delivered_at(&self) -> Duration {
        Duration::from_millis(self.delivered_at_ms.load(Ordering::Relaxed))
    }
}

impl std::fmt::Debug for Link {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Link({} {})", self.name, self.url)
    }
}
