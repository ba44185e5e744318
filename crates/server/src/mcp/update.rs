//! The tool that brings the index of a folder up to date.

use super::answers::{self, Answer, progress};
use super::tools::IndexArgs;
use crate::auth::Role;
use crate::error::{ApiError, Result};
use crate::folders;
use crate::state::App;
use crate::tasks::{Task, TaskState};
use axum::http::StatusCode;
use rmcp::model::ProgressNotificationParam;
use rmcp::service::{RequestContext, RoleServer};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;

/// Time between two notifications of progress.
const PAUSE: Duration = Duration::from_secs(1);

/// Updates an index, and answers when the update is committed. A client that cancels its request cancels the update.
pub(super) async fn index(
    app: &Arc<App>,
    args: IndexArgs,
    role: Role,
    context: &RequestContext<RoleServer>,
) -> Result<Answer> {
    if role < Role::Write {
        let message = "this key may not do that: it needs the role write";
        return Err(ApiError::new(StatusCode::FORBIDDEN, "FORBIDDEN", message));
    }
    let served = answers::index(app, args.index.as_deref())?;
    let task = folders::queue_update(app, &served)?;
    tokio::select! {
        () = context.ct.cancelled() => {
            task.cancel();
            Err(selvedge::Error::Cancelled.into())
        }
        () = ended(app, &task, context) => task.outcome().map(|counts| answer(&served.name, counts)),
    }
}

/// Resolves when a task has ended. Notifies the client meanwhile, if it gave a token for that.
async fn ended(app: &App, task: &Task, context: &RequestContext<RoleServer>) {
    let mut watch = task.watch();
    let token = context.meta.get_progress_token();
    let mut count = 0.0;
    loop {
        let Some(token) = &token else {
            let _ = watch.wait_for(|info| info.state.is_end()).await;
            return;
        };
        // Stages count different things: what grows is the number of notifications.
        count += 1.0;
        let note = ProgressNotificationParam::new(token.clone(), count).with_message(message(app, task));
        // A client that is gone has cancelled the request.
        let _ = context.peer.notify_progress(note).await;
        let over = watch.wait_for(|info| info.state.is_end());
        if tokio::time::timeout(PAUSE, over).await.is_ok() {
            return;
        }
    }
}

/// How far a task is, or the one that it waits for.
fn message(app: &App, task: &Task) -> String {
    let info = task.info();
    let others = app.tasks.list(Some(&info.index));
    let running = others.iter().find(|other| other.state == TaskState::Running);
    progress(running.unwrap_or(&info))
}

fn answer(name: &str, counts: Value) -> Answer {
    let mut text = format!(
        "Index {name:?} is up to date: {} passages added, {} deleted, {} in all; generation {}.",
        counts["added"], counts["deleted"], counts["passages"], counts["generation"]
    );
    if counts["num_skipped"] != json!(0) {
        text.push_str(&format!(" {} files or folders were skipped.", counts["num_skipped"]));
    }
    let mut json = counts;
    json["index"] = json!(name);
    Answer { text, json }
}
