//! Webhooks: to come.
