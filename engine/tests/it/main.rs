//! The whole engine in one process: frontend and compute node on a folder, asked as clients ask.

mod bad_input;
mod engine;
mod load;
mod statements;
