//! Pure functions over numbers and windows of samples: what PromQL computes, without plans or I/O.
//!
//! Everything here follows upstream's order of floating point operations, so that answers agree to the
//! last bit: sums are compensated (Neumaier) and run in time or series order.

pub(crate) mod bucket;
pub(crate) mod date;
pub(crate) mod edge;
pub(crate) mod histogram;
pub(crate) mod logarithm;
pub(crate) mod math;
pub(crate) mod natural;
pub(crate) mod order;
pub(crate) mod over_time;
pub(crate) mod quantile;
pub(crate) mod rate;
pub(crate) mod regression;
pub(crate) mod start;
pub(crate) mod sum;
pub(crate) mod window;
pub(crate) mod xxhash;
