//! Search among fleets in order of their machines: in steps that widen until one is good, then by halves back to the
//! last one that was not.

/// Least factor between the machines of two fleets that are tried, and what it is multiplied by after each that is not
/// good: a hundred times the machines are 14 tries away.
const NEXT_TRIED: f64 = 1.02;
const WIDENED: f64 = 1.05;

/// Finds a place of `machines`, numbers in ascending order, for which `try_at` returns a value: the first one up to a
/// factor of [`NEXT_TRIED`], if all places after it have a value, too. `None` if even the last place has none.
///
/// # Errors
/// As `try_at`.
pub(super) fn first_good<T, E>(
    machines: &[usize],
    mut try_at: impl FnMut(usize) -> Result<Option<T>, E>,
) -> Result<Option<(usize, T)>, E> {
    let Some(last) = machines.len().checked_sub(1) else { return Ok(None) };
    let (mut at, mut bad_to, mut factor) = (0, 0, NEXT_TRIED);
    let mut good = loop {
        if let Some(value) = try_at(at)? {
            break value;
        }
        if at == last {
            return Ok(None);
        }
        let least = machines[at] as f64 * factor;
        let next = machines.partition_point(|&one| (one as f64) < least);
        (bad_to, at, factor) = (at + 1, next.clamp(at + 1, last), factor * WIDENED);
    };
    while bad_to < at && machines[at] as f64 > machines[bad_to] as f64 * NEXT_TRIED {
        let middle = bad_to.midpoint(at);
        match try_at(middle)? {
            Some(value) => (good, at) = (value, middle),
            None => bad_to = middle + 1,
        }
    }
    Ok(Some((at, good)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_fleet_is_found_in_few_tries() {
        let machines: Vec<usize> = (100..20_000).collect();
        for least in [0, 100, 101, 137, 1_000, 9_999, 19_998, 19_999] {
            let mut tries = 0;
            let found = first_good::<_, ()>(&machines, |at| {
                tries += 1;
                Ok((machines[at] >= least).then_some(at))
            });
            let (at, value) = found.unwrap().unwrap();
            assert_eq!(at, value);
            let found = machines[at];
            assert!(found >= least && found as f64 <= least.max(100) as f64 * NEXT_TRIED, "{found} for {least}");
            assert!(tries <= 30, "{tries} tries for {least}");
        }
        assert_eq!(first_good::<usize, ()>(&machines, |_| Ok(None)), Ok(None));
        assert_eq!(first_good(&machines, |_| Err::<Option<()>, _>("stopped")), Err("stopped"));
        assert_eq!(first_good::<(), ()>(&[], |_| Ok(None)), Ok(None));
    }
}
