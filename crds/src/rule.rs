//! Rules on texts that the API server evaluates when an object is written.
//!
//! They stand where a schema would have a bare `pattern`: its message repeats the pattern, while a rule's says what to write.

use kube::core::Rule;

/// Lower-case letters, digits and dashes, a letter first: what may begin a host name.
const HOST_LABEL: &str = "^[a-z]([-a-z0-9]*[a-z0-9])?$";
/// Lower-case letters, digits and dashes, as in the names of namespaces.
const DNS_LABEL: &str = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$";
/// What the name of an object is made of.
const OBJECT_NAME: &str = "^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$";
/// What a key of a Secret is made of.
const SECRET_KEY: &str = "^[-._a-zA-Z0-9]+$";

/// A text that matches `pattern`, which has neither quotation marks nor backslashes.
fn text(pattern: &str, message: &str) -> Rule {
    Rule::new(format!("self.matches('{pattern}')")).message(message)
}

pub(crate) fn namespace_name() -> Rule {
    text(
        DNS_LABEL,
        "write the name of a namespace: lower-case letters, digits and dashes, a letter or digit at both ends, for example retail-bi",
    )
}

/// The name of an object of Kubernetes that the field refers to.
pub(crate) fn object_name(message: &str) -> Rule {
    text(OBJECT_NAME, message)
}

pub(crate) fn image() -> Rule {
    text(
        "^[A-Za-z0-9][A-Za-z0-9._:/@-]*$",
        "write registry/path:tag or registry/path@sha256:digest, for example registry.example.com/springtide/engine:0.1.0",
    )
}

pub(crate) fn pull_secrets() -> Rule {
    Rule::new(format!("self.all(name, name.matches('{OBJECT_NAME}'))"))
        .message("write the names of Secrets of the same namespace: lower-case letters, digits, dashes and dots")
}

pub(crate) fn cluster_name() -> Rule {
    text(
        HOST_LABEL,
        "write the name of a LakeCluster of the same namespace: lower-case letters, digits and dashes, a letter first, for example lake",
    )
}

pub(crate) fn warehouse() -> Rule {
    text(
        "^[A-Za-z_][A-Za-z0-9_-]*$",
        "write letters, digits, underscores and dashes, a letter or an underscore first, for example month_end",
    )
}

pub(crate) fn window_name() -> Rule {
    text(
        DNS_LABEL,
        "write lower-case letters, digits and dashes, a letter or digit at both ends, for example opening-hours",
    )
}

pub(crate) fn cron() -> Rule {
    Rule::new(
        "self in ['@yearly', '@annually', '@monthly', '@weekly', '@daily', '@midnight', '@hourly'] || self.matches('^[^ @]+( +[^ ]+){4}$')",
    )
    .message(
        "write five fields of cron (minute, hour, day of month, month, day of week), for example 0 8 * * MON-FRI, or one of @hourly, @daily, @midnight, @weekly, @monthly, @yearly and @annually; there is no field for seconds or years",
    )
}

/// A date of the calendar: the twenty-ninth of February in leap years alone.
pub(crate) fn date() -> Rule {
    let shape = "^[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])$";
    let no_such_day = "-(02-3[01]|(04|06|09|11)-31)$";
    let leap_year = "^([0-9]{2}(0[48]|[2468][048]|[13579][26])|([02468][048]|[13579][26])00)-";
    Rule::new(format!(
        "self.matches('{shape}') && !self.matches('{no_such_day}') && (!self.endsWith('-02-29') || self.matches('{leap_year}'))"
    ))
    .message("write a date that exists as YYYY-MM-DD and in quotation marks, for example \"2026-12-24\"")
}

pub(crate) fn local_minute() -> Rule {
    text(
        "^[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])T([01][0-9]|2[0-3]):[0-5][0-9]$",
        "write a local time as YYYY-MM-DDTHH:MM without a zone, for example 2026-12-24T08:00; the zone belongs into timeZone",
    )
}

pub(crate) fn calendars() -> Rule {
    Rule::new(format!("self.all(name, name.matches('{OBJECT_NAME}'))"))
        .message("write the names of Calendars of the same namespace: lower-case letters, digits, dashes and dots")
}

pub(crate) fn time_of_day() -> Rule {
    text(
        "^([01][0-9]|2[0-3]):[0-5][0-9]$",
        "write a local time from 00:00 to 23:59 with two digits each and in quotation marks, for example \"18:00\"",
    )
}

pub(crate) fn time_zone() -> Rule {
    text(
        "^[A-Za-z][A-Za-z0-9_+/-]*$",
        "write the IANA name of a time zone, for example Europe/Berlin or Etc/UTC",
    )
}

/// A span of time that is not zero and at most `longest`; what is no span of time at all is another rule's.
pub(crate) fn span(longest: &str, message: &str) -> Rule {
    Rule::new(format!(
        "!self.matches('{}') || (duration(self) > duration('0s') && duration(self) <= duration('{longest}'))",
        crate::quantity::DURATION_PATTERN
    ))
    .message(message)
}

/// The span of time that a certificate of the operator's is good; what is no span of time at all is another rule's.
pub(crate) fn certificate_duration() -> Rule {
    Rule::new(format!(
        "!self.matches('{}') || (duration(self) >= duration('1008h') && duration(self) <= duration('8760h'))",
        crate::quantity::DURATION_PATTERN
    ))
    .message("duration is how long a certificate is good: write between 1008h (six weeks) and 8760h (a year), for example 2160h")
}

/// Host names, also with an asterisk as their first label. The last label begins with a letter, as that of an address does not.
pub(crate) fn dns_names() -> Rule {
    let label = "([-a-z0-9]{0,61}[a-z0-9])?";
    Rule::new(format!(
        "self.all(name, name.matches('^([*][.])?([a-z0-9]{label}[.])*[a-z]{label}$'))"
    ))
    .message(
        "write host names in lower-case letters, digits, dashes and dots, and no addresses, for example lake.example.com or *.lake.example.com",
    )
}

pub(crate) fn engine_version() -> Rule {
    text(
        "^[A-Za-z0-9_][A-Za-z0-9_.-]*$",
        "write the version as it stands in the tag of the image, for example 0.1.0",
    )
}

pub(crate) fn bucket() -> Rule {
    text(
        "^[a-z0-9][a-z0-9.-]*[a-z0-9]$",
        "write the name of the bucket alone, without s3:// and without slashes: lower-case letters, digits, dots and dashes; the path in it belongs into storage.prefix",
    )
}

pub(crate) fn prefix() -> Rule {
    text(
        "^[A-Za-z0-9_.=-]+(/[A-Za-z0-9_.=-]+)*$",
        "write the path in the bucket without a slash at its ends, of letters, digits and _ . = -, for example retail/lake",
    )
}

pub(crate) fn endpoint() -> Rule {
    text(
        "^https?://[A-Za-z0-9.-]+(:[0-9]{1,5})?/?$",
        "write http:// or https://, a host and, where it is not the usual one, a port, without a path, for example http://minio.storage.svc:9000; the bucket belongs into storage.bucket",
    )
}

pub(crate) fn region() -> Rule {
    text(
        "^[A-Za-z0-9-]+$",
        "write letters, digits and dashes, for example eu-central-1; us-east-1 where the server knows no regions",
    )
}

pub(crate) fn secret_key() -> Rule {
    text(
        SECRET_KEY,
        "write the key of the Secret under which the value stands: letters, digits and . _ -",
    )
}

pub(crate) fn cluster_id() -> Rule {
    text(
        "^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$",
        "write the clusterId of the other cluster, a lower-case UUID: it stands in status.clusterId of its LakeCluster and in the condition that refused the prefix",
    )
}

pub(crate) fn taint_effect() -> Rule {
    Rule::new("self in ['NoSchedule', 'PreferNoSchedule', 'NoExecute']")
        .message("write NoSchedule, PreferNoSchedule or NoExecute, or leave effect out to tolerate all three")
}

pub(crate) fn taint_key() -> Rule {
    text(
        "^([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$",
        "write the key of the taint as kubectl describe node shows it, for example example.com/dedicated: letters, digits and - _ ., a host name and a slash before it if it has them",
    )
}

pub(crate) fn taint_value() -> Rule {
    Rule::new("self == '' || self.matches('^[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$')").message(
        "write the value of the taint as kubectl describe node shows it: letters, digits and - _ . with a letter or digit at both ends",
    )
}

/// An autoscaler asks for it as a part of a path.
pub(crate) fn metric_name() -> Rule {
    Rule::new("!(self in ['', '.', '..']) && !self.contains('/') && !self.contains('%')").message(
        "write the name of the metric as custom.metrics.k8s.io has it, without a slash and without %, for example queries_waiting",
    )
}
