//! What a seed stands for: settings and a list of steps, weighted at random. A step stands on its own (times are
//! absolute, samples are spelled out), so that any of them can be left out when a failure is made smaller.

use std::fmt;

use fastrand::Rng;
use nave_base::disk::Faults;
use nave_model::sample::STALE_NAN_BITS;

/// The clock at the start, in ms.
pub const START_MS: i64 = 1_700_000_000_000;
const MINUTE_MS: i64 = 60_000;
const HOUR_MS: i64 = 60 * MINUTE_MS;
/// Distance of the samples of a series.
const STEP_MS: i64 = 15_000;

/// What is stored at a time; histograms by number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Value {
    Float(u64),
    Histogram(u8),
}

/// A sample of the series with this number.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Point {
    pub series: u16,
    pub t: i64,
    pub value: Value,
}

/// Short, because a failure prints many: series, ms since the start, value.
impl fmt::Debug for Point {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}=", self.series, self.t - START_MS)?;
        match self.value {
            Value::Float(bits) => write!(f, "{:e}", f64::from_bits(bits)),
            Value::Histogram(number) => write!(f, "h{number}"),
        }
    }
}

/// The samples of one batch; all of one tenant.
#[derive(Debug, Clone)]
pub struct Write {
    pub tenant: u8,
    /// Whether the references of earlier answers are sent along.
    pub references: bool,
    pub points: Vec<Point>,
}

/// One step.
#[derive(Debug, Clone)]
pub enum Step {
    Append(Write),
    /// Several senders at once.
    Concurrent(Vec<Write>),
    /// Reads what a few random matchers select in a range, and label names and values; the number is the seed of
    /// the matchers.
    Query {
        seed: u64,
        tenant: u8,
        min: i64,
        max: i64,
    },
    /// Compares everything.
    Check,
    Advance {
        ms: i64,
    },
    Retain,
    /// Moves what is in memory into files.
    Flush,
    /// Merges all that can be merged, drops what is too old.
    Compact,
    /// Deletes what a random matcher selects in a range; the number is the seed of the matcher.
    Delete {
        seed: u64,
        tenant: u8,
        min: i64,
        max: i64,
    },
    CleanTombstones,
    /// Makes a snapshot and reads it.
    Snapshot,
    /// Closes and opens.
    Restart,
    /// The process is killed, and another one finds what it wrote.
    Kill,
    /// The power goes, now or amid the operation of the disk after so many more.
    PowerCut {
        after: u64,
    },
    /// The power goes, and again while the store opens.
    PowerCutInOpen {
        after: u64,
    },
    /// There is room for this much more.
    Full {
        room: usize,
    },
    Room,
    Faulty(Faults),
    Well,
    /// Bits are flipped while the store is closed or open.
    Rot {
        flips: u8,
        closed: bool,
    },
}

/// How the store is opened.
#[derive(Debug, Clone)]
pub struct Setting {
    pub segment_bytes: u64,
    pub retention_ms: Option<i64>,
    pub retention_bytes: Option<u64>,
    /// How long flushed samples stay in memory.
    pub hot_ms: i64,
}

impl Write {
    /// The samples as a store sees them: of each run of one series the floats, then the histograms.
    pub fn in_order(&self) -> impl Iterator<Item = &Point> {
        let runs = self.points.chunk_by(|a, b| a.series == b.series);
        let float = |point: &&Point| matches!(point.value, Value::Float(_));
        runs.flat_map(move |run| {
            run.iter().filter(float).chain(run.iter().filter(move |point| !float(point)))
        })
    }
}

/// A whole run.
#[derive(Debug, Clone)]
pub struct Script {
    pub seed: u64,
    pub setting: Setting,
    /// Each with its number, which seeds what the disk does meanwhile.
    pub steps: Vec<(u64, Step)>,
}

impl Script {
    pub fn of(seed: u64) -> Self {
        let mut dice = Rng::with_seed(seed);
        let kinds = Kinds {
            crashes: dice.u8(..4) > 0,
            full: dice.u8(..3) == 0,
            errors: dice.u8(..3) == 0,
            rots: dice.u8(..4) == 0,
        };
        let setting = Setting {
            segment_bytes: *pick(&mut dice, &[300, 1000, 4000, 20_000]),
            retention_ms: *pick(&mut dice, &[None, Some(2 * HOUR_MS), Some(15 * 24 * HOUR_MS)]),
            retention_bytes: *pick(&mut dice, &[None, None, None, Some(20_000), Some(100_000)]),
            hot_ms: *pick(&mut dice, &[0, MINUTE_MS, HOUR_MS]),
        };
        let length = dice.usize(10..60);
        let mut author = Author { dice, kinds, now: START_MS, series: 6, written: Vec::new() };
        let mut steps: Vec<_> = (0..length).map(|_| author.step()).collect();
        steps.extend([Step::Well, Step::Room, Step::Check, Step::Restart, Step::Check]);
        Self { seed, setting, steps: (0..).zip(steps).collect() }
    }
}

/// Which trouble a run has.
#[derive(Debug, Clone, Copy)]
struct Kinds {
    crashes: bool,
    full: bool,
    errors: bool,
    rots: bool,
}

/// Writes a step of one kind.
type Make = fn(&mut Author) -> Step;

struct Author {
    dice: Rng,
    kinds: Kinds,
    now: i64,
    series: u16,
    written: Vec<Write>,
}

fn pick<'a, T>(dice: &mut Rng, all: &'a [T]) -> &'a T {
    &all[dice.usize(..all.len())]
}

impl Author {
    fn step(&mut self) -> Step {
        let Kinds { crashes, full, errors, rots } = self.kinds;
        let when = |there: bool, weight: u32| if there { weight } else { 0 };
        let weights: [(u32, Make); 17] = [
            (30, |author| Step::Append(author.write())),
            (5, |author| Step::Concurrent((0..author.dice.u8(2..6)).map(|_| author.write()).collect())),
            (12, Self::query),
            (4, |_| Step::Check),
            (10, Self::advance),
            (4, |_| Step::Retain),
            (5, |_| Step::Flush),
            (4, |_| Step::Compact),
            (3, Self::delete),
            (1, |_| Step::CleanTombstones),
            (1, |_| Step::Snapshot),
            (3, |_| Step::Restart),
            (when(crashes, 2), |_| Step::Kill),
            (when(crashes, 6), Self::power_cut),
            (when(full, 6), Self::room),
            (when(errors, 6), Self::faults),
            (when(rots, 3), |author| Step::Rot { flips: author.dice.u8(1..4), closed: author.dice.bool() }),
        ];
        let total: u32 = weights.iter().map(|(weight, _)| weight).sum();
        let mut at = self.dice.u32(..total);
        for (weight, make) in weights {
            if at < weight {
                return make(self);
            }
            at -= weight;
        }
        unreachable!("the die is below the sum of the weights")
    }

    fn power_cut(&mut self) -> Step {
        let after = if self.dice.bool() { 0 } else { self.dice.u64(..40) };
        if self.dice.u8(..4) == 0 { Step::PowerCutInOpen { after } } else { Step::PowerCut { after } }
    }

    fn room(&mut self) -> Step {
        if self.dice.bool() { Step::Room } else { Step::Full { room: self.dice.usize(..2000) } }
    }

    fn faults(&mut self) -> Step {
        if self.dice.bool() {
            return Step::Well;
        }
        let mut rate = || if self.dice.bool() { 0 } else { self.dice.u16(1..300) };
        let (reads, writes, syncs, names, slow) = (rate() / 8, rate(), rate(), rate(), rate());
        Step::Faulty(Faults { reads, writes, syncs, names, slow, slow_ms_max: 2000, flips: 0 })
    }

    fn advance(&mut self) -> Step {
        let dice = &mut self.dice;
        let ms = match dice.u8(..10) {
            0 => dice.i64(HOUR_MS..30 * HOUR_MS),
            1 | 2 => dice.i64(0..2 * HOUR_MS),
            _ => dice.i64(0..5 * MINUTE_MS),
        };
        self.now += ms;
        Step::Advance { ms }
    }

    fn query(&mut self) -> Step {
        let (min, max) = self.range();
        Step::Query { seed: self.dice.u64(..), tenant: self.tenant(), min, max }
    }

    fn delete(&mut self) -> Step {
        let (min, max) = self.range();
        Step::Delete { seed: self.dice.u64(..), tenant: self.tenant(), min, max }
    }

    fn range(&mut self) -> (i64, i64) {
        let dice = &mut self.dice;
        let back = |dice: &mut Rng| match dice.u8(..4) {
            0 => dice.i64(0..30 * HOUR_MS),
            1 => dice.i64(0..3 * HOUR_MS),
            _ => dice.i64(0..20 * MINUTE_MS),
        };
        let (from, width) = (back(dice), back(dice));
        let min = self.now - from;
        (min, if dice.bool() { self.now + HOUR_MS } else { min + width })
    }

    fn tenant(&mut self) -> u8 {
        u8::from(self.dice.u8(..5) == 0)
    }

    fn write(&mut self) -> Write {
        let again = !self.written.is_empty() && self.dice.u8(..5) == 0;
        let write = if again { self.written_again() } else { self.new_write() };
        self.written.push(write.clone());
        write
    }

    /// An earlier batch: as it was, a part of it, or with other values.
    fn written_again(&mut self) -> Write {
        let at = self.dice.usize(..self.written.len());
        let mut write = self.written[at].clone();
        write.references = self.dice.bool();
        match self.dice.u8(..3) {
            0 => {}
            1 => write.points.truncate(self.dice.usize(1..=write.points.len())),
            _ => {
                for point in &mut write.points {
                    if self.dice.u8(..3) == 0 {
                        point.value = value(&mut self.dice, point.series);
                    }
                }
            }
        }
        write
    }

    fn new_write(&mut self) -> Write {
        if self.dice.u8(..4) == 0 {
            // Pods are replaced: series that nobody has seen yet.
            self.series += self.dice.u16(1..4);
        }
        let (tenant, references) = (self.tenant(), self.dice.bool());
        let mut points = Vec::new();
        for _ in 0..self.dice.u8(1..6) {
            let series = self.series - 1 - self.dice.u16(..self.series.min(8));
            self.run(series, &mut points);
        }
        Write { tenant, references, points }
    }

    /// A few samples of one series: at the present, late, or in no order.
    fn run(&mut self, series: u16, points: &mut Vec<Point>) {
        let dice = &mut self.dice;
        let late = match dice.u8(..12) {
            0 => dice.i64(0..20 * 24 * HOUR_MS),
            1 => dice.i64(0..26 * HOUR_MS),
            2 | 3 => dice.i64(0..HOUR_MS),
            _ => 0,
        };
        let count = if dice.u8(..10) == 0 { dice.i64(50..400) } else { dice.i64(1..20) };
        let ahead = if dice.u8(..20) == 0 { dice.i64(0..2 * HOUR_MS) } else { 0 };
        let last = (self.now - late + ahead) / STEP_MS * STEP_MS;
        let shuffled = dice.u8(..8) == 0;
        let jitter = if dice.bool() { 0 } else { 5 };
        let start = points.len();
        for i in (0..count).rev() {
            let t = last - i * STEP_MS + dice.i64(0..=jitter);
            points.push(Point { series, t, value: value(dice, series) });
        }
        if shuffled {
            dice.shuffle(&mut points[start..]);
        }
    }
}

/// Series differ in what they hold: constant, counting, noise; some have histograms, some both.
fn value(dice: &mut Rng, series: u16) -> Value {
    let histogram = match series % 7 {
        5 => true,
        6 => dice.u8(..4) == 0,
        _ => false,
    };
    if histogram {
        return Value::Histogram(dice.u8(..24));
    }
    let float = match (series % 3, dice.u8(..40)) {
        (_, 0) => return Value::Float(STALE_NAN_BITS),
        (_, 1) => *pick(dice, &[0.0, -0.0, f64::INFINITY, f64::NEG_INFINITY, f64::MIN_POSITIVE]),
        (0, _) => 1.0,
        (1, _) => f64::from(dice.u16(..)),
        _ => f64::from_bits(dice.u64(..)),
    };
    Value::Float(float.to_bits())
}
