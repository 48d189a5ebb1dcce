//! Clusters as the receiver knows them: who may write, as whom, how much, and what is known of each.
//!
//! [`Clusters`] is a [`ResolvePrincipal`] over a clusters file ([`ClustersConfig`]). The file can be replaced
//! at any time; it is applied whole. A cluster keeps its principal's number and all that is known of it while
//! its stamp and limits stay the same, and gets a new number where they change, because stores know series by
//! that number and the sender's bytes.
//!
//! Rate limits are enforced here, before the body is read; limits of series and labels are enforced by the
//! store, which knows what is new. Either way only the cluster that is above its limit is turned away.

mod config;
mod contact;
mod credential;
mod metric;
mod rate;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::http::StatusCode;
use axum::http::request::Parts;
use nave_base::clock::SharedClock;
use nave_base::metric::{Counter, Family, Registry};
use nave_model::append::{Outcome, Principal};
use parking_lot::{Mutex, RwLock};

pub use self::config::{
    BasicAuth, CertificateName, ClusterConfig, ClustersConfig, LimitsConfig, check_cluster_name,
};
use self::contact::Contact;
pub use self::contact::SENT_HEADER;
use self::credential::{Presented, Unauthorized, presented};
pub use self::credential::{SecretHash, new_token};
use crate::receive::{Load, Refused, ResolvePrincipal};

const CHALLENGE: &str = "Bearer realm=\"nave\", Basic realm=\"nave\"";

/// Says how many series of a cluster the store has in memory.
pub type CountSeries = Arc<dyn Fn(&str) -> usize + Send + Sync>;

/// The clusters of a hub.
pub struct Clusters {
    members: RwLock<Arc<Members>>,
    /// The number of the principal that was made last; 0 is the process itself.
    last_id: Mutex<u32>,
    clock: SharedClock,
    silent_after: Duration,
    count_series: CountSeries,
    unauthorized: Family<Counter>,
}

type Members = BTreeMap<Arc<str>, Member>;

/// One cluster.
struct Member {
    config: ClusterConfig,
    /// SHA-256 of each user name with that of its password.
    users: Vec<(SecretHash, SecretHash)>,
    principal: Arc<Principal>,
    contact: Arc<Mutex<Contact>>,
    /// Since when it could have written.
    known_ms: i64,
}

/// What the hub knows of a cluster at this moment.
#[derive(Debug, Clone, PartialEq)]
pub struct ClusterStatus {
    /// Its name, the value of its `cluster` label.
    pub name: String,
    /// When a request with its credentials came last, in ms since the epoch.
    pub last_contact_ms: Option<i64>,
    /// How far its newest sample is behind the hub's clock; negative when it is ahead.
    pub lag: Option<f64>,
    /// Samples per second that came in the last minute.
    pub samples_per_second: f64,
    /// Bytes of bodies per second that came in the last minute.
    pub bytes_per_second: f64,
    /// Its series in memory.
    pub active_series: usize,
    /// Samples stored, or known already, since the start.
    pub accepted_samples: u64,
    /// Items refused since the start, by reason.
    pub rejected: BTreeMap<&'static str, u64>,
    /// Requests turned away since the start, by limit.
    pub throttled: BTreeMap<&'static str, u64>,
    /// Requests with its credentials since the start.
    pub requests: u64,
    /// Bytes of bodies since the start.
    pub bytes: u64,
    /// How the sender calls itself.
    pub sender_version: String,
    /// How far the sender's clock is ahead of the hub's, in seconds; only Nave's agents say so.
    pub clock_skew: Option<f64>,
    /// Whether nothing came for longer than the threshold.
    pub silent: bool,
    /// What is stamped on its series.
    pub labels: Vec<(String, String)>,
    /// Its limits.
    pub limits: LimitsConfig,
}

impl Clusters {
    /// Clusters as `config` has them; their metrics are on `registry` from now on.
    pub fn new(
        config: &ClustersConfig,
        silent_after: Duration,
        clock: SharedClock,
        count_series: CountSeries,
        registry: &Registry,
    ) -> Arc<Self> {
        let unauthorized = registry.counter_family(
            "nave_receiver_unauthorized_requests_total",
            "Write requests that were answered by 401, by what was wrong with their credentials.",
            &["reason"],
        );
        for reason in
            [Unauthorized::Missing, Unauthorized::Malformed, Unauthorized::Unknown, Unauthorized::Ambiguous]
        {
            unauthorized.with(&[reason.reason()]);
        }
        let clusters = Arc::new(Self {
            members: RwLock::default(),
            last_id: Mutex::default(),
            clock,
            silent_after,
            count_series,
            unauthorized,
        });
        clusters.apply(config);
        metric::register(&clusters, registry);
        clusters
    }

    /// From now on the clusters are those of `config`.
    pub fn apply(&self, config: &ClustersConfig) {
        let old = self.members.read().clone();
        let mut last_id = self.last_id.lock();
        let fresh = config.clusters.iter().map(|(name, config)| {
            let known = old.get(name.as_str());
            (Arc::from(name.as_str()), self.member(name, config, known, &mut last_id))
        });
        *self.members.write() = Arc::new(fresh.collect());
    }

    fn member(&self, name: &str, config: &ClusterConfig, old: Option<&Member>, last_id: &mut u32) -> Member {
        let of = |user: &BasicAuth| (SecretHash::of(user.username.as_bytes()), user.password_sha256);
        let mut principal = Principal {
            cluster: Some(Arc::from(name)),
            stamp: config.stamp(name),
            contradiction: config.contradiction(),
            limits: config.limits.stored(),
            ..Principal::anonymous(name)
        };
        principal.id = match old {
            Some(old) if (Principal { id: old.principal.id, ..principal.clone() }) == *old.principal => {
                old.principal.id
            }
            _ => {
                *last_id += 1;
                *last_id
            }
        };
        Member {
            config: config.clone(),
            users: config.basic_auth.iter().map(of).collect(),
            principal: Arc::new(principal),
            contact: old.map(|old| old.contact.clone()).unwrap_or_default(),
            known_ms: old.map_or_else(|| self.clock.now_ms(), |old| old.known_ms),
        }
    }

    /// What is known of each cluster, by name.
    #[must_use]
    pub fn status(&self) -> Vec<ClusterStatus> {
        let members = self.members.read().clone();
        members.iter().map(|(name, member)| self.status_of(name, member)).collect()
    }

    fn status_of(&self, name: &str, member: &Member) -> ClusterStatus {
        let active_series = (self.count_series)(name);
        let (now_ms, now) = (self.clock.now_ms(), self.clock.monotonic());
        let contact = member.contact.lock();
        let totals = &contact.totals;
        let quiet_ms = now_ms.saturating_sub(contact.last_ms.unwrap_or(member.known_ms));
        let seconds = |ms: i64| ms as f64 / 1000.0;
        ClusterStatus {
            name: name.to_owned(),
            last_contact_ms: contact.last_ms,
            lag: contact.newest_ms.map(|newest| seconds(now_ms.saturating_sub(newest))),
            samples_per_second: contact.samples.per_second(now),
            bytes_per_second: contact.bytes.per_second(now),
            active_series,
            accepted_samples: totals.accepted,
            rejected: totals.rejected.clone(),
            throttled: totals.throttled.clone(),
            requests: totals.requests,
            bytes: totals.bytes,
            sender_version: contact.version.clone(),
            clock_skew: contact.skew_ms.map(seconds),
            silent: quiet_ms > i64::try_from(self.silent_after.as_millis()).unwrap_or(i64::MAX),
            labels: member.principal.stamp.clone(),
            limits: member.config.limits,
        }
    }

    fn refuse(&self, why: Unauthorized) -> Refused {
        self.unauthorized.with(&[why.reason()]).inc();
        let challenge = Some(CHALLENGE);
        Refused { challenge, ..Refused::new(StatusCode::UNAUTHORIZED, why.text()) }
    }

    fn with_member(&self, principal: &Principal, act: impl FnOnce(&Member)) {
        let members = self.members.read().clone();
        if let Some(member) = principal.cluster.as_ref().and_then(|name| members.get(name)) {
            act(member);
        }
    }
}

impl Member {
    /// Compares with every credential, whichever fits.
    fn owns(&self, presented: &Presented) -> bool {
        match presented {
            Presented::Token(token) => {
                self.config.token_sha256.iter().fold(false, |found, hash| found | hash.matches(token))
            }
            Presented::Basic { username, password } => self
                .users
                .iter()
                .fold(false, |found, (user, hash)| found | (user.matches(username) & hash.matches(password))),
            Presented::Certificate(names) => {
                let own = &self.config.client_certificate;
                names.iter().any(|name| own.iter().any(|own| own.0 == name))
            }
        }
    }
}

impl ResolvePrincipal for Clusters {
    fn resolve(&self, request: &Parts) -> Result<Arc<Principal>, Refused> {
        let presented = presented(request).map_err(|why| self.refuse(why))?;
        let members = self.members.read().clone();
        let mut owner = None;
        for member in members.values().filter(|member| member.owns(&presented)) {
            if owner.replace(member).is_some() {
                // Only a certificate can have names of two clusters.
                return Err(self.refuse(Unauthorized::Ambiguous));
            }
        }
        let member = owner.ok_or_else(|| self.refuse(Unauthorized::Unknown))?;
        let mut contact = member.contact.lock();
        contact.arrived(&request.headers, self.clock.now_ms());
        let Some(over) = contact.throttled(&member.config.limits, self.clock.monotonic()) else {
            return Ok(member.principal.clone());
        };
        let name = &member.principal.sender;
        let why = format!("cluster {name} is above {} of {} in the clusters file", over.limit, over.rate);
        let retry_after = Some(over.wait);
        Err(Refused { retry_after, ..Refused::new(StatusCode::TOO_MANY_REQUESTS, why) })
    }

    fn received(&self, principal: &Principal, load: &Load) {
        self.with_member(principal, |member| {
            member.contact.lock().received(load, &member.config.limits, self.clock.monotonic());
        });
    }

    fn answered(&self, principal: &Principal, load: &Load, outcome: Option<&Outcome>) {
        let Some(outcome) = outcome else { return };
        self.with_member(principal, |member| {
            member.contact.lock().answered(load, outcome, self.clock.now_ms());
        });
    }
}
