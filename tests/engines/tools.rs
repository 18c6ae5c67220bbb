//! A server of the Model Context Protocol for the conformance suite, of the era of `server/discover`: made with the protocol's SDK, over
//! streamable HTTP on the loopback interface. Its one tool does what its argument says.

use rmcp::model::*;
use rmcp::service::RequestContext;
use rmcp::transport::streamable_http_server::session::local::LocalSessionManager;
use rmcp::transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService};
use rmcp::{ErrorData, RoleServer, ServerHandler};
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;

#[derive(Clone)]
pub struct Actor;

/// The tool, as every actor describes it.
pub fn tool() -> Tool {
    let schema = json!({"type": "object", "properties": {"x": {"type": "string"}}, "required": ["x"]});
    serde_json::from_value(json!({"name": "act", "inputSchema": schema})).expect("a tool")
}

impl ServerHandler for Actor {
    fn get_info(&self) -> ServerConfig {
        ServerConfig::new(ServerCapabilities::builder().enable_tools().build())
    }

    async fn list_tools(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        Ok(ListToolsResult::with_all_items(vec![tool()]))
    }

    async fn call_tool(
        &self,
        call: CallToolRequestParams,
        _: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let arguments = call.arguments.unwrap_or_default();
        let text = match arguments.get("x").and_then(|x| x.as_str()).unwrap_or_default() {
            "fail" => return Ok(CallToolResult::error(vec![ContentBlock::text("the server failed as told")]).into()),
            "hang" => {
                tokio::time::sleep(Duration::from_secs(60)).await;
                String::new()
            }
            "big" => "x".repeat(80 << 20),
            x => format!("did {x}"),
        };
        Ok(CallToolResult::success(vec![ContentBlock::text(text)]).into())
    }
}

/// Starts the server; it ends with the test's process. Returns its address.
pub fn start() -> String {
    let (tell, told) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let sessions = Arc::new(LocalSessionManager::default());
            let service = StreamableHttpService::new(|| Ok(Actor), sessions, StreamableHttpServerConfig::default());
            let app = axum::Router::new().nest_service("/mcp", service);
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
            let port = listener.local_addr().expect("an address").port();
            tell.send(format!("http://127.0.0.1:{port}/mcp")).expect("somebody waits");
            axum::serve(listener, app).await.expect("served");
        });
    });
    told.recv().expect("an address")
}
