//! What happened, for people, spreadsheets and programs.

pub mod advice;
pub mod csv;
pub mod html;
pub mod json;
mod rhythm;
pub mod summary;
pub mod table;

pub use usher_shared::view::{Filter, Rows, moments, numbers};
