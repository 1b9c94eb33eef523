//! Everything that puts work into usher: file intake, submit, the requests that undo a run; and what steers runs.

pub mod intake;

pub mod steer;

pub mod submit;

pub mod undo;
