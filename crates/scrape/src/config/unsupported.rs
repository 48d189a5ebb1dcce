//! Discovery mechanisms that upstream has and this version has not: refused by name, because a job that
//! silently finds no targets is worse than one that does not load.

use serde::de::{Deserialize, Deserializer, Error as _, IgnoredAny};
use serde::ser::{Serialize, Serializer};

/// The field of `NAMES[N]`: absent, or the file does not load.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Unsupported<const N: usize>;

const NAMES: [&str; 35] = [
    "aws",
    "azure",
    "consul",
    "digitalocean",
    "dns",
    "docker",
    "dockerswarm",
    "ec2",
    "ecs",
    "elasticache",
    "eureka",
    "gce",
    "hetzner",
    "http",
    "ionos",
    "kubernetes",
    "kuma",
    "lightsail",
    "linode",
    "marathon",
    "msk",
    "nerve",
    "nomad",
    "oci",
    "openstack",
    "outscale",
    "ovhcloud",
    "puppetdb",
    "rds",
    "scaleway",
    "serverset",
    "stackit",
    "triton",
    "uyuni",
    "vultr",
];

impl<'de, const N: usize> Deserialize<'de> for Unsupported<N> {
    /// A key without a value asks for nothing.
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        if Option::<IgnoredAny>::deserialize(from)?.is_none() {
            return Ok(Self);
        }
        Err(D::Error::custom(format!(
            "{}_sd_configs is not supported by this version of Nave; \
             use static_configs or file_sd_configs",
            NAMES[N]
        )))
    }
}

impl<const N: usize> Serialize for Unsupported<N> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_none()
    }
}

#[cfg(test)]
mod tests {
    use crate::config::ScrapeConfig;

    #[test]
    fn each_is_refused_by_its_name() {
        for name in super::NAMES {
            let yaml = format!("{{job_name: a, {name}_sd_configs: [{{}}]}}");
            let error = serde_saphyr::from_str::<ScrapeConfig>(&yaml).expect_err(name).to_string();
            assert!(error.contains(&format!("{name}_sd_configs is not supported")), "{name}: {error}");
        }
    }
}
