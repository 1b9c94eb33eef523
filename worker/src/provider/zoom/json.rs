//! JSON as a vendor sends it: tolerant of what is missing or of another kind, strict about what is said twice, and in no more
//! memory than what is kept of it needs. (A tree of values takes sixteen times the text of a list of zeros.)

use std::{fmt, marker::PhantomData};

use serde::{
    Deserialize, Deserializer,
    de::{IgnoredAny, MapAccess, SeqAccess, Visitor},
};
use serde_json::Number;

/// Reads an object. `None` for whatever else it is, and for an object that has one of the keys that are read twice: which of
/// the two is meant, nobody knows.
pub(super) fn object<'de, T: Deserialize<'de>>(text: &'de str) -> Option<T> {
    // A structure that is derived would read a list, too, its fields by their places.
    if !text.trim_start().starts_with('{') {
        return None;
    }
    serde_json::from_str(text).ok()
}

/// What is read of a value whose kind may be another than the one that is documented; the default for any other kind.
pub(super) trait Tolerant: Default {
    fn text(_: &str) -> Self {
        Self::default()
    }

    fn number(_: &Number) -> Self {
        Self::default()
    }

    fn list<'de, A: SeqAccess<'de>>(mut list: A) -> Result<Self, A::Error> {
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Self::default())
    }

    fn object<'de, A: MapAccess<'de>>(mut object: A) -> Result<Self, A::Error> {
        while object.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Self::default())
    }
}

/// A value read tolerantly.
#[derive(Debug, Default)]
pub(super) struct Read<T>(pub(super) T);

impl<'de, T: Tolerant> Deserialize<'de> for Read<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Any<T>(PhantomData<T>);
        impl<'de, T: Tolerant> Visitor<'de> for Any<T> {
            type Value = Read<T>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("any value")
            }
            fn visit_str<E>(self, text: &str) -> Result<Read<T>, E> {
                Ok(Read(T::text(text)))
            }
            fn visit_u64<E>(self, number: u64) -> Result<Read<T>, E> {
                Ok(Read(T::number(&number.into())))
            }
            fn visit_i64<E>(self, number: i64) -> Result<Read<T>, E> {
                Ok(Read(T::number(&number.into())))
            }
            fn visit_f64<E>(self, number: f64) -> Result<Read<T>, E> {
                Ok(Read(Number::from_f64(number).map_or_else(T::default, |number| T::number(&number))))
            }
            fn visit_bool<E>(self, _: bool) -> Result<Read<T>, E> {
                Ok(Read(T::default()))
            }
            fn visit_unit<E>(self) -> Result<Read<T>, E> {
                Ok(Read(T::default()))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Read<T>, A::Error> {
                T::list(list).map(Read)
            }
            fn visit_map<A: MapAccess<'de>>(self, object: A) -> Result<Read<T>, A::Error> {
                T::object(object).map(Read)
            }
        }
        from.deserialize_any(Any(PhantomData))
    }
}

/// A text or a number, as text without the white space around it; `None` for a blank one and for any other value.
impl Tolerant for Option<String> {
    fn text(text: &str) -> Self {
        Some(text.trim()).filter(|text| !text.is_empty()).map(str::to_owned)
    }

    fn number(number: &Number) -> Self {
        Some(number.to_string())
    }
}

/// The texts and numbers of a list; what else is in it is passed over.
impl Tolerant for Vec<String> {
    fn list<'de, A: SeqAccess<'de>>(mut list: A) -> Result<Self, A::Error> {
        let mut texts = Self::new();
        while let Some(Read(text)) = list.next_element::<Read<Option<String>>>()? {
            texts.extend(text);
        }
        Ok(texts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Default, Deserialize)]
    #[serde(default)]
    struct Body {
        code: Read<Option<String>>,
        groups: Read<Vec<String>>,
    }

    #[test]
    fn a_value_of_another_kind_counts_as_none_and_what_is_not_read_may_be_anything() {
        let cases: [(&str, Option<&str>); 9] = [
            (r#"{"code":300}"#, Some("300")),
            (r#"{"code":" 300 "}"#, Some("300")),
            (r#"{"code":1e30}"#, Some("1e+30")),
            (r#"{"code":-5}"#, Some("-5")),
            (r#"{"code":""}"#, None),
            (r#"{"code":true}"#, None),
            (r#"{"code":[1,{"a":2}]}"#, None),
            (r#"{"code":{"a":{"code":1}}}"#, None),
            (r#" {"x":[{}],"x":1,"code":null}"#, None),
        ];
        for (text, expected) in cases {
            assert_eq!(object::<Body>(text).unwrap().code.0.as_deref(), expected, "{text}");
        }
        let groups = object::<Body>(r#"{"groups":["g1",2,null,["x"]," "]}"#).unwrap().groups.0;
        assert_eq!(groups, ["g1", "2"]);
    }

    #[test]
    fn a_key_twice_a_list_and_nesting_without_end_are_no_object() {
        let deep = format!("{{\"x\":{}", "[".repeat(60_000));
        for text in [r#"{"code":1,"code":1}"#, "[300]", "", "{", "300", "\"{}\"", "{} x", &deep] {
            assert!(object::<Body>(text).is_none(), "{:.40}", text);
        }
    }
}
