//! An index that is open, its searcher, and the checks of both against the model.

use crate::model::{Model, Passage};
use crate::pool::Dice;
use crate::session::NUMBERS;
use selvedge_backend::{CodeReader, Cpu, read_weight};
use selvedge_index::{Check, Document, Index, Storage};
use selvedge_search::filter::key;
use selvedge_search::{Filter, Mode, PassageSet, SearchParams, Searcher};
use std::collections::BTreeSet;
use std::sync::Arc;

/// A query, the parameters of its search, and what it is restricted to.
pub struct Question {
    query: Vec<f32>,
    params: SearchParams,
    within: Within,
}

/// Passages that may be found.
enum Within {
    All,
    Ids(BTreeSet<String>),
    /// Passages with a number of at least this and a word that is not tea.
    From(usize),
    /// Passages without a word, or with a number below this.
    Below(usize),
}

impl Within {
    fn new(dice: &mut Dice, model: &Model) -> Self {
        match dice.below(6) {
            0 => Self::Ids(model.ids().filter(|_| dice.one_in(3)).map(str::to_owned).collect()),
            1 => Self::From(dice.below(NUMBERS)),
            2 => Self::Below(dice.below(NUMBERS)),
            _ => Self::All,
        }
    }

    /// Whether a passage is one of them.
    fn has(&self, document: &Document) -> bool {
        let metadata = document.metadata.as_ref();
        let number = metadata.and_then(|fields| fields["n"].as_u64());
        let word = metadata.and_then(|fields| fields["in"]["word"].as_str());
        match self {
            Self::All => true,
            Self::Ids(ids) => ids.contains(&document.id),
            Self::From(least) => number.is_some_and(|n| n >= *least as u64) && word.is_some_and(|word| word != "tea "),
            Self::Below(end) => word.is_none() || number.is_some_and(|n| n < *end as u64),
        }
    }

    /// The passages as a filter.
    fn filter(&self) -> Option<Filter> {
        match *self {
            Self::From(least) => Some(key("n").ge(least as i64) & !key("in.word").eq("tea ")),
            Self::Below(end) => Some(key("in.word").is_null() | key("n").lt(end as i64)),
            Self::All | Self::Ids(_) => None,
        }
    }
}

/// Ids and integer scores of the hits, best first, and number of passages scored.
pub type Answer = (Vec<(String, i32)>, usize);

impl Question {
    /// A question about the passages of a model; exact and approximate searches take turns by `is_exact`.
    pub fn new(dice: &mut Dice, model: &Model, is_exact: bool) -> Self {
        let nprobe = 1 + dice.below(4);
        let approximate = Mode::Approximate { nprobe, ndocs: 1 + dice.below(20), num_rescored: 1 + dice.below(10) };
        let most = if dice.one_in(4) { 100 } else { 10 };
        let k = 1 + dice.below(most);
        let within = Within::new(dice, model);
        let mode = if is_exact { Mode::Exact } else { approximate };
        Self { query: model.pool.query(dice), params: SearchParams { k, mode }, within }
    }

    fn ask(&self, searcher: &Searcher<Cpu>, set: Option<&PassageSet>, id: impl Fn(u32) -> String) -> Answer {
        let ranking = searcher.search(&self.query, &self.params, set).unwrap();
        (ranking.hits.iter().map(|hit| (id(hit.pid), hit.raw)).collect(), ranking.num_scored)
    }

    /// The answer by an index of one segment that has the model's passages and no others.
    pub fn expected(&self, model: &Model, whole: &Searcher<Cpu>) -> Answer {
        let passages = &model.passages;
        let is_in = |pid: &u32| self.within.has(&passages[*pid as usize].document);
        let pids: Vec<u32> = (0..passages.len() as u32).filter(is_in).collect();
        let is_restricted = !matches!(self.within, Within::All);
        let set = is_restricted.then(|| whole.passages(&pids).unwrap());
        self.ask(whole, set.as_ref(), |pid| passages[pid as usize].id().to_owned())
    }
}

/// A generation that is open.
pub struct Reader {
    pub index: Index,
    pub searcher: Searcher<Cpu>,
}

impl Reader {
    pub fn new(index: Index) -> Self {
        let searcher = Searcher::new(Cpu::new().unwrap(), &index).unwrap();
        Self { index, searcher }
    }

    pub fn open(storage: &Arc<dyn Storage>, check: Check) -> Self {
        Self::new(Index::open_in(Arc::clone(storage), check).unwrap())
    }

    /// Follows to the newest generation; returns whether it is another.
    pub fn follow(&mut self, check: Check) -> bool {
        let Some(index) = self.index.refreshed(check).unwrap() else { return false };
        let searcher = self.searcher.followed(&index).unwrap();
        *self = Self { index, searcher };
        true
    }

    /// Answers a question. Deleted passages are among those that the search is restricted to, and must not be found.
    pub fn answer(&self, question: &Question) -> Answer {
        let set = match &question.within {
            Within::All => None,
            Within::Ids(ids) => {
                let alive: BTreeSet<u32> = self.index.pids().collect();
                let deleted = (0..self.index.num_pids()).filter(|pid| pid % 3 > 0 && !alive.contains(pid));
                let pids = ids.iter().map(|id| self.index.pid(id).unwrap().expect("a passage of the index"));
                Some(Arc::new(self.searcher.passages(&pids.chain(deleted).collect::<Vec<_>>()).unwrap()))
            }
            filtered => Some(self.searcher.filtered(&filtered.filter().expect("a filter")).unwrap()),
        };
        question.ask(&self.searcher, set.as_deref(), |pid| self.index.id(pid).unwrap())
    }

    pub fn ids(&self) -> Vec<String> {
        self.index.ids().map(Result::unwrap).collect()
    }

    /// Checks that one passage is found by its id and has its document.
    pub fn check_passage(&self, passage: &Passage, place: usize) {
        let pid = self.index.pid(passage.id()).unwrap().unwrap_or_else(|| panic!("no passage {}", passage.id()));
        assert_eq!(self.index.pids().position(|alive| alive == pid), Some(place), "place of {}", passage.id());
        assert_eq!(self.index.id(pid).unwrap(), passage.id());
        assert_eq!(self.index.document(pid).unwrap(), passage.document);
    }

    /// Checks every id, document, code, residual row and weight index, the sources, and the numbers of the manifest.
    pub fn check_all(&self, model: &Model) {
        let (index, pool) = (&self.index, model.pool);
        model.check_manifest(index.manifest());
        assert_eq!(index.sources().unwrap().as_deref(), model.sources.as_deref(), "sources");
        assert!(index.pids().count() == model.passages.len(), "passages that are not deleted");
        crate::words::check(index);
        let mut documents = index.documents().reader();
        let (code_bits, row_bytes) = (pool.params().code_bits(), pool.params().row_bytes());
        for (pid, passage) in index.pids().zip(&model.passages) {
            let what = passage.id();
            assert_eq!(documents.document(pid).unwrap(), passage.document);
            assert_eq!(index.pid(what).unwrap(), Some(pid), "{what}");
            let segment = index.segments().iter().rfind(|segment| segment.first_pid <= pid).unwrap();
            let arrays = &segment.passages;
            let tokens = arrays.tokens((pid - segment.first_pid) as usize);
            assert_eq!(tokens.len(), passage.tokens.len(), "{what}");
            for (token, at) in tokens.zip(passage.tokens.clone()) {
                let code = CodeReader::new(&arrays.codes, code_bits).get(token);
                let row = &arrays.residuals[token * row_bytes..][..row_bytes];
                let weight = read_weight(&arrays.weights, pool.params().weight_bits, token) as u8;
                assert_eq!((code, row, weight), pool.token(at), "{what}");
            }
        }
    }

    /// Names of the files of this generation.
    pub fn names(&self) -> BTreeSet<String> {
        names(&self.index)
    }
}

/// Names of the files of a generation, its manifest among them.
pub fn names(index: &Index) -> BTreeSet<String> {
    let files = index.manifest().files().into_iter().map(|(file, _)| file);
    files.chain([index.manifest().file()]).map(|file| file.name()).collect()
}
