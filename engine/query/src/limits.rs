//! How much of the machine this process may use.

use std::path::Path;

/// Share of the container's memory that queries and loads may use; the rest is for code, buffers and the allocator.
const MEMORY_SHARE_PERCENT: u64 = 75;
/// Taken when neither the container nor the machine says how much memory there is.
const FALLBACK_MEMORY_BYTES: u64 = 1 << 30;

/// Share that a frontend's part in queries may use: most of its memory is the catalog's and the connections'.
const COORDINATOR_SHARE_PERCENT: u64 = 40;

/// Bytes that queries and loads of a compute node may use together: as configured, or a share of what the container may.
#[must_use]
pub fn worker_memory_bytes(configured: u64) -> u64 {
    if configured > 0 {
        return configured;
    }
    memory_bytes() / 100 * MEMORY_SHARE_PERCENT
}

/// Bytes that queries may use in a frontend, for plans and final merges.
#[must_use]
pub fn coordinator_memory_bytes() -> u64 {
    memory_bytes() / 100 * COORDINATOR_SHARE_PERCENT
}

fn memory_bytes() -> u64 {
    container_memory_limit(Path::new("/sys/fs/cgroup"), Path::new("/proc/meminfo")).unwrap_or(FALLBACK_MEMORY_BYTES)
}

/// Bytes of memory that this container may use: the least of its cgroup's limit (version 2 or 1) and the machine's memory.
fn container_memory_limit(cgroup: &Path, meminfo: &Path) -> Option<u64> {
    let limit = ["memory.max", "memory/memory.limit_in_bytes"]
        .iter()
        .filter_map(|file| std::fs::read_to_string(cgroup.join(file)).ok())
        .find_map(|text| text.trim().parse::<u64>().ok());
    let machine = std::fs::read_to_string(meminfo)
        .ok()
        .and_then(|text| total_memory(&text));
    limit.into_iter().chain(machine).min()
}

fn total_memory(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024)
}

#[cfg(test)]
mod tests;
