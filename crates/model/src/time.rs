//! Points in time and ranges of it, in milliseconds since the Unix epoch.

use std::fmt;

/// Milliseconds since the Unix epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[repr(transparent)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// Before every sample.
    pub const MIN: Self = Self(i64::MIN);
    /// After every sample.
    pub const MAX: Self = Self(i64::MAX);

    /// This time moved by `ms`, kept inside the range of the type.
    #[must_use]
    pub fn plus_ms(self, ms: i64) -> Self {
        Self(self.0.saturating_add(ms))
    }

    /// Seconds since the epoch as PromQL's `time()` shows them.
    #[must_use]
    pub fn seconds(self) -> f64 {
        self.0 as f64 / 1000.0
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// `min ..= max`, both ends inside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimeRange {
    /// First instant inside.
    pub min: Timestamp,
    /// Last instant inside.
    pub max: Timestamp,
}

impl TimeRange {
    /// Everything.
    pub const ALL: Self = Self { min: Timestamp::MIN, max: Timestamp::MAX };

    /// Whether `t` is inside.
    #[must_use]
    pub fn contains(&self, t: Timestamp) -> bool {
        self.min <= t && t <= self.max
    }

    /// Whether the two share an instant.
    #[must_use]
    pub fn overlaps(&self, other: &Self) -> bool {
        self.min <= other.max && other.min <= self.max
    }
}
