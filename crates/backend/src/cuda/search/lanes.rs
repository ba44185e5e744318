//! The lanes of a device, which its callers share.

use super::lane::Lane;
use crate::cuda::Cuda;
use crate::{Error, Result};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// Largest number of lanes. A scan of all passages keeps the whole device busy, so that several of them gain nothing
/// side by side; a short search leaves most of it idle. Not measured yet.
const MOST_LANES: usize = 4;

/// The lanes of a device.
#[derive(Debug, Default)]
pub(in crate::cuda) struct Lanes {
    state: Mutex<State>,
    returned: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// Lanes that no caller has, the one that was returned last at the end.
    idle: Vec<Lane>,
    /// Lanes that exist, idle or not.
    number: usize,
    /// Callers that have a lane, and wait for memory of others.
    starved: usize,
}

impl Lanes {
    /// Calls `work` with a lane. If the device lacks memory, the memory of other lanes is freed for it.
    pub(super) fn with<T>(&self, cuda: &Cuda, work: impl Fn(&mut Lane) -> Result<T>) -> Result<T> {
        let mut held = Held { lanes: self, lane: Some(self.take(cuda)?) };
        let mut is_last = false;
        loop {
            let lane = held.lane.as_mut().expect("held until the drop");
            match work(lane) {
                Err(Error::OutOfDeviceMemory { .. }) if !is_last => {
                    lane.empty()?;
                    is_last = !self.free_another();
                }
                done => return done,
            }
        }
    }

    /// Drops the recorded launches of an index that is no more. Lanes in use drop theirs in time.
    pub(super) fn forget(&self, index: u64) {
        for lane in &mut self.lock().idle {
            if lane.settle().is_ok() {
                lane.forget(|of| of == index);
            }
        }
    }

    /// Frees the memory of lanes that no caller has: it is what earlier searches needed.
    pub(in crate::cuda) fn empty_idle(&self) {
        for lane in &mut self.lock().idle {
            // A lane that cannot be emptied reports its fault to the next search.
            _ = lane.empty();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(&self, state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        self.returned.wait(state).unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes an idle lane on which nothing runs, or else makes one, or takes the one that was started first, or waits
    /// for the next that another caller returns.
    fn take(&self, cuda: &Cuda) -> Result<Lane> {
        let mut state = self.lock();
        loop {
            if let Some(at) = state.idle.iter().rposition(|lane| !lane.is_running()) {
                return Ok(state.idle.remove(at));
            }
            if state.number < MOST_LANES {
                let lane = Lane::new(&cuda.context)?;
                state.number += 1;
                return Ok(lane);
            }
            if !state.idle.is_empty() {
                return Ok(state.idle.remove(0));
            }
            state = self.wait(state);
        }
    }

    /// Frees the next lane that is idle. False if there will be none: the callers of all others lack memory, too, and
    /// have freed theirs.
    fn free_another(&self) -> bool {
        let mut state = self.lock();
        loop {
            if let Some(lane) = state.idle.pop() {
                state.number -= 1;
                drop(state);
                drop(lane);
                return true;
            }
            if state.number - 1 == state.starved {
                return false;
            }
            state.starved += 1;
            state = self.wait(state);
            state.starved -= 1;
        }
    }
}

/// A lane that is returned by its drop, also in a panic.
struct Held<'a> {
    lanes: &'a Lanes,
    lane: Option<Lane>,
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.lanes.lock().idle.extend(self.lane.take());
        self.lanes.returned.notify_all();
    }
}
