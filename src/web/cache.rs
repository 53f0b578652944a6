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

/// How old an answer may be.
const MAX_AGE: Duration = Duration::from_secs(2);

const MAX_ANSWERS: usize = 1_000;

/// All answers together.
const MAX_BYTES: usize = 16 << 20;

/// The answers, by what was asked.
#[derive(Default)]
pub(super) struct Cache(Mutex<HashMap<String, Arc<Kept>>>);

struct Kept {
    asked_at: Instant,
    answer: OnceCell<Bytes>,
}

impl Cache {
    /// The answer to the question, from `ask` when nobody asked it a moment ago.
    pub(super) async fn answer(
        &self,
        question: String,
        now: Instant,
        ask: impl Future<Output = Result<Bytes, Problem>>,
    ) -> Result<Bytes, Problem> {
        let kept = self.kept(question, now);
        kept.answer.get_or_try_init(|| ask).await.cloned()
    }

    /// Something has changed.
    pub(super) fn forget(&self) {
        self.answers().clear();
    }

    fn kept(&self, question: String, now: Instant) -> Arc<Kept> {
        let mut answers = self.answers();
        answers.retain(|_, kept| now - kept.asked_at < MAX_AGE);
        let bytes: usize = (answers.values())
            .filter_map(|kept| kept.answer.get())
            .map(Bytes::len)
            .sum();
        if bytes > MAX_BYTES || answers.len() >= MAX_ANSWERS {
            answers.clear();
        }
        let kept = answers.entry(question).or_insert_with(|| {
            Arc::new(Kept {
                asked_at: now,
                answer: OnceCell::new(),
            })
        });
        Arc::clone(kept)
    }

    fn answers(&self) -> MutexGuard<'_, HashMap<String, Arc<Kept>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    /// Asks; the answer is how often the database was asked until then.
    async fn ask(cache: &Cache, question: &str, now: Instant, asked: &AtomicUsize) -> Bytes {
        let ask = async {
            let times = asked.fetch_add(1, Ordering::Relaxed) + 1;
            tokio::task::yield_now().await;
            Ok(Bytes::from(times.to_string()))
        };
        cache.answer(question.to_owned(), now, ask).await.unwrap()
    }

    #[tokio::test]
    async fn who_asks_the_same_at_once_or_a_moment_later_gets_one_answer() {
        let (cache, asked, now) = (Cache::default(), AtomicUsize::new(0), Instant::now());
        let (first, second) =
            tokio::join!(ask(&cache, "a", now, &asked), ask(&cache, "a", now, &asked));
        assert_eq!((&first[..], &second[..]), (&b"1"[..], &b"1"[..]));
        assert_eq!(ask(&cache, "b", now, &asked).await, "2");
        let still = now + MAX_AGE - Duration::from_nanos(1);
        assert_eq!(ask(&cache, "a", still, &asked).await, "1");
        assert_eq!(ask(&cache, "a", now + MAX_AGE, &asked).await, "3");
    }

    #[tokio::test]
    async fn a_change_makes_every_answer_old() {
        let (cache, asked, now) = (Cache::default(), AtomicUsize::new(0), Instant::now());
        assert_eq!(ask(&cache, "a", now, &asked).await, "1");
        let before = cache.kept("b".to_owned(), now);
        cache.forget();
        assert_eq!(ask(&cache, "a", now, &asked).await, "2");
        // What was asked before the change answers only those who asked before it.
        assert!(!Arc::ptr_eq(&before, &cache.kept("b".to_owned(), now)));
    }

    #[tokio::test]
    async fn a_failure_is_not_kept() {
        let (cache, asked, now) = (Cache::default(), AtomicUsize::new(0), Instant::now());
        let failing = async { Err(Problem::try_again("away")) };
        assert!(cache.answer("a".to_owned(), now, failing).await.is_err());
        assert_eq!(ask(&cache, "a", now, &asked).await, "1");
    }

    #[tokio::test]
    async fn answers_are_bounded_in_number_and_in_bytes() {
        let (cache, now) = (Cache::default(), Instant::now());
        for question in 0..=MAX_ANSWERS {
            cache.kept(question.to_string(), now);
        }
        assert!(cache.answers().len() <= MAX_ANSWERS);
        let large = async { Ok(Bytes::from(vec![0; MAX_BYTES + 1])) };
        cache.answer("large".to_owned(), now, large).await.unwrap();
        cache.kept("another".to_owned(), now);
        assert_eq!(cache.answers().len(), 1);
    }
}
