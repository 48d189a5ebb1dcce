//! The nouns of the house (labels, matchers, samples, histograms, time, relabelling) and the two
//! contracts that carry everything: [`append::Append`] and [`select::Select`].
//!
//! Pure data and traits: no I/O, no threads, no wire formats. What stands here is final for the
//! rooms above; changing a contract is a decision page.

pub mod append;
pub mod duration;
pub mod histogram;
pub mod label;
pub mod matcher;
pub mod metadata;
pub mod regex;
pub mod relabel;
pub mod sample;
pub mod select;
pub mod time;
