//! Random numbers as a value: seeded in tests, from the operating system otherwise.

use parking_lot::Mutex;

/// A shareable source of random numbers. Not for secrets.
#[derive(Debug)]
pub struct Random(Mutex<fastrand::Rng>);

impl Random {
    /// The same seed gives the same sequence.
    #[must_use]
    pub fn from_seed(seed: u64) -> Self {
        Self(Mutex::new(fastrand::Rng::with_seed(seed)))
    }

    /// Seeded by the operating system.
    #[must_use]
    pub fn from_system() -> Self {
        Self(Mutex::new(fastrand::Rng::new()))
    }

    /// Uniform over all of `u64`.
    pub fn u64(&self) -> u64 {
        self.0.lock().u64(..)
    }

    /// Uniform in `[0, 1)`.
    pub fn unit(&self) -> f64 {
        self.0.lock().f64()
    }
}
