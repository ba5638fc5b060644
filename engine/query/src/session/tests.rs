use std::sync::Arc;

use datafusion::prelude::{SessionConfig, SessionContext};
use futures::TryStreamExt;
use object_store::{ObjectStore, memory::InMemory};

use super::{SpillSpace, runtime_env};
use crate::QueryError;

/// Rows that are sorted: some 60 MB, of which 24 MB fit in memory.
const SORTED: &str = "SELECT value, repeat('x', 40) AS filler FROM generate_series(1, 1000000) ORDER BY value DESC";

async fn sort(limit_bytes: u64) -> Result<usize, QueryError> {
    let folder = tempfile::tempdir().unwrap();
    let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
    let space = SpillSpace {
        folder: folder.path().to_owned(),
        limit_bytes,
    };
    let runtime = runtime_env(&store, 24 << 20, Some(space))?;
    let config = SessionConfig::new().with_target_partitions(1);
    let context = SessionContext::new_with_config_rt(config, runtime);
    let rows = async {
        let stream = context.sql(SORTED).await?.execute_stream().await?;
        stream
            .try_fold(0, async |rows, batch| Ok(rows + batch.num_rows()))
            .await
    };
    rows.await.map_err(QueryError::from)
}

#[tokio::test]
async fn a_query_spills_within_its_space_and_beyond_it_says_what_to_do() {
    assert_eq!(sort(1 << 30).await.unwrap(), 1_000_000);
    let error = sort(1 << 20).await.unwrap_err();
    assert!(matches!(error, QueryError::ResourcesExhausted(_)), "{error:?}");
    assert!(error.to_string().contains("larger cacheSize"), "{error}");
}
