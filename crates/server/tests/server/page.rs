//! The page in a browser: runs `page/tests/page.test.mjs` with the Node.js packages in the folder that
//! `SELVEDGE_PAGE_TOOLS` names (`npm install playwright-core @axe-core/playwright` there), and Debian's chromium.
//! Without the variable there is no browser, and the test says so.

use crate::support::Server;
use std::process::Command;

#[test]
fn the_page_works_in_a_browser() {
    let Some(tools) = std::env::var_os("SELVEDGE_PAGE_TOOLS") else {
        println!("skipped: SELVEDGE_PAGE_TOOLS names no folder with playwright-core and @axe-core/playwright");
        return;
    };
    let server = Server::start();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/page/tests/page.test.mjs");
    let base = format!("http://127.0.0.1:{}", server.address.port());
    let status = Command::new("node").arg(script).arg(base).env("PAGE_TOOLS", tools).status().expect("node runs");
    assert!(status.success(), "checks of the page failed: see above");
}
