//! What ran at a moment, and whether some of it still does.

use std::{collections::BTreeSet, fmt};

use springtide_model::TxnId;
use uuid::Uuid;

use crate::core::Core;

/// The statements and loads of a moment.
pub(super) struct Underway {
    statements: BTreeSet<Uuid>,
    loads: BTreeSet<TxnId>,
}

impl Underway {
    /// What runs now.
    pub(super) fn of(core: &Core) -> Self {
        Self {
            statements: core.sessions().statements(),
            loads: core.open_loads(),
        }
    }

    /// Whether some of it has not ended yet.
    pub(super) fn has_left(&self, core: &Core) -> bool {
        let now = Self::of(core);
        !self.statements.is_disjoint(&now.statements) || !self.loads.is_disjoint(&now.loads)
    }
}

impl fmt::Debug for Underway {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} statements, {} loads", self.statements.len(), self.loads.len())
    }
}
