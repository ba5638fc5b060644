//! Takes secrets out of what a report is made of. Pure: values and texts in, the same without their secrets out.
//!
//! A value goes by the *name* it stands under (`names`), by what it *looks like* (`text`), or as a *literal* of a statement (`sql`).
//! JSON is judged field by field, also where it is a text within a field or a line of a log. In doubt a value goes.
//!
//! What never happens here: a value is shortened, hashed or encoded instead of taken out.

mod names;
mod sql;
mod text;

use std::borrow::Cow;

use serde_json::{Map, Value};

/// What stands in the place of a secret.
pub(crate) const REDACTED: &str = "<redacted>";
/// Annotation of `kubectl apply`: the object once more, as it was written.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";
/// Fields of amounts by resource, where `secrets` is how many there may be.
const AMOUNTS: &[&str] = &["hard", "used"];
/// Fields of a volume that is a Secret.
const VOLUME_FIELDS: &[&str] = &["secretName", "name", "optional", "defaultMode", "items"];
/// Lines that follow one another without a time of their own, as of one statement, and are looked at together.
const MOST_LINES_TOGETHER: usize = 50;

/// How much is taken out.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Redaction {
    /// Whether literals of statements stay in logs and messages.
    pub(crate) keep_sql_literals: bool,
}

impl Redaction {
    /// An object of Kubernetes.
    pub(crate) fn object(self, object: &mut Value) {
        let is_secret = object["kind"] == "Secret";
        if let Value::Object(fields) = object {
            if is_secret {
                // Nobody asks for one; should one come all the same, its values do not.
                fields.remove("data");
                fields.remove("stringData");
            }
            if let Some(Value::Object(metadata)) = fields.get_mut("metadata") {
                metadata.remove("managedFields");
                if let Some(Value::Object(annotations)) = metadata.get_mut("annotations") {
                    annotations.remove(LAST_APPLIED);
                }
            }
        }
        self.judge(Statements::InMessages).value(object, Above::Nothing);
    }

    /// A text of the report: the reason of a failure, a screen.
    pub(crate) fn text(self, text: &str) -> String {
        self.judge(Statements::InMessages).text(text, false)
    }

    /// A log, line by line: JSON, or text of which several lines may belong together.
    pub(crate) fn log(self, log: &str) -> String {
        let judge = self.judge(Statements::Everywhere);
        let log = text::without_private_keys(log);
        records(&log).map(|record| judge.record(record)).collect()
    }

    fn judge(self, statements: Statements) -> Judge {
        Judge {
            statements: if self.keep_sql_literals {
                Statements::AsTheyAre
            } else {
                statements
            },
        }
    }
}

/// Where statements lose their literals.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Statements {
    AsTheyAre,
    /// In messages of Events and conditions.
    InMessages,
    Everywhere,
}

/// What is above a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Above {
    /// Names decide.
    Nothing,
    /// A name that says that all below is secret.
    Secret,
    /// A reference to a Secret, or amounts: names below say nothing.
    Reference,
}

#[derive(Clone, Copy, Debug)]
struct Judge {
    statements: Statements,
}

impl Judge {
    fn record(self, record: &str) -> String {
        let line = record.trim_end_matches(['\n', '\r']);
        let end = &record[line.len()..];
        let Some(before) = json(line) else {
            return self.text(line, false) + end;
        };
        let mut after = before.clone();
        self.value(&mut after, Above::Nothing);
        if after == before {
            // A name that comes twice is in the line, and not in what was read of it.
            text::redacted(line) + end
        } else {
            after.to_string() + end
        }
    }

    fn value(self, value: &mut Value, above: Above) {
        match value {
            Value::String(text) if above == Above::Secret && !text.is_empty() => *text = REDACTED.to_owned(),
            Value::String(text) => *text = self.leaf(text, false),
            Value::Number(_) if above == Above::Secret => *value = Value::from(REDACTED),
            Value::Array(items) => self.items(items, above),
            Value::Object(fields) => self.fields(fields, above),
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }

    /// In a command line the value comes after its flag.
    fn items(self, items: &mut [Value], above: Above) {
        let mut after_flag = false;
        for item in items {
            let text = item.as_str().unwrap_or_default();
            let flag = text.strip_prefix('-').map(|flag| flag.trim_start_matches('-'));
            let is_flag = flag.is_some_and(|flag| !flag.contains(['=', ' ']) && names::is_secret(flag));
            let is_value = after_flag && flag.is_none();
            self.value(item, if is_value { Above::Secret } else { above });
            after_flag = is_flag;
        }
    }

    fn fields(self, fields: &mut Map<String, Value>, above: Above) {
        // An environment variable, a header: its name is a value, too.
        let named = ["name", "key"].iter().any(|name| {
            let name = fields.get(*name).and_then(Value::as_str);
            name.is_some_and(names::is_secret)
        });
        for (name, value) in fields {
            let below = below(name, value, named, above);
            match value {
                Value::String(text) if name == "message" && below != Above::Secret => *text = self.leaf(text, true),
                value => self.value(value, below),
            }
        }
    }

    /// A text that may be JSON as a whole, as in ConfigMaps and annotations.
    fn leaf(self, text: &str, is_message: bool) -> String {
        let Some(before) = json(text) else {
            return self.text(text, is_message);
        };
        let mut after = before.clone();
        self.value(&mut after, Above::Nothing);
        if after == before {
            text.to_owned()
        } else if text.contains('\n') {
            format!("{after:#}\n")
        } else {
            after.to_string()
        }
    }

    fn text(self, text: &str, is_message: bool) -> String {
        let known = text::redacted(text);
        let masked = match self.statements {
            Statements::AsTheyAre => None,
            Statements::InMessages if !is_message => None,
            Statements::InMessages | Statements::Everywhere => match sql::without_literals(&known) {
                Cow::Owned(masked) => Some(text::redacted(&masked)),
                Cow::Borrowed(_) => None,
            },
        };
        masked.unwrap_or(known)
    }
}

/// What is above the value of a field.
fn below(name: &str, value: &Value, named: bool, above: Above) -> Above {
    let fields = value.as_object().filter(|fields| !fields.is_empty());
    let is_volume = name == "secret"
        && fields.is_some_and(|fields| fields.keys().all(|field| VOLUME_FIELDS.contains(&field.as_str())));
    if is_volume || names::is_reference(name) || AMOUNTS.contains(&name) {
        return Above::Reference;
    }
    match above {
        Above::Reference => Above::Reference,
        _ if named && name == "value" => Above::Secret,
        Above::Secret if names::is_plain_name(name) => Above::Nothing,
        Above::Secret => Above::Secret,
        Above::Nothing if names::is_secret(name) => Above::Secret,
        Above::Nothing => Above::Nothing,
    }
}

/// The text as JSON, where it is an object or a list as a whole.
fn json(text: &str) -> Option<Value> {
    if !text.trim_start().starts_with(['{', '[']) {
        return None;
    }
    serde_json::from_str(text).ok()
}

/// Parts of a log that are looked at one by one: a line of JSON, or a line with a time and the lines after it that have none.
fn records(log: &str) -> impl Iterator<Item = &str> {
    let mut rest = log;
    std::iter::from_fn(move || {
        let mut length = rest.find('\n').map_or(rest.len(), |end| end + 1);
        let mut lines = 1;
        while lines < MOST_LINES_TOGETHER && length < rest.len() && !begins_json(rest) && !begins(&rest[length..]) {
            length += rest[length..].find('\n').map_or(rest.len() - length, |end| end + 1);
            lines += 1;
        }
        let (record, after) = rest.split_at(length);
        rest = after;
        (!record.is_empty()).then_some(record)
    })
}

/// Whether something new begins: JSON, a time as in `2026-11-23T08:30:00Z` or `[2026/11/23 08:30:00]`, or a line of klog.
fn begins(line: &str) -> bool {
    let bytes = line.trim_start_matches('[').as_bytes();
    let are_digits = |from: usize, to: usize| {
        bytes
            .get(from..to)
            .is_some_and(|bytes| bytes.iter().all(u8::is_ascii_digit))
    };
    let is_date = are_digits(0, 4) && matches!(bytes.get(4), Some(b'-' | b'/'));
    let is_klog = matches!(bytes.first(), Some(b'I' | b'W' | b'E' | b'F')) && are_digits(1, 5);
    begins_json(line) || is_date || is_klog
}

fn begins_json(line: &str) -> bool {
    line.starts_with('{')
}

#[cfg(test)]
mod tests;
