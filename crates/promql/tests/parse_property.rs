//! Properties of the parser: printing is a fixed point, and no text makes it panic.

use nave_promql::parse::{DEPTH_MAX, NESTING_MAX, ParseOptions, parse, parse_bytes};
use proptest::prelude::*;
use proptest::sample::select;

fn check_round_trip(query: &str) {
    let Ok(expr) = parse(query, &ParseOptions::ALL) else { return };
    let printed = expr.to_string();
    let again = parse(&printed, &ParseOptions::ALL)
        .unwrap_or_else(|error| panic!("{query:?} prints as {printed:?}, which is refused: {error}"));
    assert_eq!(again.to_string(), printed, "{query:?}");
    let pretty = parse(&expr.pretty_within(10), &ParseOptions::ALL).unwrap();
    assert_eq!(pretty.to_string(), printed, "{query:?}");
}

fn word(words: &'static [&'static str]) -> impl Strategy<Value = String> {
    select(words).prop_map(str::to_owned)
}

fn selector() -> impl Strategy<Value = String> {
    let name = word(&["up", "a:b", "sum", "offset", "start", "fill", "by", ""]);
    let matchers = prop::collection::vec(
        word(&["a=\"b\"", "\"c.d\"!='e'", "f=~\"g.*\"", "h!~`i`", "\"quoted\"", "j=\"\\n\\u00e4\""]),
        0..3,
    );
    let modifier = word(&[
        "",
        " offset 5m",
        " offset -1h30m",
        " @ 12.5",
        " @ end()",
        " anchored",
        " offset (step() * 2)",
    ]);
    (name, matchers, modifier).prop_map(|(name, matchers, modifier)| {
        match (name.is_empty(), matchers.is_empty()) {
            (true, true) => format!("up{modifier}"),
            (false, true) => format!("{name}{modifier}"),
            _ => format!("{name}{{{}}}{modifier}", matchers.join(", ")),
        }
    })
}

fn vector() -> impl Strategy<Value = String> {
    selector().prop_recursive(4, 24, 3, |inner| {
        let op = word(&[
            "+",
            "-",
            "*",
            "/",
            "%",
            "^",
            "atan2",
            "==",
            "!= bool",
            ">",
            "and",
            "or",
            "unless on(a)",
            "/ on(a, \"b.c\") group_left(d)",
            "- ignoring() group_right()",
            "+ fill(-1)",
            "* fill_left(1) fill_right(2)",
            "</",
            ">/",
        ]);
        let range = word(&["5m", "90", "1h:", "1d:30s", "2*step()", "(5m):max_of(step(), 10s)"]);
        prop_oneof![
            (inner.clone(), op, inner.clone()).prop_map(|(a, op, b)| format!("{a} {op} {b}")),
            inner.clone().prop_map(|a| format!("({a})")),
            inner.clone().prop_map(|a| format!("-{a}")),
            inner.clone().prop_map(|a| format!("{a} * 1_0.5e1")),
            (word(&["sum", "topk", "avg"]), inner.clone()).prop_map(|(op, a)| match op.as_str() {
                "topk" => format!("topk(3, {a})"),
                _ => format!("{op}({a}) without (x)"),
            }),
            inner.clone().prop_map(|a| format!("label_replace({a}, 'a', `$1`, \"b\", \"(.*)\")")),
            (inner, range).prop_map(|(a, range)| format!("rate(({a})[{range}])")),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn printing_is_a_fixed_point(query in vector()) {
        check_round_trip(&query);
    }

    #[test]
    fn any_tokens(tokens in prop::collection::vec(word(&[
        "a", "sum", "by", "(", ")", "[", "]", "{", "}", ",", ":", "=", "=~", "'x'", "5m", "0x1f", "1e5", "-", "+",
        "^", "==", "and", "bool", "on", "group_left", "offset", "@", "start", "step", "max_of", "fill", "anchored",
        "rate", "\"\\xff\"", "`", "#", "\n", ".", "é",
    ]), 0..20)) {
        check_round_trip(&tokens.join(" "));
        check_round_trip(&tokens.concat());
    }

    #[test]
    fn any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
        _ = parse_bytes(&bytes, &ParseOptions::ALL).map_err(|errors| errors.to_string());
    }
}

#[test]
fn deep_and_long_queries_are_bounded() {
    let times = |text: &str, count: u32| text.repeat(count as usize);
    let check = |query: &str, want: Option<&str>| {
        let message = parse(query, &ParseOptions::ALL).err().map(|errors| errors.first().message.clone());
        assert_eq!(message.as_deref(), want, "{}", &query[..query.len().min(80)]);
    };
    check(&format!("{}1{}", times("(", NESTING_MAX), times(")", NESTING_MAX)), None);
    let nested = format!("expression is nested deeper than {NESTING_MAX} levels");
    check(&format!("{}1{}", times("(", NESTING_MAX + 1), times(")", NESTING_MAX + 1)), Some(&nested));
    check(&format!("{}a", times("-", NESTING_MAX + 1)), Some(&nested));
    check(&format!("{}1", times("1^", NESTING_MAX + 1)), Some(&nested));
    check(&format!("a[{}1]", times("-", NESTING_MAX + 1)), Some(&nested));
    check(&format!("a[{}1{}]", times("(", NESTING_MAX + 1), times(")", NESTING_MAX + 1)), Some(&nested));
    check(&format!("a{}", times(" or a", DEPTH_MAX - 1)), None);
    let chained = format!("expression has more than {DEPTH_MAX} operators in a chain");
    check(&format!("a{}", times(" or a", DEPTH_MAX)), Some(&chained));
    check(&format!("a{}", times("[1:1]", DEPTH_MAX)), Some(&chained));
    check(&format!("a[1{}]", times("+1", DEPTH_MAX + 1)), Some(&chained));
}
