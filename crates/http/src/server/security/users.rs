//! `basic_auth_users`: who may come in.
//!
//! A bcrypt comparison costs tens of milliseconds on purpose. It runs off the runtime's workers, few at a
//! time, with a bound on those that wait; what succeeded once is remembered by a keyed hash, so that only
//! the first request of a sender pays. An unknown user costs as much as a known one.
//!
//! Invariant: neither names nor passwords leave this file, not even into errors: people type their
//! password where the name belongs.

use std::collections::{BTreeMap, HashSet};
use std::hash::Hasher;
use std::sync::Arc;

use axum::http::{HeaderMap, header};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use parking_lot::Mutex;
use siphasher::sip128::{Hasher128, SipHasher24};
use tokio::sync::Semaphore;

use super::settings::PasswordHash;

/// Remembered comparisons; more than any fleet has users.
const KNOWN_MAX: usize = 4096;

/// Why nobody comes in with this request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refused {
    /// There was no `Authorization: Basic`.
    Missing,
    /// It was not one of ours.
    Wrong,
    /// Too many comparisons wait already.
    Busy,
}

/// How many comparisons may run and wait, over all loads of the file.
#[derive(Debug, Clone)]
pub(super) struct Pace {
    running: Arc<Semaphore>,
    waiting: Arc<Semaphore>,
}

impl Pace {
    /// Half the processors compare; `waiting` more requests may wait for them.
    pub(super) fn new(waiting: usize) -> Self {
        let half = std::thread::available_parallelism().map_or(1, |all| (all.get() / 2).max(1));
        Self { running: Arc::new(Semaphore::new(half)), waiting: Arc::new(Semaphore::new(half + waiting)) }
    }
}

/// The users of one load of the file.
#[derive(Debug)]
pub(super) struct Users {
    hashes: BTreeMap<String, PasswordHash>,
    /// Compared with for unknown users.
    slowest: PasswordHash,
    /// Keyed hashes of what was right.
    known: Mutex<HashSet<u128>>,
    key: [u8; 16],
}

impl Users {
    /// `None` where everyone may come in.
    pub(super) fn new(hashes: &BTreeMap<String, PasswordHash>) -> Result<Option<Self>, String> {
        let Some(slowest) = hashes.values().max_by_key(|hash| hash.cost) else { return Ok(None) };
        let mut key = [0; 16];
        rustls::crypto::aws_lc_rs::default_provider()
            .secure_random
            .fill(&mut key)
            .map_err(|_| "the system gave no random numbers".to_owned())?;
        let known = Mutex::new(HashSet::new());
        Ok(Some(Self { hashes: hashes.clone(), slowest: slowest.clone(), known, key }))
    }

    /// Whether the request carries a name and password of ours.
    pub(super) async fn check(&self, headers: &HeaderMap, pace: &Pace) -> Result<(), Refused> {
        let (name, password) = credentials(headers).ok_or(Refused::Missing)?;
        let (hash, is_known) = match self.hashes.get(&name) {
            Some(hash) => (hash, true),
            None => (&self.slowest, false),
        };
        let trace = self.trace(&name, &password, hash);
        if is_known && self.known.lock().contains(&trace) {
            return Ok(());
        }
        let is_right = compare(password, hash.clone(), pace).await?;
        if !(is_right && is_known) {
            return Err(Refused::Wrong);
        }
        let mut known = self.known.lock();
        if known.len() >= KNOWN_MAX {
            known.clear();
        }
        known.insert(trace);
        Ok(())
    }

    /// What is remembered of a comparison: nothing without the key.
    fn trace(&self, name: &str, password: &str, hash: &PasswordHash) -> u128 {
        let mut hasher = SipHasher24::new_with_key(&self.key);
        for part in [name, password, hash.text.expose()] {
            // With the length, so that no two splits of one text are equal.
            hasher.write_u64(part.len() as u64);
            hasher.write(part.as_bytes());
        }
        hasher.finish128().as_u128()
    }
}

async fn compare(password: String, hash: PasswordHash, pace: &Pace) -> Result<bool, Refused> {
    let waits = pace.waiting.clone().try_acquire_owned().map_err(|_| Refused::Busy)?;
    let runs = pace.running.clone().acquire_owned().await.map_err(|_| Refused::Busy)?;
    let compared = tokio::task::spawn_blocking(move || {
        // Held until the end of the work, even when the client is gone by then.
        let _held = (waits, runs);
        bcrypt::verify(password.as_bytes(), hash.text.expose()).unwrap_or(false)
    });
    Ok(compared.await.unwrap_or(false))
}

/// Name and password of `Authorization: Basic`.
fn credentials(headers: &HeaderMap) -> Option<(String, String)> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, encoded) = value.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let text = String::from_utf8(STANDARD.decode(encoded.trim()).ok()?).ok()?;
    let (name, password) = text.split_once(':')?;
    Some((name.to_owned(), password.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::Secret;

    fn hash(password: &str) -> PasswordHash {
        let text =
            bcrypt::hash_with_salt(password, 4, [7; 16]).unwrap().format_for_version(bcrypt::Version::TwoY);
        PasswordHash::try_from(Secret::new(text)).unwrap()
    }

    fn header(scheme: &str, text: &str) -> HeaderMap {
        let value = format!("{scheme} {}", STANDARD.encode(text));
        [(header::AUTHORIZATION, value.parse().unwrap())].into_iter().collect()
    }

    #[tokio::test]
    async fn names_and_passwords() {
        let hashes = [("alice".to_owned(), hash("secret")), ("bob".to_owned(), hash("other"))];
        let users = Users::new(&hashes.into_iter().collect()).unwrap().unwrap();
        let pace = Pace::new(8);
        for (scheme, text, expect) in [
            ("Basic", "alice:secret", Ok(())),
            ("basic", "alice:secret", Ok(())),
            ("Basic", "bob:other", Ok(())),
            ("Basic", "bob:secret", Err(Refused::Wrong)),
            ("Basic", "alice:", Err(Refused::Wrong)),
            ("Basic", "alice:secret:more", Err(Refused::Wrong)),
            // Right for the hash that unknown users are compared with.
            ("Basic", "eve:other", Err(Refused::Wrong)),
            ("Basic", "eve:secret", Err(Refused::Wrong)),
            ("Basic", "alice", Err(Refused::Missing)),
            ("Bearer", "alice:secret", Err(Refused::Missing)),
        ] {
            for _ in 0..2 {
                assert_eq!(users.check(&header(scheme, text), &pace).await, expect, "{scheme} {text}");
            }
        }
        assert_eq!(users.check(&HeaderMap::new(), &pace).await, Err(Refused::Missing));
        assert_eq!(users.known.lock().len(), 2, "only what was right is remembered");
    }

    #[tokio::test]
    async fn a_flood_of_comparisons_is_refused_but_not_those_who_are_known() {
        let users = Users::new(&[("a".to_owned(), hash("p"))].into_iter().collect()).unwrap().unwrap();
        let pace = Pace::new(0);
        assert_eq!(users.check(&header("Basic", "a:p"), &pace).await, Ok(()));
        let taken = pace.waiting.clone().try_acquire_many_owned(pace.waiting.available_permits() as u32);
        assert_eq!(users.check(&header("Basic", "a:q"), &pace).await, Err(Refused::Busy));
        assert_eq!(users.check(&header("Basic", "a:p"), &pace).await, Ok(()));
        drop(taken);
        assert_eq!(users.check(&header("Basic", "a:q"), &pace).await, Err(Refused::Wrong));
    }
}
