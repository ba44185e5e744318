use super::*;
use proptest::prelude::*;
use std::time::Instant;

fn encode(num_passages: u32, lists: &[Vec<u32>]) -> Bytes {
    let mut encoder = ListsEncoder::new(num_passages);
    lists.iter().for_each(|list| encoder.push(list));
    encoder.into_payload()
}

fn parse(payload: &Bytes) -> Result<InvertedLists, &'static str> {
    InvertedLists::parse(payload, false)
}

/// The payload of the same lists in format 2: a head for every list, and a shorter prelude.
fn in_format_2(payload: &Bytes, lists: &[Vec<u32>]) -> Bytes {
    let word = |at: usize| u64::from_le_bytes(payload[at..at + 8].try_into().unwrap()) as usize;
    let heads_at = PRELUDE_BYTES + word(8) + word(16);
    let (mut heads, mut rest) = (Vec::new(), &payload[heads_at..]);
    for list in lists {
        if list.is_empty() {
            heads.push(0);
            continue;
        }
        take_varint(&mut rest).unwrap();
        let before = rest;
        take_head(&mut rest, u32::MAX).unwrap();
        heads.extend_from_slice(&before[..before.len() - rest.len()]);
    }
    [&payload[..OLD_PRELUDE_BYTES], &payload[PRELUDE_BYTES..heads_at], &heads].concat().into()
}

fn decode_all(lists: &InvertedLists) -> Vec<Vec<u32>> {
    let decode = |code| {
        let mut pids = vec![7];
        lists.decode(code, &mut pids);
        pids
    };
    (0..lists.num_lists() as u32).map(decode).collect()
}

/// Pseudo-random numbers: the high bits of Knuth's linear congruential generator.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 11) as f64 / (1u64 << 53) as f64
    }
}

/// List that holds each of `num_passages` with the same probability.
fn uniform_list(dice: &mut Dice, num_passages: u32, probability: f64) -> Vec<u32> {
    let mut pids = Vec::new();
    let mut at = 0.0;
    loop {
        at += (1.0 - dice.next()).ln() / (1.0 - probability).ln();
        if at >= f64::from(num_passages) {
            return pids;
        }
        pids.push(at as u32);
        at = at.floor() + 1.0;
    }
}

#[test]
fn lists_of_every_shape_come_back() {
    let p = 1 << 20;
    let cases: Vec<Vec<u32>> = vec![
        vec![],
        vec![0],
        vec![p - 1],
        vec![0, p - 1],
        (0..p).collect(),
        (0..1000).collect(),
        (p - 1000..p).collect(),
        (0..p).step_by(63).collect(),
        (0..p).step_by(64).collect(),
        vec![],
        (0..500).chain(p - 1..p).collect(),
        vec![5; 1],
    ];
    let lists = parse(&encode(p, &cases)).unwrap();
    assert_eq!(lists.num_lists(), cases.len());
    assert_eq!(lists.num_entries(), cases.iter().map(|c| c.len() as u64).sum::<u64>());
    assert!(decode_all(&lists) == cases);
    lists.for_each(cases.len() as u32, |_| panic!("no such list"));
    assert_eq!(lists.list_len(u32::MAX), 0);
}

#[test]
fn pids_up_to_the_largest_come_back() {
    let cases = vec![vec![0, u32::MAX - 1], vec![u32::MAX - 1], vec![1 << 31], vec![]];
    let lists = parse(&encode(u32::MAX, &cases)).unwrap();
    assert!(decode_all(&lists) == cases);
}

#[test]
fn no_lists_and_no_passages() {
    assert_eq!(parse(&encode(0, &[])).unwrap().num_lists(), 0);
    let empty = parse(&encode(0, &[vec![], vec![]])).unwrap();
    assert_eq!(decode_all(&empty), [[0u32; 0], [0; 0]]);
}

#[test]
fn every_truncation_is_refused() {
    let payload = encode(1000, &[vec![1, 5, 999], vec![], (0..500).collect()]);
    for len in 0..payload.len() {
        assert!(parse(&payload.slice(..len)).is_err(), "{len}");
    }
    let longer: Bytes = [&payload[..], &[0]].concat().into();
    assert!(parse(&longer).is_err());
}

#[test]
fn a_segment_of_few_passages_has_small_lists() {
    let mut cases = vec![vec![]; 1 << 16];
    cases[77] = vec![0, 2];
    cases[65_535] = vec![1];
    let payload = encode(3, &cases);
    assert!(payload.len() < 80, "{}", payload.len());
    let lists = parse(&payload).unwrap();
    assert_eq!((lists.num_lists(), lists.num_entries(), lists.heads.heads.len()), (1 << 16, 3, 2));
    assert!(decode_all(&lists) == cases);
}

#[test]
fn heads_after_the_last_list_are_refused() {
    let mut payload = encode(3, &[vec![], vec![0], vec![], vec![2]]).to_vec();
    payload[..4].copy_from_slice(&3u32.to_le_bytes());
    assert_eq!(parse(&payload.into()).unwrap_err(), "a head is after the last list");
}

#[test]
fn heads_that_reach_beyond_the_last_passage_are_refused() {
    let refuses = |num_passages: u32, head: &[u8]| take_head(&mut &head[..], num_passages).is_err();
    assert!(!refuses(10, &[2, 1, 4]) && refuses(10, &[2, 1, 5]), "2 passages leave room for gaps of 8, 4 << 1");
    assert!(!refuses(10, &[10, 0, 0]) && refuses(10, &[11, 0, 0]), "more passages than there are");
    assert!(!refuses(10, &[1, 31, 0]) && refuses(10, &[1, 32, 0]), "more low bits than a gap has");
}

#[test]
fn uniform_lists_cost_close_to_their_entropy() {
    let mut dice = Dice(1);
    for probability in [0.0003f64, 0.001, 0.0014, 0.01, 0.3] {
        let p = 40_000_000;
        let list = uniform_list(&mut dice, p, probability);
        let entries = list.len() as f64;
        let bits = encode(p, &[list]).len() as f64 * 8.0 / entries;
        let q = 1.0 - probability;
        let entropy = (-q * q.log2() - probability * probability.log2()) / probability;
        assert!(bits > entropy - 0.1 && bits < entropy + 0.15, "p {probability}: {bits} bits, entropy {entropy}");
    }
}

fn lists_strategy() -> impl Strategy<Value = (u32, Vec<Vec<u32>>)> {
    (1u32..5000).prop_flat_map(|p| {
        let list = prop::collection::btree_set(0..p, 0..60).prop_map(|set| set.into_iter().collect());
        // Many or few empty lists: heads are kept in two ways.
        let lists = |full: u8| {
            let list =
                (any::<u8>(), list.clone()).prop_map(move |(dice, list)| if dice < full { list } else { vec![] });
            prop::collection::vec(list, 0..40)
        };
        (Just(p), prop_oneof![lists(200), lists(30)])
    })
}

proptest! {
    #[test]
    fn lists_come_back((p, cases) in lists_strategy()) {
        let lists = parse(&encode(p, &cases)).unwrap();
        prop_assert_eq!(decode_all(&lists), cases);
    }

    #[test]
    fn lists_of_format_2_come_back((p, cases) in lists_strategy()) {
        let payload = in_format_2(&encode(p, &cases), &cases);
        prop_assert_eq!(decode_all(&InvertedLists::parse(&payload, true).unwrap()), cases);
        for len in [0, 23, payload.len() - 1] {
            prop_assert!(InvertedLists::parse(&payload.slice(..len), true).is_err());
        }
    }

    #[test]
    fn lists_come_back_in_pieces((p, cases) in lists_strategy(), mut ends in prop::collection::vec(0u32..5000, 0..6)) {
        let lists = parse(&encode(p, &cases)).unwrap();
        ends.sort_unstable();
        ends.push(u32::MAX);
        for (code, case) in cases.iter().enumerate() {
            let (mut cursor, mut start) = (lists.cursor(code as u32), 0);
            for &end in &ends {
                let mut piece = Vec::new();
                lists.visit(&mut cursor, end, |pid| piece.push(pid));
                let expected: Vec<u32> = case.iter().copied().filter(|pid| (start..end).contains(pid)).collect();
                prop_assert_eq!(piece, expected);
                start = end;
            }
        }
    }

    /// Corrupt bytes give an error or other pids, never a panic.
    #[test]
    fn hostile_lists_stay_inside((p, cases) in lists_strategy(), changes: Vec<(prop::sample::Index, u8)>) {
        let mut payload = encode(p, &cases).to_vec();
        for (at, value) in changes {
            let at = at.index(payload.len());
            payload[at] = value;
        }
        if let Ok(lists) = parse(&payload.into()) {
            // Empty lists take no bytes, so a corrupt number of lists can be any.
            let codes = lists.heads.codes.as_ref().map(|codes| codes.to_vec());
            let mut pids = Vec::new();
            for code in codes.unwrap_or_else(|| (0..lists.num_lists() as u32).collect()) {
                lists.decode(code, &mut pids);
                prop_assert!(pids.iter().all(|&pid| pid < lists.num_passages()));
            }
        }
    }

    #[test]
    fn random_bytes_stay_inside(
        p: u32,
        heads in prop::collection::vec(any::<u8>(), 0..40),
        words in prop::collection::vec(any::<u64>(), 0..8),
        num_lists in 0u32..8,
        num_full in 0u32..8,
        split in 0usize..8,
        old: bool,
    ) {
        let split = split.min(words.len()) * 8;
        let mut payload = Vec::new();
        payload.extend_from_slice(&num_lists.to_le_bytes());
        payload.extend_from_slice(&p.to_le_bytes());
        payload.extend_from_slice(&(split as u64).to_le_bytes());
        payload.extend_from_slice(&((words.len() * 8 - split) as u64).to_le_bytes());
        if !old {
            payload.extend_from_slice(&u64::from(num_full).to_le_bytes());
        }
        words.iter().for_each(|word| payload.extend_from_slice(&word.to_le_bytes()));
        payload.extend_from_slice(&heads);
        if let Ok(lists) = InvertedLists::parse(&payload.into(), old) {
            decode_all(&lists);
        }
    }
}

/// Prints bits per entry and entries per second:
/// `cargo test -p selvedge-index --release -- --ignored --nocapture speed`.
#[test]
#[ignore = "a measurement"]
fn speed() {
    let report = |name: &str, p: u32, cases: Vec<Vec<u32>>| {
        let payload = encode(p, &cases);
        let lists = parse(&payload).unwrap();
        let entries = lists.num_entries();
        let entropy: f64 = cases.iter().map(|list| list_entropy(p, list.len())).sum();
        let mut pids = Vec::new();
        let mut visited = 0u64;
        let time = |run: &mut dyn FnMut(u32)| {
            let best = |_| {
                let start = Instant::now();
                (0..lists.num_lists() as u32).for_each(&mut *run);
                start.elapsed()
            };
            let best = (0..40).map(best).min().unwrap();
            entries as f64 / best.as_secs_f64() / 1e6
        };
        let decoded = time(&mut |code| lists.decode(code, &mut pids));
        let folded = time(&mut |code| lists.for_each(code, |pid| visited = visited.wrapping_add(u64::from(pid))));
        println!(
            "{name}: {entries} entries, {:.3} bits each (uniform entropy {:.3}), decode {decoded:.0} M/s, \
             for_each {folded:.0} M/s [{visited}]",
            payload.len() as f64 * 8.0 / entries as f64,
            entropy / entries as f64,
        );
    };
    let mut dice = Dice(2);
    for (p, n, k) in
        [(900_000u32, 1000u32, 1024u32), (900_000, 250, 4096), (100_000, 60, 16_384), (8_800_000, 2000, 512)]
    {
        let probability = f64::from(n) / f64::from(p);
        let cases = (0..k).map(|_| uniform_list(&mut dice, p, probability)).collect();
        report(&format!("uniform P {p} n {n}"), p, cases);
    }
    for exponent in [0.5, 1.0] {
        let (p, k, mean) = (300_000u32, 16_384u32, 150.0);
        let total: f64 = (1..=k).map(|r| f64::from(r).powf(-exponent)).sum();
        let probability = |r: u32| (mean * f64::from(k) * f64::from(r).powf(-exponent) / total / f64::from(p)).min(0.9);
        let cases = (1..=k).map(|r| uniform_list(&mut dice, p, probability(r))).collect();
        report(&format!("Zipf {exponent}"), p, cases);
    }
}

/// Entropy in bits of a set of `n` of `p` passages: `log2(p choose n)`, by Stirling's formula.
fn list_entropy(p: u32, n: usize) -> f64 {
    let (p, n) = (f64::from(p), n as f64);
    if n == 0.0 || n == p {
        return 0.0;
    }
    let half_log = 0.5 * (p / (2.0 * std::f64::consts::PI * n * (p - n))).log2();
    n * (p / n).log2() + (p - n) * (p / (p - n)).log2() + half_log
}

#[test]
fn a_pid_beyond_the_last_passage_is_never_handed_out() {
    let mut payload = encode(8, &[vec![7], vec![3, 7]]).to_vec();
    payload[4..8].copy_from_slice(&7u32.to_le_bytes());
    let lists = parse(&payload.into()).expect("the heads do not show it");
    for end in [4, 7, 8, u32::MAX] {
        let mut visited = Vec::new();
        lists.visit(&mut lists.cursor(0), end, |pid| visited.push(pid));
        assert_eq!(visited, [0; 0], "up to {end}");
        lists.visit(&mut lists.cursor(1), end, |pid| visited.push(pid));
        assert_eq!(visited, [3], "up to {end}");
    }
    assert_eq!(decode_all(&lists), [vec![], vec![3]]);
}
