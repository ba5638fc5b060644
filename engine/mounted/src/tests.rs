use super::*;

const PAIR: Names = Names::all(&["id", "secret"]);

fn text(contents: &[Vec<u8>]) -> Result<String, String> {
    let text = String::from_utf8(contents.concat()).map_err(|_| "it is not UTF-8".to_owned())?;
    if text.contains("broken") {
        return Err("it is broken".to_owned());
    }
    Ok(text)
}

#[test]
fn a_pair_is_never_torn_however_often_it_is_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let directory = folder.path().join("keys");
    kubelet::write(&directory, &[("id", "0"), ("secret", "0")]).unwrap();
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            for number in 1..2_000 {
                let number = number.to_string();
                kubelet::write(&directory, &[("id", &number), ("secret", &number)]).unwrap();
            }
        });
        let (mut read, mut last) = (0, Vec::new());
        while !writer.is_finished() {
            // It may be replaced more often while it is read than there are tries.
            let Ok(contents) = read_together(&directory, PAIR) else {
                continue;
            };
            assert_eq!(contents[0], contents[1]);
            read += usize::from(contents != last);
            last = contents;
        }
        assert!(read > 1, "{read} versions were seen");
    });
}

#[test]
fn a_folder_without_versions_is_read_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("id"), "a").unwrap();
    let error = read_together(folder.path(), PAIR).unwrap_err().to_string();
    let expected = format!("cannot read {}: No such file", folder.path().join("secret").display());
    assert!(error.starts_with(&expected), "{error}");
    let names = Names {
        required: &["id"],
        optional: &["secret"],
    };
    assert_eq!(
        read_together(folder.path(), names).unwrap(),
        [b"a".to_vec(), Vec::new()]
    );
    fs::write(folder.path().join("secret"), vec![b'x'; (1 << 20) + 1]).unwrap();
    assert!(matches!(
        read_together(folder.path(), names),
        Err(MountError::TooLong { .. })
    ));
}

#[test]
fn a_change_is_told_once_and_what_cannot_be_used_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let write = |id: &str, secret: &str| kubelet::write(folder.path(), &[("id", id), ("secret", secret)]).unwrap();
    write("a", "1");
    let (mut watched, first) = Watched::open(folder.path(), PAIR, text).unwrap();
    assert_eq!((first.as_str(), watched.look()), ("a1", None));
    // The kubelet may write the same again.
    write("a", "1");
    assert_eq!(watched.look(), None);
    write("b", "2");
    assert_eq!(watched.look(), Some(Ok("b2".to_owned())));
    assert_eq!(watched.look(), None);
    // A problem is told once, and again when it was gone meanwhile.
    for _ in 0..2 {
        write("broken", "3");
        assert_eq!(watched.look(), Some(Err("it is broken".to_owned())));
        assert_eq!(watched.look(), None);
        write("b", "2");
        assert_eq!(watched.look(), None);
    }
    kubelet::write(folder.path(), &[("id", "c")]).unwrap();
    let problem = watched.look().unwrap().unwrap_err();
    assert!(problem.contains("secret: No such file"), "{problem}");
    write("c", "3");
    assert_eq!(watched.look(), Some(Ok("c3".to_owned())));
    assert!(!format!("{watched:?}").contains("c3"));
}

#[test]
fn what_cannot_be_used_at_the_start_is_said() {
    let folder = tempfile::tempdir().unwrap();
    assert!(Watched::open(folder.path(), PAIR, text).is_err());
    kubelet::write(folder.path(), &[("id", "broken"), ("secret", "1")]).unwrap();
    let problem = Watched::open(folder.path(), PAIR, text).map(|_| ()).unwrap_err();
    assert_eq!(problem, "it is broken");
}
