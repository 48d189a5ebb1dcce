//! `statfs` of many mount points with a deadline, though the call itself has none.
//!
//! A mount whose server is gone keeps its caller in the kernel for as long as it likes. So the calls
//! run on threads of their own: a few take mounts from a list; where those hang, more are started, up
//! to a bound. Invariants: at most one call per mount is under way, however often it is asked for; at
//! most [`THREADS_MAX`] threads exist, hung ones included; an answer is waited for until the deadline
//! and not longer. A thread that comes back from a hung mount makes that mount good again. Time here is
//! the machine's: the kernel does not wait for a test's clock.

use std::collections::{BTreeSet, VecDeque};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// Threads that work while nothing hangs.
const THREADS: usize = 4;
/// Threads in all, those that hang included.
const THREADS_MAX: usize = 64;
/// When no mount answers for this long, one more thread is started.
const HANGS_AFTER: Duration = Duration::from_millis(200);

/// What `statfs` says, in bytes and file nodes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Usage {
    pub(super) size: f64,
    pub(super) free: f64,
    pub(super) available: f64,
    pub(super) files: f64,
    pub(super) files_free: f64,
}

/// How a mount answered.
#[derive(Debug)]
pub(super) enum Answer {
    Usage(Usage),
    Failed(io::Error),
    /// Not before the deadline, or still hanging since an earlier page.
    TimedOut,
}

type Ask = dyn Fn(&Path) -> io::Result<Usage> + Send + Sync;

/// The threads and what they wait for.
pub(super) struct Statfs {
    ask: Arc<Ask>,
    /// Mounts that a thread is asking right now; as many threads are busy.
    under_way: Arc<Mutex<BTreeSet<PathBuf>>>,
    /// Held during a page, so that what is under way at its start is what hangs.
    turn: Mutex<()>,
}

impl std::fmt::Debug for Statfs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Statfs").field("under_way", &self.under_way).finish_non_exhaustive()
    }
}

impl Default for Statfs {
    fn default() -> Self {
        Self::with(Arc::new(ask_kernel))
    }
}

/// One page's questions: what is to be asked, and where the answers go.
struct Round {
    open: Mutex<VecDeque<(usize, PathBuf)>>,
    ask: Arc<Ask>,
    under_way: Arc<Mutex<BTreeSet<PathBuf>>>,
}

impl Statfs {
    fn with(ask: Arc<Ask>) -> Self {
        Self { ask, under_way: Arc::default(), turn: Mutex::default() }
    }

    /// Asks every mount point; the answers are in the order of `points`.
    pub(super) fn ask(&self, points: &[PathBuf], timeout: Duration) -> Vec<Answer> {
        let _turn = self.turn.lock();
        let mut answers: Vec<Answer> = points.iter().map(|_| Answer::TimedOut).collect();
        let (open, free) = {
            let under_way = self.under_way.lock();
            let numbered = points.iter().cloned().enumerate();
            let open: VecDeque<_> = numbered.filter(|(_, point)| !under_way.contains(point)).collect();
            (open, THREADS_MAX.saturating_sub(under_way.len()))
        };
        let missing = open.len();
        let round = Arc::new(Round {
            open: Mutex::new(open),
            ask: self.ask.clone(),
            under_way: self.under_way.clone(),
        });
        self.wait(&round, missing, free, timeout, &mut answers);
        // Nobody waits for what was not begun.
        round.open.lock().clear();
        answers
    }

    fn wait(
        &self,
        round: &Arc<Round>,
        mut missing: usize,
        mut free: usize,
        timeout: Duration,
        answers: &mut [Answer],
    ) {
        let deadline = Instant::now() + timeout;
        let (sender, receiver) = channel();
        for _ in 0..THREADS.min(missing).min(free) {
            free -= usize::from(start(round, &sender));
        }
        while missing > 0 {
            match receive(&receiver, deadline) {
                Ok((number, answer)) => {
                    answers[number] = answer;
                    missing -= 1;
                }
                Err(RecvTimeoutError::Timeout) if Instant::now() < deadline => {
                    if free > 0 && !round.open.lock().is_empty() {
                        free -= usize::from(start(round, &sender));
                    }
                }
                Err(_) => return,
            }
        }
    }
}

type Numbered = (usize, Answer);

fn receive(receiver: &Receiver<Numbered>, deadline: Instant) -> Result<Numbered, RecvTimeoutError> {
    receiver.recv_timeout(HANGS_AFTER.min(deadline.saturating_duration_since(Instant::now())))
}

/// Starts a thread that asks until nothing is open; false when the system refuses one.
fn start(round: &Arc<Round>, sender: &Sender<Numbered>) -> bool {
    let (round, sender) = (round.clone(), sender.clone());
    let run = move || {
        while let Some((number, point)) = round.take() {
            // When the page was given up, nobody listens.
            let _ = sender.send((number, round.answer(&point)));
        }
    };
    std::thread::Builder::new().name("statfs".into()).spawn(run).is_ok()
}

impl Round {
    fn take(&self) -> Option<(usize, PathBuf)> {
        self.open.lock().pop_front()
    }

    /// Asks, unless a thread is asking that mount already or too many hang.
    fn answer(&self, point: &Path) -> Answer {
        {
            let mut under_way = self.under_way.lock();
            if under_way.len() >= THREADS_MAX || !under_way.insert(point.to_path_buf()) {
                return Answer::TimedOut;
            }
        }
        let answer = (self.ask)(point);
        self.under_way.lock().remove(point);
        answer.map_or_else(Answer::Failed, Answer::Usage)
    }
}

fn ask_kernel(point: &Path) -> io::Result<Usage> {
    let stat = rustix::fs::statfs(point)?;
    let block = stat.f_bsize as f64;
    Ok(Usage {
        size: stat.f_blocks as f64 * block,
        free: stat.f_bfree as f64 * block,
        available: stat.f_bavail as f64 * block,
        files: stat.f_files as f64,
        files_free: stat.f_ffree as f64,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const USAGE: Usage = Usage { size: 1.0, free: 1.0, available: 1.0, files: 1.0, files_free: 1.0 };

    /// Mounts called `hung*` answer when the lock is given up, all others at once.
    fn with_hung(gate: &Arc<Mutex<()>>) -> Statfs {
        let gate = gate.clone();
        Statfs::with(Arc::new(move |point| {
            if point.to_string_lossy().starts_with("hung") {
                drop(gate.lock());
            }
            Ok(USAGE)
        }))
    }

    fn points(names: &[&str]) -> Vec<PathBuf> {
        names.iter().map(PathBuf::from).collect()
    }

    fn answered(answers: &[Answer]) -> Vec<bool> {
        answers.iter().map(|answer| matches!(answer, Answer::Usage(_))).collect()
    }

    #[test]
    fn hung_mounts_do_not_hold_up_the_others() {
        let gate = Arc::new(Mutex::new(()));
        let closed = gate.lock();
        let statfs = with_hung(&gate);
        let names = points(&["hung1", "hung2", "hung3", "hung4", "hung5", "good1", "good2"]);
        let timeout = Duration::from_secs(3);
        let expect = [false, false, false, false, false, true, true];
        assert_eq!(answered(&statfs.ask(&names, timeout)), expect);
        // The second page does not wait for them, and asks none of them again.
        let start = Instant::now();
        assert_eq!(answered(&statfs.ask(&names, timeout)), expect);
        assert!(start.elapsed() < timeout);
        assert_eq!(statfs.under_way.lock().len(), 5);
        drop(closed);
        while !statfs.under_way.lock().is_empty() {
            std::thread::yield_now();
        }
        assert_eq!(answered(&statfs.ask(&names, timeout)), [true; 7]);
    }

    #[test]
    fn threads_are_bounded() {
        let gate = Arc::new(Mutex::new(()));
        let closed = gate.lock();
        let statfs = with_hung(&gate);
        statfs.under_way.lock().extend((0..THREADS_MAX).map(|i| format!("hung{i}").into()));
        let answers = statfs.ask(&points(&["hung1", "good"]), Duration::from_millis(300));
        assert_eq!(answered(&answers), [false, false]);
        drop(closed);
    }

    #[test]
    fn the_kernel_answers() {
        let answers = Statfs::default().ask(&points(&["/", "/no/such/place"]), Duration::from_secs(5));
        assert!(matches!(answers[0], Answer::Usage(usage) if usage.size > 0.0 && usage.free <= usage.size));
        assert!(matches!(&answers[1], Answer::Failed(error) if error.kind() == io::ErrorKind::NotFound));
    }
}
