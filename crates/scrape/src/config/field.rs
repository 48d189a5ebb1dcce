//! The fields of a scrape config as they stand in the file.

use std::collections::BTreeMap;

use nave_discovery::{FileSdConfig, StaticConfig};
use nave_http::client::macro_support::or_default;
use nave_model::duration::PromDuration;
use nave_model::relabel::{NameScheme, RelabelConfig};
use serde::de::{Deserialize, Deserializer, Error as _};

use super::unsupported::Unsupported;
use super::{ByteSize, Defaults, Escaping};

nave_http::with_http_settings! {
    /// All fields of a scrape config. 0, empty and `None` mean: as `global` says.
    #[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    pub struct Fields {
        /// Unique; the `job` label.
        #[serde(default, deserialize_with = "or_default")]
        pub job_name: String,
        /// How often.
        #[serde(default, skip_serializing_if = "is_no_time", deserialize_with = "or_default")]
        pub scrape_interval: PromDuration,
        /// How long a scrape may take.
        #[serde(default, skip_serializing_if = "is_no_time", deserialize_with = "or_default")]
        pub scrape_timeout: PromDuration,
        /// Names of [`super::Protocol`]s, best first.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        pub scrape_protocols: Vec<String>,
        /// The protocol of pages that do not say theirs.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub fallback_scrape_protocol: Option<String>,
        /// Whether native histograms are read as such; otherwise as classic ones.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub scrape_native_histograms: Option<bool>,
        /// Whether classic series are kept beside native histograms.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub always_scrape_classic_histograms: Option<bool>,
        /// Whether classic histograms become native ones with custom bounds.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub convert_classic_histograms_to_nhcb: Option<bool>,
        /// Whether to report timeout, limit and size of each scrape too.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub extra_scrape_metrics: Option<bool>,
        /// Whether labels of the page win over those of the target.
        #[serde(default, deserialize_with = "or_default")]
        pub honor_labels: bool,
        /// Whether times of the page are kept.
        #[serde(default = "yes", deserialize_with = "or_yes")]
        pub honor_timestamps: bool,
        /// Whether series with times of their own get stale markers.
        #[serde(default, deserialize_with = "or_default")]
        pub track_timestamps_staleness: bool,
        /// Query parameters.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        pub params: BTreeMap<String, Vec<String>>,
        /// Path of the page.
        #[serde(default = "metrics_path", deserialize_with = "or_metrics_path")]
        pub metrics_path: String,
        /// `http` or `https`.
        #[serde(default = "http", deserialize_with = "or_http")]
        pub scheme: String,
        /// Whether pages may come compressed.
        #[serde(default = "yes", deserialize_with = "or_yes")]
        pub enable_compression: bool,
        /// Where failed scrapes are written.
        #[serde(default, skip_serializing_if = "String::is_empty", deserialize_with = "or_default")]
        pub scrape_failure_log_file: String,
        /// Longest page, decompressed.
        #[serde(default, deserialize_with = "or_default")]
        pub body_size_limit: ByteSize,
        /// Most samples of a page.
        #[serde(default, skip_serializing_if = "is_zero", deserialize_with = "or_default")]
        pub sample_limit: u64,
        /// Most labels of a series.
        #[serde(default, skip_serializing_if = "is_zero", deserialize_with = "or_default")]
        pub label_limit: u64,
        /// Longest name of a label, in bytes.
        #[serde(default, skip_serializing_if = "is_zero", deserialize_with = "or_default")]
        pub label_name_length_limit: u64,
        /// Longest value of a label, in bytes.
        #[serde(default, skip_serializing_if = "is_zero", deserialize_with = "or_default")]
        pub label_value_length_limit: u64,
        /// Most targets of the job.
        #[serde(default, skip_serializing_if = "is_zero", deserialize_with = "or_default")]
        pub target_limit: u64,
        /// How many dropped targets are shown.
        #[serde(default, skip_serializing_if = "is_zero", deserialize_with = "or_default")]
        pub keep_dropped_targets: u64,
        /// Most buckets of a native histogram: finer ones are merged, and the page is refused where that does not do.
        #[serde(default, skip_serializing_if = "is_zero", deserialize_with = "or_default")]
        pub native_histogram_bucket_limit: u64,
        /// Buckets of native histograms that grow by less are merged.
        #[serde(default, skip_serializing_if = "is_zero_float", deserialize_with = "or_default")]
        pub native_histogram_min_bucket_factor: f64,
        /// Which names are accepted.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub metric_name_validation_scheme: Option<NameScheme>,
        /// How targets are asked to write names.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub metric_name_escaping_scheme: Option<Escaping>,
        /// Targets that are written here.
        #[serde(default, deserialize_with = "static_configs", skip_serializing_if = "Vec::is_empty")]
        pub static_configs: Vec<StaticConfig>,
        /// Targets that are written in files.
        #[serde(default, deserialize_with = "file_sd_configs", skip_serializing_if = "Vec::is_empty")]
        pub file_sd_configs: Vec<FileSdConfig>,
        /// Rules for targets.
        #[serde(default, deserialize_with = "target_rules", skip_serializing_if = "Vec::is_empty")]
        pub relabel_configs: Vec<RelabelConfig>,
        /// Rules for scraped series.
        #[serde(default, deserialize_with = "metric_rules", skip_serializing_if = "Vec::is_empty")]
        pub metric_relabel_configs: Vec<RelabelConfig>,
        /// Refused.
        #[serde(default, skip_serializing)]
        pub aws_sd_configs: Unsupported<0>,
        /// Refused.
        #[serde(default, skip_serializing)]
        pub azure_sd_configs: Unsupported<1>,
        /// Refused.
        #[serde(default, skip_serializing)]
        pub consul_sd_configs: Unsupported<2>,
        /// Refused.
        #[serde(default, skip_serializing)]
        pub digitalocean_sd_configs: Unsupported<3>,
        /// Refused.
        #[serde(default, skip_serializing)]
        pub dns_sd_configs: Unsupported<4>,
        /// Refused.
        #[serde(default, skip_serializing)]
        pub docker_sd_configs: Unsupported<5>,
        /// Refused.
        #[serde(default, skip_serializing)]
        pub dockerswarm_sd_configs: Unsupported<6>,
        /// Refused.
        #[serde(default, skip_serializing)]
        pub ec2_sd_configs: Unsupported<7>,
        /// Refused.
        #[serde(default, skip_serializing)]
        pub ecs_sd_configs: Unsupported<8>,
        /// Refused.
        #[serde(default, skip_serializing)]
        pub elasticache_sd_configs: Unsupported<9>,
        /// Refused.
        #[serde(default, skip_serializing)]
        pub eureka_sd_configs: Unsupported<10>,
        /// Refused.
        #[serde(default, skip_serializing)]
        pub gce_sd_configs: Unsupported<11>,
        /// Refused.
        #[serde(default, skip_serializing)]
        pub hetzner_sd_configs: Unsupported<12>,
        /// Refused.
        #[serde(default, skip_serializing)]
        pub http_sd_configs: Unsupported<13>,
        /// Refused.
        #[serde(default, skip_serializing)]
        pub ionos_sd_configs: Unsupported<14>,
        /// Refused.
        #[serde(default, skip_serializing)]
        pub kubernetes_sd_configs: Unsupported<15>,
        /// Refused.
        #[serde(default, skip_serializing)]
        pub kuma_sd_configs: Unsupported<16>,
        /// Refused.
        #[serde(default, skip_serializing)]
        pub lightsail_sd_configs: Unsupported<17>,
        /// Refused.
        #[serde(default, skip_serializing)]
        pub linode_sd_configs: Unsupported<18>,
        /// Refused.
        #[serde(default, skip_serializing)]
        pub marathon_sd_configs: Unsupported<19>,
        /// Refused.
        #[serde(default, skip_serializing)]
        pub msk_sd_configs: Unsupported<20>,
        /// Refused.
        #[serde(default, skip_serializing)]
        pub nerve_sd_configs: Unsupported<21>,
        /// Refused.
        #[serde(default, skip_serializing)]
        pub nomad_sd_configs: Unsupported<22>,
        /// Refused.
        #[serde(default, skip_serializing)]
        pub oci_sd_configs: Unsupported<23>,
        /// Refused.
        #[serde(default, skip_serializing)]
        pub openstack_sd_configs: Unsupported<24>,
        /// Refused.
        #[serde(default, skip_serializing)]
        pub outscale_sd_configs: Unsupported<25>,
        /// Refused.
        #[serde(default, skip_serializing)]
        pub ovhcloud_sd_configs: Unsupported<26>,
        /// Refused.
        #[serde(default, skip_serializing)]
        pub puppetdb_sd_configs: Unsupported<27>,
        /// Refused.
        #[serde(default, skip_serializing)]
        pub rds_sd_configs: Unsupported<28>,
        /// Refused.
        #[serde(default, skip_serializing)]
        pub scaleway_sd_configs: Unsupported<29>,
        /// Refused.
        #[serde(default, skip_serializing)]
        pub serverset_sd_configs: Unsupported<30>,
        /// Refused.
        #[serde(default, skip_serializing)]
        pub stackit_sd_configs: Unsupported<31>,
        /// Refused.
        #[serde(default, skip_serializing)]
        pub triton_sd_configs: Unsupported<32>,
        /// Refused.
        #[serde(default, skip_serializing)]
        pub uyuni_sd_configs: Unsupported<33>,
        /// Refused.
        #[serde(default, skip_serializing)]
        pub vultr_sd_configs: Unsupported<34>,
    }
}

impl Fields {
    /// Limits that the entry does not set are those of `global`.
    pub(super) fn apply_limits(&mut self, defaults: &Defaults) {
        if self.body_size_limit.0 == 0 {
            self.body_size_limit = defaults.body_size_limit;
        }
        let pairs = [
            (&mut self.sample_limit, defaults.sample_limit),
            (&mut self.label_limit, defaults.label_limit),
            (&mut self.label_name_length_limit, defaults.label_name_length_limit),
            (&mut self.label_value_length_limit, defaults.label_value_length_limit),
            (&mut self.target_limit, defaults.target_limit),
            (&mut self.keep_dropped_targets, defaults.keep_dropped_targets),
        ];
        for (limit, default) in pairs {
            if *limit == 0 {
                *limit = default;
            }
        }
        self.scrape_native_histograms.get_or_insert(defaults.scrape_native_histograms);
        self.always_scrape_classic_histograms.get_or_insert(defaults.always_scrape_classic_histograms);
        self.convert_classic_histograms_to_nhcb.get_or_insert(defaults.convert_classic_histograms_to_nhcb);
        self.extra_scrape_metrics.get_or_insert(defaults.extra_scrape_metrics);
    }
}

fn or_yes<'de, D: Deserializer<'de>>(from: D) -> Result<bool, D::Error> {
    Ok(Option::deserialize(from)?.unwrap_or_else(yes))
}

fn or_metrics_path<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    Ok(Option::deserialize(from)?.unwrap_or_else(metrics_path))
}

fn or_http<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    Ok(Option::deserialize(from)?.unwrap_or_else(http))
}

fn yes() -> bool {
    true
}

fn metrics_path() -> String {
    "/metrics".to_owned()
}

fn http() -> String {
    "http".to_owned()
}

#[allow(clippy::trivially_copy_pass_by_ref)] // serde gives the reference
fn is_zero(number: &u64) -> bool {
    *number == 0
}

#[allow(clippy::trivially_copy_pass_by_ref)] // serde gives the reference
fn is_zero_float(number: &f64) -> bool {
    *number == 0.0
}

#[allow(clippy::trivially_copy_pass_by_ref)] // serde gives the reference
fn is_no_time(duration: &PromDuration) -> bool {
    duration.is_zero()
}

/// A list, or nothing; an entry that is null is refused with `text`.
fn list<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
    text: &str,
) -> Result<Vec<T>, D::Error> {
    let entries = Option::<Vec<Option<T>>>::deserialize(deserializer)?.unwrap_or_default();
    entries.into_iter().map(|entry| entry.ok_or_else(|| D::Error::custom(text))).collect()
}

fn static_configs<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<StaticConfig>, D::Error> {
    list(from, "empty or null section in static_configs")
}

fn file_sd_configs<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<FileSdConfig>, D::Error> {
    list(from, "empty or null section in file_sd_configs")
}

fn target_rules<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<RelabelConfig>, D::Error> {
    list(from, "empty or null target relabeling rule")
}

fn metric_rules<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<RelabelConfig>, D::Error> {
    list(from, "empty or null metric relabeling rule")
}
