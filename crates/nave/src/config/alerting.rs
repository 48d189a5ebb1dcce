//! `alerting`: read and checked, not used by this version.
//!
//! Discovery of Alertmanagers by other means than lists and files is taken unseen, unlike that of targets:
//! no alert is lost by it that would be sent otherwise, and the section is named as not used.

use nave_discovery::{FileSdConfig, StaticConfig};
use nave_http::client::Secret;
use nave_model::duration::PromDuration;
use nave_model::relabel::RelabelConfig;
use serde::de::{Deserializer, Error as _, IgnoredAny};
use serde::{Deserialize, Serialize};

use super::entry::{AlertRules, AlertmanagerRules, Alertmanagers, StaticTargets, TargetFiles, list};

/// Where alerts would go (features F11).
#[derive(Debug, Clone, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Alerting {
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "list::<_, _, AlertRules>")]
    alert_relabel_configs: Vec<RelabelConfig>,
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "list::<_, _, Alertmanagers>")]
    alertmanagers: Vec<Alertmanager>,
}

/// One entry of `alertmanagers`.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(try_from = "Written")]
struct Alertmanager(Written);

impl TryFrom<Written> for Alertmanager {
    type Error = String;

    fn try_from(written: Written) -> Result<Self, String> {
        let http = written.http();
        http.validate()?;
        if written.relabel_configs.is_empty() {
            let mut lists = written.static_configs.iter();
            lists.try_for_each(StaticConfig::check_addresses).map_err(|error| error.to_string())?;
        }
        let other = http.basic_auth.is_some() || http.authorization.is_some() || http.oauth2.is_some();
        if written.sigv4.is_some() && other {
            return Err(
                "at most one of basic_auth, authorization, oauth2, & sigv4 must be configured".to_owned()
            );
        }
        Ok(Self(written))
    }
}

/// `sigv4`: AWS request signing.
#[derive(Debug, Clone, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
struct SigV4 {
    #[serde(skip_serializing_if = "String::is_empty")]
    region: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    access_key: String,
    #[serde(skip_serializing_if = "Secret::is_empty")]
    secret_key: Secret,
    #[serde(skip_serializing_if = "String::is_empty")]
    profile: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    role_arn: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    external_id: String,
    use_fips_sts_endpoint: bool,
}

fn ten_seconds() -> PromDuration {
    PromDuration::from_secs(10)
}

fn http() -> String {
    "http".to_owned()
}

fn v2() -> String {
    "v2".to_owned()
}

/// `v1` is gone from Alertmanager itself; files that still name it load.
fn api_version<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    let version = String::deserialize(from)?;
    match version.as_str() {
        "v1" | "v2" => Ok(v2()),
        _ => Err(D::Error::custom(format!(
            "expected Alertmanager api version to be one of [v2] but got {version}"
        ))),
    }
}

/// A list that is not looked into, nor shown: it may hold secrets.
type Unread = Option<Vec<IgnoredAny>>;

nave_http::with_http_settings! {
    #[derive(Debug, Clone, Deserialize, Serialize)]
    #[serde(deny_unknown_fields)]
    struct Written {
        #[serde(default = "http")]
        scheme: String,
        #[serde(default, skip_serializing_if = "String::is_empty")]
        path_prefix: String,
        #[serde(default = "ten_seconds")]
        timeout: PromDuration,
        #[serde(default = "v2", deserialize_with = "api_version")]
        api_version: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        sigv4: Option<SigV4>,
        #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "list::<_, _, AlertmanagerRules>")]
        relabel_configs: Vec<RelabelConfig>,
        #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "list::<_, _, AlertRules>")]
        alert_relabel_configs: Vec<RelabelConfig>,
        #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "list::<_, _, StaticTargets>")]
        static_configs: Vec<StaticConfig>,
        #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "list::<_, _, TargetFiles>")]
        file_sd_configs: Vec<FileSdConfig>,
        #[serde(default, skip_serializing)]
        aws_sd_configs: Unread,
        #[serde(default, skip_serializing)]
        azure_sd_configs: Unread,
        #[serde(default, skip_serializing)]
        consul_sd_configs: Unread,
        #[serde(default, skip_serializing)]
        digitalocean_sd_configs: Unread,
        #[serde(default, skip_serializing)]
        dns_sd_configs: Unread,
        #[serde(default, skip_serializing)]
        docker_sd_configs: Unread,
        #[serde(default, skip_serializing)]
        dockerswarm_sd_configs: Unread,
        #[serde(default, skip_serializing)]
        ec2_sd_configs: Unread,
        #[serde(default, skip_serializing)]
        ecs_sd_configs: Unread,
        #[serde(default, skip_serializing)]
        elasticache_sd_configs: Unread,
        #[serde(default, skip_serializing)]
        eureka_sd_configs: Unread,
        #[serde(default, skip_serializing)]
        gce_sd_configs: Unread,
        #[serde(default, skip_serializing)]
        hetzner_sd_configs: Unread,
        #[serde(default, skip_serializing)]
        http_sd_configs: Unread,
        #[serde(default, skip_serializing)]
        ionos_sd_configs: Unread,
        #[serde(default, skip_serializing)]
        kubernetes_sd_configs: Unread,
        #[serde(default, skip_serializing)]
        kuma_sd_configs: Unread,
        #[serde(default, skip_serializing)]
        lightsail_sd_configs: Unread,
        #[serde(default, skip_serializing)]
        linode_sd_configs: Unread,
        #[serde(default, skip_serializing)]
        marathon_sd_configs: Unread,
        #[serde(default, skip_serializing)]
        msk_sd_configs: Unread,
        #[serde(default, skip_serializing)]
        nerve_sd_configs: Unread,
        #[serde(default, skip_serializing)]
        nomad_sd_configs: Unread,
        #[serde(default, skip_serializing)]
        oci_sd_configs: Unread,
        #[serde(default, skip_serializing)]
        openstack_sd_configs: Unread,
        #[serde(default, skip_serializing)]
        outscale_sd_configs: Unread,
        #[serde(default, skip_serializing)]
        ovhcloud_sd_configs: Unread,
        #[serde(default, skip_serializing)]
        puppetdb_sd_configs: Unread,
        #[serde(default, skip_serializing)]
        rds_sd_configs: Unread,
        #[serde(default, skip_serializing)]
        scaleway_sd_configs: Unread,
        #[serde(default, skip_serializing)]
        serverset_sd_configs: Unread,
        #[serde(default, skip_serializing)]
        stackit_sd_configs: Unread,
        #[serde(default, skip_serializing)]
        triton_sd_configs: Unread,
        #[serde(default, skip_serializing)]
        uyuni_sd_configs: Unread,
        #[serde(default, skip_serializing)]
        vultr_sd_configs: Unread,
    }
}
