//! `@st` lines: when the values of the following series line began to count.

use nave_model::duration::PromDuration;
use nave_model::label::Labels;
use nave_model::time::Timestamp;

use super::series::parse_metric;

/// A parsed `@st` line.
pub(super) struct StartTimes {
    pub(super) labels: Labels,
    /// Relative to the value's own time, in milliseconds.
    pub(super) offsets: Vec<Option<i64>>,
}

impl StartTimes {
    /// `None` when `line` is an ordinary series line.
    pub(super) fn parse(line: &str) -> Option<Result<Self, String>> {
        let (metric, items) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
        let metric = metric.strip_suffix("@st")?;
        Some(Self::parse_items(metric, items))
    }

    fn parse_items(metric: &str, items: &str) -> Result<Self, String> {
        let (labels, end) = parse_metric(metric).map_err(|error| error.to_string())?;
        if end != metric.len() {
            return Err(format!("unexpected text after the series of an @st line: {:?}", &metric[end..]));
        }
        let mut offsets = Vec::new();
        for item in items.split_whitespace() {
            expand(item, &mut offsets)?;
        }
        Ok(Self { labels, offsets })
    }

    /// Start times of values that stand `step_ms` apart from 0 on.
    pub(super) fn at_steps(&self, step_ms: i64) -> Vec<Option<Timestamp>> {
        let at = |index: usize| i64::try_from(index).unwrap_or(i64::MAX).saturating_mul(step_ms);
        let resolve = |(index, offset): (usize, &Option<i64>)| offset.map(|ms| Timestamp(at(index) + ms));
        self.offsets.iter().enumerate().map(resolve).collect()
    }
}

/// `_`, `_x3`, `-1m`, `-1mx3`, `-1m+1sx3`.
fn expand(item: &str, offsets: &mut Vec<Option<i64>>) -> Result<(), String> {
    const REPEAT_MAX: usize = 1_000_000;
    let invalid = || format!("invalid start timestamp {item:?}: expected _, _x3, -30s, -30sx3 or -30s-1mx3");
    let (body, times) = match item.split_once('x') {
        Some((body, times)) => (
            body,
            Some(times.parse::<usize>().ok().filter(|times| *times <= REPEAT_MAX).ok_or_else(invalid)?),
        ),
        None => (item, None),
    };
    if body == "_" {
        if times == Some(0) {
            return Err(invalid());
        }
        offsets.extend(std::iter::repeat_n(None, times.unwrap_or(1)));
        return Ok(());
    }
    // A sign after the first byte starts the increment.
    let split = body.bytes().skip(1).position(|byte| matches!(byte, b'+' | b'-')).map(|at| at + 1);
    let (first, step) = split.map_or((body, None), |at| (&body[..at], Some(&body[at..])));
    if step.is_some() && times.is_none() {
        return Err(invalid());
    }
    let mut value = signed(first).ok_or_else(invalid)?;
    let step = step.map_or(Some(0), signed).ok_or_else(invalid)?;
    for _ in 0..=times.unwrap_or(0) {
        offsets.push(Some(value));
        value = value.saturating_add(step);
    }
    Ok(())
}

fn signed(text: &str) -> Option<i64> {
    let (negative, digits) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    // One number with one unit.
    let unit_at = digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len());
    if digits[unit_at..].contains(|c: char| c.is_ascii_digit()) {
        return None;
    }
    let duration: PromDuration = digits.parse().ok()?;
    let ms = i64::try_from(duration.as_ms()).ok()?;
    Some(if negative { -ms } else { ms })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets() {
        let check = |items: &str, want: &[Option<i64>]| {
            let found = StartTimes::parse(&format!("a{{b=\"c\"}}@st {items}")).unwrap().unwrap();
            assert_eq!(found.offsets, want, "{items}");
        };
        check("_ -30s", &[None, Some(-30_000)]);
        check("_x2 0", &[None, None, Some(0)]);
        check("-30s-1mx2", &[Some(-30_000), Some(-90_000), Some(-150_000)]);
        check("-59999msx1", &[Some(-59_999), Some(-59_999)]);
        assert!(StartTimes::parse("a 1 2").is_none());
        assert!(StartTimes::parse("a@st 1h30m").unwrap().is_err());
    }
}
