use springtide_mounted::kubelet;

use super::*;

/// Waits until a token is accepted.
async fn until_accepted(token: &ClusterToken, given: &str) {
    let header = format!("Bearer {given}");
    let waiting = async {
        while !token.accepts(Some(header.as_bytes())) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), waiting)
        .await
        .expect("it is read anew");
}

#[tokio::test]
async fn a_token_follows_its_files_and_what_cannot_be_used_is_passed_over() {
    let folder = tempfile::tempdir().unwrap();
    let write = |files: &[(&str, &str)]| kubelet::write(folder.path(), files).unwrap();
    let (name, second) = (paths::TOKEN_FILE, paths::SECOND_TOKEN_FILE);
    let start = || follow(folder.path(), Duration::from_millis(5), CancellationToken::new());
    assert!(start().is_err());
    write(&[(name, "old\n")]);
    let token = start().unwrap();
    let shows = |text: &str| token.header() == format!("Bearer {text}");
    assert!(shows("old"));
    for files in [
        &[(name, "")][..],
        &[(name, "a\nb")],
        &[(name, "new"), (second, "ä")],
        &[(second, "new")],
    ] {
        write(files);
        assert!(start().is_err(), "nobody starts with it");
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert!(shows("old") && !token.accepts(Some(b"Bearer new")));
    }
    write(&[(name, "old"), (second, "new")]);
    until_accepted(&token, "new").await;
    assert!(shows("old"));
    write(&[(name, "new"), (second, "old")]);
    let begun = std::time::Instant::now();
    while !shows("new") && begun.elapsed() < Duration::from_secs(30) {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!(shows("new") && token.accepts(Some(b"Bearer old")));
    write(&[(name, "newer")]);
    until_accepted(&token, "newer").await;
    assert!(!token.accepts(Some(b"Bearer old")) && !token.accepts(Some(b"Bearer new")));
}
