//! The query layer over in-process workers on loopback.

use datafusion as _;

#[test]
fn starts() {
    assert_eq!(1 + 1, 2);
}
