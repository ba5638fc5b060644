//! A field that is `null` is a field that is not there. The API server stores `null` where a server-side apply took away the last
//! field of an object, and one such object must not make a whole list unreadable.

use serde_json::Value;

/// Reads and writes a spec through its own derived functions (`#[serde(remote = "Self")]`), without the fields that are null.
macro_rules! null_is_absent {
    ($($spec:ty),*) => {$(
        impl<'de> serde::Deserialize<'de> for $spec {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let mut value = serde_json::Value::deserialize(deserializer)?;
                $crate::null::strip(&mut value);
                // The function that is derived, not this one.
                Self::deserialize(value).map_err(serde::de::Error::custom)
            }
        }

        impl serde::Serialize for $spec {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                Self::serialize(self, serializer)
            }
        }
    )*};
}
pub(crate) use null_is_absent;

/// Takes out all fields that are null, at any depth.
pub(crate) fn strip(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|_, field| !field.is_null());
            fields.values_mut().for_each(strip);
        }
        Value::Array(values) => values.iter_mut().for_each(strip),
        _ => {}
    }
}

#[cfg(test)]
mod tests;
