//! Tells operators by webhook what they must hear of, and keeps it until it is delivered or given up on.
