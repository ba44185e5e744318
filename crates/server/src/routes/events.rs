//! Server-sent events: a task until it ends, and all indexes as they change.

use super::indexes;
use super::input::Path;
use crate::error::{ErrorBody, Result};
use crate::state::App;
use axum::extract::State;
use axum::response::Sse;
use axum::response::sse::{Event, KeepAlive};
use futures_util::{Stream, stream};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::broadcast::error::RecvError;

/// Least time between two events of a task: a stage may report thousands of steps a second.
const LEAST_PAUSE: Duration = Duration::from_millis(100);

/// Sends a task at each change, until it has ended.
#[utoipa::path(get, path = "/v1/tasks/{id}/events", tag = "tasks", params(("id" = u64, Path, description = "Number")),
    responses((status = 200, content_type = "text/event-stream", body = String), (status = "4XX", body = ErrorBody),
        (status = "5XX", body = ErrorBody)))]
pub(crate) async fn task(
    State(app): State<Arc<App>>,
    Path(id): Path<u64>,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>> {
    let mut watch = app.tasks.get(id)?.watch();
    watch.mark_changed();
    let events = stream::unfold(Some((app, watch)), |state| async {
        let (app, mut watch) = state?;
        tokio::select! {
            changed = watch.changed() => changed.ok()?,
            () = app.ended() => return None,
        }
        let info = watch.borrow_and_update().clone();
        let event = Event::default().event("task").json_data(&info).unwrap_or_default();
        if info.ended_ms.is_some() {
            return Some((Ok(event), None));
        }
        tokio::time::sleep(LEAST_PAUSE).await;
        Some((Ok(event), Some((app, watch))))
    });
    Ok(Sse::new(events).keep_alive(KeepAlive::default()))
}

/// Sends an index after each of its changes; `{"name", "state": "deleted"}` if it was deleted.
#[utoipa::path(get, path = "/v1/events", tag = "indexes",
    responses((status = 200, content_type = "text/event-stream", body = String), (status = "4XX", body = ErrorBody),
        (status = "5XX", body = ErrorBody)))]
pub(crate) async fn changes(State(app): State<Arc<App>>) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let received = app.changes.subscribe();
    let events = stream::unfold((app, received), |(app, mut received)| async {
        let name = loop {
            let received = tokio::select! {
                received = received.recv() => received,
                () = app.ended() => return None,
            };
            match received {
                Ok(name) => break name,
                // A slow client misses changes, and sees the next ones.
                Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => return None,
            }
        };
        let event = Event::default().event("index");
        let event = match app.index(&name) {
            Ok(served) => event.json_data(indexes::info(&app, &served)),
            Err(_) => event.json_data(serde_json::json!({"name": name, "state": "deleted"})),
        };
        Some((Ok(event.unwrap_or_default()), (app, received)))
    });
    Sse::new(events).keep_alive(KeepAlive::default())
}
