//! Remote write 2.0 bodies: a snappy block around `io.prometheus.write.v2.Request`.
//!
//! Every text of a request stands once in its table of symbols, and series refer to it by number. Numbers
//! mean something in their request only, so the labels of each series are written out into one buffer
//! ([`LABEL_FORMAT`]), which the appender looks up by hash as it does with 1.0's.
//!
//! - [`Request::open`] walks the body once, finds the table, checks every label reference against it and
//!   adds up how many bytes the labels will take; [`Request::decode`] then takes that memory, once.
//! - Broken protobuf, references beyond the table and odd label lists are errors of the request. A bad label
//!   set is an error of its series.
//! - The table may stand anywhere in the body. Of it nothing is required but that references fit; upstream
//!   asks senders to begin it with an empty text, which [`Encoder`] does.

mod decode;
mod encode;
mod labels;
mod symbols;

pub use decode::Request;
pub use encode::{Encoder, Series};
pub use labels::LABEL_FORMAT;

pub use crate::write_v1::{Error, decompress};

use nave_model::append::HistogramSample;

use crate::write_v1::{field::Fields, histogram};

/// Appends the message `io.prometheus.write.v2.Histogram` of `sample` to `out`.
pub fn put_histogram(out: &mut Vec<u8>, sample: &HistogramSample) {
    histogram::encode(sample, true, out);
}

/// Reads what [`put_histogram`] wrote.
///
/// # Errors
/// [`Error::Protobuf`] when the bytes are another message.
pub fn read_histogram(bytes: &[u8]) -> Result<HistogramSample, Error> {
    histogram::decode(Fields::new(bytes))
}

#[cfg(test)]
mod tests;
