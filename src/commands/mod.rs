//! The subcommands, one file each.

pub mod accounts;
pub mod demo;
pub mod doctor;
pub mod report;
pub mod resume;
pub mod run;
pub mod runs;
pub mod simulate;
pub mod status;
pub mod steer;
pub mod submit;
pub mod verify;
pub mod worker;
