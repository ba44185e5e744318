//! Batches that form, and what is not in them.

use crate::fake::{Batch, Fake};
use crate::support::{index, rows};
use crate::{ask, ask_all, check, ends, queue, queue_of};
use selvedge_backend::Cpu;
use selvedge_search::{Error, PassageSet, Queue, QueueOptions, Search, SearchParams, Searcher};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Waker};
use std::time::Duration;

#[test]
fn batches_form_during_a_search() {
    ends(|| {
        let fake = Fake::held();
        let queue = queue(&fake);
        let mut all = ask_all(&queue, [0]);
        fake.gate.wait_for(1);
        all.extend(ask_all(&queue, 1..5));
        assert_eq!(queue.stats().num_waiting, 4);
        fake.gate.open();
        check(all);
        assert_eq!(fake.batches(), [&[0.0][..], &[1.0, 2.0, 3.0, 4.0]]);
        let stats = queue.stats();
        assert_eq!((stats.num_requests, stats.num_batches, stats.largest_batch), (5, 2, 4));
        assert_eq!((stats.num_cancelled, stats.num_waiting), (0, 0));
    });
}

#[test]
fn batches_have_at_most_max_batch_queries() {
    ends(|| {
        for (max_batch, sizes) in [(32, &[1, 32, 32, 6][..]), (0, &[1; 71])] {
            let fake = Fake::held();
            let queue = queue_of(&fake, QueueOptions { max_batch, ..QueueOptions::default() });
            let mut all = ask_all(&queue, [0]);
            fake.gate.wait_for(1);
            all.extend(ask_all(&queue, 1..71));
            fake.gate.open();
            check(all);
            assert_eq!(fake.sizes(), sizes);
            assert_eq!(queue.stats().largest_batch, sizes.iter().copied().max().unwrap());
        }
    });
}

#[test]
fn a_full_batch_is_not_delayed_and_others_wait_to_fill() {
    ends(|| {
        let fake = Fake::open();
        let queue = queue_of(&fake, QueueOptions { max_batch: 3, max_wait: Duration::MAX, ..QueueOptions::default() });
        for _ in 0..100 {
            check(ask_all(&queue, 0..3));
        }
        assert_eq!(fake.sizes(), [3; 100]);
        // A closed queue does not wait.
        let all = ask_all(&queue, 0..2);
        queue.close();
        check(all);
        assert_eq!(fake.sizes()[100..], [2]);
    });
}

#[test]
fn a_batch_that_does_not_fill_is_searched_after_max_wait() {
    ends(|| {
        let fake = Fake::open();
        let max_wait = Duration::from_millis(1);
        let queue = queue_of(&fake, QueueOptions { max_batch: 1000, max_wait, ..QueueOptions::default() });
        check(ask_all(&queue, 0..2));
        check(ask_all(&queue, 2..4));
    });
}

#[test]
fn requests_with_equal_parameters_and_the_same_set_and_searcher_are_a_batch() {
    ends(|| {
        let (_dir, index) = index(&[1; 4], 4);
        let real = Searcher::new(Cpu::new().unwrap(), &index).unwrap();
        let [one, two] = [&[1][..], &[1, 2]].map(|pids| Arc::new(real.passages(pids).unwrap()));
        let (fake, other) = (Fake::held(), Fake::open());
        let queue = queue(&fake);
        let first = ask(&queue, 0.0);
        fake.gate.wait_for(1);
        let on = |searcher: &Arc<Fake>, query: u16, k, set: Option<&Arc<PassageSet>>| {
            let query = f32::from(query);
            let searcher = Arc::<Fake>::clone(searcher);
            (query, queue.search_on(searcher, vec![query], SearchParams::exact(k), set.cloned()))
        };
        let all = vec![
            on(&fake, 1, 1, Some(&one)),
            on(&fake, 2, 1, None),
            on(&fake, 3, 2, None),
            on(&fake, 4, 1, Some(&two)),
            on(&other, 5, 1, None),
            on(&fake, 6, 1, Some(&one)),
            on(&fake, 7, 1, None),
            on(&fake, 8, 2, None),
            on(&other, 9, 1, None),
            on(&fake, 10, 1, Some(&two)),
        ];
        fake.gate.open();
        check(all);
        check(vec![(0.0, first)]);
        let batch =
            |queries: &[f32], k, num_passages| Batch { queries: queries.to_vec(), k, num_passages, is_in_pool: false };
        let expected = [
            batch(&[0.0], 1, None),
            batch(&[1.0, 6.0], 1, Some(1)),
            batch(&[2.0, 7.0], 1, None),
            batch(&[3.0, 8.0], 2, None),
            batch(&[4.0, 10.0], 1, Some(2)),
        ];
        assert_eq!(*fake.batches.lock().unwrap(), expected);
        assert_eq!(other.batches(), [[5.0, 9.0]]);
    });
}

#[test]
fn cancelled_requests_are_not_searched() {
    ends(|| {
        let fake = Fake::held();
        let queue = queue_of(&fake, QueueOptions { max_waiting: 4, ..QueueOptions::default() });
        let in_flight = ask(&queue, 0.0);
        fake.gate.wait_for(1);
        let mut all = ask_all(&queue, 1..5);
        drop(all.remove(2));
        let (_, mut polled) = all.remove(0);
        assert!(pin!(&mut polled).poll(&mut Context::from_waker(Waker::noop())).is_pending());
        drop(polled);
        assert_eq!((queue.stats().num_cancelled, queue.stats().num_waiting), (2, 2));
        // Their places are free, and a search that has begun goes on.
        all.extend(ask_all(&queue, 5..7));
        drop(in_flight);
        fake.gate.open();
        check(all);
        assert_eq!(fake.batches(), [&[0.0][..], &[2.0, 4.0, 5.0, 6.0]]);
        let stats = queue.stats();
        assert_eq!((stats.num_requests, stats.num_batches, stats.num_cancelled), (7, 2, 2));
    });
}

#[test]
fn a_full_queue_refuses_at_once() {
    ends(|| {
        for (max_waiting, places) in [(3, 3), (0, 1)] {
            let fake = Fake::held();
            let queue = queue_of(&fake, QueueOptions { max_waiting, ..QueueOptions::default() });
            let mut all = ask_all(&queue, [0]);
            fake.gate.wait_for(1);
            all.extend(ask_all(&queue, 0..places));
            for _ in 0..2 {
                let refused = ask(&queue, 9.0).wait().unwrap_err();
                assert!(matches!(refused, Error::QueueFull { waiting } if waiting == usize::from(places)));
            }
            fake.gate.open();
            check(all);
            check(ask_all(&queue, [7]));
            assert_eq!(queue.stats().num_requests, u64::from(places) + 2);
        }
    });
}

#[test]
fn requests_keep_their_searcher_when_the_queue_follows() {
    ends(|| {
        let (before, after) = (Fake::held(), Fake::open());
        let queue = queue(&before);
        let mut all = ask_all(&queue, [0]);
        before.gate.wait_for(1);
        all.extend(ask_all(&queue, [1]));
        queue.follow(Arc::<Fake>::clone(&after));
        all.extend(ask_all(&queue, [2]));
        before.gate.open();
        check(all);
        assert_eq!((before.batches(), after.batches()), (vec![vec![0.0], vec![1.0]], vec![vec![2.0]]));
        queue.close();
        assert_eq!((Arc::strong_count(&before), Arc::strong_count(&after)), (1, 1));
    });
}

#[test]
fn sets_belong_to_the_searcher_that_made_them() {
    ends(|| {
        let (_dir, index) = index(&[1; 4], 4);
        let before: Arc<dyn Search> = Arc::new(Searcher::new(Cpu::new().unwrap(), &index).unwrap());
        let after: Arc<dyn Search> = before.followed(&index).unwrap().into();
        let set = Arc::new(before.passages(&[1, 3]).unwrap());
        let (queue, params) =
            (Queue::new(Arc::clone(&before), QueueOptions::default()).unwrap(), SearchParams::exact(4));
        queue.follow(after);
        let found = queue.search(rows(1), params, Some(Arc::clone(&set)));
        assert!(matches!(found.wait(), Err(Error::OtherGeneration)));
        let found = queue.search_on(before, rows(1), params, Some(set)).wait().unwrap();
        assert!(found.hits.iter().all(|hit| [1, 3].contains(&hit.pid)), "{found:?}");
    });
}

#[test]
fn a_search_that_all_callers_have_left_is_stopped() {
    ends(|| {
        for num_left in [0, 1] {
            let fake = Fake::held();
            let queue =
                queue_of(&fake, QueueOptions { max_wait: Duration::from_secs(60), max_batch: 2, ..Default::default() });
            let (gone, maybe_left) = (ask(&queue, 1.0), ask(&queue, 2.0));
            fake.gate.wait_for(1);
            drop(gone);
            let left = (num_left == 1).then_some(maybe_left);
            fake.gate.open();
            assert_eq!(left.map(|pending| pending.wait().unwrap().hits[0].pid), (num_left == 1).then_some(2));
            queue.close();
            assert_eq!(fake.stopped.load(Ordering::Relaxed), 1 - num_left);
        }
    });
}
