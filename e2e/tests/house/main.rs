//! The house: the crates' dependencies, as drawn in ARCHITECTURE.md, and how scenarios are told. Reads `cargo metadata` and the sources;
//! needs no cluster.

use std::collections::{BTreeMap, BTreeSet};

use cargo_metadata::{DependencyKind, Metadata, MetadataCommand, PackageId};

mod scenarios;

/// Each crate, and the crates of ours that it may use directly. One that is not listed here fails the first test: a new
/// crate is a decision about the drawing.
const MAY_USE: &[(&str, &[&str])] = &[
    ("springtide-crds", &[]),
    ("springtide-schedule", &[]),
    ("springtide-contract", &[]),
    (
        "springtide-plan",
        &["springtide-crds", "springtide-schedule", "springtide-contract"],
    ),
    (
        "springtide-controller",
        &[
            "springtide-plan",
            "springtide-crds",
            "springtide-schedule",
            "springtide-contract",
        ],
    ),
    (
        "springtide-cli",
        &[
            "springtide-plan",
            "springtide-crds",
            "springtide-schedule",
            "springtide-contract",
        ],
    ),
    ("springtide-sidecar", &["springtide-contract"]),
    ("springtide-model", &[]),
    ("springtide-journal", &[]),
    ("springtide-mounted", &[]),
    ("springtide-mysql", &[]),
    ("springtide-cache", &[]),
    ("springtide-format", &["springtide-model"]),
    ("springtide-catalog", &["springtide-model"]),
    ("springtide-sql", &["springtide-model"]),
    ("springtide-rpc", &["springtide-model"]),
    ("springtide-tablet", &["springtide-model", "springtide-format"]),
    (
        "springtide-query",
        &["springtide-model", "springtide-format", "springtide-tablet"],
    ),
    (
        "springtide-fe",
        &[
            "springtide-model",
            "springtide-format",
            "springtide-journal",
            "springtide-catalog",
            "springtide-sql",
            "springtide-mysql",
            "springtide-mounted",
            "springtide-rpc",
            "springtide-tablet",
            "springtide-query",
            "springtide-contract",
        ],
    ),
    (
        "springtide-cn",
        &[
            "springtide-model",
            "springtide-format",
            "springtide-rpc",
            "springtide-tablet",
            "springtide-query",
            "springtide-cache",
            "springtide-contract",
        ],
    ),
    (
        "springtide-engine",
        &[
            "springtide-fe",
            "springtide-cn",
            "springtide-mounted",
            "springtide-contract",
            "springtide-model",
            "springtide-rpc",
            "springtide-query",
        ],
    ),
    ("springtide-e2e", &["springtide-crds", "springtide-contract"]),
];

/// Crates that decide and never act.
const PURE: &[&str] = &[
    "springtide-crds",
    "springtide-schedule",
    "springtide-plan",
    "springtide-contract",
    "springtide-model",
    "springtide-format",
    "springtide-catalog",
    "springtide-sql",
    "springtide-journal",
];

/// What a pure crate does not depend on: runtimes, clients, stores, servers.
const IMPURE: &[&str] = &[
    "tokio",
    "hyper",
    "reqwest",
    "object_store",
    "aws-sdk-s3",
    "axum",
    "tonic",
    "mysql_async",
    "rustls",
    "futures",
    "tower",
];

/// What operator and sidecar never compile, at whatever depth.
const HEAVY: &[&str] = &[
    "datafusion",
    "datafusion-common",
    "arrow",
    "arrow-array",
    "parquet",
    "datafusion-distributed",
];

fn metadata() -> Metadata {
    MetadataCommand::new()
        .manifest_path(concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.toml"))
        .exec()
        .expect("cargo metadata")
}

fn direct<'a>(metadata: &'a Metadata, name: &str, kinds: &[DependencyKind]) -> BTreeSet<&'a str> {
    let package = metadata
        .workspace_packages()
        .into_iter()
        .find(|package| package.name == name)
        .expect("a crate of the workspace");
    package
        .dependencies
        .iter()
        .filter(|dependency| kinds.contains(&dependency.kind))
        .map(|dependency| dependency.name.as_str())
        .collect()
}

#[test]
fn crates_use_only_what_the_drawing_allows() {
    let metadata = metadata();
    let allowed: BTreeMap<_, _> = MAY_USE.iter().copied().collect();
    let mut wrong = Vec::new();
    for package in metadata.workspace_packages() {
        let Some(allowed) = allowed.get(package.name.as_str()) else {
            wrong.push(format!("{} is not in the drawing", package.name));
            continue;
        };
        for used in direct(
            &metadata,
            &package.name,
            &[DependencyKind::Normal, DependencyKind::Build],
        ) {
            if used.starts_with("springtide-") && !allowed.contains(&used) {
                wrong.push(format!("{} uses {used}", package.name));
            }
        }
    }
    assert!(wrong.is_empty(), "against ARCHITECTURE.md:\n  {}", wrong.join("\n  "));
    for (name, _) in MAY_USE {
        assert!(
            metadata
                .workspace_packages()
                .iter()
                .any(|package| package.name == *name),
            "{name} is drawn, but does not exist"
        );
    }
}

#[test]
fn pure_crates_have_no_runtime_no_client_and_no_store() {
    let metadata = metadata();
    let mut wrong = Vec::new();
    for name in PURE {
        // At whatever depth, but for that of kube: its features are those that any crate of the workspace asks for.
        for used in reached(&metadata, name, &["kube"]) {
            if IMPURE.contains(&used.as_str()) {
                wrong.push(format!("{name} uses {used}, itself or by another crate"));
            }
        }
        // kube with its client is a client; its derive macros and types alone are not.
        let package = metadata
            .workspace_packages()
            .into_iter()
            .find(|package| package.name == *name)
            .expect("a crate of the workspace");
        for kube in package
            .dependencies
            .iter()
            .filter(|dependency| dependency.name == "kube" && dependency.kind == DependencyKind::Normal)
        {
            // Its default features are a client.
            if kube.uses_default_features {
                wrong.push(format!("{name} uses kube with its default features"));
            }
            for feature in kube
                .features
                .iter()
                .filter(|feature| ["client", "runtime"].contains(&feature.as_str()))
            {
                wrong.push(format!("{name} uses kube with its feature {feature}"));
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "a pure crate decides; another one acts:\n  {}",
        wrong.join("\n  ")
    );
}

/// Clippy takes the configuration beside a crate's manifest: the one that forbids clocks, randomness and the environment.
#[test]
fn pure_crates_have_the_lints_of_pure_crates() {
    let metadata = metadata();
    let root = metadata.workspace_root.as_std_path();
    let expected = std::fs::read_to_string(root.join("clippy-pure.toml")).expect("clippy-pure.toml");
    for package in metadata.workspace_packages() {
        let folder = package.manifest_path.parent().expect("a folder").as_std_path();
        let own = std::fs::read_to_string(folder.join("clippy.toml")).ok();
        let pure = PURE.contains(&package.name.as_str());
        assert_eq!(
            own.as_ref() == Some(&expected),
            pure,
            "{}/clippy.toml",
            folder.display()
        );
    }
}

#[test]
fn operator_and_sidecar_never_compile_the_query_engine() {
    let metadata = metadata();
    for name in [
        "springtide-controller",
        "springtide-cli",
        "springtide-sidecar",
        "springtide-plan",
        "springtide-crds",
        // What operator and sidecar are to take from the engine one day.
        "springtide-journal",
        "springtide-mysql",
    ] {
        let reached = reached(&metadata, name, &[]);
        let heavy: Vec<_> = HEAVY.iter().filter(|heavy| reached.contains(**heavy)).collect();
        assert!(heavy.is_empty(), "{name} reaches {heavy:?}");
        assert!(
            reached.contains("thiserror") || reached.contains("serde"),
            "the walk over {name}'s dependencies went somewhere"
        );
    }
    assert!(
        reached(&metadata, "springtide-engine", &[]).contains("datafusion"),
        "the engine has the query engine"
    );
}

/// Names of all packages that building `name` compiles, but for those that only `ends` bring.
fn reached(metadata: &Metadata, name: &str, ends: &[&str]) -> BTreeSet<String> {
    let resolve = metadata.resolve.as_ref().expect("cargo metadata resolves");
    let nodes: BTreeMap<&PackageId, _> = resolve.nodes.iter().map(|node| (&node.id, node)).collect();
    let start = metadata
        .workspace_packages()
        .into_iter()
        .find(|package| package.name == name)
        .expect("a crate of the workspace");
    let (mut seen, mut open) = (BTreeSet::from([&start.id]), vec![&start.id]);
    while let Some(id) = open.pop() {
        if ends.contains(&metadata[id].name.as_str()) {
            continue;
        }
        for dependency in &nodes[id].deps {
            let compiled = dependency
                .dep_kinds
                .iter()
                .any(|kind| kind.kind != DependencyKind::Development);
            if compiled && seen.insert(&dependency.pkg) {
                open.push(&dependency.pkg);
            }
        }
    }
    seen.into_iter().map(|id| metadata[id].name.to_string()).collect()
}

/// Packages with their features, as a build of the whole workspace makes them; `edges` as `cargo tree` names them.
fn packages_with_features(edges: &str) -> BTreeSet<String> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let listed = std::process::Command::new(cargo)
        .args([
            "tree",
            "--locked",
            "--workspace",
            "--prefix=none",
            "--format={p} {f}",
            "--edges",
            edges,
        ])
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
        .output()
        .expect("cargo tree");
    assert!(listed.status.success(), "{}", String::from_utf8_lossy(&listed.stderr));
    let text = String::from_utf8(listed.stdout).expect("UTF-8");
    text.lines()
        .map(|line| line.trim_end_matches(" (*)").trim_end().to_owned())
        .filter(|line| !line.is_empty())
        .collect()
}

#[test]
fn tests_and_programs_are_built_on_the_same_dependencies() {
    let programs = packages_with_features("normal,build");
    let tests = packages_with_features("normal,build,dev");
    assert!(programs.iter().any(|line| line.starts_with("datafusion v")));
    // Crates of the workspace are built apart for their tests anyway.
    let twice: Vec<_> = programs
        .difference(&tests)
        .filter(|line| !line.contains("springtide-"))
        .collect();
    assert!(
        twice.is_empty(),
        "tests ask for more features of these, so that they and all that stands on them are built twice; ask for the same in \
         [dependencies] of a program: {twice:?}"
    );
}
