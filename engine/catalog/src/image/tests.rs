use super::*;
use crate::catalog::tests::cluster;

#[test]
fn golden_image() {
    let image = String::from_utf8(cluster().to_image()).unwrap();
    insta::assert_snapshot!("image", image);
    assert_eq!(Catalog::from_image(image.as_bytes()).unwrap(), cluster());
}

#[test]
fn an_image_of_a_newer_engine_is_refused() {
    assert!(matches!(
        Catalog::from_image(br#"{"format":2}"#),
        Err(ImageError::TooNew { found: 2 })
    ));
    assert!(matches!(
        Catalog::from_image(b"{\"format\":1}"),
        Err(ImageError::Malformed(_))
    ));
    let message = Catalog::from_image(br#"{"format":2}"#).unwrap_err().to_string();
    assert_eq!(
        message,
        "it was written by a newer engine (version 2; this one reads up to 1); run at least that engine version"
    );
}

#[test]
fn an_image_with_what_only_a_newer_engine_knows_is_refused_as_such() {
    let image = String::from_utf8(cluster().to_image()).unwrap();
    let newer = image.replace(r#""big_int""#, r#""wide_int""#);
    assert_ne!(newer, image);
    let refused = Catalog::from_image(newer.as_bytes());
    assert!(
        matches!(&refused, Err(ImageError::UnknownWord { word }) if word == "wide_int"),
        "{refused:?}"
    );
    // A field more is one that an older engine may pass over: whoever adds another kind raises the version.
    let later = image.replacen('{', r#"{"invented":[1],"#, 1);
    assert_eq!(Catalog::from_image(later.as_bytes()).unwrap(), cluster());
}
