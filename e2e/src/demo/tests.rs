use super::*;

#[test]
fn the_way_in_that_the_demo_prints_outlives_the_demo() {
    let account = Account {
        service: "lake".into(),
        user: "admin".into(),
        secret: "lake-admin".into(),
    };
    let door = Door::on_this_machine(46187);
    let elsewhere = connect("retail", &account, &door, Some(9031));
    assert_eq!(
        elsewhere[0],
        "kubectl -n retail port-forward service/lake 9031:9030 >/dev/null &"
    );
    assert!(
        elsewhere[1].starts_with("mariadb --skip-ssl -h 127.0.0.1 -P 9031 -u admin -p"),
        "{elsewhere:?}"
    );
    let here = connect("retail", &account, &door, None);
    assert_eq!(here.len(), 1, "{here:?}");
    assert!(
        here[0].starts_with("mariadb --skip-ssl -h 127.0.0.1 -P 46187 -u admin -p"),
        "{here:?}"
    );
}
