//! How a process that refuses to start says why: one line for people on standard error, one for the operator.

use std::{io::Write as _, path::Path};

use springtide_contract::config::Refusal;

/// Exit code of a process that refused to start.
pub const EXIT_CODE: u8 = 78;

/// Logs `refusal` and leaves it in the container's termination log, where there is one.
pub fn report(refusal: &Refusal, termination_log: &Path) {
    tracing::error!(reason = ?refusal.reason, "{}", refusal.message);
    let Ok(line) = serde_json::to_string(refusal) else {
        return;
    };
    // The kubelet makes the file; outside of a pod there is none, and standard error is enough.
    if let Ok(mut file) = std::fs::OpenOptions::new()
        .write(true)
        .truncate(true)
        .open(termination_log)
    {
        let _ = writeln!(file, "{line}");
    }
}
