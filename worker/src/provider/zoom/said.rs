//! What Zoom says in the body of an error: a code, a message, the fields that it does not like.

use serde::Deserialize;
use serde_json::Value;

use super::json::{self, Read};

/// Messages are kept for reports: so long and no longer.
const MESSAGE: usize = 500;
/// Real codes have up to five digits.
const CODE: usize = 40;
/// A body that is no JSON is shown so far.
const EXCERPT: usize = 200;

/// What Zoom says in the body of an error.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Said {
    /// Zoom's own code, as text: it sends numbers, and sometimes numbers in quotes.
    pub(super) code: Option<String>,
    /// The message, with the fields' messages behind it.
    pub(super) message: Option<String>,
    /// OAuth's word for what is wrong, where there is one.
    pub(super) error: Option<String>,
    /// Whether the body is a JSON object.
    pub(super) json: bool,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ErrorBody {
    code: Read<Option<String>>,
    message: Value,
    reason: Value,
    error_description: Value,
    error: Value,
    #[serde(rename = "errorMessage")]
    error_message: Value,
    errors: Value,
}

impl Said {
    /// Reads an error body: JSON where it is JSON, else an excerpt of its text.
    pub(super) fn read(body: &[u8]) -> Self {
        // Invalid UTF-8 in a message must not hide the code beside it.
        let text = String::from_utf8_lossy(body);
        let Some(body) = json::object::<ErrorBody>(&text) else {
            return Self { message: tidy(&text, EXCERPT), ..Self::default() };
        };
        let code = body.code.0.and_then(|code| tidy(&code, CODE));
        let mut message =
            [&body.message, &body.reason, &body.error_description, &body.error, &body.error_message]
                .into_iter()
                .find_map(|text| text.as_str().filter(|text| !text.trim().is_empty()))
                .unwrap_or_default()
                .trim()
                .to_owned();
        for error in body.errors.as_array().into_iter().flatten() {
            let field = error.get("field").and_then(scalar);
            let said = error.get("message").and_then(scalar);
            let part = match (field, said) {
                (Some(field), Some(said)) => format!("{field}: {said}"),
                (Some(only), None) | (None, Some(only)) => only,
                (None, None) => continue,
            };
            if !message.is_empty() {
                message.push_str("; ");
            }
            message.push_str(&part);
            if message.len() > MESSAGE * 4 {
                break;
            }
        }
        let error = scalar(&body.error).and_then(|error| tidy(&error, CODE));
        Self { code, message: tidy(&message, MESSAGE), error, json: true }
    }

    /// The message in lower case, for comparing.
    pub(super) fn lower(&self) -> String {
        self.message.as_deref().unwrap_or_default().to_lowercase()
    }
}

/// A text on one line, without control characters, at most `limit` characters; `None` where nothing is left.
pub(super) fn tidy(text: &str, limit: usize) -> Option<String> {
    let words = text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty());
    let mut line = String::new();
    for word in words {
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
        if line.len() > limit * 4 {
            break;
        }
    }
    let line: String = line.chars().take(limit).collect();
    (!line.is_empty()).then_some(line)
}

/// A string or a number as text.
pub(super) fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) if !text.trim().is_empty() => Some(text.trim().to_owned()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(body: &[u8]) -> (Option<String>, Option<String>, bool) {
        let said = Said::read(body);
        (said.code, said.message, said.json)
    }

    #[test]
    fn code_and_message_are_read_whatever_their_form() {
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(
            said(br#"{"code":1001,"message":"User does not exist"}"#),
            (some("1001"), some("User does not exist"), true)
        );
        assert_eq!(said(br#"{"code":"3412","message":" x \n y "}"#), (some("3412"), some("x y"), true));
        assert_eq!(
            said(br#"{"code":300,"message":"Validation Failed.","errors":[{"field":"action","message":"Invalid field."},{"message":"b"},7]}"#),
            (some("300"), some("Validation Failed.; action: Invalid field.; b"), true)
        );
        assert_eq!(said(br#"{"code":null,"message":5}"#), (None, None, true));
        assert_eq!(said(b"<html>\r\n<b>502</b></html>"), (None, some("<html> <b>502</b></html>"), false));
        assert_eq!(said(b"[1,2]"), (None, some("[1,2]"), false));
        assert_eq!(said(b""), (None, None, false));
        assert_eq!(
            said(b"{\"code\":\"1\\u001b[2J\",\"message\":\"a\\u0007\"}"),
            (some("1 [2J"), some("a"), true)
        );
        assert_eq!(said(b"[1001]"), (None, some("[1001]"), false), "no fields by their places");
        let twice = br#"{"code":1,"code":1001}"#;
        assert_eq!(said(twice), (None, some(r#"{"code":1,"code":1001}"#), false));
        assert_eq!(said(b"{\"code\":124,\"message\":\"a\xffb\"}"), (some("124"), some("a\u{fffd}b"), true));
    }

    #[test]
    fn a_message_keeps_500_characters_at_most() {
        let body = format!("{{\"code\":1,\"message\":\"{}\"}}", "ä".repeat(100_000));
        assert_eq!(Said::read(body.as_bytes()).message.unwrap().chars().count(), 500);
    }
}
