//! `limit_ratio(r, v)`: a fixed share of the series, chosen by the hash of their labels.

use nave_model::label::Labels;

use super::note::number;
use super::{BoxOperator, Column, Context, Operator, Result, Series};
use crate::error::QueryError;
use crate::kernel::xxhash::xxh64;
use crate::plan::Aggregate;

/// The operator; the ratio per step. Grouping makes no difference to it.
pub(super) fn operator(
    input: BoxOperator,
    aggregate: &Aggregate,
    ratios: Vec<f64>,
    context: &Context,
) -> Result<BoxOperator> {
    if ratios.iter().any(|ratio| ratio.is_nan()) {
        return Err(QueryError::execution("Ratio value is NaN"));
    }
    let pos = aggregate.param.as_ref().map_or(aggregate.input.pos, |param| param.pos);
    let cap = |ratio: f64| {
        let capped = ratio.clamp(-1.0, 1.0);
        if capped != ratio {
            let text = format!(
                "ratio value should be between -1 and 1, got {}, capping to {}",
                number(ratio),
                number(capped)
            );
            context.note(|notes| notes.warn(pos, text));
        }
        capped
    };
    let ratios = ratios.into_iter().map(cap).collect();
    Ok(Box::new(LimitRatio { input, ratios, shares: Vec::new(), at: 0 }))
}

struct LimitRatio {
    input: BoxOperator,
    ratios: Vec<f64>,
    /// Per series the place of its hash between 0 and 1.
    shares: Vec<f64>,
    at: usize,
}

impl Operator for LimitRatio {
    fn series(&mut self) -> Result<Vec<Series>> {
        let series = self.input.series()?;
        self.shares = series.iter().map(|series| share(&series.labels)).collect();
        Ok(series)
    }

    fn next(&mut self, column: &mut Column) -> Result<()> {
        self.input.next(column)?;
        let share = self.shares[self.at];
        self.at += 1;
        for (step, ratio) in self.ratios.iter().enumerate() {
            let keep = if *ratio >= 0.0 { share < *ratio } else { share >= 1.0 + ratio };
            if !keep {
                column.clear(step);
            }
        }
        Ok(())
    }
}

/// Upstream hashes names and values, each behind its length: one byte, or 255 and three bytes.
fn share(labels: &Labels) -> f64 {
    let mut bytes = Vec::new();
    for text in labels.iter().flat_map(|(name, value)| [name, value]) {
        match u8::try_from(text.len()) {
            Ok(len) if len < 255 => bytes.push(len),
            _ => {
                bytes.push(255);
                bytes.extend_from_slice(&(text.len() as u32).to_le_bytes()[..3]);
            }
        }
        bytes.extend_from_slice(text.as_bytes());
    }
    xxh64(&bytes) as f64 / u64::MAX as f64
}
