//! Pages against the batches they make.

use std::sync::Arc;

use bytes::Bytes;
use nave_model::append::{BatchSeries, Principal};
use nave_wire::exposition::Format;

use super::*;
use crate::config::Defaults;

fn config(yaml: &str) -> ScrapeConfig {
    let mut config: ScrapeConfig = serde_saphyr::from_str(&format!("{{job_name: j, {yaml}}}")).expect(yaml);
    config.apply_defaults(&Defaults::default()).expect(yaml);
    config
}

/// One page: its samples as text, or the error; and the figures.
fn ingest(config: &ScrapeConfig, cache: &mut Cache, page: &str) -> (Result<Vec<String>, String>, Tally) {
    let target = Labels::from_pairs([("job", "j"), ("instance", "i")]).unwrap();
    let format = if page.ends_with("# EOF\n") { Format::OpenMetrics } else { Format::Text };
    let page = Page {
        body: Bytes::copy_from_slice(page.as_bytes()),
        format: PageFormat::Lines(format),
        whole: true,
    };
    let mut draft = Draft::new(Arc::new(Principal::anonymous("test")), 0);
    let mut families = Families::default();
    cache.begin();
    let (at, tally) = (Timestamp(1_000), Tally::default());
    let choice = Choice {
        native: config.scrape_native_histograms == Some(true),
        classic_too: config.always_scrape_classic_histograms == Some(true),
        convert: config.convert_classic_histograms_to_nhcb == Some(true),
    };
    let mut ingest = Ingest {
        config,
        choice,
        zero_starts: false,
        target: &target,
        at,
        cache,
        families: &mut families,
        draft: &mut draft,
        tally,
        state: State::default(),
    };
    let result = ingest.page(&page);
    let tally = ingest.tally;
    if let Err((_, error)) = result {
        return (Err(error), tally);
    }
    draft.batch.bytes = cache.labels();
    let show = |series: &BatchSeries| {
        let labels = Labels::from_bytes(draft.batch.label_bytes(series)).unwrap();
        let (at, value) = draft.batch.samples(series).next().unwrap();
        let exemplars = series.exemplars.len();
        format!("{labels} {value}@{at}{}", if exemplars > 0 { " #" } else { "" })
    };
    (Ok(draft.batch.series.iter().map(show).collect()), tally)
}

#[test]
fn labels_of_the_page_and_of_the_target() {
    let check = |yaml: &str, page: &str, want: &[&str]| {
        let (got, _) = ingest(&config(yaml), &mut Cache::default(), page);
        assert_eq!(
            got.as_deref(),
            Ok(want.iter().map(ToString::to_string).collect::<Vec<_>>().as_slice()),
            "{page}"
        );
    };
    check("", "a 1\n", &[r#"{__name__="a", instance="i", job="j"} 1@1000"#]);
    check(
        "",
        "a{job=\"x\",exported_job=\"y\"} 1\n",
        &[r#"{__name__="a", exported_exported_job="x", exported_job="y", instance="i", job="j"} 1@1000"#],
    );
    check("honor_labels: true", "a{job=\"x\"} 1\n", &[r#"{__name__="a", instance="i", job="x"} 1@1000"#]);
    check("", "a 1 500\n", &[r#"{__name__="a", instance="i", job="j"} 1@500"#]);
    check("honor_timestamps: false", "a 1 500\n", &[r#"{__name__="a", instance="i", job="j"} 1@1000"#]);
    check(
        "metric_relabel_configs: [{action: drop, source_labels: [__name__], regex: 'go_.*'}, {action: labeldrop, regex: x}]",
        "go_a 1\na{x=\"1\"} 2\n",
        &[r#"{__name__="a", instance="i", job="j"} 2@1000"#],
    );
    check(
        "",
        "# TYPE a counter\na_total 1 # {trace=\"t\"} 0.5\n# EOF\n",
        &[r#"{__name__="a_total", instance="i", job="j"} 1@1000 #"#],
    );
}

#[test]
fn refusals() {
    let check = |yaml: &str, page: &str, want: &str| {
        let (got, _) = ingest(&config(yaml), &mut Cache::default(), page);
        let error = got.expect_err(page);
        assert!(error.contains(want), "{page}: {error}");
    };
    check("sample_limit: 1", "a 1\nb 2\n", "sample limit exceeded");
    check(
        "label_limit: 3",
        "abc{x=\"1\"} 1\n",
        "label_limit exceeded (metric: abc, number of labels: 4, limit: 3)",
    );
    check(
        "label_name_length_limit: 9",
        "a{long_label=\"1\"} 1\n",
        "label_name_length_limit exceeded (metric: a, label name: long_label, length: 10, limit: 9)",
    );
    check(
        "label_value_length_limit: 3",
        "a{x=\"1234\"} 1\n",
        "label_value_length_limit exceeded (metric: a, label name: x, value: \"1234\", length: 4, limit: 3)",
    );
    check(
        "metric_relabel_configs: [{action: labeldrop, regex: __name__}]",
        "a 1\n",
        "missing metric name (__name__ label)",
    );
    check("metric_name_validation_scheme: legacy", "{\"a.b\"} 1\n", "invalid metric name or label names");
    check("", "a 1\n<html>\n", "line 2");
}

#[test]
fn figures() {
    let mut cache = Cache::default();
    let config = config("metric_relabel_configs: [{action: drop, source_labels: [__name__], regex: b}]");
    let page = "a 1\nb 2\na 3\nc 4 9000000\n";
    let (got, tally) = ingest(&config, &mut cache, page);
    assert_eq!(got.unwrap().len(), 1);
    assert_eq!(tally, Tally { scraped: 4, kept: 3, added: 2, duplicates: 1, out_of_bounds: 1 });
    cache.finish();
    let (_, again) = ingest(&config, &mut cache, page);
    assert_eq!(again, Tally { added: 0, ..tally });
}
