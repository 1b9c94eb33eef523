//! The vocabulary that crosses the queue, the store, and the configuration of usher.
