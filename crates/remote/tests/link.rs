//! The whole link over loopback: queue, sender, HTTP, receiver, and a second queue that stores.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use nave_base::clock::{SharedClock, SystemClock};
use nave_base::disk::LocalDisk;
use nave_base::metric::{Format, Registry};
use nave_model::append::{Append as _, BatchBuilder, Principal, SeriesRef};
use nave_model::duration::PromDuration;
use nave_model::label::Labels;
use nave_model::time::Timestamp;
use nave_remote::receive::{self, Anonymous};
use nave_remote::{
    CatchUpOptions, Metrics, Piece, ProtobufMessage, Queue, QueueOptions, RemoteWriteConfig, Sender,
    SenderOptions, Source as _, Step,
};

struct Side {
    registry: Registry,
    metrics: Arc<Metrics>,
    queue: Arc<Queue>,
    _dir: tempfile::TempDir,
}

fn side(clock: &SharedClock) -> Side {
    let (registry, dir) = (Registry::default(), tempfile::tempdir().unwrap());
    let metrics = Metrics::register(&registry);
    let options = QueueOptions::new(dir.path(), 1 << 30);
    let queue = Queue::open(options, LocalDisk::shared(), clock.clone(), &registry, metrics.clone()).unwrap();
    Side { registry, metrics, queue: Arc::new(queue), _dir: dir }
}

/// Everything in the queue as `labels time value`.
fn content(queue: &Queue) -> BTreeSet<String> {
    let (mut tail, mut piece) = (queue.tail(queue.resume("reader").oldest()), Piece::default());
    let (mut names, mut lines) = (std::collections::HashMap::new(), BTreeSet::new());
    while tail.next(&mut piece).unwrap() == Step::Record {
        names.extend(piece.series.drain(..));
        lines.extend(piece.samples.iter().map(|(id, time, value)| format!("{} {time} {value}", names[id])));
    }
    lines
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_queued_here_is_stored_there() {
    send_and_compare(ProtobufMessage::WriteRequest).await;
}

/// From the second request on with zstd.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_with_the_second_version() {
    send_and_compare(ProtobufMessage::Request).await;
}

async fn send_and_compare(message: ProtobufMessage) {
    let clock = SystemClock::shared();
    let (spoke, hub) = (side(&clock), side(&clock));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = receive::router(
        receive::Options::default(),
        hub.queue.clone(),
        Arc::new(Anonymous),
        clock.clone(),
        &hub.metrics,
        &hub.registry,
    );
    tokio::spawn(async move { axum::serve(listener, router).await });

    let mut config = RemoteWriteConfig::new(&format!("http://{address}/api/v1/write"));
    config.queue_config.batch_send_deadline = PromDuration::from_ms(20);
    config.queue_config.max_samples_per_send = 300;
    config.protobuf_message = message;
    spoke.queue.set_endpoints(&[config.remote_name()]);
    let sender = Sender::start(SenderOptions {
        config,
        external_labels: vec![("cluster".to_owned(), "spoke1".to_owned())],
        catch_up: CatchUpOptions::default(),
        source: spoke.queue.clone(),
        metadata: None,
        metrics: spoke.metrics.clone(),
        clock: clock.clone(),
        flush_deadline: Duration::from_secs(10),
    })
    .unwrap();

    let mut want = BTreeSet::new();
    for time in 0..20 {
        let mut builder = BatchBuilder::new(Arc::new(Principal::anonymous("test")));
        for series in 0..50 {
            let labels = Labels::from_pairs([("__name__", format!("m{series}"))]).unwrap();
            builder.series(&labels, SeriesRef::NONE).sample(Timestamp(time), f64::from(series));
            want.insert(format!("{{__name__=\"m{series}\", cluster=\"spoke1\"}} {time} {series}"));
        }
        assert_eq!(spoke.queue.append(builder.build()).await.unwrap().samples.stored, 50);
    }
    let end = *spoke.queue.durable_end().borrow();
    while sender.position() < end {
        assert!(clock.monotonic() < Duration::from_secs(20), "not delivered: {}", sender.position());
        clock.sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(content(&hub.queue), want);
    let page = hub.registry.page(Format::Text);
    let received =
        "prometheus_remote_storage_samples_total{remote_name=\"receiver\",url=\"/api/v1/write\"} 1000\n";
    assert!(page.contains(received), "{page}");
    sender.stop().await;
}
