//! The operator against a real API server. Kubelet, scheduler and frontend are played by the tests.

#![allow(clippy::unwrap_used, reason = "a panic is how a test reports")]
#![allow(
    clippy::needless_pass_by_value,
    reason = "what json! makes reads better without a borrow"
)]

mod harness;

mod api;
mod bad_input;
mod certificates;
mod crash;
mod crd_upgrade;
mod departments;
mod drains;
mod dynamic_settings;
mod faults;
mod finalizers;
mod hibernation;
mod idle;
mod install_variants;
mod leadership;
mod lifecycle;
mod manifests;
mod policies;
mod process;
mod removal;
mod rights;
mod rolls;
mod starrocks;
mod uninstall;
mod updates;
mod volumes;
mod walks;
mod who_wins;
mod windows;
