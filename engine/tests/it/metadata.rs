//! What a frontend finds when it starts: its own journal after a crash, damage, or somebody else's prefix.

use std::{
    fs::{self, OpenOptions},
    io::Write as _,
    path::PathBuf,
};

use springtide_contract::config::RefusalReason;

use crate::processes::{CLUSTER_ID, Cluster, OTHER_CLUSTER_ID, cluster};

/// The segment that the frontend writes to.
fn last_segment(cluster: &Cluster) -> PathBuf {
    let mut segments: Vec<PathBuf> = fs::read_dir(cluster.meta())
        .expect("a journal")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| {
            path.file_name()
                .is_some_and(|name| name.to_string_lossy().starts_with("journal."))
        })
        .collect();
    segments.sort();
    segments.pop().expect("a segment")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_torn_tail_of_the_journal_is_cut_off_and_said_so() {
    let mut cluster = cluster().start().await;
    cluster.client.execute(&["CREATE DATABASE kept"]).await;
    cluster.kill_frontend();
    let segment = last_segment(&cluster);
    let whole = fs::metadata(&segment).expect("a file").len();
    // The beginning of a record that never was whole: its length says more than there is.
    let mut file = OpenOptions::new().append(true).open(&segment).expect("the segment");
    file.write_all(&[200, 0, 0, 0, 1, 2, 3, 4, 9, 9, 9])
        .expect("a torn tail");
    drop(file);
    cluster.start_frontend();
    cluster.wait_for_frontend().await;
    assert!(cluster.client.rows("SHOW DATABASES").await.contains(&"kept".to_owned()));
    let log = cluster.frontend_log();
    assert!(log.contains("cut a torn tail of 11 bytes"), "{log}");
    assert!(log.contains(&format!("at byte {whole}")), "{log}");
    cluster.client.execute(&["CREATE DATABASE more"]).await;
    cluster.kill_frontend();
    cluster.start_frontend();
    cluster.wait_for_frontend().await;
    assert!(cluster.client.rows("SHOW DATABASES").await.contains(&"more".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn damage_within_the_journal_is_refused_by_file_and_byte_and_nothing_is_changed() {
    let mut cluster = cluster().start().await;
    for number in 0..5 {
        cluster.client.execute(&[&format!("CREATE DATABASE d{number}")]).await;
    }
    cluster.kill_frontend();
    let segment = last_segment(&cluster);
    let mut bytes = fs::read(&segment).expect("the segment");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x55;
    fs::write(&segment, &bytes).expect("damage");
    let refusal = cluster.frontend_refuses().await;
    assert_eq!(refusal.reason, RefusalReason::MetadataCorrupt, "{}", refusal.message);
    let name = segment.file_name().expect("a name").to_string_lossy();
    assert!(
        refusal.message.contains(&*name) && refusal.message.contains("at byte"),
        "{}",
        refusal.message
    );
    assert_eq!(
        fs::read(&segment).expect("the segment"),
        bytes,
        "a damaged file is left as it is"
    );
    // Mended, it is as good as before.
    bytes[middle] ^= 0x55;
    fs::write(&segment, &bytes).expect("mended");
    cluster.start_frontend();
    cluster.wait_for_frontend().await;
    assert!(cluster.client.rows("SHOW DATABASES").await.contains(&"d4".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_cluster_on_the_same_prefix_refuses_to_start_and_the_first_goes_on() {
    let first = cluster().compute(1).start().await;
    first
        .client
        .execute(&[
            "CREATE DATABASE d",
            "CREATE TABLE d.t (a INT)",
            "INSERT INTO d.t VALUES (1)",
        ])
        .await;
    let (refusal, _second) = cluster()
        .cluster_id(OTHER_CLUSTER_ID)
        .on_the_data_of(&first)
        .refused()
        .await;
    assert_eq!(refusal.reason, RefusalReason::ForeignCluster, "{}", refusal.message);
    assert!(
        refusal.message.contains(CLUSTER_ID) && refusal.message.contains("choose another prefix"),
        "{}",
        refusal.message
    );
    // The same id with metadata of its own is no better: its empty catalog would hide all that is there.
    let (refusal, _twin) = cluster().on_the_data_of(&first).refused().await;
    assert_eq!(refusal.reason, RefusalReason::MetadataLost, "{}", refusal.message);
    first.client.execute(&["INSERT INTO d.t VALUES (2)"]).await;
    assert_eq!(first.client.rows("SELECT sum(a) FROM d.t").await, ["3"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_clusters_that_race_for_a_new_prefix_have_one_winner() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("data").display().to_string();
    let storage = springtide_contract::config::StorageConfig::Directory { path };
    let contender = |id| cluster().cluster_id(id).storage(storage.clone(), None).race();
    let (one, other) = tokio::join!(contender(CLUSTER_ID), contender(OTHER_CLUSTER_ID));
    let (mut winners, mut losers) = (0, 0);
    for contender in [&one, &other] {
        match contender {
            Ok(_) => winners += 1,
            Err(refusal) => {
                assert_eq!(refusal.reason, RefusalReason::ForeignCluster, "{}", refusal.message);
                losers += 1;
            }
        }
    }
    assert_eq!((winners, losers), (1, 1));
}
