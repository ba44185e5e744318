//! Answers of a queue: errors, the end of a queue, futures, and rankings of a real index.

use crate::fake::{Bomb, ERROR, FEW, Fake, PANIC};
use crate::support::{DIM, index, rows};
use crate::{ask, ask_all, block_on, check, ends, queue, queue_of};
use selvedge_backend::Cpu;
use selvedge_search::{Error, Pending, Queue, QueueOptions, Search, SearchParams, Searcher};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Wake, Waker};
use std::thread;
use std::time::Duration;

#[test]
fn a_bad_query_fails_alone_and_at_once() {
    ends(|| {
        let fake = Fake::held();
        let queue = queue(&fake);
        let mut all = ask_all(&queue, [0]);
        fake.gate.wait_for(1);
        all.extend(ask_all(&queue, [1]));
        // The searcher is held meanwhile.
        assert!(matches!(ask(&queue, f32::NAN).wait(), Err(Error::NotFinite { token: 0 })));
        assert!(matches!(block_on(ask(&queue, 1e30)), Err(Error::TooLarge { .. })));
        let long = queue.search(vec![0.0; 5000], SearchParams::exact(1), None);
        assert!(matches!(long.wait(), Err(Error::QueryTooLong { found: 5000, .. })));
        all.extend(ask_all(&queue, [2]));
        fake.gate.open();
        check(all);
        assert_eq!(fake.batches(), [&[0.0][..], &[1.0, 2.0]]);
        assert_eq!(queue.stats().num_requests, 3);
    });
}

#[test]
fn queries_of_another_dim_fail_alone() {
    ends(|| {
        let (_dir, index) = index(&[1; 4], 4);
        let real: Arc<dyn Search> = Arc::new(Searcher::new(Cpu::new().unwrap(), &index).unwrap());
        let queue = Queue::new(Arc::clone(&real), QueueOptions::default()).unwrap();
        let good = queue.search(rows(2), SearchParams::exact(3), None);
        let bad = queue.search(rows(2)[1..].to_vec(), SearchParams::exact(3), None);
        assert!(matches!(bad.wait(), Err(Error::DimMismatch { expected: DIM, found: 31 })));
        assert_eq!(good.wait().unwrap().hits.len(), 3);
    });
}

/// Answers one query, then a batch of `1, special, 3`, then another query.
fn around(special: f32, options: QueueOptions) -> (Arc<Fake>, Vec<Error>) {
    let fake = Fake::held();
    let queue = queue_of(&fake, options);
    let first = ask(&queue, 0.0);
    fake.gate.wait_for(1);
    let batch = [1.0, special, 3.0].map(|query| ask(&queue, query));
    fake.gate.open();
    check(vec![(0.0, first)]);
    let errors = batch.map(|pending| pending.wait().unwrap_err()).into();
    check(ask_all(&queue, [4]));
    assert_eq!(fake.batches(), [&[0.0][..], &[1.0, special, 3.0], &[4.0]]);
    (fake, errors)
}

#[test]
fn a_panic_of_the_searcher_is_an_error_of_its_batch_alone() {
    ends(|| {
        let pool = Arc::new(rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap());
        for pool in [None, Some(pool)] {
            let is_in_pool = pool.is_some();
            let (fake, errors) = around(PANIC, QueueOptions { pool, ..QueueOptions::default() });
            for error in errors {
                let Error::SearchPanicked { message } = error else { panic!("{error}") };
                assert_eq!(message, "planned, of 3 queries");
            }
            assert!(fake.batches.lock().unwrap().iter().all(|batch| batch.is_in_pool == is_in_pool));
        }
    });
}

#[test]
fn missing_rankings_are_an_error() {
    ends(|| {
        let (_, errors) = around(FEW, QueueOptions::default());
        assert!(errors.iter().all(|error| matches!(error, Error::SearchPanicked { .. })), "{errors:?}");
    });
}

#[test]
fn an_error_of_the_searcher_is_shared_by_its_batch() {
    ends(|| {
        let (_, errors) = around(ERROR, QueueOptions::default());
        assert_eq!(errors.len(), 3);
        for error in errors {
            assert_eq!(error.to_string(), "passage 7 does not exist: the index has 5 passages");
            let Error::Batch(error) = error else { panic!("{error}") };
            assert!(matches!(*error, Error::NoSuchPassage { pid: 7, num_passages: 5 }));
        }
    });
}

#[test]
fn a_dropped_queue_answers_what_waits() {
    ends(|| {
        let fake = Fake::held();
        let queue = queue_of(&fake, QueueOptions { max_wait: Duration::MAX, max_batch: 2, ..QueueOptions::default() });
        let mut all = ask_all(&queue, 0..2);
        fake.gate.wait_for(1);
        all.extend(ask_all(&queue, 2..5));
        // The searcher is held meanwhile: this does not wait for it.
        drop(queue);
        fake.gate.open();
        check(all);
        assert_eq!(fake.batches(), [&[0.0, 1.0][..], &[2.0, 3.0], &[4.0]]);
    });
}

#[test]
fn a_closed_queue_has_answered_and_holds_nothing() {
    ends(|| {
        let fake = Fake::open();
        let queue = queue(&fake);
        let mut all = ask_all(&queue, 0..50);
        queue.close();
        for (_, pending) in &mut all {
            assert!(pin!(pending).poll(&mut Context::from_waker(Waker::noop())).is_ready());
        }
        assert_eq!(Arc::strong_count(&fake), 1);
    });
}

#[test]
fn no_request_is_left_when_the_thread_ends_by_a_panic() {
    ends(|| {
        let freed = Arc::new(Fake { _bomb: Some(Bomb), ..Fake::default() });
        let (gate, fake) = (Arc::clone(&freed.gate), Fake::open());
        let queue = queue(&fake);
        let first = queue.search_on(freed, vec![1.0], SearchParams::exact(1), None);
        gate.wait_for(1);
        let waiting = ask(&queue, 2.0);
        // The thread of the queue frees the searcher after its search.
        gate.open();
        check(vec![(1.0, first)]);
        assert!(matches!(waiting.wait(), Err(Error::QueueClosed)));
        assert!(matches!(ask(&queue, 3.0).wait(), Err(Error::QueueClosed)));
        queue.close();
    });
}

/// Number of times that a future was woken.
#[derive(Default)]
struct Count(AtomicUsize);

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

#[test]
fn the_waker_of_the_last_poll_is_woken_once() {
    ends(|| {
        let fake = Fake::held();
        let queue = queue(&fake);
        let mut pending = ask(&queue, 5.0);
        let counts = [Arc::<Count>::default(), Arc::default()];
        for count in &counts {
            let waker = Waker::from(Arc::clone(count));
            assert!(pin!(&mut pending).poll(&mut Context::from_waker(&waker)).is_pending());
        }
        fake.gate.open();
        queue.close();
        assert_eq!(counts.each_ref().map(|count| count.0.load(Ordering::SeqCst)), [0, 1]);
        // A caller that blocks may take over from a poll.
        check(vec![(5.0, pending)]);
    });
}

#[test]
fn futures_wake_their_executor() {
    ends(|| {
        let fake = Fake::held();
        let queue = queue(&fake);
        let asked = thread::scope(|scope| {
            let asked = scope.spawn(|| block_on(async { ask(&queue, 6.0).await.unwrap().hits[0].pid }));
            fake.gate.wait_for(1);
            fake.gate.open();
            asked.join().unwrap()
        });
        assert_eq!(asked, 6);
    });
}

#[test]
fn answers_can_move_between_threads() {
    fn check<T: Send + Unpin + 'static>() {}
    fn check_shared<T: Send + Sync + 'static>() {}
    check::<Pending>();
    check_shared::<Queue>();
}

#[test]
fn answers_of_many_threads_equal_direct_searches() {
    ends(|| {
        let (_dir, index) = index(&vec![3; 300], 32);
        let real: Arc<dyn Search> = Arc::new(Searcher::new(Cpu::new().unwrap(), &index).unwrap());
        let set = Arc::new(real.passages(&(0..300).step_by(2).collect::<Vec<_>>()).unwrap());
        let options = QueueOptions { max_batch: 5, ..QueueOptions::default() };
        let queue = Queue::new(Arc::clone(&real), options).unwrap();
        let rows = rows(400 + 8);
        thread::scope(|scope| {
            for thread in 0..8 {
                let (queue, real, set, rows) = (&queue, &real, &set, &rows);
                scope.spawn(move || {
                    let asked: Vec<_> = (0..50)
                        .map(|number| {
                            let at = thread * 50 + number;
                            let query = &rows[at * DIM..][..at % 9 * DIM];
                            let params = [SearchParams::exact(7), SearchParams::approximate(5)][at % 2];
                            let set = (at % 3 == 0).then_some(set);
                            (query, params, set, queue.search(query.to_vec(), params, set.cloned()))
                        })
                        .collect();
                    for (at, (query, params, set, pending)) in asked.into_iter().enumerate() {
                        let found = if at % 2 == 0 { pending.wait() } else { block_on(pending) }.unwrap();
                        let direct = real.search(query, &params, set.map(|set| &**set)).unwrap();
                        assert_eq!(found.hits, direct.hits);
                        assert_eq!(found.hits.is_empty(), query.is_empty());
                    }
                });
            }
        });
        assert_eq!(queue.stats().num_requests, 400);
    });
}
