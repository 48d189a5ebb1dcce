//! The parsers against upstream's own cases: every input of `corpora/exposition`, counted.
//!
//! Where we differ from a corpus on purpose, the case stands in a table here with the reason.

#![expect(clippy::print_stdout, reason = "a test reports what it counted, and loudly that it was skipped")]

use std::path::PathBuf;

use nave_model::label::Labels;
use nave_wire::exposition::{Entry, Format, ParseError, Parser};
use serde_json::{Value, json};

fn corpus(name: &str) -> Option<Vec<u8>> {
    let default = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/corpora");
    let root = std::env::var_os("NAVE_CORPORA").map_or_else(|| PathBuf::from(default), PathBuf::from);
    let path = root.join("exposition").join(name);
    match std::fs::read(&path) {
        Ok(bytes) => Some(bytes),
        Err(error) if std::env::var_os("CI").is_some() => panic!("{}: {error}", path.display()),
        Err(_) => {
            println!("SKIPPED: corpora not found at {}", root.display());
            None
        }
    }
}

fn json_corpus(name: &str) -> Option<Value> {
    corpus(name).map(|bytes| serde_json::from_slice(&bytes).unwrap())
}

/// Parses all of `page` and decodes every label set.
fn parse(page: &[u8], format: Format) -> Result<usize, ParseError> {
    let mut parser = Parser::new(page, format).whole();
    let mut samples = 0;
    while let Some(entry) = parser.next()? {
        if let Entry::Sample(sample) = entry {
            sample.labels()?;
            sample.exemplar.map(|exemplar| exemplar.labels()).transpose()?;
            samples += 1;
        }
    }
    Ok(samples)
}

/// The bytes of a case, whose texts are base64 where JSON cannot hold them.
fn input(case: &Value, key: &str) -> Vec<u8> {
    match case[key].as_str() {
        Some(text) => text.as_bytes().to_vec(),
        None => base64(case[format!("{key}_base64")].as_str().unwrap()),
    }
}

fn base64(text: &str) -> Vec<u8> {
    let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = Vec::new();
    let (mut bits, mut count) = (0u32, 0);
    for digit in text.chars().filter_map(|c| alphabet.find(c)) {
        bits = bits << 6 | digit as u32;
        count += 6;
        if count >= 8 {
            count -= 8;
            out.push((bits >> count) as u8);
        }
    }
    out
}

fn pairs(labels: &Labels) -> Value {
    labels
        .iter()
        .map(|(name, value)| (name.to_owned(), json!(value)))
        .collect::<serde_json::Map<_, _>>()
        .into()
}

fn number(value: f64) -> Value {
    if value.is_nan() { json!("NaN") } else { json!(value) }
}

/// One entry in the corpus' words.
fn describe(entry: Entry<'_>) -> Value {
    match entry {
        Entry::Type { family, kind } => {
            json!({"kind": "type", "metric": family, "type": kind.as_str()})
        }
        Entry::Help { family, text } => json!({"kind": "help", "metric": family, "text": text}),
        Entry::Unit { family, unit } => json!({"kind": "unit", "metric": family, "unit": unit}),
        Entry::Comment => json!({"kind": "comment"}),
        Entry::Eof => json!({"kind": "eof"}),
        Entry::Sample(line) => {
            let mut out = json!({
                "kind": "series",
                "raw": std::str::from_utf8(line.series).unwrap(),
                "value": number(line.value),
                "labels": pairs(&line.labels().unwrap()),
            });
            if let Some(timestamp) = line.timestamp {
                out["ts_ms"] = json!(timestamp.0);
            }
            if let Some(start) = line.start_timestamp {
                out["start_ts_ms"] = json!(start.0);
            }
            if let Some(exemplar) = line.exemplar {
                let mut shown =
                    json!({"labels": pairs(&exemplar.labels().unwrap()), "value": number(exemplar.value)});
                if let Some(timestamp) = exemplar.timestamp {
                    shown["ts_ms"] = json!(timestamp.0);
                }
                out["exemplars"] = json!([shown]);
            }
            out
        }
    }
}

/// The corpus' entry without what we do not give: the text of comments, and labels of another feature. An
/// integer and a float of the same value are one number.
fn expected(entry: &Value) -> Value {
    let mut entry = entry.clone();
    let fields = entry.as_object_mut().unwrap();
    fields.remove("labels_with_type_and_unit");
    if fields["kind"] == "comment" {
        fields.remove("text");
    }
    if let Some(value) = fields.get("value").and_then(Value::as_f64) {
        fields.insert("value".to_owned(), json!(value));
    }
    for exemplar in fields.get_mut("exemplars").and_then(Value::as_array_mut).into_iter().flatten() {
        exemplar["value"] = json!(exemplar["value"].as_f64());
    }
    entry
}

#[test]
fn every_entry_of_the_traced_inputs() {
    let Some(cases) = json_corpus("prometheus-parser-cases.json") else { return };
    let mut entries = 0;
    for (key, format) in [("text", Format::Text), ("openmetrics", Format::OpenMetrics)] {
        for case in cases[key].as_array().unwrap() {
            let page = input(case, "input");
            let mut parser = Parser::new(&page, format).whole().with_start_timestamps();
            for want in case["entries"].as_array().unwrap() {
                let got = describe(parser.next().unwrap().unwrap());
                assert_eq!(got, expected(want));
                entries += 1;
            }
            let end = parser.next().unwrap();
            assert_eq!(end, (format == Format::OpenMetrics).then_some(Entry::Eof));
            assert_eq!(parser.next(), Ok(None));
        }
    }
    println!("{entries} entries agree");
    assert_eq!(entries, 46 + 13 + 86 + 13);
}

#[test]
fn every_error_of_the_upstream_parsers() {
    let Some(cases) = json_corpus("prometheus-parser-cases.json") else { return };
    let (mut agree, mut same_words) = (0, 0);
    for (key, format) in [("text_errors", Format::Text), ("openmetrics_errors", Format::OpenMetrics)] {
        for case in cases[key].as_array().unwrap() {
            let want = case["error"].as_str().unwrap();
            let got = parse(&input(case, "input"), format);
            assert_eq!(got.is_ok(), want.is_empty() || want == "EOF", "{case}: {got:?}");
            agree += 1;
            if let (Err(error), Some(words)) = (got, want.strip_prefix("expected ")) {
                let words = words.split(", got").next().unwrap();
                let same = error.expected.starts_with(words);
                same_words += usize::from(same);
                if !same {
                    println!("{want}\n    here: {error}");
                }
            }
        }
    }
    println!("{agree} inputs agree, {same_words} errors expect the same thing");
    assert_eq!(agree, 27 + 82);
    assert!(same_words >= 50, "{same_words}");
}

/// Cases that must be refused by the specification's validator and are taken by upstream's scraper, which
/// looks at lines and not at families. (Name without its number, why it is taken.)
const VALIDATOR_ONLY: [(&str, &str); 15] = [
    ("bad_clashing_names", "names are not compared between families"),
    ("bad_counter_values", "values are not checked against types"),
    (
        "bad_exemplar_complex_chars",
        "exemplars of any size and on any sample are parsed; the store limits them",
    ),
    ("bad_exemplars", "exemplars of any size and on any sample are parsed; the store limits them"),
    ("bad_exemplars_on_unallowed_metric_types", "exemplars are parsed on any sample"),
    ("bad_exemplars_on_unallowed_samples", "exemplars are parsed on any sample"),
    ("bad_grouping_or_ordering", "the order of families and times is not checked"),
    ("bad_histograms", "histograms are not checked for being complete"),
    ("bad_info_and_stateset_values", "values are not checked against types"),
    ("bad_metadata_in_wrong_place", "metadata may come after samples"),
    ("bad_missing_or_extra_commas", "a trailing comma is taken"),
    ("bad_missing_or_invalid_labels_for_a_type", "labels are not checked against types"),
    ("bad_repeated_metadata", "metadata may be repeated"),
    ("bad_stateset_info_values", "values are not checked against types"),
    ("bad_unit", "units are not checked against types"),
];

#[test]
fn openmetrics_suite() {
    let Some(suite) = json_corpus("openmetrics-1.0-suite.json") else { return };
    let (mut agree, mut taken, mut unknown) = (0, Vec::new(), Vec::new());
    for case in suite["cases"].as_array().unwrap() {
        let name = case["name"].as_str().unwrap();
        let should_parse = case["should_parse"].as_bool().unwrap();
        let got = parse(&input(case, "text"), Format::OpenMetrics);
        if got.is_ok() == should_parse {
            agree += 1;
            continue;
        }
        assert!(!should_parse, "{name} must be taken: {got:?}");
        let stem = name.trim_end_matches(|c: char| c.is_ascii_digit() || c == '_');
        if !VALIDATOR_ONLY.iter().any(|(known, _)| *known == stem) {
            unknown.push(case.to_string());
        }
        taken.push(name.to_owned());
    }
    assert!(unknown.is_empty(), "must be refused: {unknown:#?}");
    println!("{agree} of 211 agree; taken as upstream's scraper does: {taken:?}");
    assert_eq!((agree, taken.len()), (133, 78));
}

/// Inputs that upstream's family parser refuses and upstream's scraper takes, found by a piece of the
/// expected error.
const FAMILIES_ONLY: [(&str, &str); 8] = [
    ("unexpected end of input stream", "the transport vouches for the page here; see Parser::whole"),
    ("invalid escape sequence", "an unknown escape stands for itself"),
    ("second HELP line", "metadata may be repeated"),
    ("second TYPE line", "metadata may be repeated"),
    ("expected float as value for 'quantile'", "bounds that are no numbers stay text"),
    ("expected float as value for 'le'", "bounds that are no numbers stay text"),
    ("negative count for histogram", "histograms are not checked for being sensible"),
    ("negative bucket population", "histograms are not checked for being sensible"),
];

#[test]
fn family_cases() {
    let Some(corpus) = json_corpus("text-to-families.json") else { return };
    for case in corpus["cases"].as_array().unwrap() {
        let got = parse(&input(case, "in"), Format::Text);
        assert!(got.is_ok(), "{case}: {got:?}");
    }
    let (mut refused, mut taken, mut unknown) = (0, 0, Vec::new());
    for case in corpus["errors"].as_array().unwrap() {
        let got = parse(&input(case, "in"), Format::Text);
        match (case["error_starts_with"].as_str(), &got) {
            (None, Ok(_)) | (Some(_), Err(_)) => refused += 1,
            (None, Err(error)) => panic!("{case}: {error}"),
            (Some(want), Ok(_)) => {
                let known = FAMILIES_ONLY.iter().any(|(piece, _)| want.contains(piece));
                if !known {
                    unknown.push(case.to_string());
                }
                taken += 1;
            }
        }
    }
    assert!(unknown.is_empty(), "must be refused: {unknown:#?}");
    println!("{refused} of 48 agree, {taken} are taken as upstream's scraper does");
    assert_eq!((refused, taken), (33, 15));
}

#[test]
fn whole_pages_and_their_halves() {
    let pages = [
        ("alltypes.237mfs.prom.txt", Format::Text),
        ("alltypes.237mfs.nometa.prom.txt", Format::Text),
        ("expfmt-text", Format::Text),
        ("alltypes.5mfs.om.txt", Format::OpenMetrics),
        ("1histogram.om.txt", Format::OpenMetrics),
    ];
    for (name, format) in pages {
        let Some(page) = corpus(&format!("pages/{name}")) else { return };
        let samples = parse(&page, format).unwrap_or_else(|error| panic!("{name}: {error}"));
        println!("{name}: {samples} samples in {} bytes", page.len());
        for cut in (1..page.len() - 7).step_by(997) {
            let mut parser = Parser::new(&page[..cut], format);
            let end = loop {
                match parser.next() {
                    Ok(Some(_)) => {}
                    end => break end.is_ok(),
                }
            };
            let between_lines = format == Format::Text && page[cut - 1] == b'\n';
            assert_eq!(end, between_lines, "{name} cut at {cut}");
        }
    }
}
