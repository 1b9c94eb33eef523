//! The subcommands, one file each.

pub mod accounts;
pub mod apply;
pub mod approve;
pub mod audit;
pub mod demo;
pub mod doctor;
pub mod plan;
pub mod protect;
pub mod prune;
pub mod report;
pub mod resume;
pub mod retry;
pub mod run;
pub mod runs;
pub mod secret_file;
pub mod serve;
pub mod simulate;
pub mod status;
pub mod steer;
pub mod submit;
pub mod token;
pub mod undo;
pub mod verify;
pub mod webhook;
pub mod worker;
