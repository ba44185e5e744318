//! Searches that a device answers by itself, from the embeddings to the hits.

use crate::funnel::Depth;
use crate::ranking::Clock;
use crate::{Hit, PassageSet, Ranking, Result, SearchParams, Searcher, StageTimes, query};
use rayon::prelude::*;
use selvedge_backend::{Backend, DeviceIndex, DeviceSet, Embeddings, Found, Plan, Route};
use std::borrow::Cow;

impl<B: Backend> Searcher<B> {
    /// Answers queries that have been checked, as the stages on the host would. The time is that of `score`.
    pub(crate) fn answer_on_device(
        &self,
        index: &dyn DeviceIndex,
        queries: &[Embeddings<'_>],
        params: &SearchParams,
        set: Option<&PassageSet>,
    ) -> Result<Vec<Ranking>> {
        let mut clock = Clock::start();
        let mut rankings = vec![Ranking::default(); queries.len()];
        let k = params.k.min(self.num_passages);
        // A query without tokens finds nothing.
        let mut open: Vec<usize> = (0..queries.len()).filter(|&at| k > 0 && !queries[at].is_empty()).collect();
        let mut plan = Plan { k, route: self.route(params, k, set) };
        if !index.answers(&plan.route) {
            let answer = |query: &Embeddings<'_>| self.answer(&self.on_host(*query)?, params, set);
            return queries.par_iter().map(answer).collect();
        }
        let least = set.map_or(k, |set| k.min(set.len()));
        while !open.is_empty() {
            let (asked, loaded) = (open.iter().map(|&at| queries[at]).collect::<Vec<_>>(), self.loaded(index, set)?);
            let found = index.search(&asked, &plan, loaded)?;
            let mut again = Vec::new();
            for (at, found) in open.into_iter().zip(found) {
                if let Some((component, value)) = found.refused {
                    return Err(query::bad_component(component / self.dim(), value));
                }
                match plan.route {
                    Route::Cells { nprobe, .. } if found.candidates < least && nprobe < self.num_centroids() => {
                        again.push(at);
                    }
                    route => rankings[at] = self.ranking(found, route, set),
                }
            }
            open = again;
            plan.route = self.wider(plan.route);
        }
        let stages = StageTimes { score: clock.lap(), ..StageTimes::default() }.divided(queries.len().max(1));
        rankings.iter_mut().for_each(|ranking| ranking.stages_us = stages);
        Ok(rankings)
    }

    /// Copies embeddings to the host, and checks them.
    pub(crate) fn on_host<'a>(&self, embeddings: Embeddings<'a>) -> Result<Cow<'a, [f32]>> {
        let embeddings = embeddings.to_host()?;
        query::check(self.dim(), &embeddings)?;
        Ok(embeddings)
    }

    /// The passages that are scored with their residuals: see [`Searcher::funnel`].
    fn route(&self, params: &SearchParams, k: usize, set: Option<&PassageSet>) -> Route {
        let restriction = set.filter(|set| set.is_restriction());
        let is_deep = |depth: &Depth| restriction.is_none_or(|set| set.len() > depth.num_rescored);
        let Some(depth) = Depth::new(params.mode, k).filter(is_deep) else { return Route::Everything };
        let Depth { nprobe, ndocs, num_rescored, .. } = self.adapted(depth, restriction);
        match restriction.is_some_and(|set| self.is_small(set, nprobe, ndocs)) {
            true => Route::Set { num_rescored },
            false => Route::Cells { nprobe, ndocs, num_rescored },
        }
    }

    /// The route after one whose cells have too few passages: four times as many cells, or everything.
    fn wider(&self, route: Route) -> Route {
        match route {
            Route::Cells { nprobe, ndocs, num_rescored } if nprobe.saturating_mul(4) < self.num_centroids() => {
                Route::Cells { nprobe: nprobe * 4, ndocs, num_rescored }
            }
            _ => Route::Everything,
        }
    }

    fn loaded<'a>(&self, index: &dyn DeviceIndex, set: Option<&'a PassageSet>) -> Result<Option<&'a DeviceSet>> {
        set.map(|set| set.on_device(index, self.num_pids())).transpose()
    }

    fn ranking(&self, found: Found, route: Route, set: Option<&PassageSet>) -> Ranking {
        let all = set.map_or(self.num_passages, PassageSet::len);
        // If all candidates are scored, none of them is left out for having no token.
        let scored = |candidates: usize, num_rescored: usize| match candidates <= num_rescored {
            true => candidates,
            false => found.rescored,
        };
        let num_scored = match route {
            Route::Everything => all,
            Route::Set { num_rescored } => scored(all, num_rescored),
            Route::Cells { num_rescored, .. } => scored(found.candidates, num_rescored),
        };
        let unit = found.score_unit;
        let hit = |hit: &selvedge_backend::RawHit| Hit { pid: hit.pid, score: hit.score as f32 * unit, raw: hit.score };
        Ranking { hits: found.hits.iter().map(hit).collect(), num_scored, ..Ranking::default() }
    }
}

#[cfg(feature = "cuda")]
impl Searcher<selvedge_backend::Cuda> {
    /// Answers a query, and leaves the hits in device memory, at most 16,384, for work that follows there. The later
    /// work of `stream` waits for the search, the host only for the first search within a set, or if all lanes are
    /// running.
    ///
    /// [`Searcher::search`] has the same hits, but here the probed cells are not widened: if they have fewer than `k`
    /// passages, there are fewer hits. A query on a device with a component that is not finite or too large has none.
    ///
    /// # Errors
    /// As [`Searcher::search`].
    #[expect(clippy::missing_panics_doc, reason = "a searcher on a GPU has an index of a GPU")]
    pub fn search_on_device(
        &self,
        query: &crate::QueryEmbeddings,
        params: &SearchParams,
        set: Option<&PassageSet>,
        stream: &selvedge_backend::cuda::CallerStream,
    ) -> Result<selvedge_backend::cuda::DeviceHits> {
        query::check_embeddings(self.dim(), query.as_ref())?;
        let set = self.allowed(set)?;
        let index = self.on_device.as_deref().expect("a GPU searches by itself");
        let k = params.k.min(self.num_passages);
        let plan = Plan { k, route: self.route(params, k, set) };
        let set = self.loaded(index, set)?;
        let index: &selvedge_backend::cuda::LoadedIndex = index.as_any().downcast_ref().expect("an index of a GPU");
        // Embeddings on another device are copied.
        if !index.reads(&query.as_ref()) {
            let copy = self.on_host(query.as_ref())?;
            return Ok(index.search_on_device(
                selvedge_backend::cuda::LastingEmbeddings::Host(&copy),
                &plan,
                set,
                stream,
            )?);
        }
        Ok(index.search_on_device(query.lasting(), &plan, set, stream)?)
    }
}
