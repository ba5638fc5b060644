use super::*;

const LIMIT: Duration = Duration::from_secs(20);

#[tokio::test]
async fn output_is_standard_output_alone_and_input_is_given() {
    let output = run("sh", LIMIT)
        .args(["-c", "cat; echo noise >&2"])
        .input("two\nlines\n")
        .output()
        .await
        .unwrap();
    assert_eq!(output, "two\nlines\n");
}

#[tokio::test]
async fn a_failure_names_the_command_and_shows_its_last_lines() {
    let error = run("sh", LIMIT)
        .args(["-c", "seq 100; echo broken >&2; exit 3"])
        .output()
        .await
        .unwrap_err()
        .to_string();
    assert!(
        error.starts_with("`sh -c 'seq 100; echo broken >&2; exit 3'` ended with exit status: 3"),
        "{error}"
    );
    assert!(error.contains("broken") && !error.contains("\n50\n"), "{error}");
}

#[tokio::test]
async fn a_program_that_hangs_is_ended() {
    let error = run("sleep", Duration::from_millis(50))
        .arg("30")
        .output()
        .await
        .unwrap_err()
        .to_string();
    assert!(error.starts_with("gave up after 0 s: `sleep 30` ends"), "{error}");
}

#[tokio::test]
async fn a_missing_program_is_named() {
    let error = run("no-such-program", LIMIT).output().await.unwrap_err().to_string();
    assert!(error.starts_with("start `no-such-program`"), "{error}");
}

#[tokio::test]
async fn a_server_gives_its_first_line_or_says_why_it_ended() {
    let (mut child, line) = run("sh", LIMIT)
        .args(["-c", "echo at port 7; exec sleep 30"])
        .serve()
        .await
        .unwrap();
    assert_eq!(line, "at port 7");
    child.kill().await.unwrap();
    let error = run("sh", LIMIT)
        .args(["-c", "echo no such pod >&2; exit 1"])
        .serve()
        .await
        .unwrap_err()
        .to_string();
    assert!(error.ends_with(" ended at once: no such pod"), "{error}");
}
