//! The hash that spreads rows over the buckets of a partition. It is part of the storage format: the README specifies it,
//! the tests hold golden values, and it never changes.

use arrow::{
    array::{Array, ArrayRef, AsArray, RecordBatch},
    datatypes::{
        DataType as ArrowType, Date32Type, Decimal128Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type,
        Int64Type, TimeUnit, TimestampMicrosecondType,
    },
};
use crc32fast::Hasher;
use springtide_model::TableSchema;

use crate::WriteError;

#[cfg(test)]
mod tests;

const NULL_TAG: u8 = 0;
const VALUE_TAG: u8 = 1;

/// Gives each row its bucket.
#[derive(Clone, Debug)]
pub struct BucketHasher {
    columns: Vec<usize>,
    buckets: u32,
}

impl BucketHasher {
    /// Hashes the distribution columns of `schema` into its number of buckets (at least 1).
    #[must_use]
    pub fn new(schema: &TableSchema) -> Self {
        Self {
            columns: schema.distribution.columns.clone(),
            buckets: schema.distribution.buckets.max(1),
        }
    }

    /// Whether rows have no bucket of their own (`DISTRIBUTED BY RANDOM`): the caller spreads batches.
    #[must_use]
    pub fn is_random(&self) -> bool {
        self.columns.is_empty()
    }

    /// Number of buckets.
    #[must_use]
    pub fn buckets(&self) -> u32 {
        self.buckets
    }

    /// The bucket of each row of `batch`, whose schema is the table's. All zero where [`Self::is_random`].
    ///
    /// # Errors
    /// [`WriteError::Type`] when a column has a type that tables do not have.
    pub fn buckets_of(&self, batch: &RecordBatch) -> Result<Vec<u32>, WriteError> {
        if self.columns.is_empty() || self.buckets == 1 {
            return Ok(vec![0; batch.num_rows()]);
        }
        let mut states = vec![0_u32; batch.num_rows()];
        for column in &self.columns {
            hash_column(batch.column(*column), &mut states).ok_or_else(|| WriteError::Type {
                column: batch.schema_ref().field(*column).name().clone(),
                from: batch.column(*column).data_type().to_string(),
                to: "a hash bucket".to_owned(),
            })?;
        }
        let buckets = u64::from(self.buckets);
        Ok(states
            .into_iter()
            .map(|state| ((u64::from(finish(state)) * buckets) >> 32) as u32)
            .collect())
    }
}

/// CRC-32 is linear: neighbours in, neighbours out. This is the finalizer of MurmurHash3, which spreads them.
fn finish(mut hash: u32) -> u32 {
    hash ^= hash >> 16;
    hash = hash.wrapping_mul(0x85eb_ca6b);
    hash ^= hash >> 13;
    hash = hash.wrapping_mul(0xc2b2_ae35);
    hash ^ (hash >> 16)
}

fn update(state: &mut u32, tag: u8, value: &[u8]) {
    let mut hasher = Hasher::new_with_initial(*state);
    hasher.update(&[tag]);
    hasher.update(value);
    *state = hasher.finalize();
}

/// `None` when the type is not one of a table's.
fn hash_column(values: &ArrayRef, states: &mut [u32]) -> Option<()> {
    macro_rules! fixed {
        ($kind:ty) => {{
            let values = values.as_primitive::<$kind>();
            each(values, states, |row, state| {
                update(state, VALUE_TAG, &values.value(row).to_le_bytes());
            });
        }};
    }
    match values.data_type() {
        ArrowType::Boolean => {
            let values = values.as_boolean();
            each(values, states, |row, state| {
                update(state, VALUE_TAG, &[u8::from(values.value(row))]);
            });
        }
        ArrowType::Int8 => fixed!(Int8Type),
        ArrowType::Int16 => fixed!(Int16Type),
        ArrowType::Int32 => fixed!(Int32Type),
        ArrowType::Int64 => fixed!(Int64Type),
        ArrowType::Date32 => fixed!(Date32Type),
        ArrowType::Timestamp(TimeUnit::Microsecond, None) => fixed!(TimestampMicrosecondType),
        ArrowType::Decimal128(_, _) => fixed!(Decimal128Type),
        ArrowType::Float32 => {
            let values = values.as_primitive::<Float32Type>();
            each(values, states, |row, state| {
                let bits = canonical_float(f64::from(values.value(row)));
                update(state, VALUE_TAG, &bits);
            });
        }
        ArrowType::Float64 => {
            let values = values.as_primitive::<Float64Type>();
            each(values, states, |row, state| {
                update(state, VALUE_TAG, &canonical_float(values.value(row)));
            });
        }
        ArrowType::Utf8View => {
            let values = values.as_string_view();
            each(values, states, |row, state| {
                update_text(state, values.value(row).as_bytes());
            });
        }
        ArrowType::BinaryView => {
            let values = values.as_binary_view();
            each(values, states, |row, state| update_text(state, values.value(row)));
        }
        _ => return None,
    }
    Some(())
}

/// Text is followed by its length, so that `('a', 'bc')` and `('ab', 'c')` differ.
fn update_text(state: &mut u32, value: &[u8]) {
    update(state, VALUE_TAG, value);
    let mut hasher = Hasher::new_with_initial(*state);
    hasher.update(&(value.len() as u32).to_le_bytes());
    *state = hasher.finalize();
}

/// Equal numbers have equal bytes: one zero, one NaN.
fn canonical_float(value: f64) -> [u8; 8] {
    let value = match value {
        value if value.is_nan() => f64::NAN,
        0.0 => 0.0,
        value => value,
    };
    value.to_bits().to_le_bytes()
}

fn each(values: &dyn Array, states: &mut [u32], mut hash: impl FnMut(usize, &mut u32)) {
    for (row, state) in states.iter_mut().enumerate() {
        if values.is_null(row) {
            update(state, NULL_TAG, &[]);
        } else {
            hash(row, state);
        }
    }
}
