//! Everything that puts work into usher: file intake and submit.

pub mod intake;

pub mod submit;
