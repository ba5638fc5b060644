use parquet::file::reader::{ChunkReader, Length};

use super::{KeepError, LocalVolume};

#[test]
fn bodies_share_a_quarter_and_give_it_back() {
    let directory = tempfile::tempdir().unwrap();
    let volume = LocalVolume::open(directory.path(), 1000).unwrap();
    assert_eq!(volume.spill().limit_bytes, 750);
    let mut first = volume.body().unwrap();
    first.append(&[1; 200]).unwrap();
    let mut second = volume.body().unwrap();
    second.append(&[2; 50]).unwrap();
    let error = second.append(&[2; 1]).unwrap_err();
    assert!(matches!(error, KeepError::Full { limit_bytes: 250 }), "{error}");
    assert_eq!(
        (second.len(), &second.get_bytes(0, 50).unwrap()[..]),
        (50, &[2; 50][..])
    );
    drop(first);
    second.append(&[2; 200]).unwrap();
    drop(second);
    assert_eq!(volume.body_bytes(), 0);
}

#[test]
fn what_a_killed_process_spilled_is_removed() {
    let directory = tempfile::tempdir().unwrap();
    let spill = LocalVolume::open(directory.path(), 0).unwrap().spill();
    assert!(spill.limit_bytes > 0, "a share of the volume");
    let left = spill.folder.join("datafusion-left");
    std::fs::create_dir(&left).unwrap();
    std::fs::write(left.join("run"), b"rows").unwrap();
    LocalVolume::open(directory.path(), 0).unwrap();
    assert!(spill.folder.is_dir() && !left.exists());
}
