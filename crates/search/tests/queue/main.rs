//! Queues in front of a searcher that records its batches and can be held, and in front of a real one.

#![allow(unreachable_pub)] // nothing imports a test crate

mod answers;
mod batches;
mod fake;
#[path = "../support/mod.rs"]
mod support;

use fake::Fake;
use selvedge_search::{Pending, Queue, QueueOptions, SearchParams};
use std::pin::pin;
use std::sync::{Arc, mpsc};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::Duration;

/// Runs a test on a thread of its own, and fails if it has no end.
fn ends(test: impl FnOnce() + Send + 'static) {
    let (done, wait) = mpsc::channel();
    let thread = thread::spawn(move || {
        test();
        let _ = done.send(());
    });
    if let Err(mpsc::RecvTimeoutError::Timeout) = wait.recv_timeout(Duration::from_secs(100)) {
        panic!("the test waits for ever");
    }
    if let Err(panic) = thread.join() {
        std::panic::resume_unwind(panic);
    }
}

fn queue_of(fake: &Arc<Fake>, options: QueueOptions) -> Queue {
    Queue::new(Arc::<Fake>::clone(fake), options).unwrap()
}

fn queue(fake: &Arc<Fake>) -> Queue {
    queue_of(fake, QueueOptions::default())
}

fn ask(queue: &Queue, query: f32) -> Pending {
    queue.search(vec![query], SearchParams::exact(1), None)
}

fn ask_all(queue: &Queue, queries: impl IntoIterator<Item = u16>) -> Vec<(f32, Pending)> {
    queries.into_iter().map(|query| (f32::from(query), ask(queue, f32::from(query)))).collect()
}

/// Checks that each query gets its own answer.
fn check(all: Vec<(f32, Pending)>) {
    for (query, pending) in all {
        assert_eq!(pending.wait().unwrap().hits[0].score, query);
    }
}

/// Runs a future on this thread, which is parked in between.
fn block_on<T>(future: impl Future<Output = T>) -> T {
    struct Unpark(Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(value) => return value,
            Poll::Pending => thread::park(),
        }
    }
}
