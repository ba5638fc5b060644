//! The whole cluster: each module is one scenario on a real Kubernetes, named by `KUBECONFIG`, with the images in its nodes.
//! `make test` starts it; without it every test fails and says so.

mod cluster;
mod harness;
mod registry;
