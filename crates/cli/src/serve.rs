//! `selvedge serve`: the HTTP server.

use crate::args::ServeArgs;
use crate::log::{note, write_error};
use crate::output::print;
use crate::{Error, Result};
use selvedge::shards::Collection;
use selvedge_server::{Config, Role, hash, new_key};
use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::path::Path;
use std::time::Duration;
use tokio::runtime::Runtime;
use tokio::signal::unix::{SignalKind, signal};

/// Longest time of a health check.
const CHECK_TIME: Duration = Duration::from_secs(2);

/// Serves until a signal asks the process to end.
pub(crate) fn serve(args: &ServeArgs) -> Result<()> {
    if let Some(role) = &args.new_key {
        return print_key(role);
    }
    let mut config = config(args.config.as_deref(), &args.settings)?;
    if args.check {
        return check(&config);
    }
    if let Some(number) = args.shard {
        let [url] = &*config.indexes else {
            return Err(Error::Usage("--shard is one of a collection: give its folder or URL, and no other".into()));
        };
        config.indexes = vec![Collection::open(url)?.shard_folder(url, number)?];
    }
    if config.data.is_none() && config.indexes.is_empty() {
        return Err(Error::Usage("give the folders of indexes to serve, or --data DIR for new ones".into()));
    }
    over_http(config)
}

/// Serves over HTTP until a signal asks the process to end.
pub(crate) fn over_http(config: Config) -> Result<()> {
    let is_open = config.keys.is_empty() && !config.listen.ip().is_loopback();
    if is_open {
        note!("warning: {} has no API keys: whoever reaches it may change everything (--new-key)", config.listen);
    }
    let scheme = if config.tls_cert.is_some() { "https" } else { "http" };
    let started = |address| note!("listening on {scheme}://{address}");
    Ok(runtime()?.block_on(selvedge_server::serve(config, started, ended()))?)
}

/// Threads of connections.
pub(crate) fn runtime() -> Result<Runtime> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    runtime.map_err(|error| Error::Usage(format!("no threads for connections: {error}")))
}

/// Settings of the file, of the environment and of flags, which come first.
pub(crate) fn config(file: Option<&Path>, settings: &impl serde::Serialize) -> Result<Config> {
    let usage = |words: String| Error::Usage(words);
    let mut table = match file {
        None => toml::Table::new(),
        Some(path) => {
            let text = std::fs::read_to_string(path).map_err(|error| usage(format!("{}: {error}", path.display())))?;
            // First as what it should be: its errors name lines.
            toml::from_str::<Config>(&text).map_err(|error| usage(of_file(path, &text, &error)))?;
            text.parse().expect("it was parsed before")
        }
    };
    let flags = toml::Table::try_from(settings).map_err(|error| usage(error.to_string()))?;
    table.extend(flags);
    table.try_into().map_err(|error| usage(error.to_string()))
}

/// Message of an error in a file of settings, in one line.
fn of_file(path: &Path, text: &str, error: &toml::de::Error) -> String {
    let line = error.span().map_or(1, |span| 1 + text[..span.start].matches('\n').count());
    format!("{}: line {line}: {}", path.display(), error.message().replace('\n', ": "))
}

/// Asks a server on this machine whether it is ready; of one with TLS, whether it accepts a connection.
fn check(config: &Config) -> Result<()> {
    let ip = match config.listen.ip() {
        ip if !ip.is_unspecified() => ip,
        IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
    };
    let address = SocketAddr::new(ip, config.listen.port());
    let ask = || -> std::io::Result<String> {
        let mut stream = TcpStream::connect_timeout(&address, CHECK_TIME)?;
        stream.set_read_timeout(Some(CHECK_TIME))?;
        if config.tls_cert.is_some() {
            return Ok("HTTP/1.1 200".into());
        }
        stream.write_all(b"GET /health/ready HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    };
    match ask() {
        Ok(answer) if answer.starts_with("HTTP/1.1 200") => Ok(()),
        Ok(answer) => Err(Error::NotReady(format!("{address}: {}", answer.lines().next().unwrap_or_default()))),
        Err(error) => Err(Error::NotReady(format!("{address}: {error}"))),
    }
}

/// Prints the entry that the settings need for a new key, to be appended to them, and notes the key itself.
fn print_key(role: &str) -> Result<()> {
    let parsed: Result<Role, _> = serde_json::from_value(role.into());
    parsed.map_err(|_| Error::Usage(format!("--new-key {role}: expected read, write or admin")))?;
    let (key, out) = (new_key()?, &mut std::io::stdout());
    let hash = hash(&key);
    let name = &hash[..8];
    print(writeln!(out, "[[keys]]\nname = \"{name}\"\nrole = \"{role}\"\nsha256 = \"{hash}\""))?;
    write_error(format_args!("the client's key, which is stored nowhere: {key}"));
    Ok(())
}

/// Resolves when a signal asks the process to end.
pub(crate) async fn ended() {
    signalled().await;
    note!("ending: open requests and writes are finished first; a second signal ends at once");
    // Every write that was acknowledged is on disk, and the next start finds the others undone.
    tokio::spawn(async {
        signalled().await;
        std::process::exit(1);
    });
}

/// Resolves at the next signal that asks the process to end.
async fn signalled() {
    let wait = |kind| async move {
        match signal(kind) {
            Ok(mut received) => received.recv().await,
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        _ = wait(SignalKind::interrupt()) => {}
        _ = wait(SignalKind::terminate()) => {}
    }
}
