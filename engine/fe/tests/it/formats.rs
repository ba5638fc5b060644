//! The versions of formats in the documentation.

use springtide_query::{OLDEST_PLAN_VERSION, PLAN_VERSION};
use springtide_rpc::message::{OLDEST_PROTOCOL_VERSION, PROTOCOL_VERSION};

#[test]
fn the_documentation_has_the_versions_of_the_code() {
    let documentation = include_str!("../../../../docs/formats.md");
    let up_to = |version: u32| (version, format!("up to {version}"));
    let rows = [
        (
            "springtide_journal::FORMAT_VERSION",
            up_to(springtide_journal::FORMAT_VERSION),
        ),
        (
            "springtide_catalog::Record::FORMAT_VERSION",
            up_to(springtide_catalog::Record::FORMAT_VERSION),
        ),
        (
            "springtide_catalog::image::FORMAT_VERSION",
            up_to(springtide_catalog::image::FORMAT_VERSION),
        ),
        (
            "springtide_format::FORMAT_VERSION",
            up_to(springtide_format::FORMAT_VERSION),
        ),
        (
            "springtide_contract::config::FORMAT_VERSION",
            up_to(springtide_contract::config::FORMAT_VERSION),
        ),
        (
            "springtide_query::PLAN_VERSION",
            (PLAN_VERSION, format!("{OLDEST_PLAN_VERSION} to {PLAN_VERSION}")),
        ),
        (
            "springtide_rpc::message::PROTOCOL_VERSION",
            (PROTOCOL_VERSION, format!("from {OLDEST_PROTOCOL_VERSION}")),
        ),
    ];
    for (constant, (writes, reads)) in rows {
        let row = format!("| `{constant}` | {writes} | {reads} |");
        assert!(documentation.contains(&row), "docs/formats.md lacks {row}");
    }
}
