//! `nave doctor`: each fault is found at its step, a whole chain is found whole.

use std::path::Path;
use std::process::Output;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use crate::harness::{NAVE, Server, free_port};
use crate::security::Certificates;

/// Runs the doctor in `home`; exit status and what it printed.
async fn doctor(home: &Path, args: &[&str]) -> (i32, String) {
    let command = tokio::process::Command::new(NAVE).args(args).current_dir(home).output();
    let Output { status, stdout, stderr } = command.await.unwrap();
    (status.code().unwrap(), String::from_utf8(stdout).unwrap() + &String::from_utf8(stderr).unwrap())
}

/// The last step that was walked, with its mark.
fn end(printed: &str) -> String {
    let mut steps = printed.lines().filter(|line| line.starts_with("  ") && !line.starts_with("     "));
    steps.next_back().unwrap_or_default().split_whitespace().take(2).collect::<Vec<_>>().join(" ")
}

/// A server that reads whole requests and answers each by what `answer` makes of the length of its body.
async fn fake(answer: fn(usize) -> &'static str) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut read = Vec::new();
                while let Ok(n @ 1..) = socket.read_buf(&mut read).await {
                    let _ = n;
                    let Some(head) = read.windows(4).position(|window| window == b"\r\n\r\n") else {
                        continue;
                    };
                    let text = String::from_utf8_lossy(&read[..head]).to_ascii_lowercase();
                    let length = text.split("content-length:").nth(1).map_or(0, |rest| {
                        rest.lines().next().unwrap_or_default().trim().parse::<usize>().unwrap()
                    });
                    if read.len() < head + 4 + length {
                        continue;
                    }
                    read.drain(..head + 4 + length);
                    let head = format!("HTTP/1.1 {}\r\ncontent-length: 0\r\n\r\n", answer(length));
                    if socket.write_all(head.as_bytes()).await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    port
}

#[tokio::test(flavor = "multi_thread")]
async fn a_whole_chain_is_found_whole() {
    let hub = crate::cluster::hub(&["spoke1"], &[]).await;
    let url = format!("--hub.url=http://127.0.0.1:{}", hub.port);
    let (code, printed) = doctor(&hub.home, &["doctor", &url, "--hub.token-file=spoke1"]).await;
    assert_eq!((code, &*end(&printed)), (0, "ok read"), "{printed}");
    assert!(!printed.contains("nave_") || printed.contains("nave_doctor_probe"), "{printed}");
    let stored = hub.query("nave_doctor_probe").await;
    assert_eq!(stored[0]["metric"]["cluster"], "spoke1", "{stored:?}");

    let (code, printed) = doctor(&hub.home, &["doctor", &url, "--clusters"]).await;
    assert_eq!(code, 0, "{printed}");
    assert!(printed.starts_with("spoke1\n  ok    live"), "{printed}");

    let config = format!(
        "global: {{external_labels: {{zone: z1}}}}\nremote_write:\n  - url: http://127.0.0.1:{}/api/v1/write\n    \
         authorization: {{credentials_file: spoke1}}\n",
        hub.port
    );
    std::fs::write(hub.home.join("agent.yml"), config).unwrap();
    let (code, printed) = doctor(&hub.home, &["doctor", "--config.file=agent.yml"]).await;
    assert_eq!((code, &*end(&printed)), (0, "ok read"), "{printed}");
    assert_eq!(hub.query("nave_doctor_probe{zone='z1'}").await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn each_fault_is_found_at_its_step() {
    let hub = crate::cluster::hub(&["spoke1"], &[]).await;
    let home = &hub.home;
    std::fs::write(home.join("wrong"), "nave_of_somebody_else").unwrap();
    let check = |args: Vec<String>, want: &'static str, advice: &'static str| async move {
        let args: Vec<_> = args.iter().map(String::as_str).collect();
        let (code, printed) = doctor(home, &args).await;
        assert_eq!((code, &*end(&printed)), (1, want), "{args:?}\n{printed}");
        assert!(printed.contains(advice), "{args:?}\n{printed}");
        assert!(!printed.contains("somebody_else"), "{printed}");
    };
    let spoke = |url: String, token: &str| {
        vec!["doctor".to_owned(), format!("--hub.url={url}"), format!("--hub.token-file={token}")]
    };
    let local = |port: u16| format!("http://127.0.0.1:{port}");
    check(spoke("http://hub.invalid:9090".to_owned(), "spoke1"), "FAIL dns", "resolver").await;
    check(spoke(local(free_port()), "spoke1"), "FAIL tcp", "nothing listens there").await;
    check(spoke(format!("https://127.0.0.1:{}", hub.port), "spoke1"), "FAIL tls", "").await;
    check(spoke(local(hub.port), "wrong"), "FAIL auth", "nave cluster add").await;
    let large = fake(|bytes| if bytes > 10_000 { "413 Payload Too Large" } else { "204 No Content" }).await;
    check(spoke(local(large), "spoke1"), "FAIL size", "max-body-bytes").await;
    let busy = fake(|_| "429 Too Many Requests").await;
    check(spoke(local(busy), "spoke1"), "FAIL rate", "limit of this cluster").await;
    let wrong = vec![
        "check".to_owned(),
        "remote-write".to_owned(),
        format!("{}/other/api/v1/write", local(hub.port)),
    ];
    check(wrong, "FAIL write", "--web.enable-remote-write-receiver").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_authority_is_a_fault_of_tls() {
    let certificates = Certificates::new();
    let web = "tls_server_config: {cert_file: hub.pem, key_file: hub.key}\n";
    let files = [
        ("prometheus.yml", "global: {}\n"),
        ("web.yml", web),
        ("hub.pem", &certificates.cert),
        ("hub.key", &certificates.key),
        ("ca.pem", &certificates.ca),
    ];
    let args = [
        "hub",
        "--config.file=prometheus.yml",
        "--storage.tsdb.path=data",
        "--web.enable-remote-write-receiver",
        "--web.config.file=web.yml",
        "--web.listen-address=127.0.0.1:{port}",
    ];
    let mut hub = Server::prepare(NAVE, &args, &files, "/-/ready");
    hub.launch();
    hub.until("the hub listens", || async {
        tokio::net::TcpStream::connect(("127.0.0.1", hub.port)).await.ok()
    })
    .await;
    let url = format!("https://127.0.0.1:{}/api/v1/write", hub.port);
    let (code, printed) = doctor(&hub.home, &["check", "remote-write", &url]).await;
    assert_eq!((code, &*end(&printed)), (1, "FAIL tls"), "{printed}");
    assert!(printed.contains("unknown authority") && printed.contains("ca_file"), "{printed}");
    let config = format!("remote_write: [{{url: '{url}', tls_config: {{ca_file: ca.pem}}}}]\n");
    std::fs::write(hub.home.join("agent.yml"), config).unwrap();
    let (code, printed) = doctor(&hub.home, &["doctor", "--config.file=agent.yml"]).await;
    assert_eq!((code, &*end(&printed)), (0, "ok read"), "{printed}");
}
