//! The OTLP endpoint: what is taken, what is answered.

use std::io::Write as _;

use super::tests::Bench;
use super::*;
use axum::http::Request as HttpRequest;
use axum::http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use nave_model::append::AppendError;

const PATH: &str = "/api/v1/otlp/v1/metrics";

fn message(fields: &[(u8, &[u8])]) -> Vec<u8> {
    let mut out = Vec::new();
    for (number, bytes) in fields {
        assert!(bytes.len() < 128);
        out.extend([number << 3 | 2, bytes.len() as u8]);
        out.extend_from_slice(bytes);
    }
    out
}

/// One gauge `name` with a point of `value` in a type of the given field.
fn body(name: &str, field: u8, value: f64) -> Vec<u8> {
    let point = [&[0x19][..], &5_000_000u64.to_le_bytes(), &[0x21], &value.to_le_bytes()].concat();
    let metric = message(&[(1, name.as_bytes()), (field, &message(&[(1, &point)]))]);
    message(&[(1, &message(&[(2, &message(&[(2, &metric)]))]))])
}

fn on() -> Options {
    Options { enabled: false, otlp: Some(Arc::default()), ..Options::default() }
}

fn post(body: Vec<u8>) -> HttpRequest<Body> {
    HttpRequest::post(PATH).header(CONTENT_TYPE, "application/x-protobuf").body(body.into()).unwrap()
}

#[tokio::test]
async fn off_says_how_to_switch_on() {
    let bench = Bench::new(Options::default());
    let (status, _, text) = bench.send(post(body("up", 5, 1.0))).await;
    assert!(status == 404 && text.contains("--web.enable-otlp-receiver"), "{status} {text}");
}

#[tokio::test]
async fn a_request_is_stored() {
    let bench = Bench::new(on());
    let (status, headers, text) = bench.send(post(body("up", 5, 1.0))).await;
    assert_eq!(
        (status, text.as_str(), &headers[CONTENT_TYPE]),
        (200, "", &"application/x-protobuf".parse().unwrap())
    );
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&body("two", 5, 1.0)).unwrap();
    let mut packed = post(gzip.finish().unwrap());
    packed.headers_mut().insert(CONTENT_ENCODING, "gzip".parse().unwrap());
    assert_eq!(bench.send(packed).await.0, 200);
    assert_eq!(bench.batches(), [r#"{__name__="up"}"#, r#"{__name__="two"}"#]);
}

#[tokio::test]
async fn what_cannot_be_translated_is_told_and_no_error() {
    let bench = Bench::new(on());
    // A sum of unspecified temporality.
    let (status, _, text) = bench.send(post(body("sum", 7, 1.0))).await;
    assert!(status == 200 && text.contains("invalid temporality and type combination"), "{status} {text}");
    assert!(bench.batches().is_empty());
}

#[tokio::test]
async fn refusals() {
    let bench = Bench::new(Options { decompressed_bytes_max: 1_000, ..on() });
    let get = HttpRequest::get(PATH).body(Body::empty()).unwrap();
    assert_eq!(bench.send(get).await.0, 405);
    let json = HttpRequest::post(PATH).header(CONTENT_TYPE, "application/json").body("{}".into()).unwrap();
    let (status, _, text) = bench.send(json).await;
    assert!(status == 415 && text.contains("JSON is not taken"), "{status} {text}");
    let mut deflate = post(vec![1]);
    deflate.headers_mut().insert(CONTENT_ENCODING, "deflate".parse().unwrap());
    assert_eq!(bench.send(deflate).await.0, 415);
    assert_eq!(bench.send(post(b"\x0a\x05abc".to_vec())).await.0, 400);
    let mut bomb = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    bomb.write_all(&vec![0; 10 << 20]).unwrap();
    let mut bomb = post(bomb.finish().unwrap());
    bomb.headers_mut().insert(CONTENT_ENCODING, "gzip".parse().unwrap());
    assert_eq!(bench.send(bomb).await.0, 413);
    // The store refuses 13.
    let (status, _, text) = bench.send(post(body("bad", 5, 13.0))).await;
    assert!(status == 400 && text.contains(r#"{__name__="bad"}"#), "{status} {text}");
    bench.fail(AppendError::Full { what: "quota".to_owned() });
    let (status, headers, _) = bench.send(post(body("up", 5, 1.0))).await;
    assert!(status == 503 && headers.contains_key("retry-after"));
}
