//! What the tasks of one sender share.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering};
use std::time::Duration;

use nave_base::Shutdown;
use nave_base::clock::SharedClock;
use nave_wire::remote_write::Message;
use parking_lot::{Mutex, RwLock};

use super::desired::Totals;
use super::encode::Families;
use super::lane::Lanes;
use super::progress::Progress;
use super::transport::Transport;
use crate::metric::EndpointMetrics;
use crate::{MetadataConfig, QueueConfig, Source};

/// One endpoint.
pub(super) struct Link {
    pub(super) name: String,
    pub(super) url: String,
    pub(super) queue: QueueConfig,
    pub(super) metadata: MetadataConfig,
    /// The message that the settings ask for.
    pub(super) message: Message,
    /// The endpoint does not know 2.0: send 1.0 from now on.
    pub(super) fallen_back: AtomicBool,
    pub(super) send_exemplars: bool,
    pub(super) send_native_histograms: bool,
    /// What series of 2.0 say about their families.
    pub(super) families: RwLock<Families>,
    pub(super) source: Arc<dyn Source>,
    pub(super) transport: Box<dyn Transport>,
    pub(super) clock: SharedClock,
    pub(super) metrics: EndpointMetrics,
    pub(super) lanes: Lanes,
    pub(super) progress: Progress,
    pub(super) flow: Mutex<Flow>,
    /// Why a request failed last, and when, in ms.
    pub(super) failure: Mutex<Option<(i64, String)>>,
    /// Newest timestamp that was delivered or refused, in ms.
    pub(super) newest_sent_ms: AtomicI64,
    /// Workers that should run, and that do.
    pub(super) shards_wanted: AtomicUsize,
    pub(super) shards_running: AtomicUsize,
    /// Stop reading; send what is in memory.
    pub(super) soft_stop: Shutdown,
    /// Stop everything.
    pub(super) hard_stop: Shutdown,
}

/// What the number of shards follows.
#[derive(Debug, Default)]
pub(super) struct Flow {
    pub(super) totals: Totals,
    /// When a request last got through, on the monotonic clock.
    pub(super) last_sent: Duration,
}

impl Link {
    /// The message to send now.
    pub(super) fn message(&self) -> Message {
        if self.fallen_back.load(Ordering::Relaxed) { Message::V1 } else { self.message }
    }
}

impl std::fmt::Debug for Link {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Link({} {})", self.name, self.url)
    }
}
