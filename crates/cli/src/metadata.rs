//! Notes about the metadata of an index: what a condition cannot see.

use crate::Result;
use crate::log::note;
use crate::output::counted;
use selvedge::{Engine, SearchOptions};
use selvedge_index::{Check, Columns, Index, ValueKind, ValueType};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// Notes keys whose values are of several types, and texts that are too long to be compared.
pub(crate) fn note_columns(path: &Path) {
    // The change is committed: whether it can be looked at is another matter.
    let Ok(index) = Index::open(path, Check::Structure) else { return };
    let mut passages: BTreeMap<String, BTreeMap<ValueKind, u64>> = BTreeMap::new();
    for info in index.segments().iter().filter_map(|segment| segment.columns.as_ref()).flat_map(Columns::infos) {
        *passages.entry(info.key).or_default().entry(info.kind).or_default() += info.passages;
    }
    for (key, mut kinds) in passages {
        if let Some(long) = kinds.remove(&ValueKind::Long) {
            let passages = counted(long, "passage");
            note!("note: {key:?} is longer than 1,024 bytes in {passages}, where --where cannot compare it");
        }
        let types: BTreeSet<_> = kinds.keys().map(|kind| kind.value_type()).collect();
        if types.len() > 1 {
            let each: Vec<String> = kinds.iter().map(|(kind, passages)| format!("{kind} in {passages}")).collect();
            let each = each.join(", ");
            note!("note: {key:?} has values of several types ({each}); a condition sees only those of its own type");
        }
    }
}

/// Notes keys of the filter that the index does not have, or has with values of other types, and ids that it does not
/// have.
pub(crate) fn note_restriction(engine: &Engine, options: &SearchOptions) -> Result<()> {
    let snapshot = engine.snapshot();
    // Of an index without columns, the search says what is missing.
    if let Some(filter) = options.filter.as_ref().filter(|_| snapshot.index().columns().is_ok()) {
        let segments = snapshot.index().segments().iter();
        let columns: Vec<_> =
            segments.filter_map(|segment| segment.columns.as_ref()).flat_map(Columns::infos).collect();
        for (key, of) in filter.keys() {
            let of_key = columns.iter().filter(|column| column.key == key);
            let kinds: Vec<_> = of_key.map(|column| column.kind).collect::<BTreeSet<_>>().into_iter().collect();
            match of.filter(|_| !kinds.iter().any(|kind| kind.value_type() == of)) {
                _ if kinds.is_empty() => {
                    note!("note: no passage has the key {key:?}; `selvedge info --columns` lists keys")
                }
                Some(ValueType::Text) if kinds.contains(&ValueKind::Date) => note!(
                    "note: {key:?} is {} in this index; a date is written like '2024-02-29', and a time like \
                     '2024-02-29T12:00:00Z', with an offset",
                    words(&kinds)
                ),
                Some(of) => note!("note: {key:?} is {} in this index, and never {of}", words(&kinds)),
                None => {}
            }
        }
    }
    if let Some(ids) = &options.ids {
        let listed = SearchOptions { ids: Some(ids.clone()), ..SearchOptions::default() };
        let found = snapshot.passages(&listed)?.map_or(0, |set| set.len());
        let listed = ids.iter().collect::<BTreeSet<_>>().len();
        match listed - found {
            0 if listed == 0 => note!("note: the list of ids is empty, so nothing can be found"),
            0 => {}
            missing => note!("note: of {}, {missing} not in the index", counted(listed as u64, "id")),
        }
    }
    Ok(())
}

/// Notes facets of keys that no passage has.
pub(crate) fn note_facets(engine: &Engine, keys: &[String]) {
    let snapshot = engine.snapshot();
    if snapshot.index().columns().is_err() {
        return;
    }
    let columns = snapshot.index().segments().iter().filter_map(|segment| segment.columns.as_ref());
    let known: BTreeSet<String> = columns.flat_map(Columns::infos).map(|info| info.key).collect();
    for key in keys.iter().filter(|key| !known.contains(*key)) {
        note!("note: no passage has the key {key:?}; `selvedge info --columns` lists keys");
    }
}

/// Kinds of values, such as `integer or text`.
fn words(kinds: &[ValueKind]) -> String {
    kinds.iter().map(ToString::to_string).collect::<Vec<_>>().join(" or ")
}
