use springtide_mounted::kubelet;
use tempfile::TempDir;

use super::*;

/// At each request.
const ALWAYS: Duration = Duration::ZERO;
const SELDOM: Duration = Duration::from_secs(3600);

fn write(folder: &TempDir, id: &str) {
    let secret = format!("the secret of {id}\n");
    let files = [
        (paths::ACCESS_KEY_ID_FILE, id),
        (paths::SECRET_ACCESS_KEY_FILE, secret.as_str()),
    ];
    kubelet::write(folder.path(), &files).unwrap();
}

/// The keys of a folder whose first pair is `first`.
fn mounted(look_interval: Duration) -> (TempDir, MountedKeys) {
    let folder = tempfile::tempdir().unwrap();
    write(&folder, "first");
    let keys = MountedKeys::open(folder.path(), look_interval).unwrap();
    (folder, keys)
}

fn pair(id: &str) -> AwsCredential {
    AwsCredential {
        key_id: id.to_owned(),
        secret_key: format!("the secret of {id}"),
        token: None,
    }
}

/// The pair that the next request is signed with.
async fn next(keys: &MountedKeys) -> String {
    let pair = keys.get_credential().await.unwrap();
    assert_eq!(pair.secret_key, format!("the secret of {}", pair.key_id));
    pair.key_id.clone()
}

fn instead_of(keys: &MountedKeys, id: Option<&str>) -> Option<String> {
    let signed = id.map(pair);
    keys.instead_of(signed.as_ref()).map(|pair| pair.key_id.clone())
}

#[tokio::test]
async fn a_replaced_pair_is_used_from_the_next_look_on() {
    let (folder, keys) = mounted(ALWAYS);
    assert_eq!(next(&keys).await, "first");
    assert!(keys.contested().is_none());
    write(&folder, "second");
    assert_eq!(next(&keys).await, "second");
    assert_eq!(*keys.contested().unwrap(), pair("second"));
    keys.taken(&pair("second"));
    assert_eq!(
        instead_of(&keys, Some("second")),
        None,
        "the pair before is of no use any more"
    );
    // The client may still repeat what was signed before.
    assert_eq!(*keys.contested().unwrap(), pair("second"));
}

#[tokio::test]
async fn files_are_looked_at_seldom_and_at_once_when_the_store_refuses() {
    let (folder, keys) = mounted(SELDOM);
    assert_eq!(instead_of(&keys, None), None, "nothing has changed");
    write(&folder, "second");
    assert_eq!(next(&keys).await, "first");
    assert_eq!(instead_of(&keys, None).as_deref(), Some("second"));
    assert_eq!(next(&keys).await, "second");
}

#[tokio::test]
async fn files_that_cannot_be_used_leave_the_pair_as_it_is() {
    let (folder, keys) = mounted(ALWAYS);
    let (id, secret) = (paths::ACCESS_KEY_ID_FILE, paths::SECRET_ACCESS_KEY_FILE);
    for files in [
        &[(id, "half")][..],
        &[(id, "empty"), (secret, " \n")],
        &[(id, "two words"), (secret, "s")],
        &[(id, "a\nb"), (secret, "s")],
    ] {
        kubelet::write(folder.path(), files).unwrap();
        assert_eq!(next(&keys).await, "first");
        assert!(keys.contested().is_none());
        let problem = MountedKeys::open(folder.path(), ALWAYS).unwrap_err();
        assert!(problem.contains(id) || problem.contains(secret), "{problem}");
    }
    write(&folder, "second");
    assert_eq!(next(&keys).await, "second");
}

#[tokio::test]
async fn a_pair_that_the_store_refuses_does_not_stop_a_cluster_that_works() {
    let (folder, keys) = mounted(ALWAYS);
    write(&folder, "wrong");
    assert_eq!(next(&keys).await, "wrong");
    assert_eq!(instead_of(&keys, Some("wrong")).as_deref(), Some("first"));
    keys.taken_instead(&pair("first"));
    assert_eq!(
        next(&keys).await,
        "first",
        "for a while, nothing is tried with the wrong one"
    );
    assert_eq!(*keys.contested().unwrap(), pair("first"));
    // If the store takes back the pair that is used meanwhile, the other one is tried.
    assert_eq!(instead_of(&keys, Some("first")).as_deref(), Some("wrong"));
    // The next pair is tried at once, and what is behind it is the pair that has worked.
    write(&folder, "right");
    assert_eq!(next(&keys).await, "right");
    assert_eq!(instead_of(&keys, Some("right")).as_deref(), Some("first"));
    keys.taken(&pair("right"));
    assert_eq!(instead_of(&keys, Some("right")), None);
}

#[tokio::test]
async fn a_change_that_is_taken_back_is_none() {
    let (folder, keys) = mounted(ALWAYS);
    write(&folder, "wrong");
    assert_eq!(next(&keys).await, "wrong");
    write(&folder, "first");
    assert_eq!(next(&keys).await, "first");
    assert_eq!(instead_of(&keys, Some("first")), None);
}

#[test]
fn no_key_is_shown() {
    let (_folder, keys) = mounted(ALWAYS);
    assert_eq!(format!("{keys:?}"), "MountedKeys(***)");
}
