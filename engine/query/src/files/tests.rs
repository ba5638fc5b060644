use object_store::{ObjectStoreExt, memory::InMemory, path::Path};

use super::{
    FilesArguments,
    listing::{Listing, expand_braces, list, matches},
};

#[test]
fn wildcards_stay_within_a_folder() {
    let check = |pattern: &str, name: &str| matches(pattern.as_bytes(), name.as_bytes());
    assert!(check("a/*.parquet", "a/b.parquet"));
    assert!(check("a/*", "a/b"));
    assert!(!check("a/*", "a/b/c"));
    assert!(check("a/*/c*", "a/b/c1"));
    assert!(check("*a*b", "xaxbxb"));
    assert!(!check("*a*b", "xaxbx"));
    assert!(check("p?rt", "part") && !check("p?rt", "p/rt") && !check("p?rt", "prt"));
    assert!(check("", "") && check("*", "") && !check("", "a"));
    let expanded = |pattern: &str| expand_braces(pattern).unwrap();
    assert_eq!(expanded("a{1,2}b{x,y}c"), ["a1bxc", "a1byc", "a2bxc", "a2byc"]);
    assert_eq!(
        (expanded("a{1"), expanded("}{"), expanded("")),
        (vec!["a{1".into()], vec!["}{".into()], vec!["".into()])
    );
}

/// One statement of one user took all memory of the frontend, or its stack.
#[test]
fn braces_that_explode_are_refused() {
    assert!(expand_braces(&"{a,b}".repeat(9)).is_some());
    assert!(expand_braces(&"{a,b}".repeat(10)).is_none());
    assert_eq!(expand_braces(&"{a}".repeat(1_000)).unwrap()[0].len(), 1_000);
    let check = |path: &str| {
        let pairs = [
            ("path", path),
            ("format", "csv"),
            ("aws.s3.access_key", "a"),
            ("aws.s3.secret_key", "s"),
        ];
        let pairs = pairs.map(|(name, value)| (name.to_owned(), value.to_owned()));
        FilesArguments::parse(pairs.into()).unwrap_err().to_string()
    };
    let message = check(&format!("s3://b/{}", "{a,b}".repeat(30)));
    assert!(message.contains("more than 1000 paths"), "{message}");
    let message = check(&format!("s3://b/{}", "{a}".repeat(1_000)));
    assert!(message.contains("longer than 1024"), "{message}");
}

#[tokio::test]
async fn a_listing_has_the_files_in_order_without_empty_ones() {
    let store = InMemory::new();
    for (name, content) in [
        ("d/2.csv", "x"),
        ("d/1.csv", "x"),
        ("d/3.csv", ""),
        ("d/1.txt", "x"),
        ("e/1.csv", "x"),
    ] {
        store.put(&Path::from(name), content.into()).await.unwrap();
    }
    let names = async |pattern: &str| match list(&store, pattern).await.unwrap() {
        Listing::Files(files) => files.iter().map(|file| file.location.to_string()).collect::<Vec<_>>(),
        Listing::TooMany => panic!("five are not too many"),
    };
    assert_eq!(names("d/*.csv").await, ["d/1.csv", "d/2.csv"]);
    assert_eq!(names("{d,e}/1.csv").await, ["d/1.csv", "e/1.csv"]);
    assert_eq!(names("d/1.txt").await, ["d/1.txt"]);
    assert!(list(&store, "d/none").await.is_err());
}

#[test]
fn arguments_are_checked_before_anything_is_read() {
    let check = |pairs: &[(&str, &str)]| {
        let pairs = pairs
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        FilesArguments::parse(pairs.collect()).unwrap_err().to_string()
    };
    let format = ("format", "csv");
    let cases = [
        (check(&[format]), "'path' is missing"),
        (check(&[("path", "/a")]), "'format' is missing"),
        (
            check(&[("path", "relative"), format]),
            "neither s3://bucket/key nor file:///folder/file",
        ),
        (check(&[("path", "s3://bucket"), format]), "names no object"),
        (
            check(&[("path", "s3://bucket/k"), format, ("aws.s3.access_key", "a")]),
            "'aws.s3.secret_key' are needed",
        ),
        (
            check(&[("path", "/a"), ("path", "/b"), format]),
            "'path' is given twice",
        ),
        (
            check(&[("path", "/a"), format, ("csv.skip_header", "3")]),
            "it can be 0, or 1",
        ),
        (
            check(&[("path", "/a"), format, ("csv.column_separator", "||")]),
            "one ASCII character",
        ),
        (
            check(&[("path", "/a"), ("format", "parquet"), ("csv.enclose", "'")]),
            "'csv.enclose' is no argument",
        ),
    ];
    for (given, expected) in cases {
        assert!(given.starts_with("FILES: ") && given.contains(expected), "{given}");
    }
}
