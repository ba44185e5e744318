//! Loops of a kernel's machine code, with their instructions by pipe, read without a disassembler.
//!
//! A loop has one header, the instruction to which it goes back, and every instruction from which that way back can be
//! taken without passing the header again. Instructions of loops within it do not count for it. Of a loop are counted:
//!
//! - the whole of it, and
//! - the *least* way from the header back to it: the fewest instructions that a pass can take. Code for rare cases that
//!   a branch leaves out does not count here.
//!
//! Opcodes, pipes and the encoding of branches were read from SASS of nvdisasm 13.5 for sm_80 and sm_90a.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};

/// Bytes of an instruction, since sm_70.
pub const INSTRUCTION_BYTES: usize = 16;
/// Mask of an opcode without the kind of its operands.
const OPCODE_BITS: u64 = 0x1ff;
/// Guard of an instruction that no predicate guards, and a branch's second condition where it has none: PT.
const ALWAYS: u64 = 7;

const BRANCH: u64 = 0x147;
/// EXIT and RET.
const ENDS: [u64; 2] = [0x14d, 0x150];

/// SEL, FSEL, FMNMX, FSETP, ISETP, VIMNMX3, IADD3, LEA, LOP3, PRMT, IMNMX, SHF, PLOP3, VIADD, VIADDMNMX, VIMNMX.
const ALU: [u64; 16] = [0x07, 0x08, 0x09, 0x0b, 0x0c, 0x0f, 0x10, 0x11, 0x12, 0x16, 0x17, 0x19, 0x1c, 0x36, 0x46, 0x48];
/// MOV, IMAD, IMAD.WIDE, IDP, IMAD.HI: the half of the multipliers that has integers. Not FFMA, which both halves have.
const FMA: [u64; 5] = [0x02, 0x24, 0x25, 0x26, 0x27];
/// LDSM, LD, LDG, LDL, LDS, STG, STL, STS, SHFL, ATOMS, ATOMS.CAS, RED, ATOMG, LDGSTS, REDUX.
const LSU: [u64; 15] =
    [0x3b, 0x180, 0x181, 0x183, 0x184, 0x186, 0x187, 0x188, 0x189, 0x18c, 0x18d, 0x18e, 0x1a8, 0x1ae, 0x1c4];
/// LDL and STL: local memory, that is arrays that are not in registers, and spilled registers.
const LOCAL: [u64; 2] = [0x183, 0x187];
/// IMMA, IGMMA.
const MMA: [u64; 2] = [0x37, 0x1f1];
/// IGMMA: a product of a warpgroup, of 64 x 128 x 32 in all kernels that have one.
const WIDE: u64 = 0x1f1;

/// Numbers of instructions by pipe.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Integer logic, comparisons, additions and shifts.
    pub alu: usize,
    /// Integer multiply-adds, and moves.
    pub fma: usize,
    /// Memory and exchanges between lanes.
    pub lsu: usize,
    /// Products in tensor cores.
    pub mma: usize,
    /// Floats, branches, barriers, the uniform pipe and all that is not listed.
    pub other: usize,
    /// Accesses to local memory, which count for `lsu`, too.
    pub local: usize,
    /// Products of warpgroups, which count for `mma`, too.
    pub wide: usize,
}

impl Counts {
    fn of(opcodes: impl Iterator<Item = u64>) -> Self {
        let mut counts = Self::default();
        for opcode in opcodes {
            let pipes = [(&ALU[..], &mut counts.alu), (&FMA, &mut counts.fma), (&LSU, &mut counts.lsu)];
            let pipe = pipes.into_iter().chain([(&MMA[..], &mut counts.mma)]).find(|(pipe, _)| pipe.contains(&opcode));
            *pipe.map_or(&mut counts.other, |(_, count)| count) += 1;
            counts.local += usize::from(LOCAL.contains(&opcode));
            counts.wide += usize::from(opcode == WIDE);
        }
        counts
    }

    /// Number of all instructions, then of each pipe's.
    pub fn numbers(self) -> [usize; 6] {
        [self.instructions(), self.alu, self.fma, self.lsu, self.mma, self.other]
    }

    pub fn instructions(self) -> usize {
        self.alu + self.fma + self.lsu + self.mma + self.other
    }

    /// Least clocks of a quarter of an H200's multiprocessor for them: it issues one instruction per clock, its integer
    /// lanes take two clocks for a warp, an int8 product of 16 x 8 x 32 takes 6.45 at 62 % of the peak, and a warp's
    /// part of a warpgroup's product 64 at the peak.
    pub fn clocks(self) -> usize {
        let products = (645 * (self.mma - self.wide)).div_ceil(100) + 64 * self.wide;
        self.instructions().max(2 * self.alu).max(2 * self.fma).max(products)
    }
}

/// A loop without the loops within it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Loop {
    pub whole: Counts,
    pub least: Counts,
}

/// Returns the loops of a kernel's code in the order of their headers. `arch` is 80 for sm_80.
pub fn loops(code: &[u8], arch: u64) -> Vec<Loop> {
    let graph = Graph::new(code, arch);
    let bodies = graph.bodies();
    let of = |(&header, (body, backs)): (&usize, &(BTreeSet<usize>, BTreeSet<usize>))| {
        let inner = |(other, (inner, _)): (&usize, &(BTreeSet<usize>, BTreeSet<usize>))| {
            (*other != header && inner.is_subset(body)).then(|| inner.clone())
        };
        let inner: BTreeSet<usize> = bodies.iter().filter_map(inner).flatten().collect();
        let counts = |at: &[usize]| Counts::of(at.iter().filter(|at| !inner.contains(at)).map(|&at| graph.opcodes[at]));
        let whole: Vec<usize> = body.iter().copied().collect();
        Loop { whole: counts(&whole), least: counts(&graph.least_way(header, body, backs, &inner)) }
    };
    bodies.iter().map(of).collect()
}

/// Instructions, and those that may run after and before each.
struct Graph {
    opcodes: Vec<u64>,
    after: Vec<Vec<usize>>,
    before: Vec<Vec<usize>>,
}

impl Graph {
    fn new(code: &[u8], arch: u64) -> Self {
        let words: Vec<u128> = code
            .chunks_exact(INSTRUCTION_BYTES)
            .map(|instruction| u128::from_le_bytes(instruction.try_into().expect("16 bytes")))
            .collect();
        let after: Vec<_> = (0..words.len()).map(|at| after(&words, at, arch)).collect();
        // Code that is never reached must not look like a way into a loop.
        let mut reached = BTreeSet::new();
        let mut open = vec![0];
        while let Some(at) = open.pop() {
            if at < words.len() && reached.insert(at) {
                open.extend(&after[at]);
            }
        }
        let mut before = vec![Vec::new(); words.len()];
        for &at in &reached {
            after[at].iter().for_each(|&next| before[next].push(at));
        }
        Self { opcodes: words.iter().map(|&word| word as u64 & OPCODE_BITS).collect(), after, before }
    }

    /// Returns each header with the instructions of its loop, and the ones among them that go back to it.
    fn bodies(&self) -> BTreeMap<usize, (BTreeSet<usize>, BTreeSet<usize>)> {
        let mut bodies = BTreeMap::<usize, (BTreeSet<usize>, BTreeSet<usize>)>::new();
        for (header, before) in self.before.iter().enumerate().filter(|(_, before)| before.len() > 1) {
            for &from in before {
                let (mut body, mut open) = (BTreeSet::from([header]), vec![from]);
                while let Some(at) = open.pop() {
                    if body.insert(at) {
                        open.extend(&self.before[at]);
                    }
                }
                // If the kernel's begin is among them, the way there does not pass the header: no loop. A single
                // instruction that goes to itself is the trap at the end of each kernel.
                if (header == 0 || !body.contains(&0)) && body.len() > 1 {
                    let (all, backs) = bodies.entry(header).or_default();
                    all.extend(body);
                    backs.insert(from);
                }
            }
        }
        bodies
    }

    /// Returns the instructions of a pass from `header` to one of `backs`, with the fewest that are not `inner`.
    fn least_way(
        &self,
        header: usize,
        body: &BTreeSet<usize>,
        backs: &BTreeSet<usize>,
        inner: &BTreeSet<usize>,
    ) -> Vec<usize> {
        // The way to each instruction is known by the one before it.
        let mut known = BTreeMap::new();
        let mut open = BinaryHeap::from([Reverse((usize::from(!inner.contains(&header)), header, header))]);
        while let Some(Reverse((length, at, from))) = open.pop() {
            if known.contains_key(&at) {
                continue;
            }
            known.insert(at, from);
            if backs.contains(&at) {
                let steps = std::iter::successors(Some(at), |at| (*at != header).then(|| known[at]));
                return steps.collect();
            }
            for &next in self.after[at].iter().filter(|next| body.contains(next) && **next != header) {
                open.push(Reverse((length + usize::from(!inner.contains(&next)), next, at)));
            }
        }
        unreachable!("a loop goes back to its header")
    }
}

/// Returns the instructions that may run after the one at `at`.
fn after(words: &[u128], at: usize, arch: u64) -> Vec<usize> {
    let word = words[at];
    let bits = |from: u32, num: u32| (word >> from) as u64 & ((1 << num) - 1);
    let opcode = bits(0, 9);
    let guarded = bits(12, 4) != ALWAYS;
    // Bits 32 and 33 of a branch are set where it is for divergent lanes only.
    let conditional = opcode == BRANCH && (bits(87, 4) != ALWAYS || bits(32, 2) != 0);
    let mut after = Vec::new();
    if opcode == BRANCH {
        // Words of four bytes after the next instruction, signed; sm_90 has the low eight bits at another place.
        let (high, low) = ((bits(34, 48) << 16) as i64 >> 16, bits(16, 8) as i64);
        let offset = if arch < 90 { high } else { high << 8 | low };
        after.extend(usize::try_from(at as i64 + 1 + offset * 4 / INSTRUCTION_BYTES as i64));
    }
    if !(opcode == BRANCH || ENDS.contains(&opcode)) || guarded || conditional {
        after.push(at + 1);
    }
    after.retain(|&next| next < words.len());
    after
}

/// Encodes a branch from instruction `from` to `to`; `guard` is the number of a predicate.
#[cfg(test)]
fn branch(arch: u64, from: i64, to: i64, guard: u128) -> u128 {
    let offset = (to - from - 1) * INSTRUCTION_BYTES as i64 / 4;
    let (high, low) = if arch < 90 { (offset, 0) } else { (offset >> 8, offset & 0xff) };
    let high = high as u128 & ((1 << 48) - 1);
    0x947 | guard << 12 | (low as u128) << 16 | high << 34 | u128::from(ALWAYS) << 87
}

/// ```text
/// 0       SHF
/// 1       IADD3           header of the outer loop
/// 2 to 3  IMMA, @P0 BRA 2 the inner one
/// 4 to 6  @P1 BRA 7, PRMT, STL, which a pass may leave out
/// 7       @P2 BRA 9       out of the loop
/// 8       BRA 1
/// 9       EXIT
/// 10      BRA 10          the trap
/// 11      BRA 1           is never reached
/// ```
#[test]
fn loops_within_loops_and_branches_within_them_are_told_apart() {
    for arch in [80, 90] {
        let plain = |opcode: u128| opcode | u128::from(ALWAYS) << 12;
        let to = |from, to, guard| branch(arch, from, to, guard);
        let code = [
            plain(0x819),
            plain(0x210),
            plain(0x237),
            to(3, 2, 0),
            to(4, 7, 1),
            plain(0x816),
            plain(0x387),
            to(7, 9, 2),
            to(8, 1, 7),
            plain(0x94d),
            to(10, 10, 7),
            to(11, 1, 7),
        ];
        let code: Vec<u8> = code.iter().flat_map(|word| word.to_le_bytes()).collect();
        let outer = Counts { alu: 2, lsu: 1, other: 3, local: 1, ..Counts::default() };
        let least = Counts { alu: 1, other: 3, ..Counts::default() };
        let inner = Counts { mma: 1, other: 1, ..Counts::default() };
        let expected = [Loop { whole: outer, least }, Loop { whole: inner, least: inner }];
        assert_eq!(loops(&code, arch), expected, "sm_{arch}");
        assert_eq!((outer.instructions(), outer.clocks(), inner.clocks()), (6, 6, 7));
    }
    // Far enough that sm_90 needs both parts of an offset.
    for arch in [80, 90] {
        let mut code = vec![u128::from(ALWAYS) << 12; 1000];
        code[900] = branch(arch, 900, 30, 0);
        let code: Vec<u8> = code.iter().flat_map(|word| word.to_le_bytes()).collect();
        assert_eq!(loops(&code, arch).iter().map(|l| l.whole.instructions()).collect::<Vec<_>>(), [871]);
    }
}
