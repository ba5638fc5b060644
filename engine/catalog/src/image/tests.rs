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
}
