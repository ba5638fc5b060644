//! Rows of the system tables that have some.

use springtide_catalog::Table;
use springtide_model::{Column, DataType, Literal};
use springtide_mysql::MysqlError;
use springtide_sql::column_type_name;

use super::{Cell, InformationSchema, SYSTEM_DATABASES, table_names};
use crate::front::{errors::from_core, show, variables::Variables};

const CATALOG: &str = "def";
const CHARSET: &str = "utf8";
const COLLATION: &str = "utf8_general_ci";

impl InformationSchema<'_> {
    pub(super) async fn rows(&self, name: &str) -> Result<Vec<Vec<Cell>>, MysqlError> {
        Ok(match name {
            "schemata" => self.schemata(),
            "tables" => self.tables().await?,
            "columns" => self.columns(),
            "statistics" => self.statistics(),
            "partitions_meta" => self.partitions_meta().await?,
            "tables_config" => self.tables_config(),
            "loads" => self.loads(),
            "engines" => rows(&[&["OLAP", "YES", "Default storage engine of StarRocks", "NO", "NO", "NO"]]),
            "character_sets" => vec![vec![
                CHARSET.into(),
                COLLATION.into(),
                "UTF-8 Unicode".into(),
                Cell::Int(3),
            ]],
            "collations" => collations(),
            "global_variables" => variables(&Variables::new(self.catalog.globals())),
            "session_variables" => variables(&self.session.variables),
            "verbose_session_variables" => verbose_variables(&self.session.variables),
            _ => Vec::new(),
        })
    }

    /// Every table of the catalog with the name of its database.
    fn each_table(&self) -> impl Iterator<Item = (&str, &Table)> {
        self.catalog.databases().flat_map(|database| {
            self.catalog
                .tables_of(database.id)
                .map(move |table| (database.name.as_str(), table.as_ref()))
        })
    }

    fn schemata(&self) -> Vec<Vec<Cell>> {
        let mut names: Vec<&str> = self
            .catalog
            .databases()
            .map(|database| database.name.as_str())
            .collect();
        names.extend(SYSTEM_DATABASES);
        names.sort_unstable();
        names
            .into_iter()
            .map(|name| {
                vec![
                    CATALOG.into(),
                    name.into(),
                    CHARSET.into(),
                    COLLATION.into(),
                    Cell::Null,
                ]
            })
            .collect()
    }

    async fn tables(&self) -> Result<Vec<Vec<Cell>>, MysqlError> {
        let mut all = Vec::new();
        for (database, table) in self.each_table() {
            let (rows, bytes) = self.size(table).await?;
            let updated = table
                .partitions
                .iter()
                .map(|partition| partition.visible_ms)
                .max()
                .unwrap_or(0);
            let average = bytes.checked_div(rows).unwrap_or(0);
            all.push(vec![
                CATALOG.into(),
                database.into(),
                table.name.as_str().into(),
                "BASE TABLE".into(),
                "StarRocks".into(),
                Cell::Null,
                "".into(),
                rows.into(),
                average.into(),
                bytes.into(),
                Cell::Null,
                Cell::Null,
                Cell::Null,
                Cell::Null,
                Cell::Time(table.created_ms),
                Cell::Time(updated),
                Cell::Null,
                COLLATION.into(),
                Cell::Null,
                "".into(),
                table.comment.as_str().into(),
            ]);
        }
        for name in table_names("information_schema") {
            let mut row = vec![
                CATALOG.into(),
                "information_schema".into(),
                name.into(),
                "SYSTEM VIEW".into(),
            ];
            row.push("MEMORY".into());
            all.push(row);
        }
        Ok(all)
    }

    /// Rows and stored bytes of a table.
    pub(crate) async fn size(&self, table: &Table) -> Result<(u64, u64), MysqlError> {
        let (mut rows, mut bytes) = (0, 0);
        for partition in &table.partitions {
            let metadata = self
                .core
                .partition_metadata(partition)
                .await
                .map_err(|error| from_core(&error))?;
            rows += metadata.rows();
            bytes += metadata.stored_bytes();
        }
        Ok((rows, bytes))
    }

    fn columns(&self) -> Vec<Vec<Cell>> {
        let mut all = Vec::new();
        for (database, table) in self.each_table() {
            for (index, column) in table.schema.columns.iter().enumerate() {
                let is_key = index < table.schema.key_columns;
                all.push(column_row(database, &table.name, index, column, is_key));
            }
        }
        for name in table_names("information_schema") {
            let Some(definition) = super::definition("information_schema", &name) else {
                continue;
            };
            for (index, column) in definition.columns.iter().enumerate() {
                all.push(column_row("information_schema", &name, index, column, false));
            }
        }
        all
    }

    /// Key columns as an index that is not unique: tools find the sort order there.
    fn statistics(&self) -> Vec<Vec<Cell>> {
        let mut all = Vec::new();
        for (database, table) in self.each_table() {
            for (index, column) in table.schema.columns.iter().take(table.schema.key_columns).enumerate() {
                all.push(vec![
                    CATALOG.into(),
                    database.into(),
                    table.name.as_str().into(),
                    Cell::Int(1),
                    database.into(),
                    "DUPLICATE KEY".into(),
                    (index + 1).into(),
                    column.name.as_str().into(),
                    "A".into(),
                    Cell::Null,
                    Cell::Null,
                    Cell::Null,
                    yes_no(column.nullable),
                    "BTREE".into(),
                    "".into(),
                    "".into(),
                    Cell::Null,
                ]);
            }
        }
        all
    }

    async fn partitions_meta(&self) -> Result<Vec<Vec<Cell>>, MysqlError> {
        let mut all = Vec::new();
        for (database, table) in self.each_table() {
            for partition in &table.partitions {
                let metadata = self
                    .core
                    .partition_metadata(partition)
                    .await
                    .map_err(|error| from_core(&error))?;
                let key = table
                    .schema
                    .partition_column
                    .and_then(|index| table.schema.columns.get(index));
                let version = partition.visible_version.0;
                all.push(vec![
                    database.into(),
                    table.name.as_str().into(),
                    partition.name.as_str().into(),
                    partition.id.0.into(),
                    Cell::Int(0),
                    version.into(),
                    Cell::Time(partition.visible_ms),
                    (version + 1).into(),
                    version.into(),
                    self.core.epoch().0.into(),
                    "TXN_NORMAL".into(),
                    key.map_or("".into(), |column| column.name.as_str().into()),
                    show::range_text(&table.schema, partition.range.as_ref()).into(),
                    show::distribution_key(&table.schema).into(),
                    partition.tablets.len().into(),
                    Cell::Int(1),
                    "HDD".into(),
                    Cell::Null,
                    Cell::Null,
                    Cell::Bool(false),
                    Cell::Bool(false),
                    show::bytes_text(metadata.stored_bytes()).into(),
                    metadata.rows().into(),
                ]);
            }
        }
        Ok(all)
    }

    fn tables_config(&self) -> Vec<Vec<Cell>> {
        self.each_table()
            .map(|(database, table)| {
                let schema = &table.schema;
                let keys: Vec<String> = schema
                    .columns
                    .iter()
                    .take(schema.key_columns)
                    .map(|column| format!("`{}`", column.name))
                    .collect();
                let key = schema.partition_column.and_then(|index| schema.columns.get(index));
                let is_random = schema.distribution.columns.is_empty();
                vec![
                    database.into(),
                    table.name.as_str().into(),
                    "OLAP".into(),
                    "DUP_KEYS".into(),
                    "".into(),
                    key.map_or("".into(), |column| format!("`{}`", column.name).into()),
                    show::distribution_key(schema).into(),
                    if is_random { "RANDOM" } else { "HASH" }.into(),
                    u64::from(schema.distribution.buckets).into(),
                    keys.join(", ").into(),
                    "{}".into(),
                    table.id.0.into(),
                ]
            })
            .collect()
    }

    /// Committed loads that are remembered, newest last.
    fn loads(&self) -> Vec<Vec<Cell>> {
        self.catalog
            .transactions()
            .map(|txn| {
                let database = self.catalog.database_by_id(txn.database);
                let table = self.catalog.table_by_id(txn.table);
                let state = if txn.is_visible() { "FINISHED" } else { "COMMITTED" };
                let mut row: Vec<Cell> = vec![Cell::Null; 26];
                row[0] = txn.id.0.into();
                row[1] = txn.label.as_str().into();
                row[3] = database.map_or(Cell::Null, |database| database.name.as_str().into());
                row[4] = table.map_or(Cell::Null, |table| table.name.as_str().into());
                row[7] = state.into();
                row[15] = txn.rows.into();
                row[19] = Cell::Time(txn.committed_ms);
                row[25] = txn.id.0.into();
                row
            })
            .collect()
    }
}

fn rows(rows: &[&[&str]]) -> Vec<Vec<Cell>> {
    rows.iter()
        .map(|row| row.iter().map(|text| Cell::from(*text)).collect())
        .collect()
}

fn collations() -> Vec<Vec<Cell>> {
    [("utf8_general_ci", "utf8", 33), ("binary", "binary", 63)]
        .into_iter()
        .map(|(collation, charset, id)| {
            vec![
                collation.into(),
                charset.into(),
                Cell::Int(id),
                "Yes".into(),
                "Yes".into(),
                Cell::Int(1),
            ]
        })
        .collect()
}

fn variables(variables: &Variables) -> Vec<Vec<Cell>> {
    variables
        .list()
        .map(|(name, value)| vec![name.into(), value.into()])
        .collect()
}

/// With the default, and whether the session's value is another.
fn verbose_variables(variables: &Variables) -> Vec<Vec<Cell>> {
    let defaults = Variables::default();
    variables
        .list()
        .zip(defaults.list())
        .map(|((name, value), (_, default))| {
            vec![name.into(), value.into(), default.into(), Cell::Bool(value != default)]
        })
        .collect()
}

fn yes_no(yes: bool) -> Cell {
    if yes { "YES" } else { "NO" }.into()
}

/// Digits, digits after the point, and length in bytes, as far as the type has them.
fn measures(data_type: &DataType) -> (Cell, Cell, Cell) {
    let digits = |precision: i64, scale: i64| (Cell::Int(precision), Cell::Int(scale), Cell::Null);
    match data_type {
        DataType::TinyInt => digits(3, 0),
        DataType::SmallInt => digits(5, 0),
        DataType::Int => digits(10, 0),
        DataType::BigInt => digits(19, 0),
        DataType::Float => digits(7, 0),
        DataType::Double => digits(15, 0),
        DataType::Decimal { precision, scale } => digits(i64::from(*precision), i64::from(*scale)),
        DataType::Char { length } | DataType::Varchar { length } => (Cell::Null, Cell::Null, u64::from(*length).into()),
        _ => (Cell::Null, Cell::Null, Cell::Null),
    }
}

fn column_row(database: &str, table: &str, index: usize, column: &Column, is_key: bool) -> Vec<Cell> {
    let type_name = column_type_name(&column.data_type);
    let data_type = type_name.split('(').next().unwrap_or_default().to_owned();
    let (precision, scale, length) = measures(&column.data_type);
    let is_text = matches!(column.data_type, DataType::Char { .. } | DataType::Varchar { .. });
    let default = match &column.default {
        None | Some(Literal::Null) => Cell::Null,
        Some(Literal::Text(text)) => text.as_str().into(),
        Some(Literal::Int(value)) => value.to_string().into(),
        Some(Literal::Boolean(value)) => if *value { "1" } else { "0" }.into(),
    };
    let size = match (&precision, &length) {
        (Cell::Null, length) => length.clone(),
        (precision, _) => precision.clone(),
    };
    let text = |name: &str| if is_text { Cell::from(name) } else { Cell::Null };
    vec![
        CATALOG.into(),
        database.into(),
        table.into(),
        column.name.as_str().into(),
        (index + 1).into(),
        default,
        yes_no(column.nullable),
        data_type.into(),
        length.clone(),
        length,
        precision,
        scale.clone(),
        if column.data_type == DataType::DateTime {
            Cell::Int(0)
        } else {
            Cell::Null
        },
        text(CHARSET),
        text(COLLATION),
        type_name.into(),
        if is_key { "DUP" } else { "" }.into(),
        "".into(),
        "".into(),
        column.comment.as_str().into(),
        size,
        scale,
        Cell::Null,
        Cell::Null,
    ]
}
