//! How the programs of the stage share the machine's cores: time that each has computed, as `/proc` says.

use std::{collections::BTreeMap, fs, time::Duration};

/// By the name of the program.
#[derive(Clone, Debug, Default)]
pub(crate) struct Computed(BTreeMap<String, Duration>);

impl Computed {
    /// Since their start, of this process and all that it has started.
    pub(crate) fn now() -> Self {
        let mut computed = Self::default();
        for process in descendants(std::process::id()) {
            // It may have ended meanwhile.
            if let (Some(name), Some(stat)) = (program(process), Stat::of(process)) {
                *computed.0.entry(name).or_default() += stat.computed;
            }
        }
        computed
    }

    /// What came after an earlier moment.
    pub(crate) fn since(mut self, earlier: &Self) -> Self {
        for (name, computed) in &mut self.0 {
            *computed = computed.saturating_sub(earlier.0.get(name).copied().unwrap_or_default());
        }
        self
    }

    /// In words, for each of so many things that were done.
    pub(crate) fn of_each(&self, count: usize) -> String {
        let each = |computed: &Duration| computed.as_secs_f64() * 1000.0 / count as f64;
        let programs = self
            .0
            .iter()
            .map(|(program, computed)| format!("{program} {:.1} ms", each(computed)));
        programs.collect::<Vec<_>>().join(", ")
    }
}

/// The process itself, then those that it has started, directly or not.
pub(crate) fn descendants(of: u32) -> Vec<u32> {
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let parents: Vec<(u32, u32)> = processes
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter_map(|process| Some((process, Stat::of(process)?.parent)))
        .collect();
    let mut found = vec![of];
    let mut next = 0;
    while let Some(&parent) = found.get(next) {
        found.extend(
            parents
                .iter()
                .filter(|(_, of)| *of == parent)
                .map(|(process, _)| process),
        );
        next += 1;
    }
    found
}

/// `kube-apiserver`, `etcd`, …: parts of Kubernetes are one file that is told what to be.
pub(crate) fn program(process: u32) -> Option<String> {
    let arguments = fs::read_to_string(format!("/proc/{process}/cmdline")).ok()?;
    let mut arguments = arguments.split('\0');
    let file = arguments.next()?.rsplit('/').next()?.to_owned();
    match file.as_str() {
        "kubernetes" => arguments.next().map(str::to_owned),
        _ => Some(file),
    }
}

/// What a process' `stat` says.
pub(crate) struct Stat {
    parent: u32,
    pub(crate) computed: Duration,
}

impl Stat {
    /// Of a process that has not ended.
    pub(crate) fn of(process: u32) -> Option<Self> {
        let text = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
        // The second field is the program's name, in brackets.
        let fields: Vec<&str> = text.rsplit(')').next()?.split_whitespace().collect();
        let number = |index: usize| fields.get(index)?.parse::<u64>().ok();
        Some(Self {
            parent: u32::try_from(number(1)?).ok()?,
            // In hundredths of a second on every Linux that there is.
            computed: Duration::from_millis((number(11)? + number(12)?) * 10),
        })
    }
}
