//! Many callers, one write and one fsync: a log on a thread of its own.
//!
//! Whatever waits while a sync is under way becomes the next group. A group fails or succeeds as a whole;
//! a record that is too large is refused before it joins one.

use std::thread;

use tokio::sync::{mpsc, oneshot, watch};

use crate::{Error, Log, Position, RECORD_BYTES_MAX};

/// Commits that may wait; more callers wait to be let in.
const WAITING_MAX: usize = 1024;
/// A group is closed when it reaches this.
const GROUP_BYTES_MAX: usize = 32 << 20;

type Answer = oneshot::Sender<Result<Position, Error>>;
/// One caller's records, and where it waits.
type Commit = (Vec<(u8, Vec<u8>)>, Answer);
type Job = Box<dyn FnOnce(&mut Log) + Send>;

enum Request {
    Commit(Commit),
    Job(Job),
}

/// The async front of a [`Log`]. Dropping it ends the thread after what waits has been written.
#[derive(Debug)]
pub struct GroupCommit {
    requests: Option<mpsc::Sender<Request>>,
    durable: watch::Receiver<Position>,
    thread: Option<thread::JoinHandle<()>>,
}

impl GroupCommit {
    /// Moves `log` to a new thread called `name`.
    ///
    /// # Errors
    /// When the operating system gives no thread.
    pub fn start(log: Log, name: &str) -> Result<Self, Error> {
        let (requests, waiting) = mpsc::channel(WAITING_MAX);
        let (say, durable) = watch::channel(log.durable_end());
        let body = move || Writer { log, waiting, durable: say }.run();
        let thread = thread::Builder::new().name(name.to_owned()).spawn(body).map_err(|error| Error::Io {
            doing: "starting the thread of",
            path: name.into(),
            message: error.to_string(),
        })?;
        Ok(Self { requests: Some(requests), durable, thread: Some(thread) })
    }

    /// Writes `records` one after the other and resolves when they are durable, with where the first one
    /// starts. All stand in one segment. Dropping the future does not undo the commit.
    ///
    /// # Errors
    /// As [`Log::append_group`] and [`Log::sync`]; [`Error::Closed`] when the thread has ended.
    pub async fn commit(&self, records: Vec<(u8, Vec<u8>)>) -> Result<Position, Error> {
        if let Some((_, payload)) = records.iter().find(|(_, payload)| payload.len() > RECORD_BYTES_MAX) {
            return Err(Error::TooLarge { bytes: payload.len(), limit: RECORD_BYTES_MAX });
        }
        let (answer, answered) = oneshot::channel();
        self.send(Request::Commit((records, answer))).await?;
        answered.await.map_err(|_| Error::Closed)?
    }

    /// Runs `job` on the log between two groups.
    ///
    /// # Errors
    /// [`Error::Closed`] when the thread has ended.
    pub async fn with<T: Send + 'static>(
        &self,
        job: impl FnOnce(&mut Log) -> T + Send + 'static,
    ) -> Result<T, Error> {
        let (answer, answered) = oneshot::channel();
        let job = move |log: &mut Log| {
            // A caller that went away does not want the answer.
            let _ = answer.send(job(log));
        };
        self.send(Request::Job(Box::new(job))).await?;
        answered.await.map_err(|_| Error::Closed)
    }

    async fn send(&self, request: Request) -> Result<(), Error> {
        let Some(requests) = &self.requests else { return Err(Error::Closed) };
        requests.send(request).await.map_err(|_| Error::Closed)
    }

    /// Follows the durable end of the log; for readers that tail it.
    #[must_use]
    pub fn subscribe(&self) -> watch::Receiver<Position> {
        self.durable.clone()
    }
}

impl Drop for GroupCommit {
    fn drop(&mut self) {
        self.requests = None;
        if let Some(thread) = self.thread.take() {
            // A panic of the thread was already reported by the panic hook.
            let _ = thread.join();
        }
    }
}

struct Writer {
    log: Log,
    waiting: mpsc::Receiver<Request>,
    durable: watch::Sender<Position>,
}

impl Writer {
    fn run(mut self) {
        while let Some(first) = self.waiting.blocking_recv() {
            let (group, job) = self.gather(first);
            if !group.is_empty() {
                self.commit(group);
            }
            if let Some(job) = job {
                job(&mut self.log);
                self.durable.send_replace(self.log.durable_end());
            }
        }
    }

    /// All that waits already, up to a job or the size of a group.
    fn gather(&mut self, first: Request) -> (Vec<Commit>, Option<Job>) {
        let mut group = Vec::new();
        let mut bytes = 0;
        let mut next = Some(first);
        while let Some(request) = next {
            match request {
                Request::Job(job) => return (group, Some(job)),
                Request::Commit((records, answer)) => {
                    bytes += records.iter().map(|(_, payload)| payload.len()).sum::<usize>();
                    group.push((records, answer));
                }
            }
            next = if bytes < GROUP_BYTES_MAX { self.waiting.try_recv().ok() } else { None };
        }
        (group, None)
    }

    fn commit(&mut self, group: Vec<Commit>) {
        let records = group.iter().flat_map(|(records, _)| records);
        let written = self.log.append_group(records.map(|(kind, payload)| (*kind, &payload[..])));
        let result = written.and_then(|first| self.log.sync().map(|_| first));
        self.durable.send_replace(self.log.durable_end());
        let mut at = result;
        for (records, answer) in group {
            // A caller that went away is answered by the log.
            let _ = answer.send(at.clone());
            let bytes: u64 =
                records.iter().map(|(_, payload)| crate::frame::FRAME_BYTES + payload.len() as u64).sum();
            at = at.map(|at| Position { offset: at.offset + bytes, ..at });
        }
    }
}
