//! The tree of calls, and its description.

use axum::{Router, extract::DefaultBodyLimit, middleware};
use serde_json::Value;
use utoipa::{
    Modify, OpenApi,
    openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme},
};
use utoipa_axum::router::OpenApiRouter;

use crate::{
    Api,
    auth::authenticate,
    docs, health, layers, live, observe,
    problem::{Kind, Problem, ProblemBody},
    runs, steer, submit,
};

#[derive(OpenApi)]
#[openapi(
    info(
        title = "usher",
        description = "Deactivates and reactivates SaaS users in bulk, at exactly the speed the vendor's API allows."
    ),
    modifiers(&Bearer),
    components(schemas(ProblemBody<'static>)),
    security(("bearer" = [])),
    tags(
        (name = "runs", description = "Submit runs, see them and what happened to each user"),
        (name = "steering", description = "Pause, resume, cancel, retry, undo, apply, approve"),
        (name = "live", description = "Server-sent events"),
        (name = "service", description = "Health, metrics, who the caller is"),
    )
)]
struct Description;

struct Bearer;

impl Modify for Bearer {
    fn modify(&self, openapi: &mut utoipa::openapi::OpenApi) {
        let bearer = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .description(Some("A personal token; `usher token new` makes one"))
            .build();
        let components = openapi.components.get_or_insert_default();
        components.add_security_scheme("bearer", SecurityScheme::Http(bearer));
    }
}

/// The whole tree, and its description by OpenAPI 3.1, which it serves, too.
pub fn routes(api: &Api) -> (Router, Value) {
    let behind_token = OpenApiRouter::new()
        .merge(submit::router())
        .merge(runs::router())
        .merge(steer::router())
        .merge(live::router())
        .route_layer(middleware::from_fn_with_state(api.clone(), authenticate));
    let (router, openapi) = OpenApiRouter::with_openapi(Description::openapi())
        .merge(behind_token)
        .merge(health::router())
        .merge(observe::router(api))
        .split_for_parts();
    // Texts and numbers alone: it can't fail.
    let description = docs::complete(serde_json::to_value(openapi).unwrap_or_default());
    let longest = usize::try_from(api.config.serve.max_body_mib << 20).unwrap_or(usize::MAX);
    let router = router
        .merge(docs::router(&description))
        .fallback(async || {
            Problem::new(Kind::NoSuchPath, "/openapi.json lists what there is, /docs shows it")
        })
        .method_not_allowed_fallback(async || {
            Problem::new(Kind::MethodNotAllowed, "/openapi.json lists what there is, /docs shows it")
        })
        .layer(DefaultBodyLimit::max(longest))
        .layer(middleware::from_fn(observe::count));
    (layers::around(router.with_state(api.clone())), description)
}
