//! The clusters file: who may write, as which cluster, how much.
//!
//! ```yaml
//! clusters:
//!   spoke1:
//!     token_sha256: [4f1c...]            # several while one is being replaced
//!     basic_auth: [{username: spoke1, password_sha256: 09ca...}]
//!     client_certificate: [spoke1.internal]   # a name in a certificate that the hub has verified
//!     labels: {region: eu}               # stamped beside cluster="spoke1"
//!     contradicting_labels: refuse       # or relabel, the default
//!     limits: {series: 1000000, samples_per_second: 50000}
//! ```
//!
//! A file is valid as a whole or not at all; everything is checked while it is read, so that errors carry
//! line and column.

use std::collections::BTreeMap;
use std::fmt;

use nave_model::append::{CLUSTER, Contradiction, Limits};
use serde::de::{Error as _, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::credential::SecretHash;

/// The whole file.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ClustersConfig {
    /// Clusters by name. No two have a credential in common.
    #[serde(deserialize_with = "clusters")]
    pub clusters: BTreeMap<String, ClusterConfig>,
}

/// One cluster.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ClusterConfig {
    /// Hashes of bearer tokens; any of them is right.
    pub token_sha256: Vec<SecretHash>,
    /// Users with hashes of passwords; any of them is right.
    pub basic_auth: Vec<BasicAuth>,
    /// Names in client certificates: the common name or a subject alternative name; any of them is right.
    pub client_certificate: Vec<CertificateName>,
    /// Stamped on every series beside the cluster's name.
    pub labels: StampedLabels,
    /// What becomes of series that carry another value of a stamped label.
    pub contradicting_labels: OnContradiction,
    /// How much this cluster may write and keep.
    pub limits: LimitsConfig,
}

/// A user of basic auth.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BasicAuth {
    /// In plain text.
    pub username: String,
    /// SHA-256 of the password, which must be long and random.
    pub password_sha256: SecretHash,
}

/// A name in a client certificate, compared as it is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "String")]
pub struct CertificateName(pub String);

impl TryFrom<String> for CertificateName {
    type Error = String;

    fn try_from(name: String) -> Result<Self, String> {
        if name.is_empty() || name.contains('*') {
            return Err(format!(
                "expected a name as it stands in the certificate, no pattern, came {name:?}"
            ));
        }
        Ok(Self(name))
    }
}

/// Names and values of stamped labels.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(try_from = "BTreeMap<String, String>")]
pub struct StampedLabels(pub BTreeMap<String, String>);

impl TryFrom<BTreeMap<String, String>> for StampedLabels {
    type Error = String;

    fn try_from(labels: BTreeMap<String, String>) -> Result<Self, String> {
        for (name, value) in &labels {
            if name == CLUSTER {
                return Err("labels: cluster is the cluster's own name and is stamped anyway".to_owned());
            }
            if name.is_empty() || name.starts_with("__") {
                return Err(format!(
                    "labels: expected a label name that does not start with __, came {name:?}"
                ));
            }
            if value.is_empty() {
                return Err(format!("labels: {name} is empty, which means no label: remove it"));
            }
        }
        Ok(Self(labels))
    }
}

/// [`Contradiction`], as written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnContradiction {
    /// The stamp replaces what the sender wrote.
    #[default]
    Relabel,
    /// The series is refused with 400.
    Refuse,
}

/// Limits of a cluster; absent is unlimited.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LimitsConfig {
    /// Series in memory.
    pub series: Option<Positive>,
    /// Series in memory of one metric name.
    pub series_per_metric: Option<Positive>,
    /// Samples per second, over ten seconds.
    pub samples_per_second: Option<Positive>,
    /// Bytes of request bodies per second as they come, over ten seconds.
    pub bytes_per_second: Option<Positive>,
    /// Labels of one series, stamped ones among them.
    pub labels_per_series: Option<Positive>,
    /// Bytes of a label name.
    pub label_name_bytes: Option<Positive>,
    /// Bytes of a label value.
    pub label_value_bytes: Option<Positive>,
}

/// A number that is not 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "u64")]
pub struct Positive(pub u64);

impl TryFrom<u64> for Positive {
    type Error = &'static str;

    fn try_from(number: u64) -> Result<Self, Self::Error> {
        if number == 0 {
            return Err("a limit of 0 would refuse everything: remove it, or the cluster");
        }
        Ok(Self(number))
    }
}

impl ClusterConfig {
    /// What is stamped on the series of the cluster called `name`.
    pub(super) fn stamp(&self, name: &str) -> Vec<(String, String)> {
        let own = std::iter::once((CLUSTER.to_owned(), name.to_owned()));
        own.chain(self.labels.0.clone()).collect()
    }

    pub(super) fn contradiction(&self) -> Contradiction {
        match self.contradicting_labels {
            OnContradiction::Relabel => Contradiction::Relabel,
            OnContradiction::Refuse => Contradiction::Refuse,
        }
    }
}

impl LimitsConfig {
    /// Limits that are set, by the name of their field.
    pub fn named(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let all = [
            ("series", self.series),
            ("series_per_metric", self.series_per_metric),
            ("samples_per_second", self.samples_per_second),
            ("bytes_per_second", self.bytes_per_second),
            ("labels_per_series", self.labels_per_series),
            ("label_name_bytes", self.label_name_bytes),
            ("label_value_bytes", self.label_value_bytes),
        ];
        all.into_iter().filter_map(|(name, limit)| Some((name, limit?.0)))
    }

    /// The limits that the store enforces.
    pub(super) fn stored(&self) -> Limits {
        let number = |limit: Option<Positive>| limit.map(|limit| limit.0);
        Limits {
            series: number(self.series),
            series_per_metric: number(self.series_per_metric),
            labels_per_series: number(self.labels_per_series),
            label_name_bytes: number(self.label_name_bytes),
            label_value_bytes: number(self.label_value_bytes),
        }
    }
}

/// Whether `name` can be a cluster: 1 to 100 letters, digits, `_`, `.` and `-`.
///
/// # Errors
/// What was expected.
pub fn check_cluster_name(name: &str) -> Result<(), String> {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
    if (1..=100).contains(&name.len()) && name.chars().all(fits) {
        return Ok(());
    }
    Err(format!("expected a cluster name of 1 to 100 letters, digits, '_', '.' and '-', came {name:?}"))
}

fn clusters<'de, D: Deserializer<'de>>(from: D) -> Result<BTreeMap<String, ClusterConfig>, D::Error> {
    from.deserialize_map(Clusters)
}

/// Reads the map entry by entry, so that an error points at the entry.
struct Clusters;

impl<'de> Visitor<'de> for Clusters {
    type Value = BTreeMap<String, ClusterConfig>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map from cluster names to their settings")
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(BTreeMap::new())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut all = BTreeMap::new();
        let mut owners: BTreeMap<(Option<String>, SecretHash), String> = BTreeMap::new();
        let mut holders: BTreeMap<CertificateName, String> = BTreeMap::new();
        while let Some(Name(name)) = map.next_key()? {
            let cluster: ClusterConfig = map.next_value()?;
            let tokens = cluster.token_sha256.iter().map(|hash| (None, *hash));
            let users =
                cluster.basic_auth.iter().map(|one| (Some(one.username.clone()), one.password_sha256));
            for credential in tokens.chain(users) {
                if let Some(other) = owners.insert(credential, name.clone()) {
                    let text =
                        format!("a credential of cluster {name} is that of {other} too: make another one");
                    return Err(A::Error::custom(text));
                }
            }
            for certificate in &cluster.client_certificate {
                if let Some(other) = holders.insert(certificate.clone(), name.clone()) {
                    let text = format!(
                        "the client certificate {:?} of cluster {name} is that of {other} too",
                        certificate.0
                    );
                    return Err(A::Error::custom(text));
                }
            }
            if all.insert(name.clone(), cluster).is_some() {
                return Err(A::Error::custom(format!("cluster {name} stands here twice")));
            }
        }
        Ok(all)
    }
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "String")]
struct Name(String);

impl TryFrom<String> for Name {
    type Error = String;

    fn try_from(name: String) -> Result<Self, String> {
        check_cluster_name(&name).map(|()| Self(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    fn read(text: &str) -> Result<ClustersConfig, (String, u64)> {
        serde_saphyr::from_str(text).map_err(|error| {
            let line = error.location().map_or(0, |at| at.line());
            (error.without_snippet().to_string(), line)
        })
    }

    #[test]
    fn a_full_file() {
        let config = read(&format!(
            "clusters:\n  spoke-1:\n    token_sha256: [{A}]\n    labels: {{region: eu}}\n    \
             contradicting_labels: refuse\n    limits: {{series: 5, samples_per_second: 10}}\n  spoke-2: {{}}\n"
        ))
        .unwrap();
        let one = &config.clusters["spoke-1"];
        assert!(one.token_sha256[0].matches(&SecretHash::of(b"abc")));
        assert_eq!(one.stamp("spoke-1")[0], ("cluster".to_owned(), "spoke-1".to_owned()));
        assert_eq!(one.stamp("spoke-1")[1], ("region".to_owned(), "eu".to_owned()));
        assert_eq!((one.contradiction(), one.limits.stored().series), (Contradiction::Refuse, Some(5)));
        assert_eq!(config.clusters["spoke-2"], ClusterConfig::default());
        assert_eq!(read("clusters: {}\n"), Ok(ClustersConfig::default()));
        assert_eq!(read("clusters:\n"), Ok(ClustersConfig::default()));
    }

    #[test]
    fn errors_say_where_and_what() {
        let check = |text: &str, line: u64, wants: &str| {
            let (error, at) = read(text).unwrap_err();
            assert!(error.contains(wants) && at == line, "{at}: {error}\nshould be at {line}: {wants}");
        };
        check("clusters:\n  a b: {}\n", 2, "expected a cluster name");
        check("clusters:\n  a:\n    tokens: []\n", 3, "tokens");
        check("clusters:\n  a:\n    token_sha256: [secret]\n", 3, "expected a SHA-256");
        check("clusters:\n  a:\n    limits: {series: 0}\n", 3, "would refuse everything");
        check("clusters:\n  a:\n    limits: {serie: 1}\n", 3, "serie");
        check("clusters:\n  a:\n    contradicting_labels: drop\n", 3, "drop");
        check("clusters:\n  a:\n    labels: {cluster: b}\n", 3, "stamped anyway");
        check("clusters:\n  a: {}\n  a: {}\n", 3, "a");
        let twice = format!("clusters:\n  a:\n    token_sha256: [{A}]\n  b:\n    token_sha256: [{A}]\n");
        let (error, _) = read(&twice).unwrap_err();
        assert!(error.contains("cluster b is that of a too"), "{error}");
        let twice = "clusters:\n  a:\n    client_certificate: [x]\n  b:\n    client_certificate: [x]\n";
        let (error, _) = read(twice).unwrap_err();
        assert!(error.contains("of cluster b is that of a too"), "{error}");
        check("clusters:\n  a:\n    client_certificate: ['*.x']\n", 3, "no pattern");
        let (error, _) = read("clusters:\n  a:\n    token_sha256: [hunter2]\n").unwrap_err();
        assert!(!error.contains("hunter2"), "a secret in the wrong place is not repeated: {error}");
    }
}
