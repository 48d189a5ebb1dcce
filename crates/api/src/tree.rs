//! `parse_query`: the syntax tree of a query in upstream's JSON, for editors that show it.
//!
//! Trees are at most as high as the parser allows, so that recursion over them is safe. Keys come out in
//! alphabetical order, as upstream's.

use nave_model::matcher::Matcher;
use nave_promql::Expr;
use nave_promql::ast::{At, Call, ExprKind, Matching, Selector, Span};
use nave_promql::function::Variadic;
use serde_json::{Value, json};

use crate::json;

/// The tree under `expr`.
pub(crate) fn tree(expr: &Expr) -> Value {
    match &expr.kind {
        ExprKind::Number(number) => json!({"type": "numberLiteral", "val": number_text(number.value)}),
        ExprKind::String(text) => json!({"type": "stringLiteral", "val": text.to_text()}),
        ExprKind::Selector(selector) => selector_tree("vectorSelector", selector, None),
        ExprKind::Matrix(matrix) => selector_tree("matrixSelector", &matrix.selector, Some(&matrix.range)),
        ExprKind::Subquery(subquery) => {
            let (start_or_end, timestamp) = at(subquery.at);
            json!({
                "type": "subquery",
                "expr": tree(&subquery.expr),
                "range": span(&subquery.range),
                "offset": span(&subquery.offset),
                "step": subquery.step.as_ref().map_or(json!(0), span),
                "startOrEnd": start_or_end,
                "timestamp": timestamp,
            })
        }
        ExprKind::Call(call) => call_tree(call),
        ExprKind::Aggregate(aggregate) => json!({
            "type": "aggregation",
            "op": aggregate.op.as_str(),
            "expr": tree(&aggregate.expr),
            "param": aggregate.param.as_deref().map(tree),
            "grouping": aggregate.grouping,
            "without": aggregate.without,
        }),
        ExprKind::Binary(binary) => json!({
            "type": "binaryExpr",
            "op": binary.op.as_str(),
            "lhs": tree(&binary.lhs),
            "rhs": tree(&binary.rhs),
            "matching": binary.matching.as_ref().map(matching),
            "bool": binary.return_bool,
        }),
        ExprKind::Unary(unary) => json!({
            "type": "unaryExpr",
            "op": if unary.negative { "-" } else { "+" },
            "expr": tree(&unary.expr),
        }),
        ExprKind::Paren(inner) => json!({"type": "parenExpr", "expr": tree(inner)}),
    }
}

fn selector_tree(kind: &str, selector: &Selector, range: Option<&Span>) -> Value {
    let (start_or_end, timestamp) = at(selector.at);
    let matchers: Vec<Value> = selector.matchers.iter().map(matcher).collect();
    let mut value = json!({
        "type": kind,
        "name": selector.name,
        "matchers": matchers,
        "offset": span(&selector.offset),
        "startOrEnd": start_or_end,
        "timestamp": timestamp,
    });
    if let Some(range) = range {
        value["range"] = span(range);
    }
    if let Some(edge) = selector.edge {
        value[edge.as_str()] = json!(true);
    }
    value
}

fn matcher(matcher: &Matcher) -> Value {
    json!({"name": matcher.name(), "type": matcher.op().as_str(), "value": matcher.value()})
}

fn call_tree(Call { function, args }: &Call) -> Value {
    let variadic = match function.variadic {
        Variadic::Fixed => 0,
        Variadic::Optional(count) => i64::from(count),
        Variadic::Repeats => -1,
    };
    let arg_types: Vec<&str> = function.args.iter().map(|kind| kind.as_str()).collect();
    json!({
        "type": "call",
        "func": {
            "name": function.name,
            "argTypes": arg_types,
            "variadic": variadic,
            "returnType": function.returns.as_str(),
        },
        "args": args.iter().map(tree).collect::<Vec<_>>(),
    })
}

fn matching(matching: &Matching) -> Value {
    let mut value = json!({
        "card": matching.cardinality.as_str(),
        "labels": matching.labels,
        "on": matching.on,
        "include": matching.include,
    });
    if matching.fill_left.is_some() || matching.fill_right.is_some() {
        let fill = |side: Option<f64>| side.map(number_text);
        value["fillValues"] = json!({"lhs": fill(matching.fill_left), "rhs": fill(matching.fill_right)});
    }
    value
}

fn at(at: Option<At>) -> (Option<&'static str>, Option<i64>) {
    match at {
        None => (None, None),
        Some(At::Start) => (Some("start"), None),
        Some(At::End) => (Some("end"), None),
        Some(At::Time(time)) => (None, Some(time.0)),
    }
}

/// Milliseconds; null where the query computes them when it runs.
fn span(span: &Span) -> Value {
    match span {
        Span::Fixed(ms) => json!(ms),
        Span::Computed(_) => Value::Null,
    }
}

/// The number as text.
fn number_text(value: f64) -> String {
    let mut quoted = String::new();
    json::plain_float(&mut quoted, value);
    quoted.trim_matches('"').to_owned()
}
