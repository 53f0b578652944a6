//! Answers that cost the database much, kept for a moment: whoever asks the same in the meantime
//! gets the same, and of several who ask at once one asks the database.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use axum::body::Bytes;
use tokio::{sync::OnceCell, time::Instant};

use super::problem::Problem;
use crate::commit::WrittenSoFar;

/// How old an answer may be, for what other processes write meanwhile.
const MAX_AGE: Duration = Duration::from_secs(2);

const MAX_ANSWERS: usize = 1_000;

/// All answers together.
const MAX_BYTES: usize = 16 << 20;

/// The answers, by what was asked.
#[derive(Default)]
pub(super) struct Cache(Mutex<HashMap<String, Arc<Kept>>>);

struct Kept {
    asked_at: Instant,
    /// When it was asked; what was written later may not be in the answer.
    written: WrittenSoFar,
    answer: OnceCell<Answer>,
}

struct Answer {
    bytes: Bytes,
    /// How long it took.
    took: Duration,
}

impl Cache {
    /// The answer to the question, from `ask` unless one that was asked a moment ago is good enough.
    pub(super) async fn answer(
        &self,
        question: String,
        written: WrittenSoFar,
        now: impl Fn() -> Instant,
        ask: impl Future<Output = Result<Bytes, Problem>>,
    ) -> Result<Bytes, Problem> {
        let kept = self.kept(question, now(), written);
        let answer = kept.answer.get_or_try_init(|| async {
            Ok(Answer {
                bytes: ask.await?,
                took: now().saturating_duration_since(kept.asked_at),
            })
        });
        answer.await.map(|answer| answer.bytes.clone())
    }

    fn kept(&self, question: String, now: Instant, written: WrittenSoFar) -> Arc<Kept> {
        let mut answers = self.answers();
        answers.retain(|_, kept| kept.is_good(now, written));
        let bytes: usize = (answers.values())
            .filter_map(|kept| kept.answer.get())
            .map(|answer| answer.bytes.len())
            .sum();
        if bytes > MAX_BYTES || answers.len() >= MAX_ANSWERS {
            answers.clear();
        }
        let kept = answers.entry(question).or_insert_with(|| {
            Arc::new(Kept {
                asked_at: now,
                written,
                answer: OnceCell::new(),
            })
        });
        Arc::clone(kept)
    }

    fn answers(&self) -> MutexGuard<'_, HashMap<String, Arc<Kept>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    /// Whether it may be answered now. What this process was asked to change makes it old at once:
    /// who asked looks at what came of it. Telemetry is committed many times a second, and would
    /// leave nothing to keep where it is needed most: it makes an answer old after as long again as
    /// it took to find, so that a cheap one is always new and a dear one takes a reader half of its
    /// time at most.
    fn is_good(&self, now: Instant, written: WrittenSoFar) -> bool {
        let age = now.saturating_duration_since(self.asked_at);
        let is_paid = self.answer.get().is_some_and(|it| age >= 2 * it.took);
        age < MAX_AGE
            && self.written.changes == written.changes
            && (self.written.telemetry == written.telemetry || !is_paid)
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    const NOTHING: WrittenSoFar = WrittenSoFar {
        changes: 0,
        telemetry: 0,
    };

    /// How long the database takes.
    const COST: Duration = Duration::from_millis(100);

    const MOMENT: Duration = Duration::from_millis(1);

    /// A cache, and a time that stands still.
    struct Asked {
        cache: Cache,
        now: Cell<Instant>,
        times: Cell<usize>,
    }

    impl Asked {
        fn new() -> Self {
            Self {
                cache: Cache::default(),
                now: Cell::new(Instant::now()),
                times: Cell::new(0),
            }
        }

        fn pass(&self, time: Duration) {
            self.now.set(self.now.get() + time);
        }

        /// Asks; the answer is how often the database was asked until then.
        async fn ask(&self, question: &str, written: WrittenSoFar) -> Bytes {
            let ask = async {
                self.times.set(self.times.get() + 1);
                tokio::task::yield_now().await;
                self.pass(COST);
                Ok(Bytes::from(self.times.get().to_string()))
            };
            let (question, now) = (question.to_owned(), || self.now.get());
            let answer = self.cache.answer(question, written, now, ask);
            answer.await.unwrap()
        }
    }

    #[tokio::test]
    async fn who_asks_the_same_at_once_or_a_moment_later_gets_one_answer() {
        let asked = Asked::new();
        let (first, second) = tokio::join!(asked.ask("a", NOTHING), asked.ask("a", NOTHING));
        assert_eq!((&first[..], &second[..]), (&b"1"[..], &b"1"[..]));
        assert_eq!(asked.ask("b", NOTHING).await, "2");
        // With what both questions took, that is a moment less than `MAX_AGE`.
        asked.pass(Duration::from_millis(1_799));
        assert_eq!(asked.ask("a", NOTHING).await, "1");
        asked.pass(MOMENT);
        assert_eq!(asked.ask("a", NOTHING).await, "3");
    }

    #[tokio::test]
    async fn a_change_makes_every_answer_old() {
        let asked = Asked::new();
        assert_eq!(asked.ask("a", NOTHING).await, "1");
        let now = asked.now.get();
        let before = asked.cache.kept("b".to_owned(), now, NOTHING);
        let changed = WrittenSoFar {
            changes: 1,
            ..NOTHING
        };
        assert_eq!(asked.ask("a", changed).await, "2");
        // What was asked before the change answers only those who asked before it.
        let after = asked.cache.kept("b".to_owned(), now, changed);
        assert!(!Arc::ptr_eq(&before, &after));
    }

    #[tokio::test]
    async fn telemetry_makes_an_answer_old_after_as_long_again_as_it_took_to_find() {
        let asked = Asked::new();
        assert_eq!(asked.ask("a", NOTHING).await, "1");
        let ingested = WrittenSoFar {
            telemetry: 1,
            ..NOTHING
        };
        asked.pass(Duration::from_millis(99));
        assert_eq!(asked.ask("a", ingested).await, "1");
        asked.pass(MOMENT);
        assert_eq!(asked.ask("a", ingested).await, "2");
        asked.pass(COST);
        assert_eq!(asked.ask("a", ingested).await, "2");
    }

    #[tokio::test]
    async fn a_failure_is_not_kept() {
        let cache = Cache::default();
        let failing = async { Err(Problem::try_again("away")) };
        let failed = cache
            .answer("a".to_owned(), NOTHING, Instant::now, failing)
            .await;
        assert!(failed.is_err());
        let fine = cache.answer("a".to_owned(), NOTHING, Instant::now, async {
            Ok("1".into())
        });
        assert_eq!(fine.await.unwrap(), "1");
    }

    #[tokio::test]
    async fn answers_are_bounded_in_number_and_in_bytes() {
        let (cache, now) = (Cache::default(), Instant::now());
        for question in 0..=MAX_ANSWERS {
            cache.kept(question.to_string(), now, NOTHING);
        }
        assert!(cache.answers().len() <= MAX_ANSWERS);
        let large = async { Ok(Bytes::from(vec![0; MAX_BYTES + 1])) };
        let answer = cache
            .answer("large".to_owned(), NOTHING, Instant::now, large)
            .await;
        assert_eq!(answer.unwrap().len(), MAX_BYTES + 1);
        cache.kept("another".to_owned(), now, NOTHING);
        assert_eq!(cache.answers().len(), 1);
    }
}
