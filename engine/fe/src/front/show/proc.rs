//! `SHOW PROC`: the paths that tools use.

use springtide_mysql::MysqlError;

use super::{Context, cluster, unknown_path};
use crate::front::rows::Rows;

const PATHS: &[&str] = &["backends", "catalog", "compute_nodes", "dbs", "frontends", "warehouses"];

pub(super) fn proc(context: Context<'_>, path: &str) -> Result<Rows, MysqlError> {
    let trimmed = path.trim_matches('/');
    Ok(match trimmed {
        "" => {
            let mut rows = Rows::new(&["name"]);
            for name in PATHS {
                rows.push_text([(*name).to_owned()]);
            }
            rows
        }
        "frontends" => cluster::frontends(context),
        "compute_nodes" => cluster::compute_nodes(context),
        "backends" => Rows::new(cluster::BACKENDS),
        "warehouses" => cluster::warehouses(context),
        "catalog" => super::server::catalogs(),
        "dbs" => {
            let mut rows = Rows::new(&[
                "DbId",
                "DbName",
                "TableNum",
                "Quota",
                "LastConsistencyCheckTime",
                "ReplicaQuota",
            ]);
            let catalog = context.shared.core.catalog();
            for database in catalog.databases() {
                rows.push(vec![
                    Some(database.id.to_string()),
                    Some(database.name.clone()),
                    Some(catalog.tables_of(database.id).count().to_string()),
                    Some("8388608.000 TB".to_owned()),
                    None,
                    Some("9223372036854775807".to_owned()),
                ]);
            }
            rows
        }
        _ => return Err(unknown_path(path)),
    })
}
