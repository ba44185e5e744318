//! Long work: it runs on a thread of its own, while Python's code runs on the thread that called.
//!
//! ```text
//! calling thread: reads Python's iterables, reports progress, passes the log on, watches for Ctrl-C
//! thread of the work: the engine, which asks the calling thread for the next items
//! ```
//!
//! The interpreter is free while the calling thread waits, so that other threads of Python run. Nothing but the calling
//! thread runs Python's code: an iterable may be a cursor of SQLite, which belongs to its thread.

use crate::errors::{exception, to_py};
use crate::{log, threads};
use pyo3::exceptions::PyException;
use pyo3::prelude::*;
use selvedge::{Error, Progress, Result, Step};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// Time between two looks for signals and progress.
const TICK: Duration = Duration::from_millis(50);
/// Largest number of items that are read at a time, and longest time of reading them.
const BATCH: (usize, Duration) = (256, Duration::from_millis(20));

/// Longest time that the exit of the interpreter waits for calls of other threads.
const LONGEST_END: Duration = Duration::from_secs(10);

/// Reader of one of Python's iterables.
pub(crate) trait Feed: Send {
    /// Item that the engine receives.
    type Item: Send;

    /// Reads the next item; `None` at the end.
    fn next(&mut self, py: Python<'_>) -> PyResult<Option<Self::Item>>;
}

/// The feed of work that reads nothing.
pub(crate) struct Nothing;

impl Feed for Nothing {
    type Item = ();

    fn next(&mut self, _: Python<'_>) -> PyResult<Option<()>> {
        Ok(None)
    }
}

/// Progress of the work, as the calling thread sees it.
#[derive(Default)]
struct State {
    step: Mutex<Option<Step>>,
    is_cancelled: AtomicBool,
}

impl Progress for State {
    fn report(&self, step: Step) {
        *self.step.lock().unwrap_or_else(PoisonError::into_inner) = Some(step);
    }

    fn is_cancelled(&self) -> bool {
        self.is_cancelled.load(Ordering::Relaxed) || IS_ENDING.load(Ordering::Relaxed)
    }
}

/// Message of the work to the calling thread.
enum Message<T> {
    /// A request for more items.
    More(Sender<Vec<T>>),
    /// The end of the work.
    Over,
}

/// Sends the end of the work when it is dropped, also by a panic.
struct End<T>(Sender<Message<T>>);

impl<T> Drop for End<T> {
    fn drop(&mut self) {
        let _ = self.0.send(Message::Over);
    }
}

/// Items of a feed as the work reads them.
pub(crate) struct Items<T> {
    requests: Sender<Message<T>>,
    ready: std::vec::IntoIter<T>,
    is_over: bool,
}

impl<T> Iterator for Items<T> {
    type Item = Result<T>;

    fn next(&mut self) -> Option<Result<T>> {
        if let Some(item) = self.ready.next() {
            return Some(Ok(item));
        }
        if self.is_over {
            return None;
        }
        let (answer, answers) = channel();
        let items = match self.requests.send(Message::More(answer)) {
            Ok(()) => answers.recv().ok(),
            Err(_) => None,
        };
        self.is_over = items.as_ref().is_none_or(Vec::is_empty);
        // Without an answer reading has failed, and the calling thread has the exception.
        let Some(items) = items else { return Some(Err(Error::Cancelled)) };
        self.ready = items.into_iter();
        self.ready.next().map(Ok)
    }
}

/// Runs long work. `progress` is called with `(stage, done, total, unit)`, or is None.
pub(crate) fn run<F: Feed, R: Send>(
    py: Python<'_>,
    progress: &Option<Py<PyAny>>,
    feed: F,
    work: impl FnOnce(&dyn Progress, Items<F::Item>) -> Result<R> + Send,
) -> PyResult<R> {
    log::start(py);
    let state = State::default();
    let (requests, asked) = channel();
    let items = Items { requests, ready: Vec::new().into_iter(), is_over: false };
    let state = &state;
    let _running = Running::begin()?;
    let result = py.detach(move || {
        thread::scope(|scope| {
            let end = End(items.requests.clone());
            let worker = scope.spawn(move || {
                let _end = end;
                threads::on_own_pool(|| work(state, items))
            });
            let mut caller = Caller { state, progress, feed, shown: None, exception: None, failure: None };
            caller.serve(&asked);
            (worker.join(), caller.failure)
        })
    });
    let logged = log::pass_on(py);
    match result {
        (_, Some(failure)) => Err(failure),
        (Ok(done), None) => logged.and(done)?.map_err(to_py),
        (Err(panic), None) => Err(panicked(&*panic)),
    }
}

/// Number of calls that run.
static RUNNING: AtomicUsize = AtomicUsize::new(0);
/// Whether the interpreter ends: no call may begin.
static IS_ENDING: AtomicBool = AtomicBool::new(false);
/// Whether this process was forked during a call. It has inherited the locks that the call held, and no thread that
/// unlocks them: no call may begin.
static IS_FORKED_MIDWAY: AtomicBool = AtomicBool::new(false);

/// A call that runs, until it is dropped.
struct Running;

impl Running {
    fn begin() -> PyResult<Self> {
        RUNNING.fetch_add(1, Ordering::SeqCst);
        let running = Self;
        if IS_FORKED_MIDWAY.load(Ordering::SeqCst) {
            let message = "this process was forked while a call ran in its parent, whose locks it has inherited: fork \
                           before, or start processes by \"spawn\" or \"forkserver\"";
            return Err(exception("SelvedgeError", message, &[]));
        }
        match IS_ENDING.load(Ordering::SeqCst) {
            false => Ok(running),
            true => Err(exception("Cancelled", "the interpreter ends", &[])),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // A child process that was forked during a call counts from 0.
        let _ = RUNNING.try_update(Ordering::SeqCst, Ordering::SeqCst, |count| count.checked_sub(1));
    }
}

/// Stops the calls of all threads, and waits for them: a thread that came back to an interpreter that is no more would
/// abort the process. Called at the exit of the interpreter.
#[pyfunction]
pub(crate) fn stop_all(py: Python<'_>) {
    IS_ENDING.store(true, Ordering::SeqCst);
    let begun = Instant::now();
    py.detach(|| {
        while RUNNING.load(Ordering::SeqCst) > 0 && begun.elapsed() < LONGEST_END {
            thread::sleep(TICK / 50);
        }
    });
}

/// Forgets the calls of other threads, in a child process, which has none of them.
#[pyfunction]
pub(crate) fn after_fork() {
    if RUNNING.swap(0, Ordering::SeqCst) > 0 {
        IS_FORKED_MIDWAY.store(true, Ordering::SeqCst);
    }
}

/// Runs short work with the interpreter free, on the calling thread.
pub(crate) fn detached<R: Send>(py: Python<'_>, work: impl FnOnce() -> Result<R> + Send) -> PyResult<R> {
    let _running = Running::begin()?;
    let result = py.detach(|| catch_unwind(AssertUnwindSafe(|| threads::on_pool(work))));
    log::pass_on(py)?;
    result.map_err(|panic| panicked(&*panic))??.map_err(to_py)
}

/// Exception of a panic, which is a fault of this library.
fn panicked(panic: &(dyn std::any::Any + Send)) -> PyErr {
    let text = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
    let message = format!("internal error, please report it: {}", text.unwrap_or("a panic"));
    exception("SelvedgeError", &message, &[])
}

/// The calling thread's side.
struct Caller<'a, F> {
    state: &'a State,
    progress: &'a Option<Py<PyAny>>,
    feed: F,
    shown: Option<Step>,
    /// An exception of the feed, once the items before it are read.
    exception: Option<PyErr>,
    /// The first exception of Python's code.
    failure: Option<PyErr>,
}

impl<F: Feed> Caller<'_, F> {
    /// Answers the work until it ends.
    fn serve(&mut self, messages: &Receiver<Message<F::Item>>) {
        let mut looked = Instant::now();
        loop {
            match messages.recv_timeout(TICK.saturating_sub(looked.elapsed())) {
                Ok(Message::More(answer)) => {
                    // If it gets no answer, the work ends.
                    let items = Python::attach(|py| self.read(py));
                    if let Some(items) = self.kept(items) {
                        let _ = answer.send(items);
                    }
                }
                Ok(Message::Over) | Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => {}
            }
            if looked.elapsed() >= TICK {
                self.look_around();
                looked = Instant::now();
            }
        }
        self.look_around();
    }

    fn look_around(&mut self) {
        let seen = Python::attach(|py| self.look(py));
        self.kept(seen);
    }

    /// Keeps the first exception, and asks the work to stop.
    fn kept<T>(&mut self, result: PyResult<T>) -> Option<T> {
        result
            .map_err(|failure| {
                self.state.is_cancelled.store(true, Ordering::Relaxed);
                self.failure.get_or_insert(failure);
            })
            .ok()
    }

    /// Reads the next items, none at the end. An exception comes after the items before it, which the work may refuse.
    fn read(&mut self, py: Python<'_>) -> PyResult<Vec<F::Item>> {
        if let Some(exception) = self.exception.take() {
            return Err(exception);
        }
        let (most, longest) = BATCH;
        let started = Instant::now();
        let mut items = Vec::new();
        while items.len() < most && started.elapsed() < longest {
            match self.feed.next(py) {
                Ok(Some(item)) => items.push(item),
                Ok(None) => break,
                Err(exception) if exception.is_instance_of::<PyException>(py) && !items.is_empty() => {
                    self.exception = Some(exception);
                    break;
                }
                Err(exception) => return Err(exception),
            }
        }
        Ok(items)
    }

    /// Looks for signals, and reports progress.
    fn look(&mut self, py: Python<'_>) -> PyResult<()> {
        py.check_signals()?;
        log::pass_on(py)?;
        let step = *self.state.step.lock().unwrap_or_else(PoisonError::into_inner);
        if let (Some(progress), Some(step)) =
            (self.progress, step.filter(|_| step != self.shown && self.failure.is_none()))
        {
            self.shown = Some(step);
            progress.call1(py, (step.stage, step.done, step.total, step.unit))?;
        }
        Ok(())
    }
}
