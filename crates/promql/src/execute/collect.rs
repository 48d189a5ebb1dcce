//! The end of a query: all series with their values.

use nave_base::budget::Charge;

use super::{BoxOperator, Column, Context, Result, Series};

/// Everything an operator yields, without empty series.
pub(crate) struct Collected {
    pub(crate) series: Vec<(Series, Column)>,
    /// Gives the memory back when the result was turned into an answer.
    pub(crate) charge: Charge,
}

/// Pulls all series of `input`.
pub(crate) fn collect(mut input: BoxOperator, context: &Context) -> Result<Collected> {
    let mut collected = Collected { series: Vec::new(), charge: context.charge(0)? };
    for series in input.series()? {
        context.check()?;
        let mut column = Column::default();
        input.next(&mut column)?;
        if !column.is_empty() {
            collected.charge.grow(column.bytes() + series.labels.as_bytes().len())?;
            collected.series.push((series, column));
        }
    }
    Ok(collected)
}
