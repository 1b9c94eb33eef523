//! Stateful fakes of the vendors' APIs that enforce the documented rules.
