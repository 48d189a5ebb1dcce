//! Random queries over random data, and the comparison of plans; for tests and fuzzing, no part of the product.
//!
//! Everything follows from [`Choices`]: a seed, or the bytes of a fuzzer.

mod choices;
mod data;
mod grammar;
pub(crate) mod plans;

pub use choices::Choices;
pub use data::{Data, Stored};
pub use grammar::{Expr, Grammar};
pub use plans::{When, answer, difference};
