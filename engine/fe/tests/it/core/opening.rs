//! Starting: who may take which prefix with which metadata.

use std::sync::Arc;

use object_store::{ObjectStoreExt, PutPayload, path::Path};
use springtide_contract::config::RefusalReason;
use springtide_journal::{Journal, JournalError, LocalJournal, LocalOptions};
use springtide_mysql::Proof;

use super::faults::{Fault, FaultyStore};
use super::fixture::{CLUSTER, Cluster, OTHER_CLUSTER, create_table, damage};

async fn check_refused(cluster: &Cluster, reason: RefusalReason, words: &str) {
    let refusal = cluster.try_open().await.unwrap_err();
    assert_eq!(refusal.reason, reason, "{}", refusal.message);
    assert!(refusal.message.contains(words), "{}", refusal.message);
}

#[tokio::test]
async fn a_new_cluster_is_made_and_found_again() {
    let cluster = Cluster::new();
    let core = cluster.open().await;
    create_table(&core, "t").await.unwrap();
    let (catalog, id) = (core.catalog(), core.journal_id());
    assert!(catalog.identity().unwrap().claimed);
    core.shutdown().await;
    let core = cluster.open().await;
    assert_eq!((core.catalog(), core.journal_id()), (catalog, id));
    core.shutdown().await;
}

#[tokio::test]
async fn a_second_cluster_on_the_same_prefix_is_refused() {
    let first = Cluster::new();
    first.open().await.shutdown().await;
    let second = first.beside(OTHER_CLUSTER);
    check_refused(&second, RefusalReason::ForeignCluster, CLUSTER).await;
    check_refused(&second, RefusalReason::ForeignCluster, "bootstrap.adopt").await;
    first.open().await.shutdown().await;
}

/// An object that was created again has a new id, and the volume of before: nothing is touched until it says that it is the same.
#[tokio::test]
async fn a_kept_volume_is_refused_under_another_id_and_goes_on_under_its_own() {
    let mut cluster = Cluster::new();
    let core = cluster.open().await;
    create_table(&core, "t").await.unwrap();
    let catalog = core.catalog();
    core.shutdown().await;
    cluster.config.cluster_id = OTHER_CLUSTER.to_owned();
    check_refused(&cluster, RefusalReason::ForeignCluster, CLUSTER).await;
    check_refused(&cluster, RefusalReason::ForeignCluster, "bootstrap.adopt").await;
    cluster.config.cluster_id = CLUSTER.to_owned();
    let core = cluster.open().await;
    assert_eq!(core.catalog(), catalog);
    core.shutdown().await;
}

#[tokio::test]
async fn an_empty_volume_never_hides_existing_data() {
    let cluster = Cluster::new();
    cluster.open().await.shutdown().await;
    let meta = cluster.meta();
    let kept = cluster.directory.path().join("kept");
    std::fs::rename(&meta, &kept).unwrap();
    check_refused(&cluster, RefusalReason::MetadataLost, "restore").await;
    std::fs::remove_dir_all(&meta).unwrap();
    std::fs::rename(&kept, &meta).unwrap();
    cluster.open().await.shutdown().await;
}

#[tokio::test]
async fn two_frontends_with_one_cluster_id_are_told_apart() {
    let first = Cluster::new();
    first.open().await.shutdown().await;
    let twin = Cluster::new();
    twin.open().await.shutdown().await;
    let twin = Cluster {
        store: Arc::clone(&first.store),
        ..twin
    };
    check_refused(&twin, RefusalReason::ForeignCluster, "other metadata").await;
}

#[tokio::test]
async fn a_store_without_our_object_is_not_our_store() {
    let cluster = Cluster::new();
    cluster.open().await.shutdown().await;
    cluster.store.delete(&Path::from("CLUSTER")).await.unwrap();
    check_refused(&cluster, RefusalReason::DataLost, "CLUSTER").await;
}

#[tokio::test]
async fn objects_that_are_newer_or_not_ours_are_refused() {
    for (bytes, reason) in [
        (&br#"{"formatVersion":2}"#[..], RefusalReason::MetadataTooNew),
        (b"something else", RefusalReason::ForeignCluster),
    ] {
        let cluster = Cluster::new();
        let payload = PutPayload::from_static(bytes);
        cluster.store.put(&Path::from("CLUSTER"), payload).await.unwrap();
        check_refused(&cluster, reason, "").await;
    }
}

/// What is at the end of the journal of a frontend that has run on a newer engine.
async fn check_downgrade(append: impl FnOnce(&mut LocalJournal), words: &str) {
    let cluster = Cluster::new();
    let core = cluster.open().await;
    create_table(&core, "t").await.unwrap();
    core.shutdown().await;
    {
        let (mut journal, _) = LocalJournal::open(&cluster.meta(), LocalOptions::new(CLUSTER)).unwrap();
        append(&mut journal);
    }
    let files = || -> Vec<(std::path::PathBuf, Vec<u8>)> {
        let entries = std::fs::read_dir(cluster.meta()).unwrap();
        let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
        files.sort();
        let contents = files
            .into_iter()
            .map(|path| (path.clone(), std::fs::read(path).unwrap()));
        contents.collect()
    };
    let before = files();
    for _ in 0..2 {
        check_refused(&cluster, RefusalReason::MetadataTooNew, words).await;
        check_refused(
            &cluster,
            RefusalReason::MetadataTooNew,
            "run at least that engine version",
        )
        .await;
    }
    assert!(files() == before, "a newer engine finds all as it was");
}

#[tokio::test]
async fn metadata_of_a_newer_engine_is_refused_and_left_as_it_is() {
    let record = |text: &'static str| {
        move |journal: &mut LocalJournal| {
            journal.append(text.as_bytes()).unwrap();
            journal.sync().unwrap();
        }
    };
    check_downgrade(
        record(r#"{"format":2,"changes":[]}"#),
        "version 2; this one reads up to 1",
    )
    .await;
    check_downgrade(
        record(r#"{"format":1,"edits":["claim",{"invent_edit":{}}]}"#),
        "`invent_edit`",
    )
    .await;
    let image = |text: &'static str| {
        move |journal: &mut LocalJournal| {
            let id = journal.last_id();
            journal.image_writer().write(id, text.as_bytes()).unwrap();
        }
    };
    check_downgrade(
        image(r#"{"format":2,"everything":[]}"#),
        "version 2; this one reads up to 1",
    )
    .await;
}

#[tokio::test]
async fn damaged_metadata_is_refused_and_a_second_process_too() {
    let cluster = Cluster::new();
    let core = cluster.open().await;
    create_table(&core, "t").await.unwrap();
    check_refused(&cluster, RefusalReason::MetadataInUse, "another process").await;
    core.shutdown().await;
    damage(&cluster.meta().join(format!("journal.{:020}", 1)), 100);
    check_refused(&cluster, RefusalReason::MetadataCorrupt, "at byte 60").await;
}

#[tokio::test]
async fn mistakes_of_the_configuration_have_their_own_reason() {
    let mut cluster = Cluster::new();
    cluster.config.cluster_id = "retail".to_owned();
    check_refused(&cluster, RefusalReason::ConfigInvalid, "UUID").await;

    let cluster = Cluster::new();
    std::fs::write(cluster.directory.path().join("admin/password"), "\n").unwrap();
    check_refused(&cluster, RefusalReason::SecretMissing, "is empty").await;
    std::fs::remove_dir_all(cluster.directory.path().join("admin")).unwrap();
    check_refused(&cluster, RefusalReason::SecretMissing, "cannot read").await;
    // Nothing was claimed meanwhile.
    assert!(cluster.store.get(&Path::from("CLUSTER")).await.is_err());
}

#[tokio::test]
async fn each_failure_of_the_store_has_its_own_reason() {
    for (fault, reason) in [
        (Fault::NotFound, RefusalReason::BucketNotFound),
        (Fault::PermissionDenied, RefusalReason::StorageAccessDenied),
        (Fault::Unreachable, RefusalReason::StorageUnreachable),
        (Fault::IgnoresCreate, RefusalReason::StoreUnsafe),
    ] {
        let mut cluster = Cluster::new();
        cluster.store = Arc::new(FaultyStore::new(Arc::clone(&cluster.store), fault));
        check_refused(&cluster, reason, "store").await;
    }
}

#[tokio::test]
async fn only_accounts_with_the_right_password_open() {
    let cluster = Cluster::new();
    let core = cluster.open().await;
    let opens = |user: &str, password: &str| core.authenticate(user, &Proof::ClearPassword(password.as_bytes()));
    assert!(opens("admin", "admin's password").unwrap().is_admin());
    assert!(opens("operator", "operator's password").unwrap().is_operator);
    for (user, password) in [
        ("admin", "wrong"),
        ("admin", ""),
        ("operator", "admin's password"),
        ("root", ""),
        ("", ""),
        ("", "admin's password"),
        ("nobody", "admin's password"),
    ] {
        assert_eq!(opens(user, password), None, "{user} {password}");
    }
    // The operator's password is read at each login, and a user of its name cannot stand in for it.
    std::fs::write(cluster.directory.path().join("operator/password"), "changed").unwrap();
    assert_eq!(opens("operator", "operator's password"), None);
    assert!(opens("operator", "changed").is_some());
    core.shutdown().await;
}

#[derive(Debug)]
struct FailingJournal(Box<dyn Journal>);

impl Journal for FailingJournal {
    fn append(&mut self, payload: &[u8]) -> Result<u64, JournalError> {
        self.0.append(payload)
    }

    fn sync(&mut self) -> Result<(), JournalError> {
        if self.0.last_id() > 3 {
            return Err(JournalError::Failed {
                first: "the disk is gone".to_owned(),
            });
        }
        self.0.sync()
    }

    fn last_id(&self) -> u64 {
        self.0.last_id()
    }

    fn image_writer(&self) -> Box<dyn springtide_journal::ImageWriter> {
        self.0.image_writer()
    }

    fn trim(&mut self) -> Result<Vec<String>, JournalError> {
        self.0.trim()
    }
}

#[tokio::test]
async fn after_the_journal_failed_nothing_is_acknowledged() {
    let cluster = Cluster::new();
    let opener = springtide_fe::core::JournalOpener::new(|directory, id| {
        let options = springtide_journal::LocalOptions::new(id);
        let (journal, recovered) = springtide_journal::LocalJournal::open(directory, options)?;
        Ok((
            Box::new(FailingJournal(Box::new(journal))) as Box<dyn Journal>,
            recovered,
        ))
    });
    let core = cluster.open_with(Arc::clone(&cluster.store), opener).await.unwrap();
    create_table(&core, "t").await.unwrap_err();
    assert!(core.failed().await.contains("the disk is gone"));
    assert!(core.has_failed());
    assert!(
        core.edit(|catalog| catalog.create_database("more", false, 0))
            .await
            .is_err()
    );
    assert!(core.catalog().resolve_table("d", "t").is_err());
    core.shutdown().await;
}

#[tokio::test]
async fn an_image_is_due_by_the_setting_as_it_is_now() {
    let cluster = Cluster::new();
    let core = cluster.open().await;
    core.change_setting("imageEveryRecords", "1").unwrap();
    core.edit(|catalog| catalog.create_database("d", false, 0))
        .await
        .unwrap();
    let written = async {
        while core.image_id() < core.journal_id() {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    };
    let limit = std::time::Duration::from_secs(20);
    tokio::time::timeout(limit, written).await.expect("an image is written");
    core.shutdown().await;
}

#[tokio::test]
async fn images_are_written_and_read() {
    let mut cluster = Cluster::new();
    cluster.config.frontend.image_every_records = 5;
    let core = cluster.open().await;
    for number in 0..40 {
        let name = format!("database_{number}");
        core.edit(move |catalog| catalog.create_database(&name, false, 0))
            .await
            .unwrap();
    }
    let catalog = core.catalog();
    core.shutdown().await;
    let images = std::fs::read_dir(cluster.meta()).unwrap().filter(|entry| {
        let name = entry.as_ref().unwrap().file_name();
        name.to_string_lossy().starts_with("image.")
    });
    assert!(images.count() >= 1);
    let core = cluster.open().await;
    assert_eq!(core.catalog(), catalog);
    core.shutdown().await;
}
