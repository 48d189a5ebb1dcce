//! Keys that people write by mistake, refused with the right one at the key's own place.
//!
//! The generated code only knows "unknown field". So the deserializer of a block is wrapped: a key of
//! the block goes past [`Hint`] before the generated code sees it. Values are not touched.

use std::fmt;

use serde::de::{self, DeserializeSeed, Deserializer, MapAccess, Visitor};
use serde::forward_to_deserialize_any;

/// Says what is wrong with a key, when it knows.
pub(super) type Hint = fn(&str) -> Option<String>;

/// Keys of `remote_write` as the Kubernetes operator's objects spell them, or from another place.
pub(super) fn endpoint_key(key: &str) -> Option<String> {
    if matches!(key, "external_labels" | "externalLabels") {
        return Some(format!(
            "{key} does not belong under remote_write: write external_labels under global, where it applies to \
             every endpoint; labels for one endpoint are set by write_relabel_configs with a target_label"
        ));
    }
    camel_case(key)
}

/// `maxShards` and the like.
pub(super) fn camel_case(key: &str) -> Option<String> {
    let right = match key {
        "retryOnRateLimit" => "retry_on_http_429".to_owned(),
        "messageVersion" => "protobuf_message".to_owned(),
        _ if !key.contains(|c: char| c.is_ascii_uppercase()) => return None,
        _ => snake_case(key),
    };
    Some(format!(
        "{key} is spelled as in the Kubernetes operator's objects: in this file it is written {right}"
    ))
}

/// `enableHTTP2` to `enable_http2`: an underscore where a capital follows a small letter.
fn snake_case(key: &str) -> String {
    let mut snake = String::new();
    let mut small_before = false;
    for c in key.chars() {
        if c.is_ascii_uppercase() && small_before {
            snake.push('_');
        }
        small_before = !c.is_ascii_uppercase();
        snake.push(c.to_ascii_lowercase());
    }
    snake
}

/// A deserializer of a block, whose keys go past the hint.
pub(super) struct Hinted<D>(pub(super) D, pub(super) Hint);

impl<'de, D: Deserializer<'de>> Deserializer<'de> for Hinted<D> {
    type Error = D::Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        self.0.deserialize_any(visitor)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        self.0.deserialize_struct(name, fields, Hinted(visitor, self.1))
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit
        unit_struct newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}

/// The visitor of the block.
impl<'de, V: Visitor<'de>> Visitor<'de> for Hinted<V> {
    type Value = V::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.expecting(f)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<V::Value, A::Error> {
        self.0.visit_map(HintedMap(map, self.1))
    }

    fn visit_unit<E: de::Error>(self) -> Result<V::Value, E> {
        self.0.visit_unit()
    }
}

struct HintedMap<A>(A, Hint);

impl<'de, A: MapAccess<'de>> MapAccess<'de> for HintedMap<A> {
    type Error = A::Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, A::Error> {
        self.0.next_key_seed(HintedKey(seed, self.1))
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, A::Error> {
        self.0.next_value_seed(seed)
    }

    fn size_hint(&self) -> Option<usize> {
        self.0.size_hint()
    }
}

/// A key on its way: as seed, as deserializer and as visitor.
struct HintedKey<T>(T, Hint);

impl<'de, K: DeserializeSeed<'de>> DeserializeSeed<'de> for HintedKey<K> {
    type Value = K::Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<K::Value, D::Error> {
        self.0.deserialize(HintedKey(deserializer, self.1))
    }
}

impl<'de, D: Deserializer<'de>> Deserializer<'de> for HintedKey<D> {
    type Error = D::Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        self.0.deserialize_any(HintedKey(visitor, self.1))
    }

    fn deserialize_identifier<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        self.0.deserialize_identifier(HintedKey(visitor, self.1))
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit
        unit_struct newtype_struct seq tuple tuple_struct map struct enum ignored_any
    }
}

impl<'de, V: Visitor<'de>> Visitor<'de> for HintedKey<V> {
    type Value = V::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.expecting(f)
    }

    fn visit_str<E: de::Error>(self, key: &str) -> Result<V::Value, E> {
        match (self.1)(key) {
            Some(hint) => Err(E::custom(hint)),
            None => self.0.visit_str(key),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings() {
        let check = |key: &str, want: Option<&str>| {
            let hint = camel_case(key);
            assert_eq!(hint.as_deref().and_then(|hint| hint.rsplit(' ').next()), want, "{key}");
        };
        check("queueConfig", Some("queue_config"));
        check("maxSamplesPerSend", Some("max_samples_per_send"));
        check("enableHTTP2", Some("enable_http2"));
        check("retryOnRateLimit", Some("retry_on_http_429"));
        check("queue_config", None);
    }
}
