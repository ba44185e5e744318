//! Collections of a router, replaced while it runs.

use super::call::Collection;
use super::error::Result;
use super::tables::{Source, Tables};
use crate::error::ApiError;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

/// Collections by their names.
pub(super) type Named = BTreeMap<String, Arc<Collection>>;

/// Collections as their tables say. A request keeps the one that it began with.
pub(super) struct Collections {
    tables: Mutex<Tables>,
    current: RwLock<Arc<Named>>,
}

impl Collections {
    /// Reads all tables.
    ///
    /// # Errors
    /// As [`Tables::read`].
    pub(super) fn read(sources: Vec<Source>) -> crate::Result<Self> {
        let tables = Tables::read(sources)?;
        let current = RwLock::new(Arc::new(named(&tables, &Named::new())));
        Ok(Self { tables: Mutex::new(tables), current })
    }

    /// All collections.
    pub(super) fn all(&self) -> Arc<Named> {
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// A collection by its name.
    ///
    /// # Errors
    /// 404 if there is none.
    pub(super) fn get(&self, name: &str) -> Result<Arc<Collection>> {
        Ok(self.all().get(name).cloned().ok_or_else(|| ApiError::no_index(name))?)
    }

    /// Reads the files of the tables again. It waits for them.
    pub(super) fn refresh(&self) {
        let mut tables = self.tables.lock().unwrap_or_else(PoisonError::into_inner);
        if tables.refresh() {
            let new = named(&tables, &self.all());
            *self.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(new);
        }
    }
}

fn named(tables: &Tables, before: &Named) -> Named {
    let collection = |table: &super::Table| {
        let known = before.get(&table.name).map(|known| &**known);
        (table.name.clone(), Arc::new(Collection::new(table, known)))
    };
    tables.iter().map(collection).collect()
}
