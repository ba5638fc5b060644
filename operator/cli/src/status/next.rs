//! What to do next about a reason: the one command that shows more, or mends it.

use springtide_crds::Reason;

/// What a reason is said of.
#[derive(Clone, Copy, Debug)]
pub(super) struct Subject<'a> {
    /// Empty for kinds without one.
    pub(super) namespace: &'a str,
    /// As kubectl takes it: `lakecluster`.
    pub(super) kind: &'a str,
    pub(super) name: &'a str,
    /// The cluster that it is or belongs to; empty for a department.
    pub(super) cluster: &'a str,
}

/// The command; `None` where there is nothing to do but to wait, or the message says it all.
///
/// Without a last arm for the rest: whoever adds a reason says here what a person does about it.
pub(super) fn command(reason: Reason, subject: Subject<'_>) -> Option<String> {
    let Subject {
        namespace,
        kind,
        name,
        cluster,
    } = subject;
    let kubectl = if namespace.is_empty() {
        "kubectl".to_owned()
    } else {
        format!("kubectl -n {namespace}")
    };
    let edit = || Some(format!("{kubectl} edit {kind} {name}"));
    let pods = || {
        let its = if kind == "computegroup" {
            format!("springtide.dev/compute-group={name}")
        } else {
            format!("springtide.dev/cluster={cluster},app.kubernetes.io/component=frontend")
        };
        Some(format!("{kubectl} get pods -l {its}; {kubectl} describe pod POD"))
    };
    let frontend_logs = |more: &str| Some(format!("{kubectl} logs {cluster}-fe-0{more}"));
    match reason {
        Reason::InvalidField
        | Reason::InvalidSchedule
        | Reason::UnknownTimeZone
        | Reason::DepartmentLimitExceeded
        | Reason::NamespaceTaken
        | Reason::NotSupportedByEngine
        | Reason::Suspended
        | Reason::ScaledToZero
        | Reason::BucketNotFound
        | Reason::ForeignCluster
        | Reason::Degraded => edit(),
        Reason::CalendarInvalid => Some(format!("{kubectl} get calendars")),
        Reason::QuotaExceeded | Reason::PodOverQuota => Some(format!("{kubectl} describe resourcequota")),
        Reason::ClusterNotFound => Some(format!("{kubectl} get lakeclusters")),
        Reason::ClusterNotReady | Reason::WaitingForTurn => Some(format!("kubectl springtide status -n {namespace}")),
        Reason::SecretNotFound
        | Reason::SecretKeyMissing
        | Reason::SecretMissing
        | Reason::SecretTaken
        | Reason::CertificateNotTrusted => Some(format!("{kubectl} get secrets")),
        Reason::PodUnschedulable
        | Reason::PodCrashing
        | Reason::ImagePullFailed
        | Reason::NoComputeAlive
        | Reason::PartlyServing => pods(),
        Reason::PodRefused => Some(format!("{kubectl} get events --field-selector reason=FailedCreate")),
        Reason::VolumeNotBound | Reason::VolumeGrowing => {
            Some(format!("{kubectl} describe pvc -l springtide.dev/cluster={cluster}"))
        }
        Reason::FrontendNotAnswering
        | Reason::NoLeader
        | Reason::LoginRefused
        | Reason::StorageAccessDenied
        | Reason::StorageUnreachable
        | Reason::StoreUnsafe
        | Reason::MetadataInUse
        | Reason::MetadataUnavailable
        | Reason::SettingNotInForce => frontend_logs(""),
        Reason::ConfigInvalid
        | Reason::MetadataCorrupt
        | Reason::MetadataLost
        | Reason::DataLost
        | Reason::MetadataTooNew => frontend_logs(" --previous"),
        Reason::WindowLate => Some(format!("kubectl springtide preview {name} -n {namespace}")),
        Reason::DrainForced => Some(format!("{kubectl} describe {kind} {name}")),
        Reason::Fenced => Some(format!("{kubectl} annotate {kind} {name} springtide.dev/fenced-")),
        // The message has the command, with the time that it is good for.
        Reason::UpdatePending => None,
        Reason::ClustersRemain => Some("kubectl get lakeclusters,computegroups -A".to_owned()),
        Reason::DataDeletionFailed => Some(format!(
            "{kubectl} logs -l springtide.dev/cluster={cluster},app.kubernetes.io/component=data-deletion"
        )),
        Reason::Valid
        | Reason::AllReady
        | Reason::Serving
        | Reason::UpToDate
        | Reason::FrontendStarting
        | Reason::FrontendLeaving
        | Reason::ComputeStarting
        | Reason::ComputeLeaving
        | Reason::Rolling
        | Reason::SettingPending
        | Reason::NamespaceNotReady
        | Reason::DeletingData
        | Reason::DataDeleted
        | Reason::DataKept
        | Reason::Unknown => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reasons for which somebody waits, or whose message has the command.
    const NOTHING_TO_DO: &[Reason] = &[
        Reason::Valid,
        Reason::AllReady,
        Reason::Serving,
        Reason::UpToDate,
        Reason::FrontendStarting,
        Reason::FrontendLeaving,
        Reason::ComputeStarting,
        Reason::ComputeLeaving,
        Reason::Rolling,
        Reason::SettingPending,
        Reason::NamespaceNotReady,
        Reason::DeletingData,
        Reason::DataDeleted,
        Reason::DataKept,
        Reason::Unknown,
        Reason::UpdatePending,
    ];

    #[test]
    fn every_trouble_has_a_next_command_with_nothing_left_to_fill_in_but_a_pod() {
        let subject = Subject {
            namespace: "retail",
            kind: "computegroup",
            name: "etl",
            cluster: "lake",
        };
        for (reason, _) in Reason::ALL {
            let command = command(*reason, subject);
            assert_eq!(command.is_none(), NOTHING_TO_DO.contains(reason), "{reason:?}");
            if let Some(command) = command {
                assert!(command.starts_with("kubectl "), "{command}");
                assert!(!command.contains("-n  ") && !command.contains("{}"), "{command}");
            }
        }
    }

    #[test]
    fn what_has_no_namespace_is_not_looked_for_in_one() {
        let department = Subject {
            namespace: "",
            kind: "department",
            name: "retail",
            cluster: "",
        };
        assert_eq!(
            command(Reason::NamespaceTaken, department).as_deref(),
            Some("kubectl edit department retail")
        );
    }
}
