//! One line of JSON: an object with the keys that a table has as columns, or a user as a plain string.

use std::{borrow::Cow, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{self, IgnoredAny, MapAccess, SeqAccess, Visitor},
};

use super::{
    columns::{Meaning, Names, meaning},
    row::{BadRow, Cells, RowProblem},
};

/// Reads one line. Keys that mean nothing to intake are passed over, whatever they hold; of several that name users,
/// the one that counts is that which counts in a table.
pub(super) fn cells(text: &str, line: u64) -> Result<Parsed<'_>, BadRow> {
    let value: Line<'_> = serde_json::from_str(text).map_err(|error| BadRow {
        line,
        column: None,
        problem: RowProblem::Json(without_line(&error)),
    })?;
    match value {
        Line::User(text) => Ok(Parsed { user: Named { key: "user".into(), text }, ..Parsed::default() }),
        Line::Neither(what) => Err(BadRow { line, column: None, problem: RowProblem::JsonShape(what) }),
        Line::Object(object) => {
            if let Some((key, problem)) = object.wrong {
                return Err(BadRow { line, column: Some(key.into_owned()), problem });
            }
            let (_, names, user) =
                object.user.ok_or(BadRow { line, column: None, problem: RowProblem::NoUserKey })?;
            Ok(Parsed { user, names, action: object.action, reason: object.reason })
        }
    }
}

/// What is read of one line.
pub(super) struct Parsed<'a> {
    user: Named<'a>,
    names: Names,
    action: Option<Named<'a>>,
    reason: Option<Named<'a>>,
}

impl Default for Parsed<'_> {
    fn default() -> Self {
        Self { user: Named::default(), names: Names::Anything, action: None, reason: None }
    }
}

impl Parsed<'_> {
    pub(super) fn cells(&self) -> Cells<'_> {
        fn named<'a>(named: &'a Named<'_>) -> (&'a str, Cow<'a, str>) {
            (&named.key, Cow::Borrowed(&named.text))
        }
        Cells {
            user: named(&self.user),
            names: self.names,
            action: self.action.as_ref().map(named),
            reason: self.reason.as_ref().map(named),
        }
    }

    pub(super) fn action_key(&self) -> Option<&str> {
        self.action.as_ref().map(|named| named.key.as_ref())
    }
}

#[derive(Default)]
struct Named<'a> {
    key: Cow<'a, str>,
    text: Cow<'a, str>,
}

/// What the parser says, without its `at line 1`, which is not the file's line.
fn without_line(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let said = text.rsplit_once(" at line ").map_or(text.as_str(), |(said, _)| said);
    format!("{said} at character {}", error.column())
}

#[expect(clippy::large_enum_variant, reason = "one at a time, on the stack, for each of a million lines")]
enum Line<'a> {
    Object(Object<'a>),
    User(Cow<'a, str>),
    Neither(&'static str),
}

#[derive(Default)]
struct Object<'a> {
    user: Option<(usize, Names, Named<'a>)>,
    action: Option<Named<'a>>,
    reason: Option<Named<'a>>,
    wrong: Option<(Cow<'a, str>, RowProblem)>,
}

impl<'de: 'a, 'a> Deserialize<'de> for Line<'a> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct LineVisitor;
        impl<'de> Visitor<'de> for LineVisitor {
            type Value = Line<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object or a string")
            }
            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Line<'de>, E> {
                Ok(Line::User(text.into()))
            }
            fn visit_str<E>(self, text: &str) -> Result<Line<'de>, E> {
                Ok(Line::User(text.to_owned().into()))
            }
            fn visit_unit<E>(self) -> Result<Line<'de>, E> {
                Ok(Line::Neither("nothing (null)"))
            }
            fn visit_bool<E>(self, _: bool) -> Result<Line<'de>, E> {
                Ok(Line::Neither("true or false"))
            }
            fn visit_i64<E>(self, _: i64) -> Result<Line<'de>, E> {
                Ok(Line::Neither("a number"))
            }
            fn visit_u64<E>(self, _: u64) -> Result<Line<'de>, E> {
                Ok(Line::Neither("a number"))
            }
            fn visit_f64<E>(self, _: f64) -> Result<Line<'de>, E> {
                Ok(Line::Neither("a number"))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Line<'de>, A::Error> {
                while list.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Line::Neither("a list"))
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Line<'de>, A::Error> {
                let mut object = Object::default();
                while let Some(Text(key)) = map.next_key()? {
                    match meaning(&key) {
                        Meaning::Other => {
                            map.next_value::<IgnoredAny>()?;
                        }
                        meaning => object.put(meaning, key, map.next_value()?),
                    }
                }
                Ok(Line::Object(object))
            }
        }
        from.deserialize_any(LineVisitor)
    }
}

impl<'a> Object<'a> {
    fn put(&mut self, meaning: Meaning, key: Cow<'a, str>, value: Value<'a>) {
        let text = match value {
            Value::Text(text) => text,
            Value::Other(what) => {
                self.wrong.get_or_insert((key, RowProblem::NotText(what)));
                return;
            }
        };
        let twice = key.clone();
        let named = Named { key, text };
        let again = match meaning {
            Meaning::Action => self.action.replace(named).is_some(),
            Meaning::Reason => self.reason.replace(named).is_some(),
            Meaning::User { rank, names } => match &self.user {
                Some((known, ..)) if *known < rank => false,
                known => {
                    let again = known.as_ref().is_some_and(|(known, ..)| *known == rank);
                    self.user = Some((rank, names, named));
                    again
                }
            },
            Meaning::Other => false,
        };
        if again {
            self.wrong.get_or_insert((twice, RowProblem::KeyTwice));
        }
    }
}

/// A string, borrowed where it has no escapes.
#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

/// The value of a key that is read. A whole number is taken as its digits (some vendors' ids are numbers), null as blank.
enum Value<'a> {
    Text(Cow<'a, str>),
    Other(&'static str),
}

impl<'de: 'a, 'a> Deserialize<'de> for Value<'a> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct ValueVisitor;
        impl<'de> Visitor<'de> for ValueVisitor {
            type Value = Value<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }
            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Value<'de>, E> {
                Ok(Value::Text(text.into()))
            }
            fn visit_str<E>(self, text: &str) -> Result<Value<'de>, E> {
                Ok(Value::Text(text.to_owned().into()))
            }
            fn visit_u64<E>(self, number: u64) -> Result<Value<'de>, E> {
                Ok(Value::Text(number.to_string().into()))
            }
            fn visit_i64<E>(self, number: i64) -> Result<Value<'de>, E> {
                Ok(Value::Text(number.to_string().into()))
            }
            fn visit_unit<E>(self) -> Result<Value<'de>, E> {
                Ok(Value::Text("".into()))
            }
            fn visit_f64<E: de::Error>(self, _: f64) -> Result<Value<'de>, E> {
                Ok(Value::Other("a number that is too long or not whole"))
            }
            fn visit_bool<E>(self, _: bool) -> Result<Value<'de>, E> {
                Ok(Value::Other("true or false"))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Value<'de>, A::Error> {
                while list.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Value::Other("a list"))
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value<'de>, A::Error> {
                while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                Ok(Value::Other("an object"))
            }
        }
        from.deserialize_any(ValueVisitor)
    }
}

#[cfg(test)]
mod tests {
    use usher_shared::Action;

    use super::*;

    fn read(text: &str) -> Result<(String, Action, Option<String>), String> {
        let request = cells(text, 3)
            .and_then(|parsed| parsed.cells().request(3, Some(Action::Deactivate)))
            .map_err(|bad| bad.to_string())?;
        Ok((request.user.as_str().to_owned(), request.action, request.reason))
    }

    #[test]
    fn objects_and_plain_strings_are_read_and_other_keys_passed_over() {
        let ok = |user: &str, reason: Option<&str>| {
            Ok((user.to_owned(), Action::Deactivate, reason.map(str::to_owned)))
        };
        let cases = [
            (r#"{"E-Mail":"a@x","dept":{"n":[1,{}]},"reason":null}"#, ok("a@x", None)),
            (r#"{"id":"9","email":"a\u0040x","Reason":"left"}"#, ok("a@x", Some("left"))),
            (r#"{"userId":163840776835432705}"#, ok("163840776835432705", None)),
            (r#" "a@x" "#, ok("a@x", None)),
        ];
        for (text, expected) in cases {
            assert_eq!(read(text), expected, "{text}");
        }
    }

    #[test]
    fn what_is_wrong_is_said_with_the_files_line_and_the_key() {
        let cases = [
            ("{", "line 3: not a JSON object or string: EOF while parsing an object at character 1"),
            (r#"{"email":["a@x"]}"#, "line 3, column email: a list, where text is expected"),
            (r#"{"email":1.5}"#, "line 3, column email: a number that is too long or not whole"),
            (r#"{"email":"a@x","Email":"b@x"}"#, "line 3, column Email: this key stands here twice"),
            (r#"{"name":"Ann"}"#, "line 3: no key that names the user"),
            (r#"{"email":null,"id":"9"}"#, "line 3, column email: the user is empty"),
            ("[1]", "line 3: a list, where an object"),
            ("17", "line 3: a number, where an object"),
            (r#"{"email":"a@x"} x"#, "line 3: not a JSON object or string: trailing characters"),
        ];
        for (text, expected) in cases {
            let error = read(text).unwrap_err();
            assert!(error.starts_with(expected), "{text}: {error}");
        }
    }

    #[test]
    fn nesting_without_end_is_an_error_and_no_overflow() {
        for key in ["x", "email"] {
            let deep = format!("{{\"{key}\":{}", "[".repeat(60_000));
            let error = read(&deep).unwrap_err();
            assert!(error.starts_with("line 3: not a JSON object or string: "), "{error}");
        }
    }
}
