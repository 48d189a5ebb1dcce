//! Fields of upstream whose feature is not built: reading one fails with a word about what to use instead.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

macro_rules! refused {
    ($($(#[$doc:meta])* $name:ident: $text:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub(super) enum $name {}

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(_: D) -> Result<Self, D::Error> {
                Err(serde::de::Error::custom($text))
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
                match *self {}
            }
        }
    )*};
}

refused! {
    /// AWS request signing.
    SigV4: "sigv4 is not built: use basic_auth, authorization, oauth2 or tls_config, or push through a signing proxy";
    /// Azure AD tokens.
    AzureAd: "azuread is not built: use oauth2 with the client's credentials, or push through an authenticating proxy";
    /// Google IAM tokens.
    GoogleIam: "google_iam is not built: use authorization with credentials_file, or push through an authenticating proxy";
}
