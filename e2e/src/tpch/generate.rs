//! Writes TPC-H as Parquet into an object store.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use futures::{StreamExt, TryStreamExt, stream};
use object_store::{ObjectStore, ObjectStoreExt, buffered::BufWriter, path::Path};
use parquet::{
    arrow::{ArrowSchemaConverter, AsyncArrowWriter, arrow_writer::ArrowWriterOptions},
    basic::Compression,
    file::properties::WriterProperties,
};
use tpchgen::generators::{
    CustomerGenerator, LineItemGenerator, NationGenerator, OrderGenerator, PartGenerator, PartSuppGenerator,
    RegionGenerator, SupplierGenerator,
};
use tpchgen_arrow::{
    CustomerArrow, LineItemArrow, NationArrow, OrderArrow, PartArrow, PartSuppArrow, RecordBatchIterator, RegionArrow,
    SupplierArrow,
};

use super::{Manifest, ScaleFactor, TABLES, Table};
use crate::{Error, Result, timeline::Progress};

/// Rows of one row group: a writer holds one, encoded (20 MB for the widest table).
const ROW_GROUP_ROWS: usize = 128 * 1024;
/// Files made at once; each holds one row group and one part of an upload.
const FILES_AT_ONCE: usize = 2;
/// Rows of `lineitem` that one file is to hold, about: large enough for few objects, small enough for several readers.
const ROWS_PER_FILE: f64 = 1_500_000.0;

/// Makes the data of scale factor `sf` in `store`, below `folder`, unless its manifest says that it is there.
pub async fn generate(
    store: Arc<dyn ObjectStore>,
    folder: &str,
    sf: ScaleFactor,
    progress: &Progress,
) -> Result<Manifest> {
    let place = Path::from(format!("{folder}/manifest.json"));
    if let Some(manifest) = read_manifest(store.as_ref(), &place).await? {
        progress.say(format!("already there: {}", summary(&manifest)));
        return Ok(manifest);
    }
    let total: u64 = TABLES.iter().map(|table| expected_rows(table, sf)).sum();
    let done = AtomicU64::new(0);
    let files: Vec<(&str, u32, u32)> = TABLES
        .iter()
        .flat_map(|table| {
            let count = file_count(table, sf);
            (1..=count).map(move |part| (*table, part, count))
        })
        .collect();
    let written: Vec<(&str, Table)> = stream::iter(files)
        .map(|(table, part, parts)| {
            let (store, done) = (store.clone(), &done);
            async move {
                let file = Path::from(format!("{folder}/{table}/{part}.parquet"));
                write_file(store, file, batches(table, sf, part, parts), |rows| {
                    let done = done.fetch_add(rows, Ordering::Relaxed) + rows;
                    progress.say(format!(
                        "{table}: {:.1} of {:.1} million rows",
                        millions(done),
                        millions(total)
                    ));
                })
                .await
                .map(|made| (table, made))
            }
        })
        .buffer_unordered(FILES_AT_ONCE)
        .try_collect()
        .await?;
    let mut tables = BTreeMap::<String, Table>::new();
    for (name, made) in written {
        let table = tables.entry(name.to_owned()).or_default();
        *table = Table {
            rows: table.rows + made.rows,
            files: table.files + made.files,
            bytes: table.bytes + made.bytes,
        };
    }
    let manifest = Manifest {
        scale_factor: sf.get(),
        generator: "tpchgen 3".into(),
        tables,
    };
    let bytes = serde_json::to_vec_pretty(&manifest).expect("a manifest has string keys and plain values");
    store
        .put(&place, bytes.into())
        .await
        .map_err(Error::store(format!("write {place}")))?;
    progress.say(summary(&manifest));
    Ok(manifest)
}

/// The manifest of data that is already there.
async fn read_manifest(store: &dyn ObjectStore, place: &Path) -> Result<Option<Manifest>> {
    let bytes = match store.get(place).await {
        Ok(found) => found.bytes().await.map_err(Error::store(format!("read {place}")))?,
        Err(object_store::Error::NotFound { .. }) => return Ok(None),
        Err(other) => return Err(Error::store(format!("read {place}"))(other)),
    };
    // A manifest of another version is as good as none: the data is made again.
    Ok(serde_json::from_slice(&bytes).ok())
}

async fn write_file(
    store: Arc<dyn ObjectStore>,
    file: Path,
    batches: Box<dyn RecordBatchIterator>,
    mut wrote: impl FnMut(u64),
) -> Result<Table> {
    let doing = format!("write {file}");
    let schema = batches.schema().clone();
    // No Arrow schema inside: readers find plain Parquet types, as in files of any other program.
    let parquet_schema = ArrowSchemaConverter::new()
        .convert(&schema)
        .map_err(Error::parquet(&doing))?;
    let properties = WriterProperties::builder()
        .set_compression(Compression::SNAPPY)
        .set_max_row_group_row_count(Some(ROW_GROUP_ROWS))
        .build();
    let options = ArrowWriterOptions::new()
        .with_properties(properties)
        .with_skip_arrow_metadata(true)
        .with_parquet_schema(parquet_schema);
    let mut writer = AsyncArrowWriter::try_new_with_options(BufWriter::new(store, file), schema, options)
        .map_err(Error::parquet(&doing))?;
    let mut rows = 0;
    for batch in batches {
        let count = batch.num_rows() as u64;
        writer.write(&batch).await.map_err(Error::parquet(&doing))?;
        rows += count;
        wrote(count);
        tokio::task::yield_now().await; // encoding takes milliseconds; the timeline wants to breathe
    }
    writer.finish().await.map_err(Error::parquet(&doing))?;
    Ok(Table {
        rows,
        files: 1,
        bytes: writer.bytes_written() as u64,
    })
}

fn batches(table: &str, sf: ScaleFactor, part: u32, parts: u32) -> Box<dyn RecordBatchIterator> {
    let (sf, part, parts) = (sf.get(), part.cast_signed(), parts.cast_signed());
    match table {
        "lineitem" => Box::new(LineItemArrow::new(LineItemGenerator::new(sf, part, parts))),
        "orders" => Box::new(OrderArrow::new(OrderGenerator::new(sf, part, parts))),
        "partsupp" => Box::new(PartSuppArrow::new(PartSuppGenerator::new(sf, part, parts))),
        "part" => Box::new(PartArrow::new(PartGenerator::new(sf, part, parts))),
        "customer" => Box::new(CustomerArrow::new(CustomerGenerator::new(sf, part, parts))),
        "supplier" => Box::new(SupplierArrow::new(SupplierGenerator::new(sf, part, parts))),
        "nation" => Box::new(NationArrow::new(NationGenerator::new(sf, part, parts))),
        _ => Box::new(RegionArrow::new(RegionGenerator::new(sf, part, parts))),
    }
}

/// Rows by the specification; `lineitem` has between 1 and 7 for each order, so its count is an estimate.
fn expected_rows(table: &str, sf: ScaleFactor) -> u64 {
    let at_scale_1 = match table {
        "lineitem" => 6_001_215.0,
        "orders" => 1_500_000.0,
        "partsupp" => 800_000.0,
        "part" => 200_000.0,
        "customer" => 150_000.0,
        "supplier" => 10_000.0,
        "nation" => return 25,
        _ => return 5,
    };
    (at_scale_1 * sf.get()) as u64
}

fn file_count(table: &str, sf: ScaleFactor) -> u32 {
    match table {
        "nation" | "region" => 1,
        _ => ((expected_rows(table, sf) as f64 / ROWS_PER_FILE).ceil() as u32).max(1),
    }
}

fn summary(manifest: &Manifest) -> String {
    let files: u32 = manifest.tables.values().map(|table| table.files).sum();
    format!(
        "{:.2} million rows, {:.0} MB in {files} files",
        millions(manifest.rows()),
        manifest.bytes() as f64 / 1e6
    )
}

fn millions(rows: u64) -> f64 {
    rows as f64 / 1e6
}
