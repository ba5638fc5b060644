use std::sync::Arc;

use object_store::{ObjectStore, ObjectStoreExt, memory::InMemory, path::Path};

use super::{answers::*, generate::generate, *};
use crate::timeline::Progress;

fn row(values: &[&str]) -> Vec<String> {
    values.iter().map(|value| (*value).to_owned()).collect()
}

#[test]
fn scale_factors_are_bounded_and_say_what_to_write() {
    assert_eq!("0.01".parse::<ScaleFactor>().unwrap().folder(), "sf0.01");
    assert_eq!("1".parse::<ScaleFactor>().unwrap().folder(), "sf1");
    for wrong in ["", "0", "-1", "1e9", "nan", "big"] {
        assert!(
            wrong.parse::<ScaleFactor>().unwrap_err().contains("0.001 to 1000"),
            "{wrong}"
        );
    }
}

#[test]
fn answers_tolerate_rounding_and_nothing_else() {
    let right = [row(&["AIR", "25.522005853257337", "1998-08-02"])];
    check("q", &right, &[row(&["AIR", "25.522006", "1998-08-02"])]).unwrap();
    for wrong in [
        &["AIR", "25.5221", "1998-08-02"],
        &["RAIL", "25.522006", "1998-08-02"],
        &["AIR", "25.522006", "1998-08-03"],
    ] {
        check("q", &right, &[row(wrong)]).unwrap_err();
    }
    assert!(
        check("q", &right, &[])
            .unwrap_err()
            .to_string()
            .contains("expected 1 rows, found 0 rows")
    );
}

#[test]
fn every_query_has_an_answer_at_the_known_scale_factors() {
    for sf in ["0.01", "1"] {
        let sf = sf.parse().unwrap();
        for (number, text) in QUERIES {
            assert!(text.to_lowercase().contains("select"), "query {number}");
            assert!(expected(sf, number).is_some(), "query {number} at {sf}");
        }
    }
    assert!(expected("0.5".parse().unwrap(), 1).is_none());
    assert_eq!(expected("1".parse().unwrap(), 1).unwrap().len(), 4);
}

#[test]
fn every_table_can_be_created() {
    for table in TABLES {
        let statement = create_table(table).unwrap();
        assert!(
            statement.contains(&format!("CREATE TABLE IF NOT EXISTS {table}")),
            "{statement}"
        );
    }
    assert!(create_table("other").is_none());
}

#[tokio::test]
async fn data_is_made_once_and_the_second_run_finds_it() {
    let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
    let sf = "0.001".parse().unwrap();
    let made = generate(store.clone(), "sf0.001", sf, &Progress::default())
        .await
        .unwrap();
    assert_eq!(made.table("region").unwrap().rows, 5);
    assert_eq!(made.table("orders").unwrap().rows, 1_500);
    assert_eq!(made.table("lineitem").unwrap().files, 1);
    let size = store
        .head(&Path::from("sf0.001/lineitem/1.parquet"))
        .await
        .unwrap()
        .size;
    assert_eq!(made.table("lineitem").unwrap().bytes, size);
    store.delete(&Path::from("sf0.001/region/1.parquet")).await.unwrap();
    let progress = Progress::default();
    assert_eq!(generate(store.clone(), "sf0.001", sf, &progress).await.unwrap(), made);
    assert!(
        progress.text().starts_with("already there"),
        "a manifest says that the data is complete"
    );
}
