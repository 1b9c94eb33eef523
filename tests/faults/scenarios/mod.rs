//! The scenarios, by what is struck.

mod clock;
mod disk;
mod newest;
mod one_file;
mod outage;
mod poison;
mod redis_answers;
mod redis_dies;
mod to_redis;
mod to_vendor;
mod tokens;
mod workers;
