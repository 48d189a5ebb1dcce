//! How buckets are laid out in spans: made dense, and made coarser.

use super::{CUSTOM_BUCKETS_SCHEMA, Histogram, SCHEMA_MAX, SCHEMA_MIN, Span};

impl Histogram {
    /// Takes empty buckets out, except runs of up to `empty_max` between others, and makes one span of what
    /// stands together (upstream `Compact`). The histogram is one that [`Histogram::check`] accepts.
    pub fn compact(&mut self, empty_max: u32) {
        for (spans, buckets) in [
            (&mut self.positive_spans, &mut self.positive_buckets),
            (&mut self.negative_spans, &mut self.negative_buckets),
        ] {
            let filled = indexed(spans, buckets).filter(|(_, count)| *count != 0.0);
            if let Some(laid) = lay(filled, empty_max) {
                (*spans, *buckets) = laid;
            }
        }
    }

    /// Merges buckets to the coarser exponential `schema`; nothing happens where that is not coarser.
    pub fn reduce_resolution(&mut self, schema: i32) {
        if self.schema == CUSTOM_BUCKETS_SCHEMA
            || !(SCHEMA_MIN..self.schema.min(SCHEMA_MAX + 1)).contains(&schema)
        {
            return;
        }
        let shift = self.schema - schema;
        for (spans, buckets) in [
            (&mut self.positive_spans, &mut self.positive_buckets),
            (&mut self.negative_spans, &mut self.negative_buckets),
        ] {
            // Bucket i reaches up to base^i: the bound belongs to the lower bucket.
            let merged = indexed(spans, buckets).map(|(index, count)| (((index - 1) >> shift) + 1, count));
            if let Some(laid) = lay(merged, 0) {
                (*spans, *buckets) = laid;
            }
        }
        self.schema = schema;
    }

    /// How many buckets are present, without the zero bucket.
    #[must_use]
    pub fn bucket_count(&self) -> usize {
        self.positive_buckets.len() + self.negative_buckets.len()
    }
}

/// The buckets with their indexes.
fn indexed<'a>(spans: &'a [Span], buckets: &'a [f64]) -> impl Iterator<Item = (i64, f64)> + 'a {
    let starts = spans.iter().scan(0i64, |end, span| {
        let start = *end + i64::from(span.offset);
        *end = start + i64::from(span.length);
        Some(start..*end)
    });
    starts.flatten().zip(buckets.iter().copied())
}

/// Spans and buckets of ascending indexes; equal ones are added up, gaps of up to `empty_max` are filled. `None`
/// where an index or a gap is beyond what a span can say.
fn lay(indexed: impl Iterator<Item = (i64, f64)>, empty_max: u32) -> Option<(Vec<Span>, Vec<f64>)> {
    let (mut spans, mut buckets): (Vec<Span>, Vec<f64>) = (Vec::new(), Vec::new());
    let mut end = 0i64;
    for (index, count) in indexed {
        match spans.last_mut() {
            Some(_) if index == end - 1 => {
                *buckets.last_mut()? += count;
                continue;
            }
            Some(last) if index - end <= i64::from(empty_max) => {
                let empty = usize::try_from(index - end).ok()?;
                buckets.extend(std::iter::repeat_n(0.0, empty));
                last.length = last.length.checked_add(u32::try_from(empty).ok()? + 1)?;
            }
            _ => spans.push(Span { offset: i32::try_from(index - end).ok()?, length: 1 }),
        }
        buckets.push(count);
        end = index + 1;
    }
    Some((spans, buckets))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn histogram(schema: i32, spans: &[(i32, u32)], buckets: &[f64]) -> Histogram {
        let spans = spans.iter().map(|(offset, length)| Span { offset: *offset, length: *length });
        let count = buckets.iter().sum();
        Histogram {
            schema,
            positive_spans: spans.collect(),
            positive_buckets: buckets.to_vec(),
            count,
            integer: true,
            ..Histogram::default()
        }
    }

    #[test]
    fn compact_takes_empty_buckets_out() {
        let check = |spans: &[(i32, u32)], buckets: &[f64], empty: u32, want: &[(i32, u32)], left: &[f64]| {
            let mut got = histogram(0, spans, buckets);
            got.compact(empty);
            assert_eq!(got, histogram(0, want, left), "{spans:?} {buckets:?}");
        };
        check(&[(0, 0)], &[], 0, &[], &[]);
        check(&[(1, 3)], &[0.0, 2.0, 0.0], 0, &[(2, 1)], &[2.0]);
        check(
            &[(-5, 2), (0, 1), (3, 1)],
            &[1.0, 2.0, 3.0, 4.0],
            0,
            &[(-5, 3), (3, 1)],
            &[1.0, 2.0, 3.0, 4.0],
        );
        check(&[(0, 1), (2, 1)], &[1.0, 4.0], 2, &[(0, 4)], &[1.0, 0.0, 0.0, 4.0]);
        check(&[(0, 5)], &[1.0, 0.0, 0.0, 0.0, 4.0], 2, &[(0, 1), (3, 1)], &[1.0, 4.0]);
        let far = [(i32::MAX, 1), (i32::MAX, 1), (i32::MAX, 1)];
        check(&far, &[0.0, 0.0, 1.0], 0, &far, &[0.0, 0.0, 1.0]);
    }

    #[test]
    fn coarser_schemas_merge_pairs() {
        let mut got = histogram(1, &[(-1, 6)], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
        got.reduce_resolution(0);
        assert_eq!(got, histogram(0, &[(0, 3)], &[3.0, 7.0, 11.0]));
        got.reduce_resolution(3);
        assert_eq!(got.schema, 0, "nothing becomes finer");
        got.reduce_resolution(-9);
        assert_eq!(got.schema, 0, "no such schema");
    }
}
