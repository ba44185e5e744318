//! The lanes of a device, which its callers share.

use super::lane::Lane;
use crate::Result;
use crate::cuda::Cuda;
use std::sync::{Condvar, Mutex, PoisonError};

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
    idle: Vec<Lane>,
    /// Lanes that exist, idle or not.
    number: usize,
}

impl Lanes {
    /// Calls `work` with a lane: an idle one, a new one, or the next that another caller returns.
    pub(super) fn with<T>(&self, cuda: &Cuda, work: impl FnOnce(&mut Lane) -> Result<T>) -> Result<T> {
        let mut held = Held { lanes: self, lane: Some(self.take(cuda)?) };
        work(held.lane.as_mut().expect("held until the drop"))
    }

    fn take(&self, cuda: &Cuda) -> Result<Lane> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if let Some(lane) = state.idle.pop() {
                return Ok(lane);
            }
            if state.number < MOST_LANES {
                let lane = Lane::new(&cuda.context)?;
                state.number += 1;
                return Ok(lane);
            }
            state = self.returned.wait(state).unwrap_or_else(PoisonError::into_inner);
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
        let mut state = self.lanes.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.idle.extend(self.lane.take());
        self.lanes.returned.notify_one();
    }
}
