#![doc = include_str!("../README.md")]

mod agenda;
mod apply;
mod backoff;
mod cache;
mod certificate;
pub mod clock;
mod concerned;
mod context;
mod drive;
pub mod election;
mod engine;
mod events;
pub mod health;
mod held_back;
mod kubernetes;
pub mod logging;
pub mod metrics;
mod observe;
pub mod operator;
mod reconcile;
mod report;
mod secrets;
pub mod settings;
pub mod uninstall;
mod watch;
