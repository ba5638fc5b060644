//! The operator against a real API server. Kubelet, scheduler and frontend are played by the tests.

mod harness;

mod api;
mod bad_input;
mod crash;
mod departments;
mod finalizers;
mod idle;
mod leadership;
mod lifecycle;
mod manifests;
mod process;
mod rights;
mod windows;
