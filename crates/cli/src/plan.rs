//! `selvedge plan`: the fleet that a collection needs, and the measurement of figures that it follows from.

use crate::args::PlanArgs;
use crate::log::note;
use crate::progress::Bars;
use crate::{Error, Result, output};
use selvedge::plan::measure::{self, Size, Stage};
use selvedge::plan::{Check, Curve, Figures, Outcome, Plan, Predicted, Request, leave_one_out};
use serde_json::json;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Decimal multiples of bytes and numbers.
const UNITS: [(f64, &str); 5] = [(1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")];

/// Queries of each simulation of a curve: a hundred are above the 99th percentile.
const CURVE_QUERIES: usize = 10_000;

/// Plans a fleet, checks the predictions, or measures this machine.
pub(crate) fn plan(args: &PlanArgs) -> Result<()> {
    match (&args.measure, args.stage, &args.work) {
        (_, Some(stage), Some(work)) => return Ok(measure::run(stage.into(), args.sizes[0], args.nbits, work)?),
        (Some(file), ..) => return measure_to(file, args),
        _ => {}
    }
    let figures = args.figures.as_deref().map_or_else(Figures::built_in, Figures::read)?;
    let Some(request) = request(args) else { return print_checks(&leave_one_out(&figures), args.json) };
    let plan = Plan::new(&request, &figures, &Bars::default())?;
    let curve = args.svg.as_ref().map(|_| Curve::of(&plan.fleet, CURVE_QUERIES, args.seed));
    if let (Some(file), Some(curve)) = (&args.svg, &curve) {
        std::fs::write(file, curve.svg()).map_err(selvedge::Error::io(file))?;
    }
    let mut out = std::io::stdout().lock();
    match args.json {
        true => output::print(writeln!(out, "{}", json!({"plan": plan, "curve": curve}))),
        false => output::print(print(&mut out, &plan)),
    }
}

/// The request of the flags; `None` without a number of passages.
fn request(args: &PlanArgs) -> Option<Request> {
    Some(Request {
        passages: args.passages?,
        tokens: args.tokens,
        nbits: args.nbits,
        text_bytes: args.text_bytes,
        latency_ms: args.latency,
        qps: args.qps,
        availability: args.availability,
        replicas: args.replicas,
        cores: args.cores,
        memory_bytes: args.memory,
        hop_ms: args.hop,
        failure_every_ms: args.failure_every,
        repair_ms: args.repair,
        straggler_share: args.straggler_share,
        straggler_factor: args.straggler_factor,
        seed: args.seed,
    })
}

/// Prints a plan as text.
fn print(out: &mut impl Write, plan: &Plan) -> std::io::Result<()> {
    let Plan { request, shard, total, build, cost, latency, .. } = plan;
    let (shards, replicas) = (counted(plan.shards, "shard"), counted(plan.replicas, "replica"));
    writeln!(out, "machines      {}: {shards}, {replicas} of each, {} cores", plan.machines, plan.cores)?;
    writeln!(
        out,
        "a shard       {}passages, {}vectors, {} centroids; {}B on disk, {}B in memory, {:.1} ms per search",
        short(shard.passages as f64),
        short(shard.vectors as f64),
        shard.centroids,
        short(shard.disk_bytes as f64),
        short(shard.memory_bytes as f64),
        shard.search_ms,
    )?;
    let [copy, disk, memory] =
        [total.copy_bytes, total.disk_bytes, total.memory_bytes].map(|bytes| short(bytes as f64));
    writeln!(out, "in all        {copy}B for one copy; {disk}B on disk and {memory}B in memory with replicas")?;
    writeln!(
        out,
        "network       routers send {}B/s and receive {}B/s",
        short(total.sent_bytes_per_s as f64),
        short(total.received_bytes_per_s as f64)
    )?;
    let at = format!("at {} queries/s", request.qps);
    writeln!(out, "latency       p50 {:.1} ms, p99 {:.1} ms {at}", latency.p50_ms, latency.p99_ms)?;
    writeln!(out, "              {:.1} ms of it before and after the fan-out, which takes", latency.fixed_ms)?;
    print_outcome(out, "without hedges", &latency.unhedged)?;
    if let Some(hedged) = &latency.hedged {
        print_outcome(out, &format!("hedged after {:.1} ms", latency.hedge_ms), hedged)?;
    }
    writeln!(out, "availability  {:.6} of the time every shard has a machine that runs", latency.availability)?;
    writeln!(
        out,
        "encoding      {:.1} core-hours for the passages; queries keep {:.1} cores of the first shard busy",
        build.encode_core_hours, total.encoding_cores
    )?;
    writeln!(out, "indexing      {:.1} core-hours; with encoding {:.2} h", build.index_core_hours, build.wall_hours)?;
    writeln!(
        out,
        "cost          {:.2} core-hours, {:.2} GiB-hours of memory, {:.2} GiB-hours of disk for a million queries",
        cost.core_hours, cost.memory_gib_hours, cost.disk_gib_hours
    )?;
    writeln!(out, "\nassumptions")?;
    plan.assumptions.iter().try_for_each(|assumption| writeln!(out, "- {assumption}"))
}

fn print_outcome(out: &mut impl Write, name: &str, outcome: &Outcome) -> std::io::Result<()> {
    let Outcome { p50_ms, p99_ms, busy, hedged, .. } = outcome;
    let busy = busy * 100.0;
    writeln!(
        out,
        "              {name}: p50 {p50_ms:.1} ms, p99 {p99_ms:.1} ms; cores {busy:.0} % busy, {hedged:.4} hedges"
    )
}

/// Prints predictions beside measurements.
fn print_checks(checks: &[Check], json: bool) -> Result<()> {
    let mut out = std::io::stdout().lock();
    if json {
        return output::print(writeln!(out, "{}", json!(checks)));
    }
    output::print(writeln!(out, "predicted from the other sizes / measured; * outside of their range"))?;
    let head =
        "passages tokens             disk MB               memory MB             build CPU s             search ms";
    output::print(writeln!(out, "{head}"))?;
    checks.iter().try_for_each(|check| {
        let of = |figure: fn(&Predicted) -> f64, unit: f64| {
            let (predicted, measured) = (figure(&check.predicted) / unit, figure(&check.measured) / unit);
            format!("{predicted:>8.2}/{measured:>8.2} {:+4.0} %", (predicted / measured - 1.0) * 100.0)
        };
        let (disk, memory) = (of(|p| p.disk_bytes, 1e6), of(|p| p.memory_bytes, 1e6));
        let (build, search) = (of(|p| p.build_cpu_s, 1.0), of(|p| p.search_ms, 1.0));
        let mark = if check.is_outside { '*' } else { ' ' };
        let Check { passages, tokens, .. } = check;
        output::print(writeln!(out, "{passages:>8}{mark} {tokens:>5.1} {disk} {memory} {build} {search}"))
    })
}

/// A number or its decimal multiple with the prefix of a unit, after a space.
fn short(number: f64) -> String {
    match UNITS.iter().find(|(unit, _)| number >= *unit) {
        Some((unit, prefix)) => format!("{:.3} {prefix}", number / unit),
        None => format!("{number:.0} "),
    }
}

fn counted(count: usize, noun: &str) -> String {
    output::counted(count as u64, noun)
}

/// Measures this machine, and writes its figures.
fn measure_to(file: &Path, args: &PlanArgs) -> Result<()> {
    let work = args.work.clone().unwrap_or_else(|| file.with_extension("work"));
    let figures =
        measure::measure(&args.sizes, args.nbits, &work, |stage, size| spawn(stage, size, args.nbits, &work))?;
    let json = serde_json::to_string_pretty(&figures).expect("figures are plain numbers") + "\n";
    std::fs::write(file, json).map_err(selvedge::Error::io(file))?;
    if args.work.is_none() {
        std::fs::remove_dir_all(&work).map_err(selvedge::Error::io(&work))?;
    }
    note!("{}: figures of {} sizes", file.display(), figures.sizes.len());
    Ok(())
}

/// Runs a stage in a process of its own, which has the program's name and pool.
fn spawn(stage: Stage, size: Size, nbits: u8, work: &Path) -> Result<()> {
    note!("{} passages of {} tokens: {}", size.passages, size.tokens, stage.name());
    let program = std::env::current_exe().map_err(selvedge::Error::io(&PathBuf::from("selvedge")))?;
    let mut command = Command::new(&program);
    command.args(["plan", "--stage", stage.name(), "--nbits", &nbits.to_string()]);
    command.args(["--sizes", &format!("{}x{}", size.passages, size.tokens)]);
    // Required beside --work; nothing is written to it.
    command.arg("--measure").arg(work.join("figures")).arg("--work").arg(work);
    match command.status().map_err(selvedge::Error::io(&program))? {
        status if status.success() => Ok(()),
        // It has printed its message.
        status => Err(Error::Usage(format!("{} of {} passages ended with {status}", stage.name(), size.passages))),
    }
}
