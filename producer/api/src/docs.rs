//! The description of the API, and a page to read it. Without a token: it tells nothing that the source does not.

use std::sync::Arc;

use axum::{
    Router,
    extract::Request,
    middleware::{self, Next},
    response::Response,
    routing::get,
};
use bytes::Bytes;
use http::{HeaderValue, header};
use serde_json::{Value, json};
use utoipa_swagger_ui::{Config, SwaggerUi};

use crate::Api;

/// Where the description is.
const DESCRIPTION: &str = "/openapi.json";

/// The page is made of what this server serves, and may ask nobody else. It sets styles of its own.
const PAGE: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; \
                    connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// The description at `/openapi.json`, and the page at `/docs`.
pub fn router(description: &Value) -> Router<Api> {
    let text: Bytes = description.to_string().into();
    let description = get(async move || ([(header::CONTENT_TYPE, "application/json")], text));
    let config = Config::from(DESCRIPTION).try_it_out_enabled(false).validator_url("none").use_base_layout();
    let page: Router<Api> = SwaggerUi::new("/docs").config(config).into();
    Router::new().route(DESCRIPTION, description).merge(page.layer(middleware::from_fn(as_page)))
}

async fn as_page(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(PAGE));
    response
}

/// Adds to each call what is true of all: the role in its words, and the answers that come before a call is begun.
pub fn complete(mut description: Value) -> Value {
    let Some(paths) = description.get_mut("paths").and_then(Value::as_object_mut) else { return description };
    for operation in paths.values_mut().filter_map(Value::as_object_mut).flat_map(|path| path.values_mut()) {
        let roles = roles(operation);
        let Some(operation) = operation.as_object_mut() else { continue };
        // Calls without a token say so: `security: [{}]`.
        let open = operation.get("security").is_some_and(|security| *security == json!([{}]));
        if let Some(role) = roles.first() {
            let said = operation.get("description").and_then(Value::as_str).unwrap_or_default();
            let said = format!("{said}\n\nNeeds the role `{role}`.").trim().to_owned();
            operation.insert("description".into(), said.into());
        }
        let takes_body = operation.contains_key("requestBody");
        let takes_words =
            operation.get("parameters").and_then(Value::as_array).is_some_and(|all| !all.is_empty());
        let responses = operation.entry("responses").or_insert_with(|| json!({}));
        let Some(responses) = responses.as_object_mut() else { continue };
        let mut add = |status: &str, description: &str, so: bool| {
            if so && !responses.contains_key(status) {
                responses.insert(status.to_owned(), problem(description));
            }
        };
        add("400", "The call can't be read", takes_body || takes_words);
        add("401", "No token, or none that is known here", !open);
        add("403", "The token may not do this, or not for this account", !roles.is_empty());
        add("408", "The body did not come to its end in time", takes_body);
        add("413", "The body is too long", takes_body);
        add("415", "The body is of a type that is not taken", takes_body);
        add("422", "What is asked for can't be carried out", takes_body);
        add("429", "Too many calls; `Retry-After` says when to come again", !open);
        add("500", "A defect of usher", true);
        add(
            "503",
            "The store does not answer, or the server stops; `Retry-After` says when to come again",
            !open,
        );
    }
    description
}

/// The roles that a call names in its security requirement.
fn roles(operation: &Value) -> Vec<Arc<str>> {
    let requirements = operation.get("security").and_then(Value::as_array).into_iter().flatten();
    let bearer = requirements.filter_map(|requirement| requirement.get("bearer")?.as_array());
    bearer.flatten().filter_map(Value::as_str).map(Arc::from).collect()
}

fn problem(description: &str) -> Value {
    json!({
        "description": description,
        "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
    })
}
