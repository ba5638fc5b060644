//! Accounts whose mounted Secrets are replaced.

use std::{fs, time::Duration};

use springtide_catalog::PasswordHash;
use springtide_fe::core::Core;
use springtide_mounted::kubelet;
use springtide_mysql::Proof;

use super::fixture::Cluster;

/// Time in which a new password is taken over.
const PATIENCE: Duration = Duration::from_secs(30);

/// Mounts another version of an account's Secret, in place of the plain files of the fixture or of the version before.
fn mount(cluster: &Cluster, account: &str, passwords: &[(&str, &str)]) {
    let directory = cluster.directory.path().join(account);
    if fs::read_link(directory.join("..data")).is_err() {
        fs::remove_dir_all(&directory).unwrap();
    }
    let mut files = vec![("username", account)];
    files.extend(passwords);
    kubelet::write(&directory, &files).unwrap();
}

fn opens(core: &Core, user: &str, password: &str) -> bool {
    core.authenticate(user, &Proof::ClearPassword(password.as_bytes()))
        .is_some()
}

async fn until_opens(core: &Core, password: &str) {
    let waiting = async {
        while !opens(core, "admin", password) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, waiting)
        .await
        .expect("the password is taken over");
}

async fn by_sql(core: &Core, password: &'static str) {
    let hash = PasswordHash::of_password(password.as_bytes());
    core.edit(move |catalog| catalog.set_password("admin", hash))
        .await
        .unwrap();
}

/// Closes the core and opens it again: then it looks at the Secret at once.
async fn again(cluster: &Cluster, core: Core) -> Core {
    core.shutdown().await;
    let core = cluster.open().await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    core
}

#[tokio::test]
async fn a_new_password_of_the_administrators_secret_is_taken_over_once() {
    let cluster = Cluster::new();
    mount(&cluster, "admin", &[("password", "first")]);
    let core = cluster.open().await;
    assert!(opens(&core, "admin", "first"));

    // What was changed by SQL stays, and a Secret that is written anew with the same content changes nothing.
    by_sql(&core, "by SQL").await;
    let core = again(&cluster, core).await;
    mount(&cluster, "admin", &[("password", "first\n")]);
    let core = again(&cluster, core).await;
    assert!(opens(&core, "admin", "by SQL") && !opens(&core, "admin", "first"));

    let before = core.journal_id();
    mount(&cluster, "admin", &[("password", "second")]);
    until_opens(&core, "second").await;
    assert!(!opens(&core, "admin", "by SQL"));
    let core = again(&cluster, core).await;
    assert_eq!(core.journal_id(), before + 1, "it is one change, and is remembered");

    by_sql(&core, "by SQL again").await;
    let core = again(&cluster, core).await;
    assert!(opens(&core, "admin", "by SQL again"));

    // A Secret that cannot be used changes nothing, and the next one does.
    mount(&cluster, "admin", &[("password", "")]);
    let core = again(&cluster, core).await;
    assert!(opens(&core, "admin", "by SQL again"));
    mount(&cluster, "admin", &[("password", "third")]);
    until_opens(&core, "third").await;
    core.shutdown().await;
}

#[tokio::test]
async fn a_password_that_was_replaced_while_the_frontend_was_away_is_taken_over_at_its_start() {
    let cluster = Cluster::new();
    mount(&cluster, "admin", &[("password", "first")]);
    cluster.open().await.shutdown().await;
    mount(&cluster, "admin", &[("password", "second")]);
    let core = cluster.open().await;
    until_opens(&core, "second").await;
    core.shutdown().await;
}

#[tokio::test]
async fn the_operators_passwords_are_read_at_each_login_and_two_open_while_they_are_replaced() {
    let cluster = Cluster::new();
    mount(&cluster, "operator", &[("password", "old")]);
    let core = cluster.open().await;
    let check = |opening: &[&str]| {
        for password in ["old", "new"] {
            assert_eq!(
                opens(&core, "operator", password),
                opening.contains(&password),
                "{password}"
            );
        }
        assert!(!opens(&core, "operator", "") && !opens(&core, "operator", "other"));
    };
    check(&["old"]);
    for (passwords, opening) in [
        (
            &[("password", "old"), ("second-password", "new")][..],
            &["old", "new"][..],
        ),
        (&[("password", "new"), ("second-password", "old")], &["old", "new"]),
        (&[("password", "new"), ("second-password", "\n")], &["new"]),
        (&[("password", "new")], &["new"]),
    ] {
        mount(&cluster, "operator", passwords);
        check(opening);
    }
    core.shutdown().await;
}
