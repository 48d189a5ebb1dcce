//! Doubles as integers, exactly.
//!
//! Most metrics are decimal numbers somebody printed: `0.25`, `1718.4`, `4096`. [`Splitter::split`] finds the
//! smallest exponent `e` for which `m / 10^e` is each double of the column, and gives the integers `m`. A sum of
//! such numbers is not one itself, but lies a few units in the last place beside one: then `m` is the nearest
//! decimal and a second column holds the distance. What fits neither is taken by its bits.
//!
//! What is no ordinary number (NaN with any payload, stale markers, infinities, -0.0) stands in a list of
//! exceptions, so that the stale marker at the end of a series does not spoil its column.
//!
//! Bit for bit: the encoder runs the decoder's arithmetic (one correctly rounded division) and takes an exponent
//! only when the bits agree.

use std::ops::Range;

use crate::column::{Fitter, width};
use crate::stream::Effort;

/// No exponent is greater; `10^15` and every integer it is divided into are exact doubles.
pub(crate) const EXPONENT_MAX: u8 = 15;

const POWERS: [f64; 16] =
    [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15];

/// Exponents tried for the nearest decimal: whole units, milli, micro, nano and so on.
const NEAREST: [u8; 5] = [0, 3, 6, 9, 12];

/// Below this exponent an exact decimal is taken without asking whether the nearest one is cheaper.
const EXACT_ENOUGH: u8 = 6;

/// So many values in the middle of a column decide between transforms; with little effort so many.
const COMPARED: usize = 128;
const COMPARED_FAST: usize = 16;

/// How a column of doubles became integers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Transform {
    /// They were integers.
    Integer,
    /// `m / 10^e`.
    Decimal(u8),
    /// [`image`] of the bits.
    Bits,
    /// `m / 10^e` and the distance from it in units in the last place.
    Nearest(u8),
}

impl Transform {
    /// One byte below 64.
    pub(crate) fn code(self) -> u8 {
        match self {
            Self::Integer => 0,
            Self::Bits => 1,
            Self::Decimal(e) => 16 + e,
            Self::Nearest(e) => 32 + e,
        }
    }

    pub(crate) fn from_code(code: u8) -> Option<Self> {
        match code {
            0 => Some(Self::Integer),
            1 => Some(Self::Bits),
            16..=31 => Some(Self::Decimal(code - 16)),
            32..=47 => Some(Self::Nearest(code - 32)),
            _ => None,
        }
    }

    /// How many integer columns it makes.
    pub(crate) fn columns(self) -> usize {
        if matches!(self, Self::Nearest(_)) { 2 } else { 1 }
    }

    /// The inverse of [`Splitter::split`], but for the exceptions.
    pub(crate) fn join(self, main: &[i64], distance: &[i64], out: &mut Vec<f64>) {
        match self {
            Self::Integer => out.extend(main.iter().map(|m| *m as f64)),
            Self::Decimal(0) => out.extend(main.iter().map(|m| *m as f64)),
            Self::Decimal(e) => {
                let power = POWERS[usize::from(e & 15)];
                out.extend(main.iter().map(|m| *m as f64 / power));
            }
            Self::Bits => out.extend(main.iter().map(|m| from_image(*m))),
            Self::Nearest(e) => {
                let power = POWERS[usize::from(e & 15)];
                let near = |(m, ulps): (&i64, &i64)| from_image(image(*m as f64 / power).wrapping_add(*ulps));
                out.extend(main.iter().zip(distance).map(near));
            }
        }
    }
}

/// The bits of a double as an integer of the same order.
#[inline]
fn image(value: f64) -> i64 {
    let bits = value.to_bits() as i64;
    bits ^ (((bits >> 63) as u64) >> 1) as i64
}

#[inline]
fn from_image(image: i64) -> f64 {
    f64::from_bits((image ^ (((image >> 63) as u64) >> 1) as i64) as u64)
}

/// The integer nearest to `value * 10^e`; `None` when it would not be exact as a double.
#[inline]
fn nearest(value: f64, power: f64) -> Option<i64> {
    /// Adding and taking away 1.5 * 2^52 leaves the nearest integer, below 2^51.
    const ROUND: f64 = 6_755_399_441_055_744.0;
    let scaled = value * power;
    (scaled.abs() < 2_251_799_813_685_248.0).then_some(((scaled + ROUND) - ROUND) as i64)
}

/// The integer `m` with `m / 10^e == value`.
#[inline]
fn exact(value: f64, e: u8) -> Option<i64> {
    if e == 0 {
        let m = value as i64;
        return (m as f64 == value).then_some(m);
    }
    let power = POWERS[usize::from(e)];
    nearest(value, power).filter(|m| *m as f64 / power == value)
}

/// A value that is not a number like others: it is kept beside the column.
fn is_exceptional(value: f64) -> bool {
    !value.is_finite() || (value == 0.0 && value.is_sign_negative())
}

/// Takes columns of doubles apart; buffers are kept between columns.
#[derive(Debug, Default)]
pub(crate) struct Splitter {
    plain: Vec<f64>,
    /// The integers of the last column.
    pub(crate) main: Vec<i64>,
    /// Its distances in units in the last place; only of [`Transform::Nearest`].
    pub(crate) distance: Vec<i64>,
    /// Position and bits of its exceptions.
    pub(crate) exceptions: Vec<(u32, u64)>,
    fitter: Fitter,
    scratch: Vec<i64>,
    effort: Effort,
}

impl Splitter {
    pub(crate) fn new(effort: Effort) -> Self {
        Self { effort, ..Self::default() }
    }

    /// Splits `values` into [`Splitter::main`] and its companions.
    pub(crate) fn split(&mut self, values: &[f64]) -> Transform {
        self.set_exceptions_aside(values);
        self.distance.clear();
        let whole = 0..self.plain.len();
        if self.take_exact(0, whole.clone()) {
            return Transform::Decimal(0);
        }
        match self.smallest_exponent() {
            Some(e) if self.take_exact(e, whole) => {
                if e < EXACT_ENOUGH {
                    Transform::Decimal(e)
                } else {
                    self.cheapest(Some(e))
                }
            }
            _ => self.cheapest(None),
        }
    }

    fn set_exceptions_aside(&mut self, values: &[f64]) {
        self.exceptions.clear();
        self.plain.clear();
        if !values.iter().any(|value| is_exceptional(*value)) {
            return self.plain.extend_from_slice(values);
        }
        let mut last = values.iter().copied().find(|value| !is_exceptional(*value)).unwrap_or(0.0);
        for (i, value) in values.iter().enumerate() {
            if is_exceptional(*value) {
                self.exceptions.push((i as u32, value.to_bits()));
            } else {
                last = *value;
            }
            self.plain.push(last);
        }
    }

    fn smallest_exponent(&self) -> Option<u8> {
        let mut e = 0;
        for value in &self.plain {
            while exact(*value, e).is_none() {
                e += 1;
                if e > EXPONENT_MAX {
                    return None;
                }
            }
        }
        Some(e)
    }

    fn take_exact(&mut self, e: u8, part: Range<usize>) -> bool {
        self.main.clear();
        for value in &self.plain[part] {
            match exact(*value, e) {
                Some(m) => self.main.push(m),
                None => return false,
            }
        }
        true
    }

    fn take_nearest(&mut self, e: u8, part: Range<usize>) -> bool {
        self.main.clear();
        let power = POWERS[usize::from(e)];
        for value in &self.plain[part] {
            let Some(m) = nearest(*value, power) else { return false };
            self.main.push(m);
            self.distance.push(image(*value).wrapping_sub(image(m as f64 / power)));
        }
        true
    }

    /// Takes a part of the column; false when the transform does not fit it.
    fn take(&mut self, transform: Transform, part: Range<usize>) -> bool {
        self.distance.clear();
        match transform {
            Transform::Decimal(e) => self.take_exact(e, part),
            Transform::Nearest(e) => self.take_nearest(e, part),
            Transform::Integer | Transform::Bits => {
                self.main.clear();
                self.main.extend(self.plain[part].iter().map(|value| image(*value)));
                true
            }
        }
    }

    /// Tries everything that is possible on a part and takes what needs the fewest bits.
    fn cheapest(&mut self, exact: Option<u8>) -> Transform {
        let nearest = NEAREST.into_iter().filter(|e| exact.is_none_or(|exact| *e < exact));
        let candidates = exact.map(Transform::Decimal).into_iter().chain(nearest.map(Transform::Nearest));
        let (part, whole) = (self.compared(), 0..self.plain.len());
        let mut costs: Vec<(u64, Transform)> = Vec::with_capacity(NEAREST.len() + 2);
        for transform in candidates.chain([Transform::Bits]) {
            if self.take(transform, part.clone()) {
                costs.push((self.bits(), transform));
            }
        }
        // What fits the part need not fit the whole; bits always do.
        costs.sort_by_key(|(bits, _)| *bits);
        let fits = costs.into_iter().find(|(_, transform)| self.take(*transform, whole.clone()));
        fits.map_or(Transform::Bits, |(_, transform)| transform)
    }

    /// The part of a column by which transforms are compared.
    fn compared(&self) -> Range<usize> {
        let compared = if self.effort == Effort::Fast { COMPARED_FAST } else { COMPARED };
        let start = self.plain.len().saturating_sub(compared) / 2;
        start..self.plain.len().min(start + compared)
    }

    fn bits(&mut self) -> u64 {
        let Self { main, distance, fitter, scratch, effort, .. } = self;
        let mut bits = |column: &[i64]| match effort {
            Effort::Fast => estimate(column),
            Effort::Small => fitter.fit(column, scratch).1,
        };
        bits(main) + if distance.is_empty() { 0 } else { bits(distance) }
    }
}

/// About the bits of a column's differences, or of the differences of these.
fn estimate(column: &[i64]) -> u64 {
    let (mut before, mut slope) = (column[0], 0i64);
    let (mut slopes, mut bends) = (0, 0);
    for value in &column[1..] {
        let next = value.wrapping_sub(before);
        slopes += u64::from(width(next));
        bends += u64::from(width(next.wrapping_sub(slope)));
        (before, slope) = (*value, next);
    }
    slopes.min(bends)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(values: &[f64]) -> Transform {
        let mut splitter = Splitter::new(Effort::Fast);
        let transform = splitter.split(values);
        let mut fast = Vec::new();
        transform.join(&splitter.main, &splitter.distance, &mut fast);
        for (at, bits) in &splitter.exceptions {
            fast[*at as usize] = f64::from_bits(*bits);
        }
        let mut splitter = Splitter::default();
        let transform = splitter.split(values);
        let mut out = Vec::new();
        transform.join(&splitter.main, &splitter.distance, &mut out);
        for (at, bits) in &splitter.exceptions {
            out[*at as usize] = f64::from_bits(*bits);
        }
        let bits = |values: &[f64]| values.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
        assert_eq!(bits(&out), bits(values), "{transform:?}");
        assert_eq!(bits(&fast), bits(values), "with little effort");
        assert_eq!(Transform::from_code(transform.code()), Some(transform));
        transform
    }

    #[test]
    fn transforms() {
        assert_eq!(check(&[0.0, 1.0, 5e15, -3.0]), Transform::Decimal(0));
        assert_eq!(check(&[0.25, 1718.4, 3.0]), Transform::Decimal(2));
        assert_eq!(check(&[9.2e18, -9_223_372_036_854_775_808.0]), Transform::Decimal(0));
        assert_eq!(
            check(&[0.5, f64::NAN, 1.5, f64::from_bits(0x7ff0_0000_0000_0002)]),
            Transform::Decimal(1)
        );
        let mut sum = 0.0;
        let sums: Vec<f64> = (0..100)
            .map(|i| {
                sum += 0.001 * f64::from(i % 7);
                sum
            })
            .collect();
        assert_eq!(check(&sums), Transform::Nearest(3));
        assert_eq!(check(&[1e300, -1e300, 1e-300]), Transform::Bits);
        check(&[-0.0, f64::INFINITY, f64::NEG_INFINITY, f64::MIN_POSITIVE, 5e-324, f64::MAX]);
        check(&[f64::NAN]);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]
        #[test]
        fn any_bits_come_back(bits in prop::collection::vec(any::<u64>(), 1..50)) {
            check(&bits.into_iter().map(f64::from_bits).collect::<Vec<_>>());
        }

        #[test]
        fn decimals_and_their_neighbours_come_back(
            parts in prop::collection::vec((-1_000_000i64..1_000_000, 0i64..3), 1..50), e in 0usize..16,
        ) {
            let value = |(m, ulps): (i64, i64)| from_image(image(m as f64 / POWERS[e]) + ulps);
            check(&parts.into_iter().map(value).collect::<Vec<_>>());
        }
    }
}
