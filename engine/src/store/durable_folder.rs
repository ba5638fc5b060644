//! A folder as an object store whose answers mean what S3's do: an object that was acknowledged outlives a power cut.
//! `LocalFileSystem` leaves that to the system's page cache.

use std::{
    fmt, fs, io,
    path::{Path as FilePath, PathBuf},
};

use async_trait::async_trait;
use futures::stream::BoxStream;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, RenameOptions, Result, UploadPart, local::LocalFileSystem,
    path::Path,
};

/// A [`LocalFileSystem`] that writes objects through to the disk.
#[derive(Debug)]
pub(super) struct DurableFolder {
    root: PathBuf,
    inner: LocalFileSystem,
    sync: Sync,
}

/// Makes a file and the folders above it durable, up to a root.
type Sync = fn(&FilePath, &FilePath) -> io::Result<()>;

impl DurableFolder {
    pub(super) fn open(root: &FilePath) -> Result<Self> {
        // As an absolute path, so that it is a prefix of every object's.
        let root = root.canonicalize().map_err(failed)?;
        Ok(Self {
            inner: LocalFileSystem::new_with_prefix(&root)?,
            root,
            sync: sync_up_to,
        })
    }

    fn written(&self, location: &Path) -> Result<Written> {
        Ok(Written {
            file: self.inner.path_to_filesystem(location)?,
            root: self.root.clone(),
            sync: self.sync,
        })
    }
}

/// An object that was written, and is to be made durable.
#[derive(Clone, Debug)]
struct Written {
    file: PathBuf,
    root: PathBuf,
    sync: Sync,
}

impl Written {
    /// Returns when the object's bytes are on the disk, and its name, and the folders above it that may be new.
    async fn sync(self) -> Result<()> {
        tokio::task::spawn_blocking(move || (self.sync)(&self.file, &self.root))
            .await
            .map_err(|error| failed(io::Error::other(error)))?
            .map_err(failed)
    }
}

/// The object's name is in a folder that may be new itself, and so on upwards.
fn sync_up_to(file: &FilePath, root: &FilePath) -> io::Result<()> {
    fs::File::open(file)?.sync_all()?;
    for folder in file.ancestors().skip(1) {
        fs::File::open(folder)?.sync_all()?;
        if folder == root {
            break;
        }
    }
    Ok(())
}

fn failed(source: io::Error) -> Error {
    Error::Generic {
        store: "folder",
        source: Box::new(source),
    }
}

impl fmt::Display for DurableFolder {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "DurableFolder({})", self.root.display())
    }
}

/// An object that comes in parts.
#[derive(Debug)]
struct DurableUpload {
    inner: Box<dyn MultipartUpload>,
    written: Written,
}

#[async_trait]
impl MultipartUpload for DurableUpload {
    fn put_part(&mut self, data: PutPayload) -> UploadPart {
        self.inner.put_part(data)
    }

    async fn complete(&mut self) -> Result<PutResult> {
        let result = self.inner.complete().await?;
        self.written.clone().sync().await?;
        Ok(result)
    }

    async fn abort(&mut self) -> Result<()> {
        self.inner.abort().await
    }
}

#[async_trait]
impl ObjectStore for DurableFolder {
    async fn put_opts(&self, location: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        let result = self.inner.put_opts(location, payload, options).await?;
        self.written(location)?.sync().await?;
        Ok(result)
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        Ok(Box::new(DurableUpload {
            inner: self.inner.put_multipart_opts(location, options).await?,
            written: self.written(location)?,
        }))
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        self.inner.get_opts(location, options).await
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        self.inner.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.inner.copy_opts(from, to, options).await?;
        self.written(to)?.sync().await
    }

    async fn rename_opts(&self, from: &Path, to: &Path, options: RenameOptions) -> Result<()> {
        self.inner.rename_opts(from, to, options).await?;
        self.written(to)?.sync().await
    }
}

#[cfg(test)]
mod tests;
