//! Answer of a queue, as a future and for callers that block.

use super::batches::Shared;
use super::lock;
use crate::{Ranking, Result};
use std::pin::Pin;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};

/// Message of the panic of a second poll.
const TAKEN: &str = "the answer was taken before";

/// Answer that a [`Queue`](super::Queue) owes: a future for any async runtime. Dropping it cancels the request.
///
/// # Panics
/// If it is polled again after it was ready.
#[must_use = "a request is cancelled when its answer is dropped"]
pub struct Pending {
    slot: Arc<Slot>,
    shared: Arc<Shared>,
}

impl Pending {
    pub(super) fn new(slot: Arc<Slot>, shared: Arc<Shared>) -> Self {
        Self { slot, shared }
    }

    /// Blocks until the answer is there. Threads of the pool that the queue searches on must not call this: the search
    /// may need them.
    ///
    /// # Errors
    /// The errors of [`Queue::search`](super::Queue::search).
    ///
    /// # Panics
    /// If the future was ready before.
    pub fn wait(self) -> Result<Ranking> {
        let mut state = lock(&self.slot.state);
        loop {
            match std::mem::replace(&mut *state, State::Taken) {
                State::Ready(answer) => return answer,
                State::Taken => panic!("{TAKEN}"),
                missing => *state = missing,
            }
            state = self.slot.ready.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl Future for Pending {
    type Output = Result<Ranking>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = lock(&self.slot.state);
        match std::mem::replace(&mut *state, State::Taken) {
            State::Ready(answer) => return Poll::Ready(answer),
            State::Taken => panic!("{TAKEN}"),
            State::Missing(_) => *state = State::Missing(Some(context.waker().clone())),
        }
        Poll::Pending
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        // The slot is not locked while the queue is.
        let mut state = lock(&self.slot.state);
        let is_missing = matches!(*state, State::Missing(_));
        *state = State::Taken;
        drop(state);
        if is_missing {
            self.shared.cancel(&self.slot);
        }
    }
}

impl std::fmt::Debug for Pending {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let is_ready = matches!(*lock(&self.slot.state), State::Ready(_));
        f.debug_struct("Pending").field("is_ready", &is_ready).finish_non_exhaustive()
    }
}

/// Place for the answer to one request.
#[derive(Default)]
pub(super) struct Slot {
    state: Mutex<State>,
    ready: Condvar,
}

enum State {
    /// No answer yet; the waker is that of the last poll.
    Missing(Option<Waker>),
    Ready(Result<Ranking>),
    Taken,
}

impl Default for State {
    fn default() -> Self {
        Self::Missing(None)
    }
}

impl Slot {
    /// Whether the caller has gone away without the answer.
    pub(super) fn is_abandoned(&self) -> bool {
        matches!(*lock(&self.state), State::Taken)
    }

    /// Puts an answer, unless there has been one.
    pub(super) fn put(&self, answer: Result<Ranking>) {
        let mut state = lock(&self.state);
        if let State::Missing(waker) = &mut *state {
            let waker = waker.take();
            *state = State::Ready(answer);
            drop(state);
            self.ready.notify_one();
            if let Some(waker) = waker {
                waker.wake();
            }
        }
    }
}
