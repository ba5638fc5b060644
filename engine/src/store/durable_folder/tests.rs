use object_store::{ObjectStoreExt, PutMode};

use super::*;

#[tokio::test]
async fn objects_are_written_and_read_as_in_any_store() {
    let folder = tempfile::tempdir().unwrap();
    let store = DurableFolder::open(folder.path()).unwrap();
    let (one, two) = (Path::from("cluster/data/one"), Path::from("cluster/data/two"));
    let create = || PutOptions::from(PutMode::Create);
    store.put_opts(&one, "first".into(), create()).await.unwrap();
    let again = store.put_opts(&one, "second".into(), create()).await;
    assert!(matches!(again, Err(Error::AlreadyExists { .. })), "{again:?}");
    let mut upload = store.put_multipart(&two).await.unwrap();
    upload.put_part("in ".into()).await.unwrap();
    upload.put_part("parts".into()).await.unwrap();
    upload.complete().await.unwrap();
    for (location, expected) in [(&one, "first"), (&two, "in parts")] {
        let bytes = store.get(location).await.unwrap().bytes().await.unwrap();
        assert_eq!(bytes, expected);
    }
}

/// Whatever cannot be made durable is not acknowledged, by whichever way it was written.
#[tokio::test]
async fn an_object_that_may_not_outlive_a_power_cut_is_not_acknowledged() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = DurableFolder::open(folder.path()).unwrap();
    let [one, two, three, four] = ["a/b/c", "two", "three", "four"].map(Path::from);
    store.put(&one, "here".into()).await.unwrap();
    store.sync = |_, _| Err(io::Error::other("the disk is gone"));
    store.put(&two, "x".into()).await.unwrap_err();
    store.copy(&one, &three).await.unwrap_err();
    store.rename(&one, &four).await.unwrap_err();
    let mut upload = store.put_multipart(&two).await.unwrap();
    upload.put_part("x".into()).await.unwrap();
    upload.complete().await.unwrap_err();
}

#[test]
fn a_file_and_every_folder_up_to_the_root_are_synced() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a/b/c");
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    sync_up_to(&file, folder.path()).expect_err("there is no file yet");
    fs::write(&file, "here").unwrap();
    sync_up_to(&file, folder.path()).unwrap();
}
