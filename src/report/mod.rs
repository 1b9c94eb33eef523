//! What happened, for people, spreadsheets and programs.

pub mod advice;
pub mod csv;
pub mod html;
pub mod json;
pub mod moments;
pub mod numbers;
mod rhythm;
mod rows;
pub mod summary;
pub mod table;

pub use rows::{Filter, Rows};
