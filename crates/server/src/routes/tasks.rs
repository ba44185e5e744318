//! Tasks: look, cancel.

use super::input::Path;
use crate::error::{ErrorBody, Result};
use crate::state::App;
use crate::tasks::TaskInfo;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Serialize;
use std::sync::Arc;

/// Tasks that wait, run, or ended lately.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct TaskList {
    /// Tasks, oldest first.
    tasks: Vec<TaskInfo>,
}

/// Lists tasks.
#[utoipa::path(get, path = "/v1/tasks", tag = "tasks", responses((status = 200, body = TaskList),
    (status = "4XX", body = ErrorBody), (status = "5XX", body = ErrorBody)))]
pub(crate) async fn list(State(app): State<Arc<App>>) -> axum::Json<TaskList> {
    axum::Json(TaskList { tasks: app.tasks.list(None) })
}

/// Returns a task.
#[utoipa::path(get, path = "/v1/tasks/{id}", tag = "tasks", params(("id" = u64, Path, description = "Number")),
    responses((status = 200, body = TaskInfo), (status = "4XX", body = ErrorBody), (status = "5XX", body = ErrorBody)))]
pub(crate) async fn get(State(app): State<Arc<App>>, Path(id): Path<u64>) -> Result<axum::Json<TaskInfo>> {
    Ok(axum::Json(app.tasks.get(id)?.info()))
}

/// Asks a task to stop. What it has not committed is undone.
#[utoipa::path(delete, path = "/v1/tasks/{id}", tag = "tasks", params(("id" = u64, Path, description = "Number")),
    responses((status = 202, body = TaskInfo), (status = "4XX", body = ErrorBody), (status = "5XX", body = ErrorBody)))]
pub(crate) async fn cancel(
    State(app): State<Arc<App>>,
    Path(id): Path<u64>,
) -> Result<(StatusCode, axum::Json<TaskInfo>)> {
    let task = app.tasks.get(id)?;
    task.cancel();
    Ok((StatusCode::ACCEPTED, axum::Json(task.info())))
}
