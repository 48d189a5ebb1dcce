//! Stands between the ends and does to requests what networks, ingresses and overloaded hubs do.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;
use nave_base::clock::SystemClock;
use nave_model::append::{Batch, Principal};
use nave_wire::remote_write::{Message, content_type};
use nave_wire::{write_v1, write_v2};
use parking_lot::Mutex;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use crate::ledger::Ledger;

const BODY_BYTES_MAX: usize = 1 << 20;

/// How the network is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mood {
    /// Everything gets through.
    Good,
    /// Half of the requests have a fault.
    Bad,
    /// Nobody answers.
    Away,
}

/// What is done to one request.
#[derive(Debug, Clone, Copy)]
enum Fault {
    None,
    /// Answered by the proxy alone.
    Status(u16),
    /// Hung up on, before the hub hears of it.
    Drop,
    Delay(Duration),
    /// The hub gets half of the body, then nothing more.
    CutBody,
    /// The hub is told of a longer body than it gets, and the sender of a broken connection.
    LongerThanSaid,
    /// The hub is told of a shorter body than there is.
    ShorterThanSaid,
    /// The hub takes it, and the sender never hears of that.
    LoseAnswer,
    /// The hub takes it, and the sender is told that it failed.
    AnswerFailed,
    /// The answer says that more follows than does.
    LyingAnswer,
}

struct State {
    dice: Rng,
    mood: Mood,
    hub: SocketAddr,
}

pub(crate) struct Proxy {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
    accepting: JoinHandle<()>,
}

impl Proxy {
    pub(crate) async fn start(seed: u64, hub: SocketAddr, ledger: Arc<Ledger>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let dice = Rng::with_seed(seed ^ 0x9e37_79b9);
        let state = Arc::new(Mutex::new(State { dice, mood: Mood::Good, hub }));
        let shared = state.clone();
        let accepting = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let (state, ledger) = (shared.clone(), ledger.clone());
                // A broken connection is what this is for.
                tokio::spawn(async move { drop(serve(client, &state, &ledger).await) });
            }
        });
        Self { address, state, accepting }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn set_mood(&self, mood: Mood) {
        self.state.lock().mood = mood;
    }

    pub(crate) fn lead_to(&self, hub: SocketAddr) {
        self.state.lock().hub = hub;
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl State {
    fn fault(&mut self) -> Fault {
        let dice = &mut self.dice;
        match self.mood {
            Mood::Good => Fault::None,
            Mood::Away => Fault::Drop,
            Mood::Bad if dice.bool() => Fault::None,
            Mood::Bad => match dice.u8(0..14) {
                0 => Fault::Status(400),
                1 => Fault::Status(401),
                2 => Fault::Status(413),
                3 => Fault::Status(429),
                4 => Fault::Status(500),
                5 => Fault::Status(503),
                6 => Fault::Drop,
                7 => Fault::Delay(Duration::from_millis(dice.u64(1..30))),
                8 => Fault::CutBody,
                9 => Fault::LongerThanSaid,
                10 => Fault::ShorterThanSaid,
                11 => Fault::LoseAnswer,
                12 => Fault::AnswerFailed,
                _ => Fault::LyingAnswer,
            },
        }
    }
}

/// A request as it was read: its head without `content-length`, and its body.
struct Exchange {
    head: String,
    body: Vec<u8>,
}

async fn serve(mut client: TcpStream, state: &Mutex<State>, ledger: &Ledger) -> io::Result<()> {
    let mut buffer = Vec::new();
    while let Some(exchange) = read(&mut client, &mut buffer).await? {
        let (fault, hub) = {
            let mut state = state.lock();
            (state.fault(), state.hub)
        };
        let (mut length, mut sent) = (exchange.body.len(), exchange.body.len());
        match fault {
            Fault::Drop => return Ok(()),
            Fault::Status(status) => {
                if matches!(status, 400 | 401 | 413) {
                    ledger.refused(&decode(&exchange));
                }
                client.write_all(answer(status, 0, "").as_bytes()).await?;
                continue;
            }
            Fault::Delay(wait) => SystemClock::shared().sleep(wait).await,
            Fault::CutBody => sent /= 2,
            Fault::LongerThanSaid => length += 10,
            Fault::ShorterThanSaid => (length, sent) = (length / 2, length / 2),
            Fault::None | Fault::LoseAnswer | Fault::AnswerFailed | Fault::LyingAnswer => {}
        }
        let status = forward(hub, &exchange, length, sent).await?;
        match (fault, status) {
            // Half a body is no message: what the hub says of it is not about the samples.
            (Fault::ShorterThanSaid, _) => client.write_all(answer(502, 0, "cut").as_bytes()).await?,
            (Fault::LoseAnswer, _) | (_, None) => return Ok(()),
            (Fault::AnswerFailed, _) => client.write_all(answer(500, 0, "lie").as_bytes()).await?,
            (Fault::LyingAnswer, Some(status)) if status / 100 != 2 => {
                return client.write_all(answer(status, 10, "").as_bytes()).await;
            }
            (_, Some(status)) => client.write_all(answer(status, 0, "").as_bytes()).await?,
        }
    }
    Ok(())
}

/// The next request of a connection; `None` at its end.
async fn read(client: &mut TcpStream, buffer: &mut Vec<u8>) -> io::Result<Option<Exchange>> {
    loop {
        if let Some(end) = buffer.windows(4).position(|window| window == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&buffer[..end]).into_owned();
            let length = header(&head, "content-length").and_then(|value| value.parse().ok()).unwrap_or(0);
            if buffer.len() >= end + 4 + length {
                let body = buffer[end + 4..end + 4 + length].to_vec();
                buffer.drain(..end + 4 + length);
                let lines =
                    head.lines().filter(|line| !line.to_ascii_lowercase().starts_with("content-length:"));
                return Ok(Some(Exchange { head: lines.collect::<Vec<_>>().join("\r\n"), body }));
            }
        }
        if client.read_buf(buffer).await? == 0 {
            return Ok(None);
        }
    }
}

fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(key, _)| key.eq_ignore_ascii_case(name))
        .map(|(_, value)| value.trim())
}

/// The samples of a request.
fn decode(exchange: &Exchange) -> Batch {
    let principal = Arc::new(Principal::anonymous("proxy"));
    let body = write_v1::decompress(&exchange.body, BODY_BYTES_MAX).expect("the sender compresses well");
    let decoded = match content_type(header(&exchange.head, "content-type")) {
        Ok(Message::V2) => {
            write_v2::Request::open(body, BODY_BYTES_MAX).and_then(|request| request.decode(principal))
        }
        _ => write_v1::decode(body, principal),
    };
    decoded.expect("the sender encodes well")
}

/// Sends the first `sent` bytes of the body as one of `length` bytes; the hub's status, if it gave one.
async fn forward(
    hub: SocketAddr,
    exchange: &Exchange,
    length: usize,
    sent: usize,
) -> io::Result<Option<u16>> {
    let mut socket = TcpStream::connect(hub).await?;
    let head = format!("{}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n", exchange.head);
    socket.write_all(head.as_bytes()).await?;
    socket.write_all(&exchange.body[..sent]).await?;
    if sent < length {
        // The hub waits for the rest, which never comes.
        return Ok(None);
    }
    let mut answer = Vec::new();
    socket.read_to_end(&mut answer).await?;
    let answer = String::from_utf8_lossy(&answer);
    Ok(answer.split(' ').nth(1).and_then(|status| status.parse().ok()))
}

/// An answer whose length is said to be `lie` bytes more than it is.
fn answer(status: u16, lie: usize, text: &str) -> String {
    let length =
        if status == 204 { String::new() } else { format!("content-length: {}\r\n", text.len() + lie) };
    format!("HTTP/1.1 {status} so\r\n{length}\r\n{text}")
}
