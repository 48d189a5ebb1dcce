//! OTLP requests: translating never panics under any strategy, and what comes out is meaningful: labels that decode, histograms without contradictions, no more label bytes than allowed.

use std::collections::BTreeSet;
use std::sync::Arc;

use nave_model::append::Principal;
use nave_model::label::Labels;
use nave_model::sample::is_stale;
use nave_wire::otlp::{Promote, Settings, Strategy, decode, response};

const LABEL_BYTES_MAX: usize = 1 << 20;

/// Checks one request.
pub fn otlp_body(body: &[u8]) {
    for (escape, suffixes) in [(true, true), (true, false), (false, true), (false, false)] {
        let settings = Settings {
            strategy: Strategy { escape, suffixes },
            promote: if escape { Promote::AllBut(BTreeSet::new()) } else { Promote::Only(BTreeSet::new()) },
            convert_histograms: suffixes,
            promote_scope: !suffixes,
            keep_underscores: escape,
            ..Settings::default()
        };
        let principal = Arc::new(Principal::anonymous("fuzz"));
        let Ok(translated) = decode(body, &settings, principal, LABEL_BYTES_MAX) else { continue };
        let batch = translated.batch;
        assert!(batch.bytes.len() <= LABEL_BYTES_MAX);
        assert!(batch.start_timestamps.is_empty() || batch.start_timestamps.len() == batch.values.len());
        for series in &batch.series {
            let labels = Labels::from_bytes(batch.label_bytes(series)).expect("labels are canonical");
            assert!(!labels.metric_name().is_empty());
        }
        for sample in &batch.histograms {
            assert!(is_stale(sample.histogram.sum) || sample.histogram.check().is_ok());
        }
        let _ = response(&translated.refused);
    }
}
