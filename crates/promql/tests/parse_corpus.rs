//! The parser, the type check and the printer against what upstream says about the same texts.

mod common;

use std::fmt::Write as _;

use nave_promql::ast::Expr;
use nave_promql::parse::{ParseErrors, ParseOptions, parse, parse_bytes};
use serde_json::Value;

fn load(file: &str) -> Option<Value> {
    let path = common::corpora()?.join("promql").join(file);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    Some(serde_json::from_str(&text).unwrap())
}

fn array(value: &Value) -> &[Value] {
    value.as_array().unwrap()
}

fn input(case: &Value) -> Vec<u8> {
    match case.get("input") {
        Some(text) => text.as_str().unwrap().as_bytes().to_vec(),
        None => decode_base64(case["input_base64"].as_str().unwrap()),
    }
}

fn decode_base64(text: &str) -> Vec<u8> {
    const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let digits: Vec<u32> = text
        .bytes()
        .filter(|byte| *byte != b'=')
        .map(|byte| ALPHABET.iter().position(|known| *known == byte).unwrap() as u32)
        .collect();
    let mut out = Vec::new();
    for group in digits.chunks(4) {
        let bits = group.iter().fold(0, |bits, digit| bits << 6 | digit) << (6 * (4 - group.len()));
        out.extend((0..group.len() - 1).map(|at| (bits >> (16 - 8 * at)) as u8));
    }
    out
}

/// Runs `check` on every case, prints what failed and wants exactly `exceptions` among it.
fn run(cases: &[Value], total: usize, exceptions: &[&str], check: impl Fn(&Value) -> Result<(), String>) {
    assert_eq!(cases.len(), total);
    let mut report = String::new();
    for case in cases {
        let shown = String::from_utf8_lossy(&input_of_any(case)).into_owned();
        let known = exceptions.contains(&shown.as_str());
        match check(case) {
            Err(_) if known => {}
            Ok(()) if known => _ = writeln!(report, "{shown}\n    passes: remove the exception"),
            Err(message) => _ = writeln!(report, "{shown}\n    {message}"),
            Ok(()) => {}
        }
    }
    assert!(report.is_empty(), "\n{report}");
}

fn input_of_any(case: &Value) -> Vec<u8> {
    match case.get("in").or(case.get("query")) {
        Some(text) => text.as_str().unwrap().as_bytes().to_vec(),
        None => input(case),
    }
}

fn parse_all(query: &[u8]) -> Result<Expr, ParseErrors> {
    parse_bytes(query, &ParseOptions::ALL)
}

fn same(what: &str, got: &str, want: &str) -> Result<(), String> {
    if got == want { Ok(()) } else { Err(format!("{what}: got  {got}\n    {what}: want {want}")) }
}

#[test]
fn expressions() {
    let Some(corpus) = load("parse-cases.json") else { return };
    run(array(&corpus["expressions"]), 353, &[], |case| {
        let parsed = parse_all(&input(case));
        match (parsed, case["ok"].as_bool().unwrap()) {
            (Ok(expr), true) => prints_again(&expr),
            (Ok(expr), false) => Err(format!("accepted as {expr}, want {}", case["errors"])),
            (Err(errors), true) => Err(format!("refused: {errors}")),
            (Err(errors), false) => same_errors(&errors, array(&case["errors"])),
        }
    });
}

fn prints_again(expr: &Expr) -> Result<(), String> {
    let printed = expr.to_string();
    let again = parse_all(printed.as_bytes()).map_err(|error| format!("{printed}: {error}"))?;
    same("printed again", &again.to_string(), &printed)?;
    let pretty = expr.pretty();
    let again = parse_all(pretty.as_bytes()).map_err(|error| format!("{pretty}: {error}"))?;
    same("pretty", &again.to_string(), &printed)
}

fn same_errors(got: &ParseErrors, want: &[Value]) -> Result<(), String> {
    let got: Vec<String> = got
        .all()
        .iter()
        .map(|error| format!("{}..{} {}", error.pos.start, error.pos.end, error.message))
        .collect();
    let matches = got.len() == want.len()
        && got.iter().zip(want).all(|(got, want)| {
            // A position that the corpus leaves open is any.
            let (range, message) = got.split_once(' ').unwrap();
            let (start, end) = range.split_once("..").unwrap();
            let open = |value: &Value, got: &str| value.as_u64().is_none_or(|want| got.parse() == Ok(want));
            message == want["message"] && open(&want["start"], start) && open(&want["end"], end)
        });
    let want: Vec<String> = want
        .iter()
        .map(|error| format!("{}..{} {}", error["start"], error["end"], error["message"]))
        .collect();
    if matches { Ok(()) } else { Err(format!("got  {got:?}\n    want {want:?}")) }
}

/// Real 3.5.3 answers, where it and 3.14 agree.
#[test]
fn texts_of_a_real_server() {
    /// Differs since 3.5: grammar and texts of the newer version.
    const NEWER: usize = 32;
    let Some(corpus) = load("parse-cases.json") else { return };
    let mut newer = Vec::new();
    let mut compared = 0;
    for case in array(&corpus["expressions"]) {
        let answer = match parse_all(&input(case)) {
            Ok(expr) => expr.pretty(),
            Err(errors) => format!("invalid parameter \"query\": {errors}"),
        };
        let Some(want) = case.get("formatted_3_5").or(case.get("error_text_3_5")) else { continue };
        compared += 1;
        if want.as_str() != Some(&answer) {
            newer.push(format!("{}\n    3.5.3 {want}\n    got   {answer}", case["input"]));
        }
    }
    assert!(compared > 300);
    assert_eq!(newer.len(), NEWER, "\n{}", newer.join("\n"));
}

#[test]
fn print() {
    let Some(corpus) = load("parse-cases.json") else { return };
    run(array(&corpus["print"]), 86, &[], |case| {
        let expr = parse_all(&input_of_any(case)).map_err(|error| error.to_string())?;
        same("printed", &expr.to_string(), case["out"].as_str().unwrap())?;
        prints_again(&expr)
    });
}

/// Upstream's cases split lines after 10 characters.
#[test]
fn pretty() {
    let Some(corpus) = load("parse-cases.json") else { return };
    run(array(&corpus["pretty"]), 62, &[], |case| {
        let expr = parse_all(&input_of_any(case)).map_err(|error| error.to_string())?;
        same("pretty", &expr.pretty_within(10), case["out"].as_str().unwrap())
    });
}

#[test]
fn selectors() {
    let Some(corpus) = load("parse-cases.json") else { return };
    run(array(&corpus["selectors"]), 5, &[], |case| {
        let expr = parse_all(&input(case)).map_err(|error| error.to_string())?;
        let got: Vec<String> = expr
            .selectors()
            .iter()
            .map(|selector| {
                let matchers: Vec<String> = selector.matchers.iter().map(|m| format!("{m:?}")).collect();
                format!("{{{}}}", matchers.join(", "))
            })
            .collect();
        same("selectors", &format!("{got:?}"), &format!("{:?}", strings(&case["selectors"])))
    });
}

fn strings(value: &Value) -> Vec<&str> {
    array(value).iter().map(|text| text.as_str().unwrap()).collect()
}

/// The trees that a real 3.5.3 builds.
#[test]
fn trees_of_a_real_server() {
    /// 3.5.3 drops the parentheses around a literal duration; 3.14 keeps them as an expression.
    const PARENTHESES: &[&str] = &["foo offset +(5)", "foo offset -(5)", "foo offset (5)", "foo[(5s)]"];
    let Some(corpus) = load("parse-query-api.json") else { return };
    run(array(&corpus["cases"]), 368, PARENTHESES, |case| {
        let query = case["query"].as_str().unwrap();
        let expr = parse(query, &ParseOptions::ALL).map_err(|error| error.to_string())?;
        same("tree", &tree::json(&expr).to_string(), &case["ast"].to_string())
    });
}

/// Trees as `/api/v1/parse_query` shows them.
mod tree {
    use nave_promql::ast::{At, Expr, ExprKind, Selector, Span};
    use nave_promql::function::{Function, Variadic};
    use serde_json::{Map, Value, json};

    pub(super) fn json(expr: &Expr) -> Value {
        match &expr.kind {
            ExprKind::Number(number) => {
                // The API does not show that a number was written as a duration.
                let plain = nave_promql::ast::Number { is_duration: false, ..*number };
                json!({ "type": "numberLiteral", "val": plain.to_string() })
            }
            ExprKind::String(text) => json!({ "type": "stringLiteral", "val": text.to_text() }),
            ExprKind::Selector(found) => Value::Object(selector(found, "vectorSelector")),
            ExprKind::Matrix(matrix) => {
                let mut map = selector(&matrix.selector, "matrixSelector");
                map.insert("range".to_owned(), span(&matrix.range));
                Value::Object(map)
            }
            ExprKind::Subquery(subquery) => {
                let step = subquery.step.as_ref().map_or(json!(0), span);
                let (timestamp, edge) = at(subquery.at);
                json!({
                    "type": "subquery", "expr": json(&subquery.expr), "range": span(&subquery.range),
                    "offset": span(&subquery.offset), "step": step, "timestamp": timestamp, "startOrEnd": edge,
                })
            }
            ExprKind::Call(call) => {
                let args: Vec<Value> = call.args.iter().map(json).collect();
                json!({ "type": "call", "func": function(call.function), "args": args })
            }
            ExprKind::Aggregate(aggregate) => json!({
                "type": "aggregation", "op": aggregate.op.as_str(), "expr": json(&aggregate.expr),
                "param": aggregate.param.as_deref().map(json), "grouping": aggregate.grouping,
                "without": aggregate.without,
            }),
            ExprKind::Binary(binary) => json!({
                "type": "binaryExpr", "op": binary.op.as_str(), "lhs": json(&binary.lhs), "rhs": json(&binary.rhs),
                "bool": binary.return_bool,
                "matching": binary.matching.as_ref().map(|matching| json!({
                    "card": matching.cardinality.as_str(), "labels": matching.labels, "on": matching.on,
                    "include": matching.include,
                })),
            }),
            ExprKind::Unary(unary) => {
                let op = if unary.negative { "-" } else { "+" };
                json!({ "type": "unaryExpr", "op": op, "expr": json(&unary.expr) })
            }
            ExprKind::Paren(inner) => json!({ "type": "parenExpr", "expr": json(inner) }),
        }
    }

    fn selector(selector: &Selector, kind: &str) -> Map<String, Value> {
        let matchers: Vec<Value> = selector
            .matchers
            .iter()
            .map(|m| json!({ "name": m.name(), "type": m.op().as_str(), "value": m.value() }))
            .collect();
        let (timestamp, edge) = at(selector.at);
        let map = json!({
            "type": kind, "name": selector.name, "offset": span(&selector.offset), "timestamp": timestamp,
            "startOrEnd": edge, "matchers": matchers,
        });
        match map {
            Value::Object(map) => map,
            _ => unreachable!("json! of braces is an object"),
        }
    }

    fn span(span: &Span) -> Value {
        match span {
            Span::Fixed(ms) => json!(ms),
            // 3.5.3 shows no length for expressions.
            Span::Computed(_) => json!(0),
        }
    }

    fn at(at: Option<At>) -> (Value, Value) {
        match at {
            Some(At::Time(time)) => (json!(time.0), Value::Null),
            Some(At::Start) => (Value::Null, json!("start")),
            Some(At::End) => (Value::Null, json!("end")),
            None => (Value::Null, Value::Null),
        }
    }

    fn function(function: &Function) -> Value {
        let types: Vec<&str> = function.args.iter().map(|arg| arg.as_str()).collect();
        let variadic = match function.variadic {
            Variadic::Fixed => 0,
            Variadic::Optional(more) => i32::from(more),
            Variadic::Repeats => -1,
        };
        json!({ "name": function.name, "argTypes": types, "variadic": variadic,
            "returnType": function.returns.as_str() })
    }
}

#[test]
fn dashboards_and_rules() {
    let Some(queries) = common::dashboard_queries() else { return };
    assert_eq!(queries.len(), 1259);
    let check = |query: &String| {
        let expr = parse(query, &ParseOptions::default()).map_err(|error| format!("{query}\n    {error}"))?;
        prints_again(&expr)
    };
    let wrong: Vec<String> = queries.iter().filter_map(|query| check(query).err()).collect();
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}
