//! A world for scraping: a server that answers as it is told, a clock that stands still, and an appender that
//! remembers.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, Response, header};
use futures_util::future::BoxFuture;
use futures_util::{FutureExt, StreamExt, stream};
use nave_base::clock::{FakeClock, SharedClock};
use nave_base::metric::{Format, Registry};
use nave_model::append::{Append, AppendError, Batch, Outcome, Principal, SeriesRef};
use nave_model::sample::is_stale;
use nave_scrape::config::Defaults;
use nave_scrape::{Builtin, Error, Options, ScrapeConfig, Scraper};
use parking_lot::Mutex;
use tokio::sync::watch;

/// What the server answers.
#[derive(Clone)]
pub(crate) enum Answer {
    /// A text page.
    Page(String),
    /// Any content type and encoding.
    Raw { content_type: &'static str, encoding: Option<&'static str>, body: Vec<u8> },
    /// An error status.
    Status(u16),
    /// The head and this much of the body, then the connection breaks.
    Half(&'static str),
    /// Samples for ever.
    Endless,
    /// Nothing, for ever.
    Silent,
}

impl Answer {
    fn response(self) -> Response<Body> {
        let text = |body: Body| Response::builder().header(header::CONTENT_TYPE, "text/plain").body(body);
        match self {
            Self::Page(page) => text(page.into()),
            Self::Raw { content_type, encoding, body } => {
                let mut builder = Response::builder();
                if !content_type.is_empty() {
                    builder = builder.header(header::CONTENT_TYPE, content_type);
                }
                if let Some(encoding) = encoding {
                    builder = builder.header(header::CONTENT_ENCODING, encoding);
                }
                builder.body(body.into())
            }
            Self::Status(status) => Response::builder().status(status).body(Body::empty()),
            Self::Half(start) => {
                let broken = Err(std::io::Error::other("the target dies"));
                text(Body::from_stream(stream::iter([Ok(Bytes::from(start)), broken])))
            }
            Self::Endless => {
                let lines =
                    stream::iter(0u64..).map(|n| Ok::<_, std::io::Error>(format!("m{n} 1\n").repeat(500)));
                text(Body::from_stream(lines))
            }
            Self::Silent => text(Body::empty()),
        }
        .unwrap()
    }
}

/// Remembers batches as text: `name{labels but job and instance} value @time`.
pub(crate) struct Recorder {
    batches: Mutex<Vec<Vec<String>>>,
    known_references: Mutex<Vec<usize>>,
    count: watch::Sender<usize>,
    pub(crate) fails: AtomicBool,
}

impl Append for Recorder {
    fn append(&self, batch: Batch) -> BoxFuture<'_, Result<Outcome, AppendError>> {
        let show = |series| {
            let labels = (batch.label_format.decode)(batch.label_bytes(series)).unwrap();
            let (at, value) = batch.samples(series).next().unwrap();
            let shown = labels.filtered(|name| !["__name__", "job", "instance"].contains(&name));
            let rest = if shown.is_empty() { String::new() } else { shown.to_string() };
            let value = if is_stale(value) { "stale".to_owned() } else { value.to_string() };
            format!("{}{rest} {value} @{at}", labels.metric_name())
        };
        let lines = batch.series.iter().map(show).collect();
        let known = batch.series.iter().filter(|series| series.reference != SeriesRef::NONE).count();
        let references = (1..=batch.series.len() as u32).map(|id| SeriesRef { generation: 1, id }).collect();
        self.batches.lock().push(lines);
        self.known_references.lock().push(known);
        self.count.send_modify(|count| *count += 1);
        let fails = self.fails.load(Ordering::SeqCst);
        async move {
            if fails {
                return Err(AppendError::Full { what: "quota of 1 byte".to_owned() });
            }
            Ok(Outcome { references, ..Outcome::default() })
        }
        .boxed()
    }
}

pub(crate) struct World {
    pub(crate) clock: Arc<FakeClock>,
    pub(crate) recorder: Arc<Recorder>,
    pub(crate) scraper: Scraper,
    pub(crate) registry: Registry,
    pub(crate) answer: Arc<Mutex<Answer>>,
    pub(crate) requests: Arc<Mutex<Vec<HeaderMap>>>,
    pub(crate) address: String,
    seen: usize,
}

pub(crate) const INTERVAL: Duration = Duration::from_secs(10);
pub(crate) const START: i64 = 1_000_000_000_000;

impl World {
    /// A server that answers `page`, and a scraper without jobs.
    pub(crate) async fn new(page: &str) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let answer = Arc::new(Mutex::new(Answer::Page(page.to_owned())));
        let requests: Arc<Mutex<Vec<HeaderMap>>> = Arc::default();
        let (told, heard) = (answer.clone(), requests.clone());
        let handler = move |headers: HeaderMap| {
            heard.lock().push(headers);
            let answer = told.lock().clone();
            async move {
                if matches!(answer, Answer::Silent) {
                    std::future::pending::<()>().await;
                }
                answer.response()
            }
        };
        let router = axum::Router::new().fallback(handler);
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        let clock = FakeClock::at(START);
        let shared: SharedClock = clock.clone();
        let recorder = Arc::new(Recorder {
            batches: Mutex::default(),
            known_references: Mutex::default(),
            count: watch::Sender::new(0),
            fails: AtomicBool::new(false),
        });
        let registry = Registry::default();
        let scraper = Scraper::new(Options {
            append: recorder.clone(),
            clock: shared,
            registry: registry.clone(),
            principal: Principal::anonymous("test"),
            offset_seed: 7,
            page_bytes_max: 1 << 20,
            align_timestamps: true,
            zero_starts: false,
        });
        Self { clock, recorder, scraper, registry, answer, requests, address, seen: 0 }
    }

    /// One job `j` with the one target, scraped every 10 s, and more settings.
    pub(crate) fn config(&self, more: &str) -> ScrapeConfig {
        let address = &self.address;
        let yaml = format!(
            "{{job_name: j, scrape_interval: 10s, static_configs: [{{targets: ['{address}'], labels: {{instance: i}}}}], {more}}}"
        );
        Self::parse(&yaml)
    }

    pub(crate) fn parse(yaml: &str) -> ScrapeConfig {
        let mut config: ScrapeConfig = serde_saphyr::from_str(yaml).expect(yaml);
        config.apply_defaults(&Defaults::default()).expect(yaml);
        config
    }

    pub(crate) async fn reload(&self, more: &str) {
        self.reload_all(&[self.config(more)], &[]).unwrap();
        self.settle().await;
    }

    /// Lets loops that were told to stop or start get to their next sleep: they wait for nothing else, so on this
    /// single-threaded runtime a few turns are enough.
    pub(crate) async fn settle(&self) {
        for _ in 0..32 {
            tokio::task::yield_now().await;
        }
    }

    pub(crate) fn reload_all(&self, configs: &[ScrapeConfig], builtins: &[Builtin]) -> Result<(), Error> {
        self.scraper.reload(configs, builtins)
    }

    /// Waits until `count` sleeps are pending.
    pub(crate) async fn asleep(&self, count: usize) {
        while self.clock.sleepers() < count {
            tokio::task::yield_now().await;
        }
    }

    /// Moves the clock by an interval once the loop sleeps, and gives the batch that it stores.
    pub(crate) async fn scrape(&mut self) -> Vec<String> {
        self.asleep(1).await;
        self.clock.advance(INTERVAL);
        self.batch().await
    }

    /// The next batch.
    pub(crate) async fn batch(&mut self) -> Vec<String> {
        self.seen += 1;
        let mut count = self.recorder.count.subscribe();
        count.wait_for(|count| *count >= self.seen).await.unwrap();
        self.recorder.batches.lock()[self.seen - 1].clone()
    }

    pub(crate) fn batches(&self) -> usize {
        self.recorder.batches.lock().len()
    }

    /// How many series of the last batch came with a reference.
    pub(crate) fn known_references(&self) -> usize {
        *self.recorder.known_references.lock().last().unwrap()
    }

    pub(crate) fn tell(&self, answer: Answer) {
        *self.answer.lock() = answer;
    }

    pub(crate) fn page(&self, page: &str) {
        self.tell(Answer::Page(page.to_owned()));
    }

    pub(crate) fn now(&self) -> i64 {
        use nave_base::clock::Clock as _;
        self.clock.now_ms()
    }

    /// Why the one target failed, once its loop sleeps again.
    pub(crate) async fn last_error(&self) -> String {
        self.asleep(1).await;
        self.scraper.targets().active[0].last_error.clone()
    }

    pub(crate) fn metrics(&self) -> String {
        self.registry.page(Format::Text)
    }
}

/// The samples of a batch without the report series.
pub(crate) fn samples(batch: &[String]) -> Vec<&str> {
    let report = |line: &str| line.starts_with("up ") || line.starts_with("scrape_");
    batch.iter().map(String::as_str).filter(|line| !report(line)).collect()
}

/// The value of a report series.
pub(crate) fn report(batch: &[String], name: &str) -> String {
    let line = batch
        .iter()
        .find(|line| line.starts_with(&format!("{name} ")))
        .unwrap_or_else(|| panic!("{name} in {batch:?}"));
    line.split(' ').nth(1).unwrap_or_default().to_owned()
}
