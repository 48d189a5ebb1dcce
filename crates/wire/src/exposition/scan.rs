//! Finding bytes: eight at a time where text is long, one at a time where it is short.

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGHS: u64 = 0x8080_8080_8080_8080;

/// High bit set in every byte of `word` that equals `byte`; bytes above the lowest hit may lie.
#[inline]
fn equal(word: u64, byte: u8) -> u64 {
    let x = word ^ (ONES * u64::from(byte));
    x.wrapping_sub(ONES) & !x & HIGHS
}

/// The first of `"`, `\` and line feed at or after `at`.
#[inline]
pub(super) fn find_text_end(page: &[u8], mut at: usize) -> Option<usize> {
    while let Some(chunk) = page.get(at..).and_then(<[u8]>::first_chunk::<8>) {
        let word = u64::from_le_bytes(*chunk);
        let hits = equal(word, b'"') | equal(word, b'\\') | equal(word, b'\n');
        if hits != 0 {
            return Some(at + hits.trailing_zeros() as usize / 8);
        }
        at += 8;
    }
    let rest = page.get(at..)?.iter().position(|byte| matches!(byte, b'"' | b'\\' | b'\n'))?;
    Some(at + rest)
}

/// The first line feed at or after `at`.
#[inline]
pub(super) fn find_line_end(page: &[u8], mut at: usize) -> Option<usize> {
    while let Some(chunk) = page.get(at..).and_then(<[u8]>::first_chunk::<8>) {
        let hits = equal(u64::from_le_bytes(*chunk), b'\n');
        if hits != 0 {
            return Some(at + hits.trailing_zeros() as usize / 8);
        }
        at += 8;
    }
    let rest = page.get(at..)?.iter().position(|byte| *byte == b'\n')?;
    Some(at + rest)
}

/// Skips blanks and tabs.
#[inline]
pub(super) fn blanks(page: &[u8], mut at: usize) -> usize {
    while matches!(page.get(at), Some(b' ' | b'\t')) {
        at += 1;
    }
    at
}

const LABEL: u8 = 1;
const METRIC: u8 = 2;
const DIGIT: u8 = 4;

static CLASS: [u8; 256] = {
    let mut class = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        class[byte] = match byte as u8 {
            b'a'..=b'z' | b'A'..=b'Z' | b'_' => LABEL | METRIC,
            b':' => METRIC,
            b'0'..=b'9' => DIGIT,
            _ => 0,
        };
        byte += 1;
    }
    class
};

/// Whether a metric name may start with `byte`.
#[inline]
pub(super) fn starts_metric(byte: u8) -> bool {
    CLASS[usize::from(byte)] & METRIC != 0
}

/// Whether a label name may start with `byte`.
#[inline]
pub(super) fn starts_label(byte: u8) -> bool {
    CLASS[usize::from(byte)] & LABEL != 0
}

/// The end of the metric name that starts before `at`.
#[inline]
pub(super) fn metric_end(page: &[u8], mut at: usize) -> usize {
    while page.get(at).is_some_and(|byte| CLASS[usize::from(*byte)] & (METRIC | DIGIT) != 0) {
        at += 1;
    }
    at
}

/// The end of the label name that starts before `at`.
#[inline]
pub(super) fn label_end(page: &[u8], mut at: usize) -> usize {
    while page.get(at).is_some_and(|byte| CLASS[usize::from(*byte)] & (LABEL | DIGIT) != 0) {
        at += 1;
    }
    at
}

/// The position of the quote that closes the text opened at `at - 1`; `None` when the line or the page
/// ends before it.
#[inline]
pub(super) fn closing_quote(page: &[u8], mut at: usize) -> Option<usize> {
    loop {
        at = find_text_end(page, at)?;
        match page[at] {
            b'"' => return Some(at),
            b'\\' if page.get(at + 1).is_some_and(|next| *next != b'\n') => at += 2,
            _ => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_first_hit_at_every_offset() {
        for len in 0..40 {
            for hit in 0..len {
                for byte in [b'"', b'\\', b'\n'] {
                    let mut page = vec![b'!'; len];
                    page[hit] = byte;
                    page[len - 1] = byte;
                    assert_eq!(find_text_end(&page, 0), Some(hit));
                    let line = (byte == b'\n').then_some(hit);
                    assert_eq!(find_line_end(&page, 0), line);
                }
            }
            assert_eq!(find_text_end(&vec![b'#'; len], 0), None);
        }
    }

    #[test]
    fn escaped_quotes_do_not_close() {
        assert_eq!(closing_quote(br#"a\"b\\" "#, 0), Some(6));
        assert_eq!(closing_quote(b"a\n\"", 0), None);
        assert_eq!(closing_quote(b"a\\\n\"", 0), None);
        assert_eq!(closing_quote(b"a\\", 0), None);
    }
}
