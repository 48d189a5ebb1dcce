//! Lists of which no entry may be nothing (`- ` alone).

use std::marker::PhantomData;

use serde::de::{Deserialize, Deserializer, Error as _};

/// What stands in a list.
pub(super) trait Entry {
    /// What an entry of nothing is refused with.
    const EMPTY: &'static str;
}

macro_rules! entries {
    ($($name:ident: $text:literal;)*) => {$(
        #[doc = $text]
        pub(super) enum $name {}

        impl Entry for $name {
            const EMPTY: &'static str = $text;
        }
    )*};
}

entries! {
    Scrape: "empty or null scrape config section";
    RemoteWrite: "empty or null remote write config section";
    RemoteRead: "empty or null remote read config section";
    Alertmanagers: "empty or null Alertmanager config section";
    AlertRules: "empty or null alert relabeling rule";
    AlertmanagerRules: "empty or null Alertmanager target relabeling rule";
    StaticTargets: "empty or null section in static_configs";
    TargetFiles: "empty or null section in file_sd_configs";
}

/// Refuses nothing where it stands, so that the error has the entry's place.
struct Present<T, N>(T, PhantomData<N>);

impl<'de, T: Deserialize<'de>, N: Entry> Deserialize<'de> for Present<T, N> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Option::deserialize(deserializer)?.ok_or_else(|| D::Error::custom(N::EMPTY))?;
        Ok(Self(value, PhantomData))
    }
}

/// A list without empty entries; no list is an empty one.
pub(super) fn list<'de, D: Deserializer<'de>, T: Deserialize<'de>, N: Entry>(
    from: D,
) -> Result<Vec<T>, D::Error> {
    let entries = Option::<Vec<Present<T, N>>>::deserialize(from)?.unwrap_or_default();
    Ok(entries.into_iter().map(|entry| entry.0).collect())
}
