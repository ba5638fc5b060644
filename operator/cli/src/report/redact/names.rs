//! Which names say that their value is a secret. Only letters and digits of a name count, and no case: `AWS_SECRET_ACCESS_KEY` is
//! `aws.secretAccessKey`.

/// Parts of a name that say so, wherever they stand in it.
const PARTS: &[&str] = &[
    "password",
    "passwd",
    "passphrase",
    "pwd",
    "token",
    "secret",
    "credential",
    "accesskey",
    "signature",
    "authorization",
    "cookie",
    "bearer",
    "dockerconfig",
    "connectionstring",
];
/// Whole names that say so.
const NAMES: &[&str] = &["auth", "auths", "dsn", "pass"];
/// Endings of names whose value is no secret, but says where one is, or how much or how long.
const PLAIN_ENDINGS: &[&str] = &[
    "name", "names", "ref", "refs", "path", "paths", "file", "files", "dir", "seconds", "bytes", "count", "version",
    "enabled", "mode",
];
/// Names of Secrets, and switches, whose own names say secret or token.
const REFERENCES: &[&str] = &[
    "adminsecret",
    "tlssecret",
    "imagepullsecret",
    "imagepullsecrets",
    "springtideimagepullsecrets",
    "serviceaccounttoken",
    "automountserviceaccounttoken",
];
/// Keys of other things than locks.
const PLAIN_KEYS: &[&str] = &[
    "key",
    "keys",
    "topologykey",
    "labelkey",
    "labelkeys",
    "matchlabelkeys",
    "mismatchlabelkeys",
    "annotationkey",
    "primarykey",
    "primarykeys",
    "uniquekey",
    "duplicatekey",
    "aggregatekey",
    "foreignkey",
    "sortkey",
    "sortkeys",
    "orderkey",
    "partitionkey",
    "distributionkey",
];

/// Whether the value under this name is a secret.
pub(super) fn is_secret(name: &str) -> bool {
    let name = normal(name);
    if is_plain(&name) {
        return false;
    }
    NAMES.contains(&name.as_str())
        || PARTS.iter().any(|part| name.contains(part))
        || ["key", "keys"].iter().any(|ending| name.ends_with(ending)) && !PLAIN_KEYS.contains(&name.as_str())
}

/// Whether what is under this name tells of a Secret without holding one: what is below it is not judged by its own names.
pub(super) fn is_reference(name: &str) -> bool {
    let name = normal(name);
    REFERENCES.contains(&name.as_str()) || ["secretref", "secretkeyref"].contains(&name.as_str())
}

/// Whether what is under this name is no secret even below a name that is one: `credentials.serviceAccountName`.
pub(super) fn is_plain_name(name: &str) -> bool {
    is_plain(&normal(name))
}

fn is_plain(normal: &str) -> bool {
    REFERENCES.contains(&normal) || PLAIN_ENDINGS.iter().any(|ending| normal.ends_with(ending))
}

fn normal(name: &str) -> String {
    name.chars()
        .filter(char::is_ascii_alphanumeric)
        .map(|letter| letter.to_ascii_lowercase())
        .collect()
}
