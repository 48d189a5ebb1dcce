//! A store on a fault disk and a fake clock beside its model: runs the steps of a script.
//!
//! One thread runs all but the log's, which the fault disk holds where order matters, so a seed always does the same.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;
use futures_util::future::join_all;
use nave_base::Shutdown;
use nave_base::clock::{Clock, FakeClock};
use nave_base::disk::{FaultDisk, Incident, What};
use nave_base::metric::{Format, Registry};
use nave_model::append::{Append, AppendError, Item, Outcome, Reason, SeriesRef};
use nave_model::matcher::Matcher;
use nave_model::time::{TimeRange, Timestamp};
use nave_tsdb::{Options, Tsdb};

use crate::check::{matchers, selection};
use crate::content::{batch, labels, read, tenant};
use crate::model::Model;
use crate::rot::{self, Flips, can_refuse};
use crate::script::{START_MS, Script, Setting, Step, Value, Write};

pub const TENANTS: usize = 2;
const DIR: &str = "/data";
const FUTURE_MAX_MS: i64 = 3_600_000;
/// Tries until a write must succeed once nothing is wrong any more.
const TRIES_MAX: usize = 3;
const STEP_CHARS_MAX: usize = 200;

pub struct World {
    pub setting: Setting,
    pub clock: Arc<FakeClock>,
    pub disk: FaultDisk,
    pub tsdb: Option<Tsdb>,
    pub models: [Model; TENANTS],
    references: BTreeMap<(u8, u16), SeriesRef>,
    /// Oldest time that must be there.
    pub floor: i64,
    /// Bits were flipped at some time.
    pub rotted: bool,
    /// Bits that were flipped since the store was closed.
    pub fresh_rot: Vec<Incident>,
    power_cuts: usize,
    registry: Registry,
    /// As counted in this life.
    damaged_pages: f64,
    /// Flushes that were tried.
    flushes: u64,
    /// When the step under way began: a slow disk moves the clock.
    began: i64,
    /// What went wrong with the disks of earlier lives.
    pub incidents: Vec<Incident>,
    /// Damage that the store named in this life.
    pub named: Vec<String>,
    pub counts: Counts,
}

/// What a run did; for the summary, and to see that nothing is idle.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    pub acknowledged: u64,
    pub refused: u64,
    pub failed: u64,
    pub compared: u64,
    pub opened: u64,
    pub incidents: u64,
}

impl Counts {
    pub fn add(&mut self, other: &Self) {
        self.acknowledged += other.acknowledged;
        self.refused += other.refused;
        self.failed += other.failed;
        self.compared += other.compared;
        self.opened += other.opened;
        self.incidents += other.incidents;
    }
}

pub async fn run(script: &Script) -> Result<Counts, String> {
    let clock = FakeClock::at(START_MS);
    let disk = FaultDisk::new(script.seed, Some(clock.clone()));
    let mut world = World {
        setting: script.setting.clone(),
        clock,
        disk,
        tsdb: None,
        models: Default::default(),
        references: BTreeMap::new(),
        floor: i64::MIN,
        rotted: false,
        fresh_rot: Vec::new(),
        power_cuts: 0,
        registry: Registry::default(),
        damaged_pages: 0.0,
        flushes: 0,
        began: START_MS,
        incidents: Vec::new(),
        named: Vec::new(),
        counts: Counts::default(),
    };
    world.open().await?;
    for (seed, step) in &script.steps {
        world.disk.reseed(script.seed.wrapping_mul(1_000_003).wrapping_add(*seed));
        let done = world.step(step).await;
        done.map_err(|error| {
            let step: String = format!("{step:?}").chars().take(STEP_CHARS_MAX).collect();
            format!("step {seed}, {step}: {error}\n{}", world.account())
        })?;
    }
    world.keep_incidents();
    world.counts.incidents = world.incidents.len() as u64;
    Ok(world.counts)
}

impl World {
    async fn step(&mut self, step: &Step) -> Result<(), String> {
        self.began = self.clock.now_ms();
        match step {
            Step::Append(write) => self.append(write).await?,
            Step::Concurrent(writes) => self.concurrent(writes).await?,
            Step::Query { seed, tenant, min, max } => self.query(*seed, *tenant, (*min, *max)).await?,
            Step::Check => self.check().await?,
            Step::Advance { ms } => self.clock.advance(Duration::from_millis(ms.unsigned_abs())),
            Step::Retain => self.retain().await?,
            Step::Flush => self.flush().await?,
            Step::Compact => self.compact().await?,
            Step::Delete { seed, tenant, min, max } => self.delete(*seed, *tenant, (*min, *max)).await?,
            Step::CleanTombstones => {
                let done = self.tsdb().clean_tombstones().await;
                self.done("cleaning tombstones", done)?;
                self.note_damage_of_merging().await?;
            }
            Step::Snapshot => self.snapshot().await?,
            Step::Restart => self.restart(0).await?,
            Step::Kill => self.kill().await?,
            Step::PowerCut { after } => self.disk.cut_power_after(Some(*after)),
            Step::PowerCutInOpen { after } => self.power_cut(Some(*after)).await?,
            Step::Full { room } => self.disk.set_limit(Some(self.disk.used() + room)),
            Step::Room => {
                self.disk.set_limit(None);
                self.recover().await?;
            }
            Step::Faulty(faults) => self.disk.set_faults(*faults),
            Step::Well => {
                self.disk.set_faults(Default::default());
                self.recover().await?;
            }
            Step::Rot { flips, closed: true } => self.restart(*flips).await?,
            Step::Rot { flips, closed: false } => self.rot(*flips, |path| !can_refuse(path)),
        }
        if matches!(step, Step::PowerCut { after: 0 }) || self.disk.is_down() {
            self.power_cut(None).await?;
        }
        Ok(())
    }

    pub fn tsdb(&self) -> &Tsdb {
        self.tsdb.as_ref().expect("the store is open between steps")
    }

    async fn append(&mut self, write: &Write) -> Result<(), String> {
        let answer = self.tsdb().append(batch(write, &self.references)).await;
        self.note(write, answer)
    }

    /// All are under way before the first is written. Where the disk may refuse an operation before it comes to
    /// the gate, they go one after the other.
    async fn concurrent(&mut self, writes: &[Write]) -> Result<(), String> {
        if self.troubled() {
            for write in writes {
                self.append(write).await?;
            }
            return Ok(());
        }
        let answers = {
            let tsdb = self.tsdb.as_ref().expect("the store is open between steps");
            let mut appends: Vec<_> = writes
                .iter()
                .map(|write| futures_util::future::maybe_done(tsdb.append(batch(write, &self.references))))
                .map(Box::pin)
                .collect();
            self.disk.hold();
            for append in &mut appends {
                if futures_util::poll!(append.as_mut()).is_pending() {
                    self.disk.wait_for_held();
                }
            }
            self.disk.release();
            join_all(appends.iter_mut().map(|append| append.as_mut())).await;
            appends.iter_mut().map(|append| append.as_mut().take_output()).collect::<Vec<_>>()
        };
        for (write, answer) in writes.iter().zip(answers) {
            self.note(write, answer.ok_or("an append gave no answer")?)?;
        }
        Ok(())
    }

    fn note(&mut self, write: &Write, answer: Result<Outcome, AppendError>) -> Result<(), String> {
        let outcome = match answer {
            Ok(outcome) => outcome,
            Err(error) => return self.note_failure(write, &error),
        };
        let (mut floats, mut histograms) = (0, 0);
        let sent = write.points.len();
        let (tally, more) = (outcome.samples, outcome.histograms);
        let told =
            tally.stored + tally.duplicate + tally.rejected + more.stored + more.duplicate + more.rejected;
        if told != sent {
            return Err(format!("{sent} samples were sent, the answer tells of {told}"));
        }
        for point in write.in_order() {
            let item = match point.value {
                Value::Float(_) => Item::Sample(count(&mut floats)),
                Value::Histogram(_) => Item::Histogram(count(&mut histograms)),
            };
            let refused = outcome.rejections.iter().find(|rejection| rejection.item == item);
            let reason = refused.map(|rejection| &rejection.reason);
            self.note_point(write.tenant, point.series, (point.t, point.value), reason)?;
        }
        let mut before = None;
        let mut references = outcome.references.iter();
        for point in &write.points {
            if before != Some(point.series) {
                before = Some(point.series);
                let reference = references.next().ok_or("fewer references than series")?;
                self.references.insert((write.tenant, point.series), *reference);
            }
        }
        Ok(())
    }

    fn note_failure(&mut self, write: &Write, error: &AppendError) -> Result<(), String> {
        if !self.troubled() && !self.disk.is_down() && !self.is_quota(&error.to_string()) {
            return Err(format!("an append failed on a disk that is well: {error}"));
        }
        self.attempted(write);
        Ok(())
    }

    fn attempted(&mut self, write: &Write) {
        for point in &write.points {
            let model = &mut self.models[usize::from(write.tenant)];
            model.slot(&labels(point.series), point.t).attempt(point.value);
        }
        self.counts.failed += 1;
    }

    fn note_point(
        &mut self,
        tenant: u8,
        series: u16,
        (t, value): (i64, Value),
        refused: Option<&Reason>,
    ) -> Result<(), String> {
        let now = self.clock.now_ms();
        let floor = self.floor();
        let flushes = self.flushes;
        let lost = self.rotted && !self.named.is_empty();
        let slot = self.models[usize::from(tenant)].slot(&labels(series), t);
        let wrong = |what: &str| Err(format!("{what}: series {series} at {t}, sent {value:?}, {slot:?}"));
        self.counts.refused += u64::from(refused.is_some());
        match refused {
            None if t > now + FUTURE_MAX_MS => wrong("accepted, though it is too far ahead"),
            None if slot.must_refuse(value, flushes) && t >= floor && !lost => {
                wrong("a conflict was accepted")
            }
            None => {
                // What was there is lost, or may be.
                slot.excused |= t < floor || slot.must_refuse(value, flushes);
                slot.acknowledge(value, flushes);
                self.counts.acknowledged += 1;
                Ok(())
            }
            Some(Reason::Conflict { .. } | Reason::HistogramConflict { .. }) if slot.may_refuse(value) => {
                Ok(())
            }
            Some(Reason::TooNew { .. }) if t > self.began + FUTURE_MAX_MS => Ok(()),
            Some(Reason::TooOld { .. }) if t < floor => Ok(()),
            Some(reason) => wrong(&format!("refused without reason ({reason})")),
        }
    }

    /// Oldest time that must be accepted and kept.
    pub fn floor(&self) -> i64 {
        let kept = self.setting.retention_ms.map_or(i64::MIN, |kept| self.clock.now_ms() - kept);
        kept.max(self.floor)
    }

    fn raise_floor(&mut self, floor: i64) {
        self.floor = self.floor.max(floor);
        let floor = self.floor();
        self.models.iter_mut().for_each(|model| model.drop_before(floor));
    }

    /// Notes how far retention has come.
    fn note_floor(&mut self) -> Result<(), String> {
        let oldest = self.tsdb().oldest();
        let kept = self.setting.retention_ms.map_or(i64::MIN, |kept| self.clock.now_ms() - kept);
        if oldest > kept.max(self.floor) && self.setting.retention_bytes.is_none() {
            return Err(format!("retention dropped up to {oldest}, allowed was {kept}"));
        }
        self.raise_floor(oldest);
        Ok(())
    }

    /// A failure is the disk's.
    fn done<T>(&self, what: &str, result: Result<T, nave_tsdb::Error>) -> Result<Option<T>, String> {
        match result {
            Ok(done) => Ok(Some(done)),
            Err(_) if self.troubled() || self.rotted || self.disk.is_down() => Ok(None),
            Err(error) if self.is_quota(&error.to_string()) => Ok(None),
            Err(error) => Err(format!("{what} failed on a disk that is well: {error}")),
        }
    }

    async fn retain(&mut self) -> Result<(), String> {
        self.flushes += 1;
        let done = self.tsdb().retain().await;
        self.done("retention", done)?;
        self.note_floor()
    }

    async fn flush(&mut self) -> Result<(), String> {
        self.flushes += 1;
        let done = self.tsdb().flush().await;
        self.done("a flush", done).map(drop)
    }

    async fn compact(&mut self) -> Result<(), String> {
        self.flushes += 1;
        let done = self.tsdb().compact_all().await;
        self.done("compaction", done)?;
        self.note_floor()?;
        self.note_damage_of_merging().await
    }

    /// Merging names damage in the log and counts it; what it left out is missing from now on.
    async fn note_damage_of_merging(&mut self) -> Result<(), String> {
        let page = self.registry.page(Format::Text);
        let line =
            page.lines().find_map(|line| line.strip_prefix("nave_tsdb_compaction_damaged_pages_total "));
        let count = line.and_then(|count| count.parse().ok()).unwrap_or(0.0);
        if count <= self.damaged_pages {
            return Ok(());
        }
        self.damaged_pages = count;
        if !self.rotted && !self.had_errors() {
            return Err("merging counts damage where there is none".to_owned());
        }
        self.named.push("merging found damage".to_owned());
        self.check().await?;
        self.named.pop();
        Ok(())
    }

    /// What was deleted is gone for good; after a failure it may be there or not.
    async fn delete(&mut self, seed: u64, number: u8, (min, max): (i64, i64)) -> Result<(), String> {
        self.flushes += 1;
        let mut matchers = matchers(&mut Rng::with_seed(seed));
        if matchers.is_empty() {
            matchers.push(Matcher::metric_name("metric_1"));
        }
        let range = TimeRange { min: Timestamp(min), max: Timestamp(max) };
        let done = self.tsdb().delete_series(&tenant(number), vec![matchers.clone()], range).await;
        let done = self.done("a delete", done)?.is_some();
        for (labels, slots) in &mut self.models[usize::from(number)].series {
            if !Matcher::all_match(&matchers, labels) {
                continue;
            }
            if done {
                slots.retain(|t, _| *t < min || max < *t);
            } else {
                slots.range_mut(min..=max).for_each(|(_, slot)| slot.excused = true);
            }
        }
        Ok(())
    }

    /// A snapshot opens like a store and gives what the store gives.
    async fn snapshot(&mut self) -> Result<(), String> {
        self.flushes += 1;
        let done = self.tsdb().snapshot(false).await;
        let Some(name) = self.done("a snapshot", done)? else { return Ok(()) };
        if self.rotted || self.troubled() {
            return Ok(());
        }
        let dir = Path::new(DIR).join("snapshots").join(name);
        let disk = Arc::new(self.disk.clone());
        let opened = Tsdb::open(self.options(&dir), disk, self.clock.clone(), &Registry::default());
        let Some(copy) = self.done("opening a snapshot", opened)? else { return Ok(()) };
        for number in 0..TENANTS as u8 {
            let all = || selection(number, Vec::new(), TimeRange::ALL);
            let (store, copy) = (read(self.tsdb(), all()).await, read(&copy, all()).await);
            if !self.disk.is_down() && format!("{store:?}") != format!("{copy:?}") {
                return Err(format!("the snapshot differs: {copy:?}, the store has {store:?}"));
            }
        }
        copy.close().await;
        Ok(())
    }

    /// One look of the store's background work at its disk.
    async fn upkeep(&self) {
        /// Flushing, merging and the look at the space in use.
        const LOOPS: usize = 3;
        let shutdown = Shutdown::new();
        let others = self.clock.sleepers();
        let look = async {
            while self.clock.sleepers() < others + LOOPS {
                tokio::task::yield_now().await;
            }
            shutdown.cancel();
        };
        tokio::join!(self.tsdb().keep(shutdown.clone()), look);
    }

    /// Once nothing is wrong any more, writes succeed by themselves.
    async fn recover(&mut self) -> Result<(), String> {
        if self.disk.is_down() || self.troubled() {
            return Ok(());
        }
        self.flushes += 1;
        self.upkeep().await;
        self.note_floor()?;
        let t = self.clock.now_ms();
        let points = vec![crate::script::Point { series: 3, t, value: Value::Float(1f64.to_bits()) }];
        let write = Write { tenant: 0, references: true, points };
        for _ in 0..TRIES_MAX {
            let answer = self.tsdb().append(batch(&write, &self.references)).await;
            match &answer {
                Err(error) if self.is_quota(&error.to_string()) => return Ok(()),
                Err(_) => {}
                Ok(_) => return self.note(&write, answer),
            }
            self.attempted(&write);
        }
        if self.disk.is_down() { Ok(()) } else { Err("writes fail on a disk that is well again".to_owned()) }
    }

    fn keep_incidents(&mut self) {
        self.incidents.extend(self.disk.incidents());
    }

    /// Closes, lets bits rot, opens.
    async fn restart(&mut self, flips: u8) -> Result<(), String> {
        self.tsdb().close().await;
        self.tsdb = None;
        self.fresh_rot.clear();
        self.rot(flips, |path| !path.ends_with("lock"));
        if self.disk.is_down() { Ok(()) } else { self.open().await }
    }

    async fn kill(&mut self) -> Result<(), String> {
        self.keep_incidents();
        let disk = self.disk.after_kill();
        self.tsdb = None;
        self.disk = disk;
        self.open().await?;
        self.check().await
    }

    /// Loses the power now or, when the store is to be opened meanwhile, soon after that began.
    async fn power_cut(&mut self, again: Option<u64>) -> Result<(), String> {
        self.keep_incidents();
        self.power_cuts += 1;
        let disk = self.disk.after_power_cut();
        self.tsdb = None;
        self.disk = disk;
        if again.is_some() {
            self.disk.cut_power_after(again);
            self.try_open().await?;
            self.tsdb = None;
            if self.rotted {
                self.excuse_all();
            }
            self.keep_incidents();
            self.disk = self.disk.after_power_cut();
        }
        self.open().await?;
        self.check().await
    }

    async fn open(&mut self) -> Result<(), String> {
        self.open_somehow().await?;
        if self.tsdb.is_some() && self.rotted && !self.named.is_empty() {
            // The next life need not tell of it again, so what is missing is noted now.
            self.check().await?;
            if self.disk.is_down() {
                self.excuse_all();
            }
        }
        Ok(())
    }

    /// Damage was or may have been named where nobody could look at what is missing.
    fn excuse_all(&mut self) {
        self.models.iter_mut().for_each(|model| model.drop_before(i64::MAX));
    }

    async fn open_somehow(&mut self) -> Result<(), String> {
        if self.try_open().await? || self.disk.is_down() {
            return Ok(());
        }
        // The disk failed: no more of that.
        self.disk.set_faults(Default::default());
        self.disk.set_limit(None);
        if self.try_open().await? || self.disk.is_down() {
            return Ok(());
        }
        Err("the store does not open on a disk that is well again".to_owned())
    }

    /// Opens; `false` when the disk did not let it.
    async fn try_open(&mut self) -> Result<bool, String> {
        self.named.clear();
        let options = self.options(Path::new(DIR));
        let disk = Arc::new(self.disk.clone());
        (self.registry, self.damaged_pages) = (Registry::default(), 0.0);
        let flips = Flips::of(self.incidents.iter().chain(&self.disk.incidents()));
        let log = rot::log(&self.disk);
        match Tsdb::open(options, disk, self.clock.clone(), &self.registry) {
            Ok(tsdb) => {
                self.named = tsdb.replayed().damages.clone();
                let cut = tsdb.replayed().cut_bytes;
                if flips.reach_tail(&log, cut) {
                    // Nobody can tell a flipped bit in the last record from a torn write.
                    self.named.push(format!("{cut} bytes were cut off the end of the log"));
                }
                self.tsdb = Some(tsdb);
                flips.cost_only_their_records(&log, &self.disk)?;
                self.counts.opened += 1;
                self.note_floor()?;
                let wrong = self.named.iter().find(|damage| !self.may_be_named(damage));
                wrong.map_or(Ok(true), |wrong| Err(format!("damage is named where there is none: {wrong}")))
            }
            Err(_) if self.troubled() || self.disk.is_down() => {
                if self.rotted {
                    self.excuse_all();
                }
                Ok(false)
            }
            Err(error) if self.restore(&error.to_string()) => Box::pin(self.try_open()).await,
            Err(error) => Err(format!("the store does not open: {error}")),
        }
    }

    fn options(&self, dir: &Path) -> Options {
        let Setting { segment_bytes, retention_ms, retention_bytes, hot_ms } = self.setting;
        Options {
            segment_bytes,
            retention_ms,
            retention_bytes,
            future_max_ms: FUTURE_MAX_MS,
            hot_ms,
            replay_threads: Some(1),
            disk_free_bytes_min: 0,
            ..Options::new(dir)
        }
    }

    /// Whether the disk fails operations or has no room.
    fn troubled(&self) -> bool {
        self.disk.trouble() != Default::default()
    }

    /// Whether an error is about the store's own limit of bytes.
    fn is_quota(&self, error: &str) -> bool {
        self.setting.retention_bytes.is_some() && error.contains("no room")
    }

    /// Damage without flipped bits and failed operations is a false alarm, but for one: of the records of one group
    /// a power cut can leave a later one whole and one before it torn. Nothing of such a group was acknowledged.
    fn may_be_named(&self, damage: &str) -> bool {
        let torn = damage.contains("the checksum of a record does not fit its bytes");
        self.rotted || self.had_errors() || self.power_cuts > 0 && torn
    }

    /// Whether an operation failed, ever: files may then hold what nobody meant.
    pub fn had_errors(&self) -> bool {
        let failed = |incident: &Incident| matches!(incident.what, What::Failed(_) | What::Full);
        self.incidents.iter().any(failed) || self.disk.incidents().iter().any(failed)
    }

    fn account(&self) -> String {
        let now = self.disk.incidents();
        let last: Vec<_> =
            self.incidents.iter().chain(&now).rev().take(20).map(ToString::to_string).collect();
        format!("damage named: {:?}\nlast incidents, newest first:\n  {}", self.named, last.join("\n  "))
    }
}

fn count(n: &mut u32) -> u32 {
    *n += 1;
    *n - 1
}
