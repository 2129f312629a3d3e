//! What people and programs read: tables, marks, colours, times, drawn problems.

pub mod document;
pub mod problems;
pub mod style;
pub mod table;
pub mod time;
