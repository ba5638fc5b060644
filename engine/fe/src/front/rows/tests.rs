use springtide_sql::{ColumnFilter, ShowFilter};

use super::{Rows, like};

#[test]
fn like_is_mysqls() {
    for (pattern, text, expected) in [
        ("%timeout%", "query_timeout", true),
        ("t_p", "tap", true),
        ("t\\_p", "tap", false),
        ("t\\_p", "T_P", true),
        ("a%b%c", "aXXbYYc", true),
        ("a%b%c", "aXXbYY", false),
        ("%%", "", true),
        ("", "x", false),
        ("%a%a%a%a%a%a%a%a%b", &"a".repeat(5000), false),
    ] {
        assert_eq!(like(pattern, text), expected, "{pattern} {text}");
    }
}

#[test]
fn where_takes_any_comparison() {
    let mut rows = Rows::new(&["Name", "Value"]);
    for name in ["a", "b", "c"] {
        rows.push_text([name.into(), format!("{name}1")]);
    }
    rows.filter(Some(&ShowFilter::AnyOf(vec![
        ColumnFilter {
            column: "NAME".into(),
            like: false,
            pattern: "A".into(),
        },
        ColumnFilter {
            column: "value".into(),
            like: true,
            pattern: "c%".into(),
        },
    ])));
    let names: Vec<_> = rows.rows.iter().map(|row| row[0].clone().unwrap()).collect();
    assert_eq!(names, ["a", "c"]);
}
