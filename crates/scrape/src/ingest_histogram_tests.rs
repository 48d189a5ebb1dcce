//! Histograms of pages, native and classic, against the batches they make.

use std::sync::Arc;

use bytes::Bytes;
use nave_model::append::Principal;

use super::*;
use crate::config::Defaults;

/// A length-delimited field.
fn bytes(number: u8, content: &[u8]) -> Vec<u8> {
    [&[number << 3 | 2, content.len() as u8], content].concat()
}

fn double(number: u8, value: f64) -> Vec<u8> {
    [&[number << 3 | 1][..], &value.to_le_bytes()].concat()
}

fn varint(number: u8, value: u8) -> Vec<u8> {
    vec![number << 3, value]
}

/// A page of one family `h` with the label `a="1"`.
fn protobuf_page(kind: u8, field: u8, value: &[u8]) -> Page {
    let label = bytes(1, &[bytes(1, b"a"), bytes(2, b"1")].concat());
    let metric = bytes(4, &[label, bytes(field, value)].concat());
    let family = [bytes(1, b"h"), bytes(2, b"Help."), varint(3, kind), metric].concat();
    let page = [&[family.len() as u8][..], &family].concat();
    Page { body: page.into(), format: PageFormat::Protobuf, whole: true }
}

/// Count 6, sum 2.5, classic bucket 1 with 4, schema 1 (zigzag 2), three buckets of 1, 2 and 3; since 900 s.
fn histogram() -> Vec<u8> {
    let bucket = bytes(3, &[varint(1, 4), double(2, 1.0)].concat());
    let span = bytes(12, &[varint(1, 2), varint(2, 3)].concat());
    let deltas = bytes(13, &[2, 2, 2]);
    let created = bytes(15, &[8, 0x84, 0x07]);
    [varint(1, 6), double(2, 2.5), bucket, varint(5, 2), span, deltas, created].concat()
}

fn text(page: &str) -> Page {
    let format = if page.ends_with("# EOF\n") { Format::OpenMetrics } else { Format::Text };
    Page { body: Bytes::copy_from_slice(page.as_bytes()), format: PageFormat::Lines(format), whole: true }
}

struct Scraped {
    result: Result<(), String>,
    lines: Vec<String>,
    tally: Tally,
    draft: Draft,
}

fn scrape(yaml: &str, cache: &mut Cache, zero_starts: bool, page: &Page) -> Scraped {
    let mut config: ScrapeConfig = serde_saphyr::from_str(&format!("{{job_name: j, {yaml}}}")).expect(yaml);
    config.apply_defaults(&Defaults::default()).expect(yaml);
    let mut draft = Draft::new(Arc::new(Principal::anonymous("test")), 0);
    cache.begin();
    let choice = Choice {
        native: config.scrape_native_histograms == Some(true),
        classic_too: config.always_scrape_classic_histograms == Some(true),
        convert: config.convert_classic_histograms_to_nhcb == Some(true),
    };
    let mut ingest = Ingest {
        config: &config,
        choice,
        zero_starts,
        target: &Labels::from_pairs([("job", "j")]).unwrap(),
        at: Timestamp(1_000_000),
        cache,
        families: &mut Families::default(),
        draft: &mut draft,
        tally: Tally::default(),
        state: State::default(),
    };
    let result = ingest.page(page).map_err(|(_, error)| error);
    let tally = ingest.tally;
    draft.batch.bytes = cache.labels();
    let batch = &draft.batch;
    assert!(batch.start_timestamps.is_empty() || batch.start_timestamps.len() == batch.values.len());
    let mut lines = Vec::new();
    for series in &batch.series {
        let labels = Labels::from_bytes(batch.label_bytes(series)).unwrap();
        lines.extend(batch.samples(series).map(|(at, value)| format!("{labels} {value}@{}", at.0)));
        for sample in &batch.histograms[series.histograms.start as usize..series.histograms.end as usize] {
            let h = &sample.histogram;
            let (at, start) = (sample.timestamp.0, sample.start_timestamp.map(|start| start.0));
            lines.push(format!(
                "{labels} schema {} count {} {:?} {:?}@{at} since {start:?}",
                h.schema, h.count, h.positive_buckets, h.custom_bounds
            ));
        }
    }
    Scraped { result, lines, tally, draft }
}

#[test]
fn protobuf_pages() {
    let check = |yaml: &str, want: &[&str]| {
        let got = scrape(yaml, &mut Cache::default(), false, &protobuf_page(4, 7, &histogram()));
        assert_eq!(
            (got.result, got.lines),
            (Ok(()), want.iter().map(ToString::to_string).collect()),
            "{yaml}"
        );
    };
    let classic = [
        r#"{__name__="h_count", a="1", job="j"} 6@1000000"#,
        r#"{__name__="h_sum", a="1", job="j"} 2.5@1000000"#,
        r#"{__name__="h_bucket", a="1", job="j", le="1.0"} 4@1000000"#,
        r#"{__name__="h_bucket", a="1", job="j", le="+Inf"} 6@1000000"#,
    ];
    let native =
        r#"{__name__="h", a="1", job="j"} schema 1 count 6 [1.0, 2.0, 3.0] []@1000000 since Some(900000)"#;
    let nhcb =
        r#"{__name__="h", a="1", job="j"} schema -53 count 6 [4.0, 2.0] [1.0]@1000000 since Some(900000)"#;
    let coarse =
        r#"{__name__="h", a="1", job="j"} schema 0 count 6 [3.0, 3.0] []@1000000 since Some(900000)"#;
    check("", &classic);
    check("scrape_native_histograms: true", &[native]);
    let both: Vec<&str> = std::iter::once(native).chain(classic).collect();
    check("scrape_native_histograms: true, always_scrape_classic_histograms: true", &both);
    check("convert_classic_histograms_to_nhcb: true", &[nhcb]);
    let kept: Vec<&str> = classic.into_iter().chain([nhcb]).collect();
    check("convert_classic_histograms_to_nhcb: true, always_scrape_classic_histograms: true", &kept);
    // A native histogram is not converted a second time.
    check("scrape_native_histograms: true, convert_classic_histograms_to_nhcb: true", &[native]);
    check("scrape_native_histograms: true, native_histogram_bucket_limit: 2", &[coarse]);
    check("scrape_native_histograms: true, native_histogram_min_bucket_factor: 2", &[coarse]);
}

#[test]
fn text_pages_are_converted() {
    let page = text(
        "# TYPE h histogram\nh_bucket{le=\"1\"} 4\nh_bucket{le=\"+Inf\"} 6\nh_sum 2.5\nh_count 6\n\
         h_bucket{le=\"1\",x=\"y\"} 1\nh_bucket{le=\"+Inf\",x=\"y\"} 1\nh_sum{x=\"y\"} 1\nh_count{x=\"y\"} 1\n\
         h_other 1\n# TYPE g gauge\ng_count 3\n",
    );
    let yaml = "convert_classic_histograms_to_nhcb: true";
    let mut cache = Cache::default();
    let want = [
        r#"{__name__="h", job="j"} schema -53 count 6 [4.0, 2.0] [1.0]@1000000 since None"#,
        r#"{__name__="h", job="j", x="y"} schema -53 count 1 [1.0] [1.0]@1000000 since None"#,
        r#"{__name__="h_other", job="j"} 1@1000000"#,
        r#"{__name__="g_count", job="j"} 3@1000000"#,
    ];
    for added in [4, 0] {
        let got = scrape(yaml, &mut cache, false, &page);
        assert_eq!((got.result, got.lines.as_slice()), (Ok(()), &want.map(str::to_owned)[..]));
        assert_eq!((got.tally.scraped, got.tally.kept, got.draft.slots.len()), (4, 4, 4));
        assert!(added == 0 || got.tally.added >= added);
        assert!(cache.finish().is_empty());
    }
    // The ends of histograms are histograms.
    let mut got = scrape(yaml, &mut cache, false, &text("g_count 3\n"));
    let vanished = cache.finish();
    assert_eq!(vanished.len(), 3);
    got.draft.clear();
    vanished.iter().for_each(|slot| got.draft.push_stale(&cache, *slot, Timestamp(5)));
    let stale = &got.draft.batch.histograms;
    assert!(
        stale.len() == 2 && stale.iter().all(|sample| nave_model::sample::is_stale(sample.histogram.sum))
    );
    assert_eq!(got.draft.batch.values.len(), 1);
}

#[test]
fn broken_histograms_and_limits() {
    let check = |yaml: &str, page: &Page, want: &str| {
        let got = scrape(yaml, &mut Cache::default(), false, page);
        let error = got.result.unwrap_err();
        assert!(error.contains(want), "{error}");
    };
    let native = "scrape_native_histograms: true";
    let broken = [histogram(), varint(1, 7)].concat();
    check(native, &protobuf_page(4, 7, &broken), "6 observations found in buckets, but the count is 7");
    let page = text("# TYPE h histogram\nh_bucket{le=\"1\"} 4\nh_bucket{le=\"+Inf\"} 6\nh_count 6\n");
    let limit = "convert_classic_histograms_to_nhcb: true, native_histogram_bucket_limit: 1";
    check(limit, &page, "histogram bucket limit exceeded");
    let (yaml, odd) =
        ("convert_classic_histograms_to_nhcb: true", "# TYPE h histogram\nh_bucket{le=\"1\"} 4\nh_count 3\n");
    let got = scrape(yaml, &mut Cache::default(), false, &text(odd));
    assert_eq!((got.result, got.lines.len()), (Ok(()), 0), "parts that make no histogram are left out");
}

#[test]
fn starts_and_their_zeros() {
    let created = bytes(3, &[8, 0x84, 0x07]);
    let counter = [double(1, 5.0), created].concat();
    let page = protobuf_page(0, 3, &counter);
    let mut cache = Cache::default();
    let first = scrape("", &mut cache, true, &page);
    assert_eq!(
        first.lines,
        [r#"{__name__="h", a="1", job="j"} 0@900000"#, r#"{__name__="h", a="1", job="j"} 5@1000000"#]
    );
    assert_eq!(first.draft.batch.start_timestamps, [Timestamp(0), Timestamp(900_000)]);
    assert_eq!(scrape("", &mut cache, true, &page).lines.len(), 1, "once per start");
    let without = scrape("", &mut Cache::default(), false, &page);
    assert_eq!(without.draft.batch.start_timestamps, [Timestamp(900_000)]);
    let native = protobuf_page(4, 7, &histogram());
    let got = scrape("scrape_native_histograms: true", &mut Cache::default(), true, &native);
    assert_eq!(got.lines[0], r#"{__name__="h", a="1", job="j"} schema 1 count 0 [] []@900000 since None"#);
    let lines = text("# TYPE a counter\na_total 3\na_created 900\n# EOF\n");
    let got = scrape("", &mut Cache::default(), true, &lines);
    assert_eq!(got.lines.len(), 2, "{:?}", got.lines);
}
