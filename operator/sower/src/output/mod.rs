//! What people and programs read: tables, marks, colours, times, charts, drawn problems.

pub mod changes;
pub mod chart;
pub mod document;
pub mod pages;
pub mod problems;
pub mod progress;
pub mod style;
pub mod table;
pub mod time;
