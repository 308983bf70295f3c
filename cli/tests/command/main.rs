//! The command line, run as a user runs it.

mod bench;
mod query_demo;
