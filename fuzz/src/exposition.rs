//! Pages: parsing never panics; what was read can be written and is read again as the same samples.

use nave_model::label::Labels;
use nave_wire::exposition::{Entry, Format, PageWriter, Parser};

/// Longest inputs are cut here by the round trip only; parsing sees all of it.
const ROUND_TRIP_SAMPLES: usize = 256;

/// Checks one page.
pub fn exposition(page: &[u8], format: Format) {
    let strict = read(Parser::new(page, format));
    let whole = read(Parser::new(page, format).whole());
    let _ = read(Parser::new(page, format).with_start_timestamps());
    // A page that needs no vouching reads the same with it; one that does gains at most its last line.
    assert!(whole.len() == strict.len() || whole.len() == strict.len() + 1);
    assert!(whole.iter().zip(&strict).all(|(a, b)| a.0 == b.0 && a.1.to_bits() == b.1.to_bits()));
    round_trip(&whole[..whole.len().min(ROUND_TRIP_SAMPLES)], format);
}

/// All samples before the end or the first error, without those whose labels are refused.
fn read(mut parser: Parser<'_>) -> Vec<(Labels, f64)> {
    let mut samples = Vec::new();
    loop {
        match parser.next() {
            Ok(Some(Entry::Sample(line))) => {
                if let Some(exemplar) = &line.exemplar {
                    let _ = exemplar.labels();
                }
                if let Ok(labels) = line.labels() {
                    samples.push((labels, line.value));
                }
            }
            Ok(Some(_)) => {}
            Ok(None) => return samples,
            Err(error) => {
                assert!(error.line >= 1 && error.column >= 1 && error.came.len() < 1024, "{error}");
                assert_eq!(parser.next(), Err(error), "an error stays");
                return samples;
            }
        }
    }
}

fn round_trip(samples: &[(Labels, f64)], format: Format) {
    let mut page = PageWriter::new(format);
    for (labels, value) in samples {
        let pairs: Vec<_> = labels.iter().filter(|(name, _)| *name != "__name__").collect();
        page.sample(labels.metric_name(), &pairs, *value);
    }
    let page = page.finish();
    let again = read(Parser::new(page.as_bytes(), format));
    assert_eq!(again.len(), samples.len(), "{page}");
    for (got, want) in again.iter().zip(samples) {
        assert_eq!((&got.0, got.1.to_bits()), (&want.0, want.1.to_bits()), "{page}");
    }
}
