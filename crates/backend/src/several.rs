//! Several devices as one backend, which share the passages of every segment: [`Several`].

use crate::{
    Assignment, Backend, CheckedCodec, CompressedPassages, DeviceIndex, DeviceSet, Embeddings, Found, IndexPart,
    KMeans, Packed, Pid, Plan, Probed, QuantizedQuery, RawHit, Result, Route, Select,
};
use std::cmp::Reverse;
use std::ops::Range;
use std::sync::Arc;

/// Several devices as one backend. Each has a share of the passages of every segment, with about as many tokens as the
/// others, and the whole codec.
///
/// A search of all passages runs on all devices side by side. An approximate search copies embeddings to the host, runs
/// stage by stage on the rayon pool, and chooses candidates on the host: if an index fits one device, one searcher for
/// each device is faster. Work that concerns no passages, such as the assignment of embeddings, runs on the first
/// device.
#[derive(Clone, Debug)]
pub struct Several<B>(Vec<B>);

/// A codec in the memory of each device.
#[derive(Debug)]
pub struct SeveralCodecs<B: Backend>(Vec<B::Codec>);

impl<B: Backend> AsRef<CheckedCodec> for SeveralCodecs<B> {
    fn as_ref(&self) -> &CheckedCodec {
        self.0[0].as_ref()
    }
}

/// The passages of a segment, a share on each device.
#[derive(Debug)]
pub struct Shares<P> {
    /// First passage of each share and the end of the last.
    bounds: Vec<usize>,
    /// First token of each share and the end of the last.
    tokens: Vec<usize>,
    shares: Vec<Arc<P>>,
}

/// Scores of the selected passages of each share, with its first passage.
#[derive(Debug)]
pub struct ShareScores<S>(Vec<(Pid, S)>);

impl<B: Backend> Several<B> {
    /// Makes one backend of several.
    ///
    /// # Panics
    /// If there is none.
    pub fn new(devices: Vec<B>) -> Self {
        assert!(!devices.is_empty(), "at least one device");
        Self(devices)
    }

    /// The devices.
    pub fn devices(&self) -> &[B] {
        &self.0
    }

    fn first(&self) -> &B {
        &self.0[0]
    }

    /// Calls `score` with each share that has selected passages.
    fn scores<P, S>(
        &self,
        passages: &Shares<P>,
        select: Select<'_>,
        score: impl Fn(usize, &P, Select<'_>) -> Result<S>,
    ) -> Result<ShareScores<S>> {
        let mut all = Vec::new();
        for (at, share) in passages.shares.iter().enumerate() {
            let first = passages.bounds[at] as Pid;
            let scored = match select {
                Select::All => score(at, share, Select::All)?,
                Select::Pids(pids) => {
                    let range = first..passages.bounds[at + 1] as Pid;
                    let local: Vec<Pid> =
                        pids.iter().filter(|pid| range.contains(pid)).map(|pid| pid - first).collect();
                    score(at, share, Select::Pids(&local))?
                }
            };
            all.push((first, scored));
        }
        Ok(ShareScores(all))
    }
}

impl<B: Backend> Backend for Several<B> {
    type Centroids = B::Centroids;
    type Codec = SeveralCodecs<B>;
    type Passages = Shares<B::Passages>;
    type Query = Vec<B::Query>;
    type Table = Vec<B::Table>;
    type Scores = ShareScores<B::Scores>;

    fn name(&self) -> String {
        self.0.iter().map(B::name).collect::<Vec<_>>().join("+")
    }

    fn device_bytes(&self) -> u64 {
        self.0.iter().map(B::device_bytes).sum()
    }

    fn load_centroids(&self, dim: usize, centroids: &[i8]) -> Result<Self::Centroids> {
        self.first().load_centroids(dim, centroids)
    }

    fn assign(&self, centroids: &Self::Centroids, embeddings: &[f32]) -> Result<Vec<u32>> {
        self.first().assign(centroids, embeddings)
    }

    fn load_grouped_centroids(&self, dim: usize, centroids: &[i8]) -> Result<Self::Centroids> {
        self.first().load_grouped_centroids(dim, centroids)
    }

    fn assignment(&self, num_centroids: usize) -> Assignment {
        self.first().assignment(num_centroids)
    }

    fn centroid_sums(
        &self,
        dim: usize,
        embeddings: &[f32],
        codes: &[u32],
        num_centroids: usize,
    ) -> Result<(Vec<f32>, Vec<u32>)> {
        self.first().centroid_sums(dim, embeddings, codes, num_centroids)
    }

    fn kmeans<'a>(&'a self, dim: usize, sample: &'a [f32], starts: &[usize]) -> Result<Box<dyn KMeans + 'a>> {
        self.first().kmeans(dim, sample, starts)
    }

    fn grouped_kmeans<'a>(&'a self, dim: usize, sample: &'a [f32], starts: &[usize]) -> Result<Box<dyn KMeans + 'a>> {
        self.first().grouped_kmeans(dim, sample, starts)
    }

    fn load_codec(&self, codec: CheckedCodec) -> Result<Self::Codec> {
        self.0.iter().map(|device| device.load_codec(codec.clone())).collect::<Result<_>>().map(SeveralCodecs)
    }

    fn compress(&self, codec: &Self::Codec, embeddings: &[f32], codes: &[u32]) -> Result<Packed> {
        self.first().compress(&codec.0[0], embeddings, codes)
    }

    fn assign_and_compress(
        &self,
        centroids: &Self::Centroids,
        codec: &Self::Codec,
        embeddings: &[f32],
    ) -> Result<(Vec<u32>, Packed)> {
        self.first().assign_and_compress(centroids, &codec.0[0], embeddings)
    }

    /// Divides the passages among the devices. Those with corrupt offsets are not divided, and go to the first one.
    fn load_passages(&self, codec: &Self::Codec, passages: CompressedPassages) -> Result<Self::Passages> {
        let sizes = codec.as_ref().sizes();
        passages.validate_lengths(sizes)?;
        let is_divided = passages.offset(0) == 0 && passages.validate_offsets().is_ok();
        let (num_passages, num_tokens) = (passages.num_passages(), passages.num_tokens());
        // The first passage that begins at or after the device's share of the tokens.
        let bound = |at: usize| match at {
            0 => 0,
            at if at == self.0.len() || !is_divided => num_passages,
            at => passages.first_passage_from(num_tokens * at / self.0.len()),
        };
        let bounds: Vec<usize> = (0..=self.0.len()).map(bound).collect();
        let load = |(at, device): (usize, &B)| {
            let share = match bounds[at]..bounds[at + 1] {
                all if all == (0..num_passages) => passages.clone(),
                some => passages.share(some, sizes),
            };
            device.load_passages(&codec.0[at], share).map(Arc::new)
        };
        Ok(Shares {
            tokens: bounds.iter().map(|&pid| if pid == 0 { 0 } else { passages.offset(pid) }).collect(),
            shares: self.0.iter().enumerate().map(load).collect::<Result<_>>()?,
            bounds,
        })
    }

    fn check_memory(&self, bytes: u64) -> Result<()> {
        self.0.iter().try_for_each(|device| device.check_memory(bytes / self.0.len() as u64))
    }

    fn load_index(
        &self,
        codec: &Self::Codec,
        parts: Vec<IndexPart<Self::Passages>>,
    ) -> Result<Option<Box<dyn DeviceIndex>>> {
        let of_device = |(at, device): (usize, &B)| {
            let share = |part: &IndexPart<Self::Passages>| IndexPart {
                passages: Arc::clone(&part.passages.shares[at]),
                first_pid: part.first_pid + part.passages.bounds[at] as Pid,
            };
            device.load_index(&codec.0[at], parts.iter().map(share).collect())
        };
        let indexes = self.0.iter().enumerate().map(of_device).collect::<Result<Option<Vec<_>>>>()?;
        Ok(indexes.map(|indexes| Box::new(SeveralIndexes(indexes)) as Box<dyn DeviceIndex>))
    }

    fn decompress(&self, passages: &Self::Passages, tokens: Range<usize>) -> Result<Vec<f32>> {
        let mut all = Vec::new();
        for (at, device) in self.0.iter().enumerate() {
            let (first, end) = (passages.tokens[at], passages.tokens[at + 1]);
            let (from, to) = (tokens.start.clamp(first, end), tokens.end.clamp(first, end));
            if from < to {
                all.extend(device.decompress(&passages.shares[at], from - first..to - first)?);
            }
        }
        Ok(all)
    }

    fn load_query(&self, codec: &Self::Codec, query: QuantizedQuery) -> Result<Self::Query> {
        self.0.iter().zip(&codec.0).map(|(device, codec)| device.load_query(codec, query.clone())).collect()
    }

    fn download_query(&self, query: &Self::Query) -> Result<QuantizedQuery> {
        self.first().download_query(&query[0])
    }

    fn query_len(&self, query: &Self::Query) -> usize {
        self.first().query_len(&query[0])
    }

    fn score_unit(&self, query: &Self::Query) -> Result<f32> {
        self.first().score_unit(&query[0])
    }

    fn centroid_table(&self, codec: &Self::Codec, query: &Self::Query) -> Result<Self::Table> {
        let each = self.0.iter().zip(&codec.0).zip(query);
        each.map(|((device, codec), query)| device.centroid_table(codec, query)).collect()
    }

    fn probe(&self, table: &Self::Table, nprobe: usize) -> Result<Probed> {
        self.first().probe(&table[0], nprobe)
    }

    fn approx_scores(
        &self,
        passages: &Self::Passages,
        table: &Self::Table,
        select: Select<'_>,
    ) -> Result<Self::Scores> {
        self.scores(passages, select, |at, share, select| self.0[at].approx_scores(share, &table[at], select))
    }

    fn maxsim(
        &self,
        passages: &Self::Passages,
        query: &Self::Query,
        table: &Self::Table,
        select: Select<'_>,
    ) -> Result<Self::Scores> {
        self.scores(passages, select, |at, share, select| self.0[at].maxsim(share, &query[at], &table[at], select))
    }

    fn maxsim_f32(
        &self,
        dim: usize,
        queries: &[f32],
        query_offsets: &[usize],
        embeddings: &[f32],
        passage_offsets: &[usize],
    ) -> Result<Vec<f32>> {
        self.first().maxsim_f32(dim, queries, query_offsets, embeddings, passage_offsets)
    }

    fn top_k(&self, scores: &Self::Scores, k: usize) -> Result<Vec<RawHit>> {
        let mut hits = Vec::new();
        for (device, (first, scores)) in self.0.iter().zip(&scores.0) {
            let found = device.top_k(scores, k)?;
            hits.extend(found.into_iter().map(|hit| RawHit { pid: hit.pid + first, ..hit }));
        }
        Ok(best(hits, k))
    }
}

/// The best `k` of the hits of several devices.
fn best(mut hits: Vec<RawHit>, k: usize) -> Vec<RawHit> {
    hits.sort_unstable_by_key(|hit| (Reverse(hit.score), hit.pid));
    hits.truncate(k);
    hits
}

/// An index of which each device has a share of the passages.
struct SeveralIndexes(Vec<Box<dyn DeviceIndex>>);

impl DeviceIndex for SeveralIndexes {
    fn as_any(&self) -> &dyn std::any::Any {
        self
    }

    /// The best candidates of each device are not the best of all, so candidates are chosen on the host.
    fn answers(&self, route: &Route) -> bool {
        *route == Route::Everything
    }

    fn reads(&self, embeddings: &Embeddings<'_>) -> bool {
        self.0.iter().any(|index| index.reads(embeddings))
    }

    fn load_set(&self, bits: &[u32]) -> Result<DeviceSet> {
        let sets = self.0.iter().map(|index| index.load_set(bits)).collect::<Result<Vec<_>>>()?;
        Ok(DeviceSet(Box::new(sets)))
    }

    fn search(&self, queries: &[Embeddings<'_>], plan: &Plan, set: Option<&DeviceSet>) -> Result<Vec<Found>> {
        let sets = set.map(|set| set.0.downcast_ref::<Vec<DeviceSet>>().expect("a set of several devices"));
        let search = |(at, index): (usize, &dyn DeviceIndex)| {
            let mut copies = Vec::with_capacity(queries.len());
            for query in queries {
                copies.push(if index.reads(query) { None } else { Some(query.to_host()?) });
            }
            let own = queries.iter().zip(&copies);
            let own: Vec<Embeddings<'_>> =
                own.map(|(query, copy)| copy.as_ref().map_or(*query, |copy| Embeddings::Host(copy))).collect();
            index.search(&own, plan, sets.map(|sets| &sets[at]))
        };
        // A thread waits for each device.
        let each: Vec<Result<Vec<Found>>> = std::thread::scope(|scope| {
            let others = self.0.iter().enumerate().skip(1);
            let others: Vec<_> = others.map(|(at, index)| scope.spawn(move || search((at, &**index)))).collect();
            let first = search((0, &*self.0[0]));
            let panicked = |panic| std::panic::resume_unwind(panic);
            std::iter::once(first).chain(others.into_iter().map(|one| one.join().unwrap_or_else(panicked))).collect()
        });
        let mut each = each.into_iter();
        let mut all = each.next().expect("one device")?;
        for found in each {
            for (all, found) in all.iter_mut().zip(found?) {
                all.hits = best(std::mem::take(&mut all.hits).into_iter().chain(found.hits).collect(), plan.k);
                all.refused = all.refused.or(found.refused);
                all.score_unit = found.score_unit;
            }
        }
        Ok(all)
    }
}
