//! The whole cluster: each module is one scenario on a real Kubernetes, named by `KUBECONFIG`, with the images in its nodes.
//! `make test` starts it; without it every test fails and says so.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::needless_pass_by_value,
    reason = "helpers of tests fail as tests do, and say so"
)]

mod ahead_of_a_peak;
mod authority;
mod bad_input;
mod burst;
mod churn;
mod cluster;
mod compute_node_killed;
mod department;
mod department_admin;
mod drain;
mod dynamic_settings;
mod engine_upgrade;
mod frontend_killed;
mod harness;
mod hibernation;
mod install_variants;
mod internal_ports;
mod load;
mod loads_from_s3;
mod long_query;
mod operator_away;
mod operator_crash;
mod operator_upgrade;
mod own_certificates;
mod page;
mod pause;
mod placement;
mod programs;
mod real_clients;
mod registry;
mod removal;
mod report;
mod restricted_pods;
mod rotation;
mod scale;
mod scenario;
mod shared_prefix;
mod taken_up_again;
mod trial;
mod uninstall;
mod volume;
