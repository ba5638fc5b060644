//! The session's catalog as DataFusion asks for it: only the tables that the statement names, resolved before planning.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use async_trait::async_trait;
use datafusion::{
    catalog::{CatalogProvider, CatalogProviderList, SchemaProvider, TableProvider},
    common::Result,
};

/// The one catalog.
pub const DEFAULT_CATALOG: &str = "default_catalog";

/// Tables by lower-case database and name, as the rewritten statement spells them.
type Tables = HashMap<(String, String), Arc<dyn TableProvider>>;

/// What a session's statements have named so far.
#[derive(Clone, Debug, Default)]
pub(crate) struct SessionCatalog {
    tables: Arc<Mutex<Tables>>,
}

impl SessionCatalog {
    pub(crate) fn insert(&self, database: &str, table: &str, provider: Arc<dyn TableProvider>) {
        let key = (database.to_lowercase(), table.to_lowercase());
        self.lock().insert(key, provider);
    }

    pub(crate) fn contains(&self, database: &str, table: &str) -> bool {
        self.lock()
            .contains_key(&(database.to_lowercase(), table.to_lowercase()))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Tables> {
        self.tables.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl CatalogProviderList for SessionCatalog {
    fn register_catalog(&self, _: String, _: Arc<dyn CatalogProvider>) -> Option<Arc<dyn CatalogProvider>> {
        None
    }

    fn catalog_names(&self) -> Vec<String> {
        vec![DEFAULT_CATALOG.to_owned()]
    }

    fn catalog(&self, name: &str) -> Option<Arc<dyn CatalogProvider>> {
        (name == DEFAULT_CATALOG).then(|| Arc::new(self.clone()) as Arc<dyn CatalogProvider>)
    }
}

impl CatalogProvider for SessionCatalog {
    fn schema_names(&self) -> Vec<String> {
        let mut names: Vec<String> = self.lock().keys().map(|(database, _)| database.clone()).collect();
        names.sort();
        names.dedup();
        names
    }

    fn schema(&self, name: &str) -> Option<Arc<dyn SchemaProvider>> {
        Some(Arc::new(SessionDatabase {
            catalog: self.clone(),
            name: name.to_owned(),
        }))
    }
}

#[derive(Debug)]
struct SessionDatabase {
    catalog: SessionCatalog,
    name: String,
}

#[async_trait]
impl SchemaProvider for SessionDatabase {
    fn table_names(&self) -> Vec<String> {
        let tables = self.catalog.lock();
        tables
            .keys()
            .filter(|(database, _)| *database == self.name)
            .map(|(_, table)| table.clone())
            .collect()
    }

    async fn table(&self, name: &str) -> Result<Option<Arc<dyn TableProvider>>> {
        let key = (self.name.clone(), name.to_owned());
        Ok(self.catalog.lock().get(&key).map(Arc::clone))
    }

    fn table_exist(&self, name: &str) -> bool {
        self.catalog.contains(&self.name, name)
    }
}
