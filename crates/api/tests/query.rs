//! What clients of `query`, `query_range`, `series`, `labels` and their like see. The texts were compared with a real
//! Prometheus 3.5.

mod support;

use std::sync::Arc;
use std::sync::atomic::Ordering;

use support::{Process, ask, get, server};

/// GET `path` gives `status` and `body`: all of it for 200 (the value of `data`), else the error's text.
async fn check(path: &str, status: u16, expect: &str) {
    let reply = get(&server(&Arc::default()), path).await;
    let body = match status {
        200 => format!(r#"{{"status":"success","data":{expect}}}"#),
        _ => {
            let kind = match status {
                400 => "bad_data",
                422 => "execution",
                503 => "unavailable",
                other => panic!("no error type for {other}"),
            };
            let text = serde_json::to_string(expect).unwrap();
            format!(r#"{{"status":"error","errorType":"{kind}","error":{text}}}"#)
        }
    };
    assert_eq!((reply.status, reply.body.as_str()), (status, body.as_str()), "{path}");
    assert_eq!(reply.headers["content-type"], "application/json", "{path}");
}

#[tokio::test]
async fn instant_queries() {
    for (query, result) in [
        ("1%2B1&time=1", r#"{"resultType":"scalar","result":[1,"2"]}"#),
        ("1e21&time=1.5", r#"{"resultType":"scalar","result":[1.5,"1000000000000000000000"]}"#),
        ("1", r#"{"resultType":"scalar","result":[1795176000,"1"]}"#),
        (r#""a%5C"%C3%A9"&time=0"#, r#"{"resultType":"string","result":[0,"a\"é"]}"#),
        ("nothing", r#"{"resultType":"vector","result":[]}"#),
        ("vector(NaN)&time=1.5", r#"{"resultType":"vector","result":[{"metric":{},"value":[1.500,"NaN"]}]}"#),
        (
            "up",
            r#"{"resultType":"vector","result":[{"metric":{"__name__":"up","instance":"a:1","job":"node"},"value":[1795176000,"1"]},{"metric":{"__name__":"up","instance":"b:1","job":"node"},"value":[1795176000,"0"]}]}"#,
        ),
        (
            "odd",
            r#"{"resultType":"vector","result":[{"metric":{"__name__":"odd","kind":"inf"},"value":[1795176000,"+Inf"]},{"metric":{"__name__":"odd","kind":"nan"},"value":[1795176000,"NaN"]},{"metric":{"__name__":"odd","kind":"tiny"},"value":[1795176000,"1e-07"]}]}"#,
        ),
        (
            "dotted",
            r#"{"resultType":"vector","result":[{"metric":{"__name__":"dotted","http.status":"200\"\n"},"value":[1795176000,"1.5"]}]}"#,
        ),
        (
            r#"up%7Binstance="b:1"%7D[2m]"#,
            r#"{"resultType":"matrix","result":[{"metric":{"__name__":"up","instance":"b:1","job":"node"},"values":[[1795175940,"0"],[1795176000,"0"]]}]}"#,
        ),
        (
            "sum(up)&time=2026-11-20T11:57:00Z",
            r#"{"resultType":"vector","result":[{"metric":{},"value":[1795175820,"2"]}]}"#,
        ),
        ("count(up)&time=1795176600", r#"{"resultType":"vector","result":[]}"#),
        (
            "count(up)&time=1795176600&lookback_delta=11m",
            r#"{"resultType":"vector","result":[{"metric":{},"value":[1795176600,"2"]}]}"#,
        ),
    ] {
        check(&format!("/api/v1/query?query={query}"), 200, result).await;
    }
}

#[tokio::test]
async fn instant_query_errors() {
    for (query, status, text) in [
        (
            "",
            400,
            r#"invalid parameter "query": unknown position: parse error: no expression found in input"#,
        ),
        ("?query=(1", 400, r#"invalid parameter "query": 1:3: parse error: unclosed left parenthesis"#),
        (
            "?query=1&time=abc",
            400,
            r#"invalid parameter "time": invalid time value for 'time': cannot parse "abc" to a valid timestamp"#,
        ),
        (
            "?query=1&timeout=abc",
            400,
            r#"invalid parameter "timeout": cannot parse "abc" to a valid duration"#,
        ),
        ("?query=1&limit=-1", 400, r#"invalid parameter "limit": limit must be non-negative"#),
        ("?query=1&limit=x", 400, r#"invalid parameter "limit": strconv.Atoi: parsing "x": invalid syntax"#),
        (
            "?query=1&lookback_delta=x",
            400,
            r#"error parsing lookback delta duration: cannot parse "x" to a valid duration"#,
        ),
        (
            "?query=rate(up)",
            400,
            r#"invalid parameter "query": 1:6: parse error: expected type range vector in call to function "rate", got instant vector"#,
        ),
    ] {
        check(&format!("/api/v1/query{query}"), status, text).await;
    }
    let path = "/api/v1/query?query=up%20*%20on(job)%20up";
    let reply = get(&server(&Arc::default()), path).await;
    assert_eq!(reply.status, 422);
    assert!(reply.body.contains("many-to-many matching not allowed"), "{}", reply.body);
}

#[tokio::test]
async fn range_queries() {
    for (query, result) in [
        (
            "1&start=1&end=4&step=1s500ms",
            r#"{"resultType":"matrix","result":[{"metric":{},"values":[[1,"1"],[2.500,"1"],[4,"1"]]}]}"#,
        ),
        ("nothing&start=1&end=2&step=1", r#"{"resultType":"matrix","result":[]}"#),
        (
            "sum(up)&start=1795175880&end=1795176000&step=60",
            r#"{"resultType":"matrix","result":[{"metric":{},"values":[[1795175880,"1"],[1795175940,"1"],[1795176000,"1"]]}]}"#,
        ),
    ] {
        check(&format!("/api/v1/query_range?query={query}"), 200, result).await;
    }
    for (query, text) in [
        ("1", r#"invalid parameter "start": cannot parse "" to a valid timestamp"#),
        ("1&start=1", r#"invalid parameter "end": cannot parse "" to a valid timestamp"#),
        (
            "1&start=10&end=5&step=1",
            r#"invalid parameter "end": end timestamp must not be before start time"#,
        ),
        (
            "1&start=1&end=5&step=0",
            r#"invalid parameter "step": zero or negative query resolution step widths are not accepted. Try a positive integer"#,
        ),
        ("1&start=1&end=5&step=abc", r#"invalid parameter "step": cannot parse "abc" to a valid duration"#),
        (
            "1&start=1&end=500000&step=1",
            "exceeded maximum resolution of 11,000 points per timeseries. Try decreasing the query resolution (?step=XX)",
        ),
        (
            "up[5m]&start=1&end=5&step=1",
            r#"invalid parameter "query": invalid expression type "range vector" for range query, must be Scalar or instant Vector"#,
        ),
    ] {
        check(&format!("/api/v1/query_range?query={query}"), 400, text).await;
    }
}

#[tokio::test]
async fn series_and_labels() {
    let up = r#"[{"__name__":"up","instance":"a:1","job":"node"},{"__name__":"up","instance":"b:1","job":"node"}]"#;
    for (path, data) in [
        ("series?match[]=up", up),
        (r#"series?match[]=up&match[]=%7Bjob="node"%7D"#, up),
        ("series?match[]=nothing", "[]"),
        ("series?match[]=up&start=20&end=10", "[]"),
        ("series?match[]=up&end=10", "[]"),
        ("labels", r#"["__name__","http.status","instance","job","kind"]"#),
        ("labels?match[]=up", r#"["__name__","instance","job"]"#),
        ("labels?match[]=nothing", "[]"),
        ("label/__name__/values", r#"["dotted","odd","up"]"#),
        ("label/job/values?match[]=up", r#"["node"]"#),
        ("label/nothing/values", "[]"),
        ("label/U__http_2e_status/values", r#"["200\"\n"]"#),
        ("label/http%2Estatus/values", r#"["200\"\n"]"#),
        (
            "metadata",
            r#"{"a_seconds":[{"type":"counter","unit":"seconds","help":"Counts \"a\"."}],"up":[{"type":"gauge","unit":"","help":"Is it up?"},{"type":"unknown","unit":"","help":"Other."}]}"#,
        ),
        (
            "metadata?limit=1&limit_per_metric=1",
            r#"{"a_seconds":[{"type":"counter","unit":"seconds","help":"Counts \"a\"."}]}"#,
        ),
        (
            "metadata?metric=up&limit_per_metric=1",
            r#"{"up":[{"type":"gauge","unit":"","help":"Is it up?"}]}"#,
        ),
        ("metadata?metric=none", "{}"),
        (
            "query_exemplars?query=rate(up[5m])&start=1&end=2",
            r#"[{"seriesLabels":{"__name__":"up","instance":"a:1"},"exemplars":[{"labels":{"trace_id":"abc"},"value":"0.5","timestamp":1.500}]}]"#,
        ),
        ("query_exemplars?query=up&start=2&end=3", "[]"),
        ("query_exemplars?query=down&start=1&end=2", "[]"),
        ("format_query?query=sum(up)by(job)/2", r#""sum by (job) (up) / 2""#),
    ] {
        check(&format!("/api/v1/{path}"), 200, data).await;
    }
    for (path, text) in [
        ("series", "no match[] parameter provided"),
        (
            "series?match[]=%7B%7D",
            r#"invalid parameter "match[]": match[] must contain at least one non-empty matcher"#,
        ),
        (
            "series?match[]=",
            r#"invalid parameter "match[]": unknown position: parse error: unexpected end of input"#,
        ),
        (
            "series?match[]=up&start=x",
            r#"invalid parameter "start": invalid time value for 'start': cannot parse "x" to a valid timestamp"#,
        ),
        ("metadata?limit=x", "limit must be a number"),
        ("metadata?limit_per_metric=x", "limit_per_metric must be a number"),
        ("query_exemplars?query=", "unknown position: parse error: no expression found in input"),
        ("format_query?query=(", r#"invalid parameter "query": 1:2: parse error: unclosed left parenthesis"#),
    ] {
        check(&format!("/api/v1/{path}"), 400, text).await;
    }
}

#[tokio::test]
async fn limits_cut_with_a_warning() {
    let router = server(&Arc::default());
    for (path, cut) in [
        ("query?query=up&limit=1", true),
        ("query?query=up&limit=2", false),
        ("query?query=up&limit=0", false),
        ("series?match[]=up&limit=1", true),
        ("series?match[]=up&limit=2", false),
        ("labels?limit=2", true),
        ("labels?limit=5", false),
        ("label/__name__/values?limit=2", true),
    ] {
        let reply = get(&router, &format!("/api/v1/{path}")).await;
        assert_eq!(reply.status, 200, "{path}");
        let warning = r#","warnings":["results truncated due to limit"]}"#;
        assert_eq!(reply.body.ends_with(warning), cut, "{path}: {}", reply.body);
    }
}

#[tokio::test]
async fn statistics_when_asked() {
    let router = server(&Arc::default());
    for (parameter, given) in [("", false), ("&stats=true", true), ("&stats=all", true)] {
        let reply = get(&router, &format!("/api/v1/query?query=up{parameter}")).await;
        let json: serde_json::Value = serde_json::from_str(&reply.body).unwrap();
        let stats = &json["data"]["stats"];
        assert_eq!(stats["samples"]["totalQueryableSamples"] == 2, given, "{parameter}: {}", reply.body);
        assert_eq!(stats["timings"]["execTotalTime"].is_number(), given, "{parameter}");
    }
}

#[tokio::test]
async fn plans_of_queries() {
    let router = server(&Arc::default());
    for path in [
        "query?query=sum(up)",
        "query?query=sum(up)&stats=1",
        "query_range?query=sum(up)&start=1795175820&end=1795176000&step=60",
    ] {
        for (explain, given) in [("", false), ("&explain=0", false), ("&explain=1", true)] {
            let reply = get(&router, &format!("/api/v1/{path}{explain}")).await;
            let json: serde_json::Value = serde_json::from_str(&reply.body).unwrap();
            let data = &json["data"];
            let lines: Option<Vec<&str>> = data["plan"].as_str().map(|plan| plan.lines().collect());
            assert_eq!(lines.is_some(), given, "{path}{explain}: {}", reply.body);
            if let Some(lines) = lines {
                assert!(lines[0].starts_with("sum by () [series=1 "), "{lines:?}");
                assert!(lines[1].starts_with("  scan ") && lines[1].ends_with("ms]"), "{lines:?}");
            }
            assert_eq!(data["stats"].is_object(), path.contains("stats"), "{path}{explain}");
            assert_eq!(data["result"].as_array().unwrap().len(), 1, "{path}{explain}");
        }
    }
}

#[tokio::test]
async fn forms_come_before_the_address() {
    let router = server(&Arc::default());
    let scalar =
        |value| format!(r#"{{"status":"success","data":{{"resultType":"scalar","result":[1,"{value}"]}}}}"#);
    let reply = ask(&router, "POST", "/api/v1/query", Some("query=1%2B1&time=1")).await;
    assert_eq!(reply.body, scalar(2));
    let reply = ask(&router, "POST", "/api/v1/query?query=7&time=1", Some("query=1")).await;
    assert_eq!(reply.body, scalar(1));
    let reply = ask(&router, "POST", "/api/v1/query?query=7&time=1", None).await;
    assert_eq!(reply.body, scalar(7));
    for path in ["/api/v1/series", "/prometheus/api/v1/series"] {
        let reply = ask(&router, "POST", path, Some("match%5B%5D=up&limit=1")).await;
        assert!(
            reply.body.contains(r#""data":[{"__name__":"up","instance":"a:1""#),
            "{path}: {}",
            reply.body
        );
    }
    assert_eq!(ask(&router, "DELETE", "/api/v1/query?query=1", None).await.status, 405);
}

#[tokio::test]
async fn nothing_is_answered_before_the_store_is_ready() {
    let process: Arc<Process> = Arc::default();
    process.not_ready.store(true, Ordering::SeqCst);
    let router = server(&process);
    for path in [
        "query?query=1",
        "query_range?query=1&start=1&end=2&step=1",
        "labels",
        "series?match[]=up",
        "status/tsdb",
    ] {
        let reply = get(&router, &format!("/api/v1/{path}")).await;
        assert_eq!(reply.status, 503, "{path}");
        let text = r#""errorType":"unavailable","error":"TSDB not ready: reading the log""#;
        assert!(reply.body.contains(text), "{path}: {}", reply.body);
    }
    assert_eq!(get(&router, "/api/v1/status/walreplay").await.status, 200);
}

#[tokio::test]
async fn syntax_trees() {
    let up = r#"{"matchers":[{"name":"__name__","type":"=","value":"up"}],"name":"up","offset":0,"startOrEnd":null,"timestamp":null,"type":"vectorSelector"}"#;
    for (query, tree) in [
        ("up", up.to_owned()),
        (
            "quantile(0.5,up)",
            format!(
                r#"{{"expr":{up},"grouping":[],"op":"quantile","param":{{"type":"numberLiteral","val":"0.5"}},"type":"aggregation","without":false}}"#
            ),
        ),
        (
            "rate(up[5m] @ 1 offset -1m)",
            r#"{"args":[{"matchers":[{"name":"__name__","type":"=","value":"up"}],"name":"up","offset":-60000,"range":300000,"startOrEnd":null,"timestamp":1000,"type":"matrixSelector"}],"func":{"argTypes":["matrix"],"name":"rate","returnType":"vector","variadic":0},"type":"call"}"#.to_owned(),
        ),
        (
            "label_join(up,\"a\",\"b\")",
            format!(
                r#"{{"args":[{up},{{"type":"stringLiteral","val":"a"}},{{"type":"stringLiteral","val":"b"}}],"func":{{"argTypes":["vector","string","string","string"],"name":"label_join","returnType":"vector","variadic":-1}},"type":"call"}}"#
            ),
        ),
        (
            "-up and on(a) (up)",
            format!(
                r#"{{"bool":false,"lhs":{{"expr":{up},"op":"-","type":"unaryExpr"}},"matching":{{"card":"many-to-many","include":[],"labels":["a"],"on":true}},"op":"and","rhs":{{"expr":{up},"type":"parenExpr"}},"type":"binaryExpr"}}"#
            ),
        ),
        (
            "max_over_time(up[5m:1m] @ end())",
            format!(
                r#"{{"args":[{{"expr":{up},"offset":0,"range":300000,"startOrEnd":"end","step":60000,"timestamp":null,"type":"subquery"}}],"func":{{"argTypes":["matrix"],"name":"max_over_time","returnType":"vector","variadic":0}},"type":"call"}}"#
            ),
        ),
        ("Inf", r#"{"type":"numberLiteral","val":"+Inf"}"#.to_owned()),
    ] {
        let query = query.replace(' ', "+");
        check(&format!("/api/v1/parse_query?query={query}"), 200, &tree).await;
    }
}
