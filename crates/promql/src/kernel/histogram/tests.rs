//! Values worked out by hand from the definition of buckets.

use nave_model::histogram::{CUSTOM_BUCKETS_SCHEMA, CounterResetHint, Histogram, Span};

use super::*;

fn histogram(schema: i32, offset: i32, positive: &[f64]) -> Histogram {
    let total: f64 = positive.iter().sum();
    Histogram {
        schema,
        zero_threshold: 0.001,
        zero_count: 0.0,
        count: total,
        sum: total,
        positive_spans: vec![Span { offset, length: u32::try_from(positive.len()).unwrap() }],
        positive_buckets: positive.to_vec(),
        negative_spans: Vec::new(),
        negative_buckets: Vec::new(),
        custom_bounds: Vec::new(),
        counter_reset_hint: CounterResetHint::Unknown,
        integer: true,
    }
}

fn custom(bounds: &[f64], counts: &[f64]) -> Histogram {
    let zero_threshold = 0.0;
    Histogram {
        zero_threshold,
        custom_bounds: bounds.to_vec(),
        ..histogram(CUSTOM_BUCKETS_SCHEMA, 0, counts)
    }
}

fn plain(value: f64) -> String {
    format!("{value}")
}

#[test]
fn sums_take_the_coarser_schema() {
    // Schema 1 halves of (1, 2] and (2, 4] fall into the buckets 1 and 2 of schema 0.
    let sum = add(&histogram(1, 1, &[1.0, 2.0, 3.0, 4.0]), &histogram(0, 1, &[10.0, 20.0])).unwrap();
    assert_eq!(text(&sum.histogram, plain), "{count:40, sum:40, (1,2]:13, (2,4]:27}");
    assert!(!sum.histogram.integer && !sum.hints_collide);
}

#[test]
fn differences_leave_no_empty_buckets() {
    let difference =
        subtract(&histogram(0, 0, &[1.0, 5.0, 7.0]), &histogram(0, 0, &[1.0, 2.0, 7.0])).unwrap();
    assert_eq!(text(&difference.histogram, plain), "{count:3, sum:3, (1,2]:3}");
}

#[test]
fn zero_buckets_are_widened() {
    let narrow = histogram(0, -1, &[2.0, 3.0]);
    let wide = Histogram { zero_threshold: 0.3, zero_count: 5.0, ..histogram(0, 1, &[1.0]) };
    let sum = add(&narrow, &wide).unwrap().histogram;
    // 0.3 cuts the bucket (0.25, 0.5], so the zero bucket grows to its end.
    assert_eq!((sum.zero_threshold, sum.zero_count), (0.5, 7.0));
    assert_eq!(text(&sum, plain), "{count:6, sum:6, [-0.5,0.5]:7, (0.5,1]:3, (1,2]:1}");
}

#[test]
fn custom_bounds_are_reconciled() {
    let sum = add(&custom(&[1.0, 2.0, 5.0], &[1.0, 2.0, 3.0, 4.0]), &custom(&[2.0, 5.0], &[1.0, 1.0, 1.0]))
        .unwrap();
    assert!(sum.bounds_reconciled);
    assert_eq!(sum.histogram.custom_bounds, [2.0, 5.0]);
    assert_eq!(sum.histogram.positive_buckets, [4.0, 4.0, 5.0]);
    assert!(add(&custom(&[1.0], &[1.0]), &histogram(0, 0, &[1.0])).is_err());
}

#[test]
fn resets() {
    let before = histogram(0, 0, &[2.0, 3.0]);
    let check = |now: Histogram, want: bool| assert_eq!(is_reset(&now, &before), want, "{now:?}");
    check(histogram(0, 0, &[2.0, 4.0]), false);
    check(histogram(0, 0, &[1.0, 9.0]), true);
    check(histogram(1, 0, &[9.0, 9.0, 9.0, 9.0]), true);
    check(histogram(0, 0, &[1.0]), true);
    check(Histogram { counter_reset_hint: CounterResetHint::NotReset, ..histogram(0, 0, &[0.0]) }, false);
    check(Histogram { counter_reset_hint: CounterResetHint::Reset, ..before.clone() }, true);
}

#[test]
fn quantiles_are_exponential_or_linear() {
    let check = |q: f64, histogram: &Histogram, want: f64| {
        let got = quantile(q, histogram);
        assert!((got - want).abs() < 1e-12 || got == want, "{q}: {got}, want {want}");
    };
    let one = histogram(0, 1, &[4.0]);
    check(0.5, &one, 2_f64.sqrt());
    check(0.25, &one, 2_f64.powf(0.25));
    check(1.0, &one, 2.0);
    check(-1.0, &one, f64::NEG_INFINITY);
    check(0.5, &custom(&[1.0, 3.0], &[0.0, 4.0, 0.0]), 2.0);
    check(0.5, &custom(&[1.0], &[0.0, 4.0]), 1.0);
    assert!(quantile(0.5, &histogram(0, 0, &[])).is_nan());
}

#[test]
fn fractions_and_moments() {
    let two = histogram(0, 1, &[2.0, 2.0]);
    assert_eq!(fraction(1.0, 2.0, &two), 0.5);
    assert_eq!(fraction(0.0, f64::INFINITY, &two), 1.0);
    assert!((fraction(1.0, 2_f64.sqrt(), &two) - 0.25).abs() < 1e-12);
    assert_eq!(fraction(2.0, 1.0, &two), 0.0);
    let steady = Histogram { sum: 4.0 * 2_f64.sqrt(), ..histogram(0, 1, &[4.0]) };
    assert!(variance(&steady).abs() < 1e-12);
    assert!((average(&steady) - 2_f64.sqrt()).abs() < 1e-12);
}

#[test]
fn sums_are_compensated_and_means_do_not_overflow() {
    let mut total = Total::default();
    for count in [1e100, 1.0, -1e100] {
        total.add(&histogram(0, 0, &[count]), false).unwrap();
    }
    assert_eq!(total.total().unwrap().count, 1.0);
    let mut mean = Total::default();
    for _ in 0..4 {
        mean.add(&histogram(0, 0, &[f64::MAX]), true).unwrap();
    }
    let mean = mean.mean().unwrap();
    assert!(mean.count / f64::MAX > 1.0 - 1e-12 && mean.positive_buckets[0] == mean.count);
}

#[test]
fn increases_over_resets() {
    let [a, b, c] = [[1.0], [5.0], [2.0]].map(|count| histogram(0, 0, &count));
    let mut remarks = Vec::new();
    let increase =
        difference(&[&a, &b, &c], true, (&|_| false, false), &mut |remark| remarks.push(remark)).unwrap();
    assert_eq!((increase.count, increase.counter_reset_hint), (6.0, CounterResetHint::Gauge));
    assert!(remarks.is_empty());
    difference(&[&a, &b], false, (&|_| false, false), &mut |remark| remarks.push(remark)).unwrap();
    assert_eq!(remarks, [Remark::NotGauge]);
}

#[test]
fn what_is_not_a_number_is_the_same() {
    let [a, b] = [histogram(0, 1, &[1.0, 0.0]), histogram(0, 1, &[1.0])];
    let times = |h: &Histogram, factor: f64| scaled(h, |count| count * factor);
    assert!(same(&a, &b) && same(&times(&a, f64::NAN), &times(&a, -f64::NAN)));
    assert!(!same(&a, &times(&a, f64::NAN)) && !same(&a, &times(&a, 2.0)));
}
