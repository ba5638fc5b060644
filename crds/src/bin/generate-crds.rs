//! Writes what is generated from the types: the definitions, their copy in the chart, and the reference documentation.

fn main() -> std::io::Result<()> {
    let repository = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    for file in springtide_crds::reference::generated_files() {
        let path = repository.join(&file.path);
        if let Some(directory) = path.parent() {
            std::fs::create_dir_all(directory)?;
        }
        std::fs::write(path, file.content)?;
    }
    Ok(())
}
