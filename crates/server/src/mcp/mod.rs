//! The Model Context Protocol: tools with which an assistant searches the indexes.
//!
//! ```text
//! standard input ──> stdio ──┐
//!                            ├──> Handler ──> tools.rs: names, descriptions, schemas of arguments
//! POST /mcp ───────> http ───┘       └──────> answers.rs, update.rs ──> the functions of the HTTP routes
//! ```
//!
//! Over HTTP every request stands alone: there are no sessions, so a server that starts again loses none. The answer is
//! JSON, or a stream of events if the client asks for progress; a client that goes away cancels its request. A tool
//! that fails answers with its reason, which the assistant reads; malformed arguments are errors of the protocol.

mod answers;
mod tools;
mod update;

use crate::auth::Role;
use crate::error::{ApiError, Result};
use crate::routes::input::slow_body;
use crate::state::App;
use answers::Answer;
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::request::Parts;
use axum::response::IntoResponse;
use axum::routing::any;
use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CallToolResult, ContentBlock, ErrorData, Implementation, ListToolsResult,
    PaginatedRequestParams, ServerCapabilities, ServerConfig, Tool,
};
use rmcp::service::{RequestContext, RoleServer, ServerInitializeError};
use rmcp::transport::stdio_pipes;
use rmcp::transport::streamable_http_server::session::never::NeverSessionManager;
use rmcp::transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService};
use rmcp::{ServerHandler, ServiceExt};
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::pin::pin;
use std::sync::Arc;

/// Introduction of the server as a whole, for the assistant.
const INSTRUCTIONS: &str = "\
Searches the user's own documents by meaning. Use `search` when a question may be answered by them: ask for what the \
answer would say, in a phrase or a sentence, not in single keywords. Use mode `hybrid` or `lexical` for exact names, \
codes and error messages. Then `read` the passages that look right and cite their ids. `indexes` lists what can be \
searched; `index` brings an index up to date after files of its folder have changed.";

/// Answers the requests of a client.
#[derive(Clone)]
struct Handler {
    app: Arc<App>,
    /// Role of a client whose request says nothing of a key.
    role: Role,
}

impl ServerHandler for Handler {
    fn get_info(&self) -> ServerConfig {
        ServerConfig::new(ServerCapabilities::builder().enable_tools().build())
            .with_server_info(Implementation::new("selvedge", env!("CARGO_PKG_VERSION")))
            .with_instructions(INSTRUCTIONS)
    }

    async fn list_tools(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        Ok(ListToolsResult::with_all_items(tools::all()))
    }

    fn get_tool(&self, name: &str) -> Option<Tool> {
        tools::all().into_iter().find(|tool| tool.name == name)
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let (app, arguments) = (&self.app, Value::Object(request.arguments.unwrap_or_default()));
        let answer = match &*request.name {
            "search" => answers::search(app, arguments_of(arguments)?).await,
            "explain" => answers::explain(app, arguments_of(arguments)?).await,
            "read" => answers::read(app, arguments_of(arguments)?).await,
            "indexes" => {
                let tools::IndexesArgs {} = arguments_of(arguments)?;
                answers::indexes(app).await
            }
            "index" => {
                let role = role(&context).unwrap_or(self.role);
                update::index(app, arguments_of(arguments)?, role, &context).await
            }
            name => return Err(ErrorData::invalid_params(format!("there is no tool {name:?}"), None)),
        };
        Ok(result(answer).into())
    }
}

/// Reads the arguments of a tool.
fn arguments_of<T: DeserializeOwned>(arguments: Value) -> Result<T, ErrorData> {
    serde_json::from_value(arguments).map_err(|error| ErrorData::invalid_params(format!("arguments: {error}"), None))
}

/// The result of a tool, in words and as JSON.
fn result(answer: Result<Answer>) -> CallToolResult {
    let (mut result, json) = match answer {
        Ok(answer) => (CallToolResult::success(vec![ContentBlock::text(answer.text)]), answer.json),
        Err(error) => (CallToolResult::error(vec![ContentBlock::text(error.message.clone())]), error.body()),
    };
    result.structured_content = Some(json);
    result
}

/// The role of the key of a request over HTTP.
fn role(context: &RequestContext<RoleServer>) -> Option<Role> {
    context.extensions.get::<Parts>()?.extensions.get().copied()
}

/// The route `/mcp`. Hosts and origins were checked before, as for all routes.
pub(crate) fn routes(app: &Arc<App>) -> Router<Arc<App>> {
    let config = StreamableHttpServerConfig::default()
        .with_legacy_session_mode(false)
        .with_json_response(true)
        .with_max_request_body_bytes(app.config.max_body)
        .disable_allowed_hosts();
    let handler = Handler { app: Arc::clone(app), role: Role::Read };
    let service =
        StreamableHttpService::new(move || Ok(handler.clone()), Arc::new(NeverSessionManager::default()), config);
    let answer = move |State(app): State<Arc<App>>, request: Request| async move {
        let request = match whole(&app, request).await {
            Ok(request) => request,
            Err(error) => return error.into_response(),
        };
        service.handle(request).await.map(Body::new)
    };
    Router::new().route("/mcp", any(answer))
}

/// Reads the body of a request, which must arrive in time.
async fn whole(app: &App, request: Request) -> Result<Request> {
    let (parts, body) = request.into_parts();
    let read = tokio::time::timeout(app.config.timeout(None), to_bytes(body, app.config.max_body));
    let too_large = |_| {
        let message = format!("the body is larger than {} bytes", app.config.max_body);
        ApiError::new(axum::http::StatusCode::PAYLOAD_TOO_LARGE, "BODY_TOO_LARGE", message)
    };
    let body = read.await.map_err(|_| slow_body())?.map_err(too_large)?;
    Ok(Request::from_parts(parts, Body::from(body)))
}

/// Serves a client on standard input and output, until the input or `end` ends.
pub(crate) async fn stdio(app: &Arc<App>, end: impl Future<Output = ()>) -> Result<()> {
    let mut end = pin!(end);
    let begun = tokio::select! {
        // Whoever started this process may do everything.
        begun = Handler { app: Arc::clone(app), role: Role::Admin }.serve(stdio_pipes()) => begun,
        () = &mut end => return Ok(()),
    };
    let running = match begun {
        Ok(running) => running,
        // The client has gone away.
        Err(ServerInitializeError::ConnectionClosed(_)) => return Ok(()),
        Err(error) => return Err(ApiError::bad_request(format!("standard input: {error}"))),
    };
    let cancel = running.cancellation_token();
    let mut over = pin!(running.waiting());
    tokio::select! {
        _ = &mut over => {}
        () = end => {
            // Updates end with an answer; then the client is let go.
            app.end();
            cancel.cancel();
            let _ = over.await;
        }
    }
    Ok(())
}
