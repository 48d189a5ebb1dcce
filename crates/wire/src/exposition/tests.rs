use nave_model::time::Timestamp;

use super::*;

fn entries(page: &str, format: Format) -> Result<Vec<Entry<'_>>, String> {
    let mut parser = Parser::new(page.as_bytes(), format);
    let mut entries = Vec::new();
    while let Some(entry) = parser.next().map_err(|error| error.to_string())? {
        entries.push(entry);
    }
    Ok(entries)
}

fn sample(page: &str, format: Format) -> SampleLine<'_> {
    match entries(page, format).unwrap().into_iter().find(|entry| matches!(entry, Entry::Sample(_))) {
        Some(Entry::Sample(sample)) => sample,
        other => panic!("{other:?}"),
    }
}

#[test]
fn errors_say_where_and_what() {
    let check = |format, page: &str, want: &str| assert_eq!(entries(page, format).unwrap_err(), want);
    let text = Format::Text;
    check(text, "a 1\nb{c='d'} 1\n", "line 2, column 5: expected label value, got \"'\"");
    check(text, "a 1\nb 1_2\n", "line 2, column 3: expected a number, got \"1_2\"");
    check(
        text,
        "a 1\nb 12",
        "line 2, column 5: expected a line feed (the page is cut short), got end of page",
    );
    check(
        text,
        "# HELP a b",
        "line 1, column 11: expected a line feed (the page is cut short), got end of page",
    );
    check(
        text,
        "{b=\"1\"} 1\n",
        "line 1, column 1: expected a metric name before or inside the braces, got \"{b=\\\"1\\\"}\"",
    );
    check(text, "a 1 5x\n", "line 1, column 6: expected next entry after timestamp, got \"x\"");
    check(
        text,
        "a 1 99999999999999999999\n",
        "line 1, column 5: expected a timestamp in whole milliseconds, got \"99999999999999999999\"",
    );
    check(text, "<html>\n", "line 1, column 1: expected a valid start token, got \"<\"");
    check(text, "# TYPE a bogus\n", "line 1, column 10: expected a metric type, got \"bogus\"");
    let openmetrics = Format::OpenMetrics;
    check(
        openmetrics,
        "a 1\n",
        "line 2, column 1: expected # EOF at the end of the page (it is cut short), got end of page",
    );
    check(openmetrics, "a 1\n# EOF\nb 1\n", "line 3, column 1: expected no data after # EOF, got \"b 1\\n\"");
    check(
        openmetrics,
        "# UNIT a b\n# EOF\n",
        "line 1, column 10: expected a unit that is the suffix of the metric name, got \"b\"",
    );
}

#[test]
fn the_last_line_may_lack_its_end_where_the_page_is_known_to_be_whole() {
    let last = |page: &'static str| {
        let mut parser = Parser::new(page.as_bytes(), Format::Text).whole();
        match parser.next() {
            Ok(Some(Entry::Sample(sample))) => Some((sample.value, sample.timestamp)),
            _ => None,
        }
    };
    assert_eq!(last("a 12"), Some((12.0, None)));
    assert_eq!(last("a 12 -34"), Some((12.0, Some(Timestamp(-34)))));
    assert_eq!(last("a{b=\"c"), None);
    assert_eq!(last("a"), None);
}

#[test]
fn labels_are_decoded_and_checked() {
    let check = |page: &str, want: &str| {
        let got = sample(page, Format::Text).labels();
        assert_eq!(got.map_or_else(|error| error.to_string(), |labels| labels.to_string()), want);
    };
    check("a{c=\"3\", b = \"\\\"\\\\\\n\\x\" ,} 1\n", r#"{__name__="a", b="\"\\\n\\x", c="3"}"#);
    check("{\"b.c\",\"d e\"=\"1\"} 1\n", r#"{__name__="b.c", "d e"="1"}"#);
    check("a{b=\"\"} 1\n", r#"{__name__="a"}"#);
    check(
        "a{b=\"1\",b=\"2\"} 1\n",
        "line 1, column 1: expected each label name once, got \"a{b=\\\"1\\\",b=\\\"2\\\"}\"",
    );
    check("# TYPE h histogram\nh_bucket{le=\"1\"} 1\n", r#"{__name__="h_bucket", le="1.0"}"#);
    check("# TYPE h gauge\nh{le=\"1\"} 1\n", r#"{__name__="h", le="1"}"#);
}

#[test]
fn bytes_that_are_not_utf8() {
    let labels = |page: &[u8]| Parser::new(page, Format::Text).next().map(|entry| entry.is_some());
    let error = labels(b"a{b=\"\xff\"} 1\n").unwrap_err();
    assert_eq!((error.line, error.column, error.expected), (1, 1, "labels in valid UTF-8"));
    let mut parser = Parser::new(b"# HELP a \xff\\n\nb 1\n", Format::Text);
    let help = Entry::Help { family: "a", text: "\u{fffd}\\n".into() };
    assert_eq!(parser.next(), Ok(Some(help)));
    assert!(matches!(parser.next(), Ok(Some(Entry::Sample(_)))));
}

#[test]
fn an_error_stays() {
    let mut parser = Parser::new(b"a 1\n?\nb 1\n", Format::Text);
    assert!(parser.next().is_ok());
    let error = parser.next().unwrap_err();
    assert_eq!(parser.next(), Err(error));
}

#[test]
fn created_lines_are_samples_unless_asked_otherwise() {
    let page = b"# TYPE a counter\na_total 1\na_created 5.5\n# EOF\n";
    let count = |parser: &mut Parser<'_>| {
        let mut starts = Vec::new();
        while let Some(entry) = parser.next().unwrap() {
            if let Entry::Sample(sample) = entry {
                starts.push(sample.start_timestamp);
            }
        }
        starts
    };
    let parser = Parser::new(page, Format::OpenMetrics);
    assert_eq!(count(&mut parser.clone()), [None, None]);
    assert_eq!(count(&mut parser.with_start_timestamps()), [Some(Timestamp(5500))]);
}

#[test]
fn written_pages_are_read() {
    for format in [Format::Text, Format::OpenMetrics] {
        let mut page = PageWriter::new(format);
        page.family("a.b", "Help \\ \n.", MetricType::Gauge);
        page.sample("a.b", &[("x", "1\n"), ("y z", "\"\\")], -1.5e-7);
        let page = page.finish();
        let got = entries(&page, format).unwrap();
        assert_eq!(got[0], Entry::Help { family: "a.b", text: "Help \\ \n.".into() });
        assert_eq!(got[1], Entry::Type { family: "a.b", kind: MetricType::Gauge });
        let sample = sample(&page, format);
        assert_eq!(sample.value, -1.5e-7);
        assert_eq!(sample.labels().unwrap().to_string(), r#"{__name__="a.b", x="1\n", "y z"="\"\\"}"#);
    }
}

#[test]
fn content_types() {
    let check = |header, want| assert_eq!(Format::from_content_type(header), want, "{header}");
    check("text/plain; version=0.0.4; charset=utf-8", Some(Format::Text));
    check("text/plain;version=1.0.0;escaping=allow-utf-8", Some(Format::Text));
    check("Text/Plain", Some(Format::Text));
    check("application/openmetrics-text; version=1.0.0", Some(Format::OpenMetrics));
    check("application/openmetrics-text;version=\"0.0.1\"", Some(Format::OpenMetrics));
    check("application/openmetrics-text", Some(Format::OpenMetrics));
    check("application/openmetrics-text; version=2.0.0", None);
    check("application/json", None);
    check("", None);
}
