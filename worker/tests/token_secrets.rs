//! No token, secret or sealed bytes where they do not belong. Alone in its process: what a thread without a log has seen first
//! may never be logged by another.

#![allow(missing_docs, clippy::unwrap_used, reason = "a test file, its helpers included")]

mod token_support;

use std::sync::Arc;

use token_support::{Log, Place, Vendor, call, connection};
use usher_shared::UserRef;

#[tokio::test]
async fn no_secret_is_logged_shown_or_stored_in_clear_text() {
    let log = Log::default();
    let _logged = tracing::subscriber::set_default(log.clone());
    let vendor = Vendor::start(|_| ()).await;
    let Place::Redis(mut redis) = Place::redis() else { panic!() };
    let mut raw = connection(&redis).await;
    let store =
        || async { usher_shared::store::redis::RedisStore::connect(&redis.url(), None).await.unwrap() };
    let user: UserRef = vendor.emails().remove(0);
    let one = vendor.worker("one", Some(Arc::new(store().await)));
    call(&one, &user).await;
    let two = vendor.worker("two", Some(Arc::new(store().await)));
    call(&two, &user).await;
    let three = vendor.worker("three", Some(Arc::new(store().await)));
    let stored: Vec<u8> =
        redis::cmd("GET").arg("usher:{zoom-main}:token").query_async(&mut raw).await.unwrap();
    let () =
        redis::cmd("SET").arg("usher:{zoom-main}:token").arg("rubbish").query_async(&mut raw).await.unwrap();
    call(&three, &user).await;
    redis.kill();
    vendor.sim.kill_tokens();
    call(&one, &user).await;

    let shown = format!("{one:?} {two:#?} {three:?}");
    let logged = log.text();
    assert!(logged.contains("new token for the fleet") && logged.contains("is replaced"), "{logged}");
    assert!(logged.contains("fetches one for itself"), "{logged}");
    // Every token of the simulator begins like this.
    for secret in ["eyJzdiI6", "sim-secret", &vendor.sim.settings().oauth.client_secret] {
        assert!(!logged.contains(secret), "logged: {secret}");
        assert!(!shown.contains(secret), "shown: {secret}");
        assert!(!String::from_utf8_lossy(&stored).contains(secret), "stored: {secret}");
    }
    // Nor what is sealed, in any form that a list of bytes is shown in.
    let bytes = format!("{:?}", &stored[1..9]);
    let bytes = bytes.trim_matches(['[', ']']);
    assert!(!logged.contains(bytes) && !shown.contains(bytes));
}
