//! What every store must do, as tests that an implementation calls with a way to make empty stores.
