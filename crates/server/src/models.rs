//! Models: each is loaded once, whatever number of indexes uses it.

use crate::encoding::{EncodeQueue, Limits};
use crate::error::{ApiError, Result};
use crate::work::Pool;
use selvedge::{Encoder, Engine, LoadOptions};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

/// Model and the lengths that it is loaded with.
type Key = (String, Option<usize>, Option<usize>);

/// Models that are loaded, with the queues in front of them. A model is freed with its last user.
pub(crate) struct Models {
    pool: Pool,
    limits: Limits,
    loaded: Mutex<HashMap<Key, Arc<Mutex<Weak<EncodeQueue>>>>>,
}

impl Models {
    /// Loads no model yet. They run on `pool`.
    pub(crate) fn new(pool: Pool, limits: Limits) -> Self {
        Self { pool, limits, loaded: Mutex::default() }
    }

    /// The model of an index, which the engine uses from now on.
    pub(crate) fn of_index(&self, engine: &Engine) -> Result<Arc<EncodeQueue>> {
        let snapshot = engine.snapshot();
        let made_by = snapshot.index().encoder().ok_or(selvedge::Error::NoEncoder)?;
        let (query, passage) = made_by.lengths();
        // Most indexes have the model's own lengths, and share what other requests use.
        let named = self.named(&made_by.model)?;
        let rules = named.encoder().text_rules();
        let is_own = |length: Option<usize>, own| length.is_none_or(|length| length == own);
        let queue = match is_own(query, rules.query.max_len) && is_own(passage, rules.passage.max_len) {
            true => named,
            false => self.get((made_by.model.clone(), query, passage))?,
        };
        engine.share_encoder(queue.encoder())?;
        Ok(queue)
    }

    /// A model by its name, with its own lengths.
    pub(crate) fn named(&self, name: &str) -> Result<Arc<EncodeQueue>> {
        self.get((name.to_owned(), None, None))
    }

    fn get(&self, key: Key) -> Result<Arc<EncodeQueue>> {
        let place = self.place(&key);
        // Held while the model is loaded: whoever needs the same one waits for it.
        let mut loaded = place.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(queue) = loaded.upgrade() {
            return Ok(queue);
        }
        let (model, query_maxlen, passage_maxlen) = &key;
        let options =
            LoadOptions { query_maxlen: *query_maxlen, passage_maxlen: *passage_maxlen, ..Default::default() };
        // On a thread of its own: a thread of a pool would take other work while it waits for parts of the model, and
        // that work might need the lock that it holds.
        let load = || Encoder::load(model, &options);
        let loaded_encoder = std::thread::scope(|scope| scope.spawn(load).join());
        let failed = |_| ApiError::internal(format!("the model {model} could not be loaded; the log has more"));
        let encoder = loaded_encoder.map_err(failed)?.map_err(selvedge::Error::from)?;
        let queue = Arc::new(EncodeQueue::new(Arc::new(encoder), self.pool.clone(), self.limits)?);
        *loaded = Arc::downgrade(&queue);
        Ok(queue)
    }

    /// The place of a model. Places of models that were freed are removed.
    fn place(&self, key: &Key) -> Arc<Mutex<Weak<EncodeQueue>>> {
        let mut places = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        let is_used = |place: &Mutex<Weak<EncodeQueue>>| place.try_lock().is_ok_and(|queue| queue.strong_count() > 0);
        // A place that is held is about to have its model.
        places.retain(|_, place| Arc::strong_count(place) > 1 || is_used(place));
        Arc::clone(places.entry(key.clone()).or_default())
    }
}
