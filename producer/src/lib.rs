//! Everything that puts work into usher: file intake, submit, and the requests that undo a run.

pub mod intake;

pub mod submit;

pub mod undo;
