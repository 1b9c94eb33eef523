//! Users as a JSON body lists them.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor, value::MapAccessDeserializer},
};
use usher_producer::intake::Stated;
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{OneOfBuilder, Ref, RefOr, schema::Schema},
};

/// One user of a JSON body: a text, or an object that says more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserEntry(pub Stated);

/// A user, and what is said of that one
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UserObject {
    /// An e-mail address or the vendor's id.
    #[schema(value_type = UserName)]
    user: String,
    /// What is wanted, where the run does not say it for all.
    #[serde(default)]
    #[schema(value_type = Option<usher_shared::Action>)]
    action: Option<String>,
    /// Why, in the submitter's words.
    #[serde(default)]
    #[schema(max_length = 1000)]
    reason: Option<String>,
}

/// An e-mail address or the vendor's id
// The pattern says what `intake` refuses: what no user has in its name, what stands for somebody else, half an address.
#[derive(ToSchema)]
#[schema(
    min_length = 1,
    max_length = 254,
    pattern = r#"^\s*(?!([mM][eE]|\.\.?)\s*$)[^@\s/\\,;"<>\u0000-\u001f\u007f-\u009f\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u2064\ufeff\ufffd]+(@[^@.\s/\\,;"<>\u0000-\u001f\u007f-\u009f\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u2064\ufeff\ufffd][^@\s/\\,;"<>\u0000-\u001f\u007f-\u009f\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u2064\ufeff\ufffd]*)?\s*$"#,
    example = "ann@corp.example"
)]
#[allow(dead_code, reason = "stands for a text in the description")]
pub struct UserName(String);

// Read by hand, because "did not match any variant" names neither the thing nor the cure.
impl<'de> Deserialize<'de> for UserEntry {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Entry;
        impl<'de> Visitor<'de> for Entry {
            type Value = UserEntry;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a user: a text such as \"ann@corp.example\", or an object with the key \"user\"")
            }
            fn visit_str<E>(self, text: &str) -> Result<UserEntry, E> {
                Ok(UserEntry(Stated { user: text.to_owned(), ..Stated::default() }))
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<UserEntry, A::Error> {
                let UserObject { user, action, reason } =
                    UserObject::deserialize(MapAccessDeserializer::new(map))?;
                Ok(UserEntry(Stated { user, action, reason }))
            }
        }
        from.deserialize_any(Entry)
    }
}

impl PartialSchema for UserEntry {
    fn schema() -> RefOr<Schema> {
        let of = |name| RefOr::Ref(Ref::from_schema_name(name));
        OneOfBuilder::new().item(of("UserName")).item(of("UserObject")).into()
    }
}

impl ToSchema for UserEntry {
    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        schemas.push(("UserName".into(), UserName::schema()));
        schemas.push(("UserObject".into(), UserObject::schema()));
        UserObject::schemas(schemas);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_a_text_or_an_object_and_anything_else_is_told_what_it_should_be() {
        let read = |text: &str| serde_json::from_str::<UserEntry>(text).map(|entry| entry.0);
        assert_eq!(read("\"ann\"").unwrap(), Stated { user: "ann".into(), ..Stated::default() });
        let full = read(r#"{"user": "ann", "action": "activate", "reason": "back"}"#).unwrap();
        assert_eq!((full.action.as_deref(), full.reason.as_deref()), (Some("activate"), Some("back")));
        for (bad, says) in [
            ("7", "a user: a text"),
            ("null", "a user: a text"),
            ("{}", "`user`"),
            (r#"{"user": "a", "usr": 1}"#, "`usr`"),
        ] {
            let said = read(bad).unwrap_err().to_string();
            assert!(said.contains(says), "{bad}: {said}");
        }
    }
}
