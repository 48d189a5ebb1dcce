//! Scripts of upstream's test language for PromQL: load series, evaluate, compare.
//!
//! Used by this crate's tests with upstream's own suite, and by `nave test promql` with users' scripts.
//! It evaluates through an [`crate::Engine`] on a [`MemoryStore`].

mod compare;
mod expect;
mod hint;
mod histogram;
mod nhcb;
mod pin;
mod run;
mod script;
mod series;
mod start;
pub mod store;

pub use expect::{Expectation, ExpectedSeries, Pattern};
pub use run::{Modes, Verdict, run};
pub use script::{Command, Eval, Load, LoadedSeries, Script, ScriptError, When};
pub use series::{Description, SeriesValue};
pub use store::{Conflict, MemoryStore};
