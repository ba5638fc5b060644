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

/// What is not there cannot be made durable: `sync` looks at the real file and at every folder up to the root.
#[tokio::test]
async fn an_object_that_vanished_is_not_acknowledged() {
    let folder = tempfile::tempdir().unwrap();
    let store = DurableFolder::open(folder.path()).unwrap();
    let location = Path::from("a/b/c");
    store.put(&location, "here".into()).await.unwrap();
    store.written(&location).unwrap().sync().await.unwrap();
    store.delete(&location).await.unwrap();
    assert!(store.written(&location).unwrap().sync().await.is_err());
}
