//! Histograms of a page: which kinds a target's pages are read for, how fine they may be, and classic ones that are put
//! together to native ones.

use nave_model::histogram::{CUSTOM_BUCKETS_SCHEMA, Classic, Histogram, SCHEMA_MAX, SCHEMA_MIN};
use nave_model::sample::Exemplar;
use nave_model::time::Timestamp;

use crate::cache::{Known, Role};
use crate::config::ScrapeConfig;
use crate::target::Target;

/// What upstream takes for a growth factor where none is set: the finest schema has it.
const FINEST_FACTOR: f64 = 1.00271;

/// What is made of histograms.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Choice {
    /// Native ones are read as such.
    pub(crate) native: bool,
    /// Classic series are kept beside native histograms.
    pub(crate) classic_too: bool,
    /// Classic ones become native ones with custom bounds.
    pub(crate) convert: bool,
}

impl Choice {
    /// As the job says, unless a label of the target says otherwise.
    pub(crate) fn of(config: &ScrapeConfig, target: &Target) -> Self {
        let pick = |own: Option<bool>, job: Option<bool>| own.or(job).unwrap_or(false);
        let [native, classic_too, convert] = target.histograms;
        Self {
            native: pick(native, config.scrape_native_histograms),
            classic_too: pick(classic_too, config.always_scrape_classic_histograms),
            convert: pick(convert, config.convert_classic_histograms_to_nhcb),
        }
    }
}

/// How fine native histograms may be.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fineness {
    buckets_max: u64,
    schema_max: i32,
}

impl Fineness {
    pub(crate) fn of(config: &ScrapeConfig) -> Self {
        Self {
            buckets_max: config.native_histogram_bucket_limit,
            schema_max: schema_of(config.native_histogram_min_bucket_factor),
        }
    }

    /// Merges buckets until the limits are kept; false where they cannot be.
    pub(crate) fn limit(self, histogram: &mut Histogram) -> bool {
        let exponential = histogram.schema != CUSTOM_BUCKETS_SCHEMA;
        if exponential && histogram.schema > self.schema_max {
            histogram.reduce_resolution(self.schema_max);
        }
        let over = |histogram: &Histogram| {
            self.buckets_max > 0 && histogram.bucket_count() as u64 > self.buckets_max
        };
        while over(histogram) {
            if !exponential || histogram.schema <= SCHEMA_MIN {
                return false;
            }
            histogram.reduce_resolution(histogram.schema - 1);
        }
        true
    }
}

/// The finest schema whose buckets grow by at least `factor`.
fn schema_of(factor: f64) -> i32 {
    let factor = if factor <= 1.0 { FINEST_FACTOR } else { factor };
    let schema = (-factor.log2().log2()).floor();
    schema.clamp(f64::from(SCHEMA_MIN), f64::from(SCHEMA_MAX)) as i32
}

/// The histogram of one target that is being put together.
#[derive(Debug, Default)]
pub(crate) struct Collected {
    /// Whose parts they are.
    pub(crate) whole: Option<Known>,
    pub(crate) classic: Classic,
    pub(crate) timestamp: Option<Timestamp>,
    pub(crate) start: i64,
    pub(crate) exemplars: Vec<Exemplar>,
}

impl Collected {
    /// Adds a part.
    pub(crate) fn add(&mut self, role: Role, value: f64) {
        match role {
            Role::Bucket(bound) => self.classic.bucket(bound, value),
            Role::Count => self.classic.count(value),
            Role::Sum => self.classic.sum(value),
        }
    }
}

#[cfg(test)]
mod tests {
    use nave_model::histogram::Span;

    use super::*;

    #[test]
    fn factors_and_schemas() {
        let check = |factor: f64, want: i32| assert_eq!(schema_of(factor), want, "{factor}");
        check(0.0, 8);
        check(1.0, 8);
        check(1.002_71, 8);
        check(1.1, 2);
        check(2.0, 0);
        check(4.0, -1);
        check(65_536.0, -4);
        check(1e30, -4);
    }

    #[test]
    fn fine_histograms_become_coarser() {
        let histogram = || Histogram {
            schema: 3,
            positive_spans: vec![Span { offset: 1, length: 8 }],
            positive_buckets: vec![1.0; 8],
            count: 8.0,
            integer: true,
            ..Histogram::default()
        };
        let check = |buckets_max: u64, schema_max: i32, want: Option<i32>| {
            let mut got = histogram();
            let fits = Fineness { buckets_max, schema_max }.limit(&mut got);
            assert_eq!(fits.then_some(got.schema), want, "{buckets_max} {schema_max}");
        };
        check(0, 8, Some(3));
        check(8, 8, Some(3));
        check(7, 8, Some(2));
        check(1, 8, Some(0));
        check(0, 1, Some(1));
        let mut custom = Histogram { schema: CUSTOM_BUCKETS_SCHEMA, ..histogram() };
        assert!(!Fineness { buckets_max: 7, schema_max: 8 }.limit(&mut custom));
    }
}
