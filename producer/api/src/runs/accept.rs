//! In which form the caller wants rows.

use axum::extract::FromRequestParts;
use http::{HeaderMap, header, request::Parts};

use crate::problem::{Kind, Problem};

/// Forms of rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// A page, in JSON.
    Json,
    /// All of them, a line of JSON each.
    Lines,
    /// All of them, for spreadsheets.
    Csv,
}

impl Form {
    /// The media type.
    pub fn media_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Lines => "application/x-ndjson",
            Self::Csv => "text/csv",
        }
    }
}

/// The form that a caller wants most of those that there are: a page, and lines or (`CSV`) also a table.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<const CSV: bool>(pub Form);

impl<S: Send + Sync, const CSV: bool> FromRequestParts<S> for Wanted<CSV> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let forms: &[Form] =
            if CSV { &[Form::Json, Form::Lines, Form::Csv] } else { &[Form::Json, Form::Lines] };
        wanted(&parts.headers, forms).map(Self)
    }
}

/// The form that the `Accept` header weighs most; of several the first of `forms`.
fn wanted(headers: &HeaderMap, forms: &[Form]) -> Result<Form, Problem> {
    let said: Vec<&str> =
        headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok()).collect();
    let said = said.join(",");
    if said.trim().is_empty() {
        return Ok(Form::Json);
    }
    let mut best = None;
    for form in forms {
        let weight = weight(&said, form.media_type());
        if weight > 0.0 && best.is_none_or(|(_, known)| weight > known) {
            best = Some((*form, weight));
        }
    }
    best.map(|(form, _)| form).ok_or_else(|| {
        let types: Vec<&str> = forms.iter().map(|form| form.media_type()).collect();
        Problem::new(Kind::NotAcceptable, format!("this can be sent as {}", types.join(", ")))
    })
}

/// How much a media type is wanted, 0 to 1: by the most exact of the ranges that it falls into (RFC 9110, 12.5.1).
fn weight(said: &str, media_type: &str) -> f32 {
    let (kind, _) = media_type.split_once('/').unwrap_or((media_type, ""));
    let mut found = (0, 0.0);
    for range in said.split(',') {
        let mut parts = range.split(';').map(str::trim);
        let name = parts.next().unwrap_or_default().to_ascii_lowercase();
        let exactness = match name.as_str() {
            name if name == media_type => 3,
            name if name.strip_suffix("/*") == Some(kind) => 2,
            "*/*" => 1,
            _ => continue,
        };
        let quality = parts.find_map(|part| part.strip_prefix("q=").or_else(|| part.strip_prefix("Q=")));
        let quality = quality.map_or(1.0, |quality| quality.parse::<f32>().unwrap_or(0.0).clamp(0.0, 1.0));
        if exactness > found.0 {
            found = (exactness, quality);
        }
    }
    found.1
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn chosen(accept: &str) -> Result<Form, Kind> {
        let headers: HeaderMap =
            [(header::ACCEPT, HeaderValue::from_str(accept).unwrap())].into_iter().collect();
        wanted(&headers, &[Form::Json, Form::Lines, Form::Csv]).map_err(|problem| problem.kind())
    }

    #[test]
    fn the_form_that_is_wanted_most_is_sent_and_json_where_it_is_all_the_same() {
        let cases = [
            ("", Ok(Form::Json)),
            ("*/*", Ok(Form::Json)),
            ("application/*", Ok(Form::Json)),
            ("application/json", Ok(Form::Json)),
            ("application/x-ndjson", Ok(Form::Lines)),
            ("Text/CSV; charset=utf-8", Ok(Form::Csv)),
            ("text/*", Ok(Form::Csv)),
            ("text/csv;q=0.5, application/x-ndjson;q=0.9", Ok(Form::Lines)),
            ("*/*;q=0.1, text/csv", Ok(Form::Csv)),
            ("application/json;q=0, */*", Ok(Form::Lines)),
            ("text/html", Err(Kind::NotAcceptable)),
            ("*/*;q=0", Err(Kind::NotAcceptable)),
            ("application/json;q=nonsense", Err(Kind::NotAcceptable)),
        ];
        for (accept, expected) in cases {
            assert_eq!(chosen(accept), expected, "{accept:?}");
        }
    }
}
