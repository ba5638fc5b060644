//! The operator against a real API server. Kubelet, scheduler and frontend are played by the tests.

mod harness;

mod crash;
mod departments;
mod finalizers;
mod idle;
mod leadership;
mod lifecycle;
mod windows;
