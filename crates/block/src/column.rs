//! A run of integers as a shape and what is left of it.
//!
//! [`fit`] takes a column `x` apart: differences are divided by their greatest common divisor, a shape is chosen
//! by the bits its residuals would need, and the median residual is taken out so that columns of different
//! steady rates can be pooled in one stream. [`Shape::restore`] puts it together again.
//!
//! All arithmetic wraps at 64 bits, so every column comes back exactly, whatever its values.
//!
//! ```text
//! y[i] = (x[i] - x[0]) / gcd                         y[0] = 0
//! Level    residual[i] = y[i] - base                 i = 1 ..
//! Slope    residual[i] = y[i] - y[i-1] - base        i = 1 ..
//! Bend     residual[i] = y[i] - 2 y[i-1] + y[i-2] - base   i = 2 .., y[1] = second
//! Line     residual[i] = y[i] - i * base - second    i = 1 ..
//! ```

use crate::stream::Effort;

/// Values that stand for all when a median is taken.
const SAMPLED: usize = 128;

/// What the residuals are relative to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    /// To the first value.
    Level,
    /// To the value before.
    Slope,
    /// To the line through the two values before.
    Bend,
    /// To a fitted grid: first value and step. For timestamps.
    Line,
}

impl Order {
    const ALL: [Self; 4] = [Self::Level, Self::Slope, Self::Bend, Self::Line];

    pub(crate) fn from_bits(bits: u8) -> Self {
        Self::ALL[usize::from(bits & 3)]
    }

    pub(crate) fn bits(self) -> u8 {
        self as u8
    }

    /// How many residuals a column of `count` values has.
    pub(crate) fn residuals(self, count: usize) -> usize {
        count.saturating_sub(if self == Self::Bend { 2 } else { 1 })
    }
}

/// Everything about a column but its residuals.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Shape {
    pub(crate) order: Order,
    pub(crate) first: i64,
    /// The second value of [`Order::Bend`], the median distance of [`Order::Line`] from its line; else 0.
    pub(crate) second: i64,
    pub(crate) gcd: u64,
    pub(crate) base: i64,
}

/// Buffers of [`fit`], kept between columns.
#[derive(Debug, Default)]
pub(crate) struct Fitter {
    levels: Vec<i64>,
    slopes: Vec<i64>,
    bends: Vec<i64>,
    scratch: Vec<i64>,
    sorted: Vec<i64>,
    /// Whether [`Order::Line`] is tried. Values seldom lie on one, and trying costs time.
    lines: bool,
    effort: Effort,
}

/// Bits of `value` without its leading zeros, in zigzag form.
#[inline]
pub(crate) fn width(value: i64) -> u32 {
    64 - zigzag(value).leading_zeros()
}

#[inline]
pub(crate) fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)) as u64
}

#[inline]
pub(crate) fn unzigzag(value: u64) -> i64 {
    (value >> 1) as i64 ^ -((value & 1) as i64)
}

fn cost(residuals: impl Iterator<Item = i64>) -> u64 {
    residuals.map(|residual| u64::from(width(residual))).sum()
}

fn gcd(mut a: u64, mut b: u64) -> u64 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

/// The greatest common divisor of all, 1 where there is none that fits.
fn common_divisor(slopes: &[i64]) -> u64 {
    let mut divisor = 0;
    for slope in slopes.iter().filter(|slope| **slope != 0) {
        divisor = gcd(slope.unsigned_abs(), divisor);
        if divisor == 1 {
            break;
        }
    }
    if divisor == 0 || divisor > i64::MAX as u64 { 1 } else { divisor }
}

impl Fitter {
    pub(crate) fn new(effort: Effort) -> Self {
        Self { effort, ..Self::default() }
    }

    /// One for timestamps, which lie on a grid.
    pub(crate) fn for_times() -> Self {
        Self { lines: true, ..Self::default() }
    }

    /// The cheapest shape of `x`, which is not empty, its residuals in `residuals`, and the bits they need.
    pub(crate) fn fit(&mut self, x: &[i64], residuals: &mut Vec<i64>) -> (Shape, u64) {
        residuals.clear();
        let mut shape = Shape { order: Order::Level, first: x[0], second: 0, gcd: 1, base: 0 };
        if x.iter().all(|value| *value == x[0]) {
            residuals.resize(x.len() - 1, 0);
            return (shape, 0);
        }
        self.prepare(x, &mut shape);
        let cheap = self.effort == Effort::Fast && !self.lines;
        let (order, base, bits) = if cheap { self.cheapest_by_means() } else { self.cheapest() };
        (shape.order, shape.base) = (order, base);
        match order {
            Order::Level => residuals.extend(self.levels.iter().map(|y| y.wrapping_sub(base))),
            Order::Slope => residuals.extend(self.slopes.iter().map(|y| y.wrapping_sub(base))),
            Order::Bend => {
                shape.second = self.slopes[0];
                residuals.extend(self.bends.iter().map(|y| y.wrapping_sub(base)));
            }
            Order::Line => {
                residuals.extend(off_line(&self.levels, base));
                shape.second = median(residuals, &mut self.sorted);
                residuals.iter_mut().for_each(|y| *y = y.wrapping_sub(shape.second));
            }
        }
        (shape, bits)
    }

    fn prepare(&mut self, x: &[i64], shape: &mut Shape) {
        self.slopes.clear();
        self.slopes.extend(x.windows(2).map(|pair| pair[1].wrapping_sub(pair[0])));
        shape.gcd = common_divisor(&self.slopes);
        if shape.gcd > 1 {
            let divisor = shape.gcd as i64;
            self.slopes.iter_mut().for_each(|slope| *slope /= divisor);
        }
        self.levels.clear();
        let mut level = 0i64;
        self.levels.extend(self.slopes.iter().map(|slope| {
            level = level.wrapping_add(*slope);
            level
        }));
        self.bends.clear();
        self.bends.extend(self.slopes.windows(2).map(|pair| pair[1].wrapping_sub(pair[0])));
    }

    /// As [`Fitter::cheapest`], but means decide, and only the chosen order's median is looked for.
    fn cheapest_by_means(&mut self) -> (Order, i64, u64) {
        let Self { levels, slopes, bends, sorted, .. } = self;
        let count = levels.len() as i64;
        let (slope, sum) =
            (levels[levels.len() - 1] / count, levels.iter().fold(0i64, |sum, y| sum.saturating_add(*y)));
        let off = |values: &[i64], base: i64| cost(values.iter().map(|y| y.wrapping_sub(base)));
        let candidates = [
            (Order::Slope, off(slopes, slope), &*slopes),
            (Order::Level, off(levels, sum / count), &*levels),
            (Order::Bend, off(bends, 0) + 8, &*bends),
        ];
        let best = candidates.iter().min_by_key(|candidate| candidate.1).unwrap_or(&candidates[0]);
        let base = if best.2.is_empty() { 0 } else { median(best.2, sorted) };
        (best.0, base, best.1)
    }

    fn cheapest(&mut self) -> (Order, i64, u64) {
        let Self { levels, slopes, bends, sorted, scratch, .. } = self;
        let steady = median(slopes, sorted);
        let level = median(levels, sorted);
        let bend = if bends.is_empty() { 0 } else { median(bends, sorted) };
        let mean = levels[levels.len() - 1] / levels.len() as i64;
        let off = |values: &[i64], base: i64| cost(values.iter().map(|y| y.wrapping_sub(base)));
        let mut line = |step: i64| {
            scratch.clear();
            scratch.extend(off_line(levels, step));
            let middle = median(scratch, sorted);
            off(scratch, middle)
        };
        let candidates = [
            (Order::Slope, steady, off(slopes, steady)),
            (Order::Level, level, off(levels, level)),
            // A bend needs one more number in the header.
            (Order::Bend, bend, off(bends, bend) + 8),
        ];
        let best = candidates.into_iter().min_by_key(|candidate| candidate.2).unwrap_or(candidates[0]);
        if !self.lines || best.2 == 0 {
            return best;
        }
        let steps = [(Order::Line, mean, line(mean) + 8), (Order::Line, steady, line(steady) + 8)];
        steps.into_iter().chain([best]).min_by_key(|candidate| candidate.2).unwrap_or(best)
    }
}

fn off_line(levels: &[i64], step: i64) -> impl Iterator<Item = i64> {
    let mut line = 0i64;
    levels.iter().map(move |y| {
        line = line.wrapping_add(step);
        y.wrapping_sub(line)
    })
}

/// The middle one of `values`, or of some spread over them: it need not be exact.
fn median(values: &[i64], sorted: &mut Vec<i64>) -> i64 {
    sorted.clear();
    sorted.extend(values.iter().step_by(values.len().div_ceil(SAMPLED)));
    let middle = sorted.len() / 2;
    *sorted.select_nth_unstable(middle).1
}

impl Shape {
    /// Writes the column to `out`; as many values as `out` is long, which is at least one. Missing residuals
    /// are zeros.
    pub(crate) fn restore<T: Copy + Into<i64>>(self, residuals: &[T], out: &mut [i64]) {
        let Self { order, first, second, base, .. } = self;
        let gcd = self.gcd as i64;
        let Some((head, tail)) = out.split_first_mut() else { return };
        *head = first;
        if residuals.is_empty() {
            return self.restore_exact(tail);
        }
        match order {
            Order::Level => {
                for (x, residual) in tail.iter_mut().zip(residuals) {
                    *x = (*residual).into().wrapping_add(base).wrapping_mul(gcd).wrapping_add(first);
                }
            }
            Order::Slope => {
                let (mut level, base) = (first, base.wrapping_mul(gcd));
                for (x, residual) in tail.iter_mut().zip(residuals) {
                    level = level.wrapping_add((*residual).into().wrapping_mul(gcd).wrapping_add(base));
                    *x = level;
                }
            }
            Order::Bend => {
                let Some((head, tail)) = tail.split_first_mut() else { return };
                let mut slope = second.wrapping_mul(gcd);
                let (mut level, base) = (first.wrapping_add(slope), base.wrapping_mul(gcd));
                *head = level;
                for (x, residual) in tail.iter_mut().zip(residuals) {
                    slope = slope.wrapping_add((*residual).into().wrapping_mul(gcd).wrapping_add(base));
                    level = level.wrapping_add(slope);
                    *x = level;
                }
            }
            Order::Line => {
                let (mut line, step) = (first.wrapping_add(second.wrapping_mul(gcd)), base.wrapping_mul(gcd));
                for (x, residual) in tail.iter_mut().zip(residuals) {
                    line = line.wrapping_add(step);
                    *x = (*residual).into().wrapping_mul(gcd).wrapping_add(line);
                }
            }
        }
    }

    /// Everything behind the first value of a column whose residuals are all zero.
    fn restore_exact(self, tail: &mut [i64]) {
        let gcd = self.gcd as i64;
        let step = self.base.wrapping_mul(gcd);
        let mut level = self.first;
        if self.order == Order::Line {
            level = level.wrapping_add(self.second.wrapping_mul(gcd));
        }
        match self.order {
            Order::Level => tail.fill(self.first.wrapping_add(step)),
            Order::Slope | Order::Line => {
                for x in tail {
                    level = level.wrapping_add(step);
                    *x = level;
                }
            }
            Order::Bend => {
                let mut slope = self.second.wrapping_mul(gcd);
                for x in tail {
                    level = level.wrapping_add(slope);
                    *x = level;
                    slope = slope.wrapping_add(step);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(x: &[i64]) -> Shape {
        let mut residuals = Vec::new();
        let mut fitter = Fitter::for_times();
        let (shape, _) = fitter.fit(x, &mut residuals);
        assert_eq!(residuals.len(), shape.order.residuals(x.len()), "{x:?}");
        let mut out = vec![0; x.len()];
        shape.restore(&residuals, &mut out);
        assert_eq!(out, x);
        if residuals.iter().all(|residual| *residual == 0) {
            out.fill(0);
            shape.restore::<i64>(&[], &mut out);
            assert_eq!(out, x, "without residuals");
        }
        let (fast, _) = Fitter::new(Effort::Fast).fit(x, &mut residuals);
        out.fill(0);
        fast.restore(&residuals, &mut out);
        assert_eq!(out, x, "with little effort");
        shape
    }

    #[test]
    fn shapes() {
        let order = |x: &[i64]| check(x).order;
        assert_eq!(order(&[7]), Order::Level);
        assert_eq!(order(&[7, 7, 7]), Order::Level);
        assert_eq!(order(&[0, 15_000, 30_000, 45_000]), Order::Slope);
        assert_eq!(order(&[0, 1, 4, 9, 16, 25, 36, 49, 64, 81, 100, 121]), Order::Bend);
        let jitter: Vec<i64> =
            (0..99).map(|i| 1_700_000_000_000 + i * 15_000 + (i * i * 7919) % 97 % 16).collect();
        assert_eq!(order(&jitter), Order::Line);
        assert_eq!(check(&[4096, 12288, 8192, 4096, 40960]).gcd, 4096);
        check(&[i64::MIN, i64::MAX, 0, -1, i64::MIN, i64::MIN]);
        check(&[0, i64::MIN, 0]);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]
        #[test]
        fn every_column_comes_back(x in prop::collection::vec(prop_oneof![
            any::<i64>(), -3i64..3, Just(i64::MIN), Just(i64::MAX), (0i64..50).prop_map(|v| v * 4096),
        ], 1..60)) {
            check(&x);
        }
    }
}
