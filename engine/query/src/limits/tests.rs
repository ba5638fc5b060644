use super::container_memory_limit;

fn check(cgroup_file: &str, content: &str, expected: u64) {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join(cgroup_file);
    std::fs::create_dir_all(file.parent().unwrap()).unwrap();
    std::fs::write(&file, content).unwrap();
    let meminfo = directory.path().join("meminfo");
    std::fs::write(&meminfo, "MemFree: 1 kB\nMemTotal:       2048 kB\n").unwrap();
    assert_eq!(container_memory_limit(directory.path(), &meminfo), Some(expected));
}

#[test]
fn the_least_of_container_and_machine_counts() {
    check("memory.max", "1048576\n", 1_048_576);
    check("memory.max", "max\n", 2_097_152);
    check("memory/memory.limit_in_bytes", "1024", 1024);
    check("memory/memory.limit_in_bytes", "9223372036854771712", 2_097_152);
}
