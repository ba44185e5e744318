//! Tasks: long work that clients can watch and cancel.

use crate::error::{ApiError, Result};
use selvedge::{Progress, Step};
use serde::Serialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};
use tokio::sync::watch;

/// Number of ended tasks that are remembered.
const MOST_ENDED: usize = 1000;

/// Kind of a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum TaskKind {
    /// Documents are added or replaced.
    Add,
    /// Documents are deleted.
    Delete,
    /// Segments are merged, and perhaps another codec is trained.
    Compact,
    /// The index of a folder is brought up to date with its files.
    Update,
}

impl TaskKind {
    /// Whether the end of the server stops it: it may take hours, no client's data is lost with it, and it can be
    /// repeated.
    pub(crate) fn may_be_put_off(self) -> bool {
        matches!(self, Self::Compact | Self::Update)
    }
}

/// State of a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum TaskState {
    /// Other writes of the index come first.
    Waiting,
    /// It is at work.
    Running,
    /// It has ended, and its result is committed.
    Done,
    /// It has failed, and changed nothing.
    Failed,
    /// It was cancelled, and changed nothing.
    Cancelled,
}

impl TaskState {
    /// Whether a task in this state has ended.
    pub(crate) fn is_end(self) -> bool {
        matches!(self, Self::Done | Self::Failed | Self::Cancelled)
    }
}

/// A task as clients see it.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct TaskInfo {
    /// Number of the task.
    pub id: u64,
    /// Name of the index that it changes.
    pub index: String,
    /// Kind of work.
    pub kind: TaskKind,
    /// State.
    pub state: TaskState,
    /// Stage of the work, such as `encode`.
    pub stage: Option<String>,
    /// Unit of `done` and `total`.
    pub unit: Option<String>,
    /// Steps of the stage that are done.
    pub done: u64,
    /// Steps of the stage, if their number is known.
    pub total: Option<u64>,
    /// Result, if it is done.
    #[schema(value_type = Option<Object>)]
    pub result: Option<Value>,
    /// Error, if it has failed.
    #[schema(value_type = Option<Object>)]
    pub error: Option<Value>,
    /// Time of its creation, in milliseconds since 1970.
    pub created_ms: u64,
    /// Time of its end.
    pub ended_ms: Option<u64>,
}

/// A task.
pub(crate) struct Task {
    info: watch::Sender<TaskInfo>,
    is_cancelled: AtomicBool,
    outcome: OnceLock<Result<Value>>,
}

impl Task {
    /// State of the task now.
    pub(crate) fn info(&self) -> TaskInfo {
        self.info.borrow().clone()
    }

    /// Receives each change of what is known.
    pub(crate) fn watch(&self) -> watch::Receiver<TaskInfo> {
        self.info.subscribe()
    }

    /// The result or the error of a task that has ended.
    pub(crate) fn outcome(&self) -> Result<Value> {
        self.outcome.get().cloned().unwrap_or_else(|| Err(ApiError::internal("the task was dropped")))
    }

    /// Asks the task to stop.
    pub(crate) fn cancel(&self) {
        self.is_cancelled.store(true, Ordering::Relaxed);
    }

    /// Notes that the work begins; an error if it was cancelled while it waited.
    pub(crate) fn start(&self) -> Result<()> {
        if self.is_cancelled() {
            return Err(selvedge::Error::Cancelled.into());
        }
        self.info.send_modify(|info| info.state = TaskState::Running);
        Ok(())
    }

    /// Notes the result.
    pub(crate) fn end(&self, result: Result<Value>) {
        let result = self.outcome.get_or_init(|| result);
        self.info.send_modify(|info| {
            info.ended_ms = Some(now_ms());
            match result {
                Ok(value) => (info.state, info.result) = (TaskState::Done, Some(value.clone())),
                Err(error) if error.code == "CANCELLED" => info.state = TaskState::Cancelled,
                Err(error) => (info.state, info.error) = (TaskState::Failed, Some(error.body())),
            }
        });
    }
}

impl Progress for Task {
    fn report(&self, step: Step) {
        self.info.send_modify(|info| {
            (info.stage, info.unit) = (Some(step.stage.to_owned()), Some(step.unit.to_owned()));
            (info.done, info.total) = (step.done, step.total);
        });
    }

    fn is_cancelled(&self) -> bool {
        self.is_cancelled.load(Ordering::Relaxed)
    }
}

/// All tasks, of which the last that ended are remembered.
#[derive(Default)]
pub(crate) struct Tasks {
    next: AtomicU64,
    by_id: Mutex<BTreeMap<u64, Arc<Task>>>,
}

impl Tasks {
    /// Makes a task that waits.
    pub(crate) fn create(&self, index: &str, kind: TaskKind) -> Arc<Task> {
        let id = self.next.fetch_add(1, Ordering::Relaxed) + 1;
        let info = TaskInfo {
            id,
            index: index.to_owned(),
            kind,
            state: TaskState::Waiting,
            stage: None,
            unit: None,
            done: 0,
            total: None,
            result: None,
            error: None,
            created_ms: now_ms(),
            ended_ms: None,
        };
        let task = Arc::new(Task {
            info: watch::Sender::new(info),
            is_cancelled: AtomicBool::new(false),
            outcome: OnceLock::new(),
        });
        let mut by_id = self.lock();
        by_id.insert(id, Arc::clone(&task));
        let ended: Vec<u64> =
            by_id.iter().filter(|(_, task)| task.info.borrow().ended_ms.is_some()).map(|(&id, _)| id).collect();
        for id in ended.iter().take(ended.len().saturating_sub(MOST_ENDED)) {
            by_id.remove(id);
        }
        task
    }

    /// The task of a number.
    pub(crate) fn get(&self, id: u64) -> Result<Arc<Task>> {
        let missing = || {
            let message = format!("there is no task {id}: it never was, or it ended long ago");
            ApiError::new(axum::http::StatusCode::NOT_FOUND, "TASK_NOT_FOUND", message)
        };
        self.lock().get(&id).cloned().ok_or_else(missing)
    }

    /// Asks all tasks of an index to stop.
    pub(crate) fn cancel_all(&self, index: &str) {
        self.lock().values().filter(|task| task.info.borrow().index == index).for_each(|task| task.cancel());
    }

    /// Asks all tasks to stop that may be put off.
    pub(crate) fn put_off(&self) {
        let may_be_put_off = |task: &&Arc<Task>| task.info.borrow().kind.may_be_put_off();
        self.lock().values().filter(may_be_put_off).for_each(|task| task.cancel());
    }

    /// All tasks that are remembered, of one index or of all.
    pub(crate) fn list(&self, index: Option<&str>) -> Vec<TaskInfo> {
        let infos = self.lock().values().map(|task| task.info()).collect::<Vec<_>>();
        infos.into_iter().filter(|info| index.is_none_or(|index| info.index == index)).collect()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<u64, Arc<Task>>> {
        self.by_id.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Milliseconds since 1970.
pub(crate) fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_millis() as u64)
}
