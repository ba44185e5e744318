//! Plans from figures that obey laws exactly, and predictions from the figures that are built in.

use super::*;
use std::path::Path;

/// Figures of a machine of 8 cores and 64 GiB: 40 bytes per vector, 15 ms for a search of 1 M passages of 60 tokens.
fn made() -> Figures {
    let sizes = [(3_000, 16), (10_000, 16), (10_000, 60), (30_000, 60), (100_000, 16), (300_000, 60)];
    let size = |(passages, tokens): (u64, u64)| {
        let of = IndexSize::new(passages as f64, tokens as f64);
        let search_ms = 2e-3 * of.vectors.sqrt();
        let disk = 40.0 * of.vectors + 5.0 * of.passages + 512.0 * of.centroids;
        let build_cpu_s = 1e-5 * of.vectors + 1e-9 * of.centroids * (of.vectors + 192.0 * of.centroids);
        SizeFigures {
            passages,
            vectors: passages * tokens,
            centroids: of.centroids as u64,
            built: Built { disk_bytes: disk as u64, build_cpu_s, build_wall_s: build_cpu_s, build_peak_bytes: 1 << 30 },
            searched: Searched {
                memory_bytes: disk as u64 + (20 << 20),
                search_ms,
                search_quantiles_ms: [0.7, 0.9, 1.0, 1.1, 1.6].map(|factor| factor * search_ms).to_vec(),
                found: 0.95,
            },
        }
    };
    Figures {
        machine: "made".into(),
        backend: "made".into(),
        cores: 8,
        memory_bytes: 64 << 30,
        dim: 128,
        nbits: 2,
        query_tokens: 32,
        k: 10,
        encode_tokens_per_s: 10_000.0,
        encode_query_ms: 3.0,
        sizes: sizes.map(size).to_vec(),
    }
}

fn refused(request: Request) -> (&'static str, String) {
    match Plan::new(&request, &made(), &()) {
        Err(Error::BadOption { option, value, reason }) => (option, format!("{value}: {reason}")),
        other => panic!("{other:?}"),
    }
}

#[test]
fn laws_that_figures_obey_predict_each_size_and_larger_ones() {
    for check in leave_one_out(&made()) {
        let (predicted, measured) = (check.predicted, check.measured);
        for (predicted, measured) in [
            (predicted.disk_bytes, measured.disk_bytes),
            (predicted.memory_bytes, measured.memory_bytes),
            (predicted.build_cpu_s, measured.build_cpu_s),
            (predicted.search_ms, measured.search_ms),
        ] {
            assert!((predicted / measured - 1.0).abs() < 0.02, "{check:?}");
        }
        assert_eq!(check.is_outside, matches!(check.passages, 3_000 | 300_000), "{check:?}");
    }
    let large = IndexSize::new(1e8, 60.0);
    let four = Laws::of(&made()).at(&large, 4);
    assert!((four.disk_bytes / (72.0 * large.vectors) - 1.0).abs() < 0.02, "two more bits are 32 bytes: {four:?}");
}

/// The figures of `benches/record`, each size predicted from the others.
#[test]
fn the_built_in_figures_predict_each_other() {
    let figures = Figures::built_in().unwrap();
    let checks = leave_one_out(&figures);
    for passages in [10_000, 100_000, 1_000_000] {
        assert!(checks.iter().any(|check| check.passages == passages), "{passages}");
    }
    for check in checks.iter().filter(|check| check.passages >= 10_000) {
        let (predicted, measured) = (check.predicted, check.measured);
        for (name, predicted, measured) in [
            ("disk", predicted.disk_bytes, measured.disk_bytes),
            ("memory", predicted.memory_bytes, measured.memory_bytes),
            ("build", predicted.build_cpu_s, measured.build_cpu_s),
            ("search", predicted.search_ms, measured.search_ms),
        ] {
            assert!((predicted / measured - 1.0).abs() < 0.25, "{name} of {}: {check:?}", check.passages);
        }
    }
}

#[test]
fn a_plan_keeps_the_request() {
    let small = Plan::new(&Request { availability: 0.99, ..Request::default() }, &made(), &()).unwrap();
    assert_eq!((small.shards, small.replicas, small.machines), (1, 1, 1), "{small:?}");
    assert!(small.latency.hedged.is_none() && small.latency.p99_ms <= 100.0, "{small:?}");
    let safe = Plan::new(&Request { availability: 0.999999, ..Request::default() }, &made(), &()).unwrap();
    assert!(safe.replicas >= 2 && safe.latency.availability >= 0.999999, "{safe:?}");
    // 6 G vectors of 40 bytes, of which a machine holds 51 GiB.
    let large = Request { passages: 100_000_000, latency_ms: 500.0, ..Request::default() };
    let plan = Plan::new(&large, &made(), &()).unwrap();
    assert!(plan.shards >= 5 && plan.shard.memory_bytes as f64 <= MEMORY_SHARE * (64u64 << 30) as f64, "{plan:?}");
    assert!(plan.latency.p99_ms <= 500.0 && plan.latency.unhedged.busy <= MOST_BUSY * 1.05, "{plan:?}");
    assert!(plan.total.disk_bytes as usize >= plan.machines * 40 * plan.shard.vectors as usize);
    let quick = Plan::new(&Request { latency_ms: 120.0, ..large.clone() }, &made(), &()).unwrap();
    assert!(quick.machines >= plan.machines && quick.latency.p99_ms <= 120.0, "{quick:?}");
    let busy = Plan::new(&Request { qps: 1000.0, ..large }, &made(), &()).unwrap();
    assert!(busy.machines > plan.machines && busy.latency.unhedged.busy <= MOST_BUSY * 1.05, "{busy:?}");
}

#[test]
fn a_request_that_no_fleet_keeps_is_refused_with_the_reason() {
    let large = Request { passages: 1_000_000_000, ..Request::default() };
    assert_eq!(refused(Request { latency_ms: 2.0, ..large.clone() }).0, "latency");
    assert_eq!(refused(Request { memory_bytes: Some(1 << 20), ..large.clone() }).0, "memory");
    assert_eq!(refused(Request { qps: 1e9, ..large.clone() }).0, "qps");
    for (request, option) in [
        (Request { passages: 0, ..large.clone() }, "passages"),
        (Request { qps: f64::NAN, ..large.clone() }, "qps"),
        (Request { nbits: 3, ..large.clone() }, "nbits"),
        (Request { availability: 1.0, ..large.clone() }, "availability"),
        (Request { replicas: Some(MOST_REPLICAS + 1), ..large.clone() }, "replicas"),
        (Request { straggler_factor: 0.5, ..large.clone() }, "straggler_factor"),
        (Request { hop_ms: -1.0, ..large }, "hop"),
    ] {
        assert_eq!(refused(request).0, option);
    }
}

#[test]
fn a_curve_is_drawn() {
    let plan = Plan::new(&Request { replicas: Some(2), ..Request::default() }, &made(), &()).unwrap();
    let (svg, again) = (Curve::of(&plan.fleet, 400, 1), Curve::of(&plan.fleet, 400, 1));
    assert_eq!(svg.svg(), again.svg());
    let last = svg.points.last().unwrap();
    assert_eq!(last.shards, 1000);
    // Stragglers are certain in 1,000 shards, and hedges are left for them.
    assert!(last.hedged.p50_ms < last.unhedged.p50_ms / 2.0, "{last:?}");
    assert!(last.hedged.p99_ms < last.unhedged.p99_ms / 2.0, "{last:?}");
    let svg = svg.svg();
    assert!(
        svg.starts_with("<svg") && svg.ends_with("</svg>\n") && !svg.contains("NaN") && !svg.contains("inf"),
        "{svg}"
    );
}

#[test]
fn damaged_figures_are_refused() {
    let read = |change: &dyn Fn(&mut serde_json::Value)| {
        let mut json = serde_json::to_value(made()).unwrap();
        change(&mut json);
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), json.to_string()).unwrap();
        Figures::read(file.path()).map_err(|error| error.to_string())
    };
    assert_eq!(read(&|_| {}), Ok(made()));
    assert!(Figures::read(Path::new("/nowhere/figures.json")).is_err());
    let cases: [(&str, serde_json::Value, &str); 6] = [
        ("/sizes/1/search_ms", 0.into(), "search_ms"),
        ("/sizes/0/search_quantiles_ms", serde_json::json!([]), "search_quantiles_ms"),
        ("/sizes/3/search_quantiles_ms", serde_json::json!([2.0, 1.0]), "ascending"),
        ("/sizes", serde_json::json!([]), "at least 4"),
        ("/cores", 0.into(), "cores"),
        ("/sizes/2/vectors", 0.into(), "vectors"),
    ];
    for (place, value, reason) in cases {
        let error = read(&|json| *json.pointer_mut(place).unwrap() = value.clone()).unwrap_err();
        assert!(error.contains(reason), "{error}");
    }
    let error = read(&|json| json["watts"] = 2.into()).unwrap_err();
    assert!(error.contains("watts"), "{error}");
}
