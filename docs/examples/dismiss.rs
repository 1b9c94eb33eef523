use std::{error::Error, sync::Arc};

use usher_producer::submit::{Description, Key, submit_under};
use usher_shared::{
    Action, Priority, Request, RunId,
    store::{SharedStore, StoreError, redis::RedisStore},
};

/// Once, when the service starts.
async fn open(redis: &str) -> Result<SharedStore, StoreError> {
    Ok(Arc::new(RedisStore::connect(redis, None).await?))
}

/// Takes the seat of somebody who was dismissed, ahead of all bulk work.
async fn dismiss(store: &SharedStore, address: &str, ticket: &str) -> Result<RunId, Box<dyn Error>> {
    let description = Description {
        priority: Priority::Urgent,
        reason: Some(ticket.to_owned()),
        ..Description::new("zoom-main".parse()?, "hr-portal")
    };
    let request = Request {
        line: 1,
        user: address.parse()?,
        action: Action::Deactivate,
        reason: None,
        restore: None,
    };
    // The same ticket is the same run, however often this is called.
    let key = Key::Own(format!("dismissal {ticket}"));
    let submitted = submit_under(store, key, description, [request]).await?;
    Ok(submitted.run().clone())
}
