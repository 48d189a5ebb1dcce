//! What the routes show of the process: targets, status, lifecycle, pages, federation, agent mode.

mod support;

use std::sync::Arc;
use std::sync::atomic::Ordering;

use axum::body::Body;
use axum::http::Request;
use support::{Process, ask, common, get, server};
use tower::ServiceExt;

#[tokio::test]
async fn targets() {
    let router = server(&Arc::default());
    let down = r#"{"discoveredLabels":{"__address__":"127.0.0.1:1","job":"node"},"labels":{"instance":"127.0.0.1:1","job":"node"},"scrapePool":"node","scrapeUrl":"http://127.0.0.1:1/metrics","globalUrl":"http://vm:1/metrics","lastError":"connection refused","lastScrape":"2026-11-20T11:59:58.5Z","lastScrapeDuration":0.000436,"health":"down","scrapeInterval":"15s","scrapeTimeout":"10s"}"#;
    let own = r#"{"discoveredLabels":{"__address__":"127.0.0.1:1","job":"node"},"labels":{"instance":"127.0.0.1:1","job":"node"},"scrapePool":"node","scrapeUrl":"http://localhost:9090/metrics","globalUrl":"http://nave.example:9090/metrics","lastError":"","lastScrape":"0001-01-01T00:00:00Z","lastScrapeDuration":0.0,"health":"unknown","scrapeInterval":"15s","scrapeTimeout":"10s"}"#;
    let dropped = r#"{"discoveredLabels":{"__address__":"127.0.0.1:2"},"scrapePool":"dropped"}"#;
    for (parameters, active, drops, counts) in [
        ("", format!("{down},{own}"), dropped, r#"{"dropped":3,"node":0}"#),
        ("?state=any", format!("{down},{own}"), dropped, r#"{"dropped":3,"node":0}"#),
        ("?state=active", format!("{down},{own}"), "", "null"),
        ("?state=dropped", String::new(), dropped, r#"{"dropped":3,"node":0}"#),
        ("?state=bogus", String::new(), "", "null"),
        ("?scrapePool=dropped", String::new(), dropped, r#"{"dropped":3}"#),
        ("?scrapePool=none", String::new(), "", "{}"),
    ] {
        let reply = get(&router, &format!("/api/v1/targets{parameters}")).await;
        let expect = format!(
            r#"{{"status":"success","data":{{"activeTargets":[{active}],"droppedTargets":[{drops}],"droppedTargetCounts":{counts}}}}}"#
        );
        assert_eq!(reply.body, expect, "{parameters}");
    }
}

#[tokio::test]
async fn small_answers() {
    let router = server(&Arc::default());
    for (path, status, expect) in [
        ("/api/v1/scrape_pools", 200, r#""data":{"scrapePools":["dropped","node"]}"#),
        (
            "/api/v1/targets/metadata?limit=1",
            200,
            r#""data":[{"target":{"job":"a"},"metric":"up","type":"gauge","help":"Is it up?","unit":""}]"#,
        ),
        (
            "/api/v1/targets/metadata?metric=up&match_target=%7Bjob=%22b%22%7D",
            200,
            r#""data":[{"target":{"job":"b"},"type":"gauge","help":"Is it up?","unit":""}]"#,
        ),
        ("/api/v1/targets/metadata?metric=none", 200, r#""data":[]"#),
        ("/api/v1/targets/metadata?limit=x", 400, r#""error":"limit must be a number""#),
        (
            "/api/v1/targets/metadata?match_target=%7Bx",
            400,
            r#"invalid parameter \"match_target\": 1:3: parse error"#,
        ),
        ("/api/v1/status/config", 200, r#""data":{"yaml":"global:\n  scrape_interval: 15s\n"}"#),
        ("/api/v1/status/flags", 200, r#""data":{"agent":"false","config.file":"p.yml"}"#),
        ("/api/v1/status/runtimeinfo", 200, r#""startTime":"2026-11-20T11:00:00Z""#),
        (
            "/api/v1/status/runtimeinfo",
            200,
            r#""serverTime":"2026-11-20T12:00:00Z","reloadConfigSuccess":true"#,
        ),
        (
            "/api/v1/status/buildinfo",
            200,
            r#""data":{"version":"3.14.0","revision":"","branch":"","buildUser":"","buildDate":"","goVersion":""}"#,
        ),
        ("/api/v1/status/tsdb?limit=1", 200, r#""seriesCountByMetricName":[{"name":"up","value":2}]"#),
        (
            "/api/v1/status/tsdb",
            200,
            r#""headStats":{"numSeries":0,"numLabelPairs":0,"chunkCount":0,"minTime":0,"maxTime":0}"#,
        ),
        ("/api/v1/status/tsdb?limit=0", 400, r#""error":"limit must be a positive number""#),
        ("/api/v1/status/walreplay", 200, r#""data":{"min":1,"max":3,"current":2}"#),
        ("/api/v1/features", 200, r#""data":{"api":{"query":true}}"#),
        ("/api/v1/rules", 200, r#""data":{"groups":[]}"#),
        ("/api/v1/rules?type=x", 400, r#"invalid parameter \"type\": not supported value \"x\""#),
        ("/api/v1/alerts", 200, r#""data":{"alerts":[]}"#),
        ("/api/v1/alertmanagers", 200, r#""data":{"activeAlertmanagers":[],"droppedAlertmanagers":[]}"#),
        ("/prometheus/api/v1/status/buildinfo", 200, r#""version":"3.14.0""#),
        ("/-/healthy", 200, "Nave hub is Healthy.\n"),
        ("/-/ready", 200, "Nave hub is Ready.\n"),
        ("/-/reload", 405, "Only POST or PUT requests allowed"),
        ("/version", 200, r#""version":"3.14.0""#),
        ("/query", 200, "<title>Nave</title>"),
        ("/targets", 200, "<title>Nave</title>"),
        ("/agent", 404, ""),
        ("/api/v1/nothing", 404, ""),
    ] {
        let reply = get(&router, path).await;
        assert_eq!(reply.status, status, "{path}: {}", reply.body);
        assert!(reply.body.contains(expect), "{path}: {} lacks {expect}", reply.body);
    }
}

#[tokio::test]
async fn redirects_keep_the_prefix_and_the_arguments() {
    let router = server(&Arc::default());
    for (path, location) in
        [("/graph?g0.expr=up&g0.tab=1", "/nave/query?g0.expr=up&g0.tab=1"), ("/graph", "/nave/query")]
    {
        let reply = get(&router, path).await;
        assert_eq!((reply.status, reply.headers["location"].to_str().unwrap()), (302, location));
    }
}

#[tokio::test]
async fn lifecycle() {
    let process: Arc<Process> = Arc::default();
    let router = server(&process);
    for method in ["POST", "PUT"] {
        assert_eq!(ask(&router, method, "/-/reload", None).await.status, 200);
        assert_eq!(ask(&router, method, "/-/quit", None).await.status, 200);
    }
    assert_eq!((process.reloads.load(Ordering::SeqCst), process.quits.load(Ordering::SeqCst)), (2, 2));
    process.bad_config.store(true, Ordering::SeqCst);
    let reply = ask(&router, "POST", "/-/reload", None).await;
    assert_eq!(
        (reply.status, reply.body.as_str()),
        (500, "failed to reload config: line 3: unknown field\n")
    );
    process.lifecycle_off.store(true, Ordering::SeqCst);
    for path in ["/-/reload", "/-/quit"] {
        let reply = ask(&router, "POST", path, None).await;
        assert_eq!((reply.status, reply.body.as_str()), (403, "Lifecycle API is not enabled."));
    }
    assert_eq!((process.reloads.load(Ordering::SeqCst), process.quits.load(Ordering::SeqCst)), (3, 2));
    process.not_ready.store(true, Ordering::SeqCst);
    let reply = get(&router, "/-/ready").await;
    assert_eq!((reply.status, reply.body.as_str()), (503, "Service Unavailable: reading the log\n"));
    assert_eq!(get(&router, "/-/healthy").await.status, 200);
}

#[tokio::test]
async fn own_metrics_in_both_formats() {
    let router = server(&Arc::default());
    for (accept, content_type, last) in [
        ("*/*", "text/plain; version=0.0.4; charset=utf-8", "\n"),
        (
            "application/openmetrics-text;version=1.0.0,*/*;q=0.1",
            "application/openmetrics-text; version=1.0.0; charset=utf-8",
            "# EOF\n",
        ),
    ] {
        let request = Request::get("/metrics").header("accept", accept).body(Body::empty()).unwrap();
        let response = router.clone().oneshot(request).await.unwrap();
        assert_eq!(response.headers()["content-type"], content_type);
        let body = axum::body::to_bytes(response.into_body(), 1 << 20).await.unwrap();
        let page = std::str::from_utf8(&body).unwrap();
        assert!(
            page.contains("# HELP nave_test") && page.contains("nave_test_total 1\n") && page.ends_with(last)
        );
    }
}

#[tokio::test]
async fn federation() {
    let router = server(&Arc::default());
    let reply = get(&router, "/federate?match[]=up&match[]=dotted&match[]=%7Bkind=%22tiny%22%7D").await;
    assert_eq!(
        reply.body,
        "# TYPE dotted untyped\n\
         dotted{\"http.status\"=\"200\\\"\\n\",cluster=\"c\",job=\"never\",instance=\"\"} 1.5 1795176000000\n\
         # TYPE odd untyped\n\
         odd{kind=\"tiny\",cluster=\"c\",job=\"never\",instance=\"\"} 1e-07 1795176000000\n\
         # TYPE up untyped\n\
         up{instance=\"a:1\",job=\"node\",cluster=\"c\"} 1 1795176000000\n\
         up{instance=\"b:1\",job=\"node\",cluster=\"c\"} 0 1795176000000\n"
    );
    assert_eq!(reply.headers["content-type"], "text/plain; version=0.0.4; charset=utf-8");
    let empty = get(&router, "/federate").await;
    assert_eq!((empty.status, empty.body.as_str()), (200, ""));
    assert_eq!(get(&router, "/federate?match[]=%7B%7D").await.status, 400);
}

#[tokio::test]
async fn an_agent_refuses_what_needs_a_store() {
    let router = nave_api::agent_router(common(&Arc::default()));
    let refused = r#"{"status":"error","errorType":"execution","error":"unavailable with Prometheus Agent"}"#;
    for path in [
        "query?query=1",
        "query_range",
        "query_exemplars",
        "format_query",
        "labels",
        "label/x/values",
        "series",
        "rules",
        "alerts",
        "alertmanagers",
        "status/tsdb",
    ] {
        let reply = get(&router, &format!("/api/v1/{path}")).await;
        assert_eq!((reply.status, reply.body.as_str()), (422, refused), "{path}");
    }
    for path in [
        "/api/v1/metadata",
        "/api/v1/targets",
        "/api/v1/status/config",
        "/-/ready",
        "/metrics",
        "/agent",
        "/targets",
    ] {
        assert_eq!(get(&router, path).await.status, 200, "{path}");
    }
    assert_eq!(get(&router, "/").await.headers["location"], "/nave/agent");
    assert_eq!(get(&router, "/query").await.status, 404);
    assert_eq!(get(&router, "/federate?match[]=up").await.status, 422);
}

#[tokio::test]
async fn target_search() {
    let router = server(&Arc::default());
    let pools = r#"{"pools":[{"name":"dropped","up":0,"down":0,"unknown":0,"dropped":3},{"name":"node","up":0,"down":1,"unknown":1,"dropped":0}]"#;
    for (parameters, total, first, second) in [
        ("", 2, r#""health":"down""#, r#""health":"unknown""#),
        ("?health=unknown", 1, r#""health":"unknown""#, ""),
        ("?health=up", 0, r#""activeTargets":[]"#, ""),
        ("?search=REFUSED%20node", 1, r#""health":"down""#, ""),
        ("?search=refused%20localhost", 0, r#""activeTargets":[]"#, ""),
        ("?offset=1&limit=1", 2, r#""health":"unknown""#, ""),
        ("?scrapePool=none", 0, r#""activeTargets":[]"#, ""),
        ("?state=dropped", 1, r#""scrapePool":"dropped""#, ""),
        ("?state=dropped&search=127.0.0.1:2", 1, r#""__address__":"127.0.0.1:2""#, ""),
        ("?state=dropped&search=127.0.0.1:3", 0, r#""droppedTargets":[]"#, ""),
    ] {
        let reply = get(&router, &format!("/api/v1/targets/search{parameters}")).await;
        let expect = format!(r#"{{"status":"success","data":{pools},"total":{total},"#);
        assert!(reply.body.starts_with(&expect), "{parameters}: {}", reply.body);
        let (at, next) = (reply.body.find(first), reply.body.rfind(second));
        assert!(at.is_some() && at < next, "{parameters}: {}", reply.body);
    }
    let reply = get(&router, "/api/v1/targets/search?limit=5001").await;
    assert!(
        reply.status == 400 && reply.body.contains("expected a number up to 5000, came"),
        "{}",
        reply.body
    );
}

#[tokio::test]
async fn relabel_steps() {
    let router = server(&Arc::default());
    let labels = "%7B%22__address__%22:%22127.0.0.1:2%22,%22job%22:%22node%22%7D";
    let reply =
        get(&router, &format!("/api/v1/targets/relabel_steps?scrapePool=dropped&labels={labels}")).await;
    let answer: serde_json::Value = serde_json::from_str(&reply.body).unwrap();
    let steps = answer["data"]["steps"].as_array().unwrap();
    assert_eq!(steps.len(), 2, "the rule after the one that drops is not applied: {}", reply.body);
    assert_eq!((&steps[0]["keep"], &steps[1]["keep"]), (&true.into(), &false.into()));
    assert_eq!(steps[0]["output"]["team"], "node-team");
    assert_eq!((&steps[1]["rule"]["action"], &steps[1]["rule"]["regex"]), (&"drop".into(), &"127.+".into()));
    for (path, expect) in [
        ("?labels=%7B%7D", "no scrapePool parameter provided"),
        ("?scrapePool=dropped", "no labels parameter provided"),
        ("?scrapePool=dropped&labels=x", r#"invalid parameter \"labels\""#),
        ("?scrapePool=x&labels=%7B%7D", r#"no scrape pool named \"x\""#),
    ] {
        let reply = get(&router, &format!("/api/v1/targets/relabel_steps{path}")).await;
        assert!(reply.status == 400 && reply.body.contains(expect), "{path}: {}", reply.body);
    }
}
