//! Texts that an index stores, read in blocks of bounded size.

use crate::Result;
use crate::source::TextBlock;
use selvedge_index::Index;

/// Calls `each` with the pids and texts of blocks of `pids`, in order.
///
/// # Errors
/// [`Error::Index`](crate::Error::Index) if a text cannot be read, or the error of `each`.
pub(crate) fn for_each_block(
    index: &Index,
    pids: &[u32],
    mut each: impl FnMut(&[u32], &[String]) -> Result<()>,
) -> Result<()> {
    let mut documents = index.documents().reader();
    let (mut block, mut start) = (TextBlock::default(), 0);
    for (end, &pid) in (1..).zip(pids) {
        block.push(documents.text(pid)?);
        if block.is_full() || end == pids.len() {
            each(&pids[start..end], block.texts())?;
            block.clear();
            start = end;
        }
    }
    Ok(())
}
