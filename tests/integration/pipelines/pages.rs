//! Pages of runs: complete, in order, each run once, while others are created.

use std::collections::BTreeSet;

use redspan::store::{NewPipeline, Page, PageRequest, PipelineFilter};

use super::{NOON, Runs, new_run};
use crate::databases::on_each_database;

/// Twenty runs, five at each instant. Their ids hold what a cursor's text is cut at.
async fn populate(runs: &Runs) -> Vec<String> {
    let mut ids = Vec::new();
    for number in 0..20 {
        let name = format!("run_{number}");
        runs.create(NewPipeline {
            expires_at: Some(NOON.plus_seconds(number / 5)),
            ..new_run(&name)
        })
        .await;
        if number % 5 == 4 {
            runs.pass(1);
        }
        ids.push(name);
    }
    ids
}

#[test]
fn a_cursor_reads_every_run_once_while_others_are_created() {
    on_each_database(async |database| {
        let runs = Runs::new(database).await;
        let mut expected = populate(&runs).await;
        let mut read = Vec::new();
        let mut page = PageRequest::first(3);
        loop {
            let filter = PipelineFilter::default();
            let answer = runs.pipelines.find_many(&filter, &page).await.unwrap();
            assert!(answer.items.len() <= 3);
            read.extend(answer.items);
            let Some(next) = answer.next else { break };
            page = PageRequest::after(3, next.to_string().parse().unwrap());
            let later = format!("later-{}", read.len());
            runs.create(new_run(&later)).await;
        }
        assert!(
            read.is_sorted_by(|one, next| {
                (one.created_at, &one.id) > (next.created_at, &next.id)
            })
        );
        let mut read: Vec<_> = read.into_iter().map(|run| run.id.to_string()).collect();
        read.sort();
        expected.sort();
        assert_eq!(read, expected);
        runs.end().await;
    });
}

#[test]
fn expired_and_silent_runs_are_read_once_each_too() {
    on_each_database(async |database| {
        let runs = Runs::new(database).await;
        let ids: BTreeSet<_> = populate(&runs).await.into_iter().collect();
        let later = NOON.plus_seconds(3_600);
        for is_stuck in [false, true] {
            let mut read = Vec::new();
            let mut page = PageRequest::first(4);
            loop {
                let answer: Page<_> = if is_stuck {
                    runs.pipelines.find_stuck(later, &page).await.unwrap()
                } else {
                    runs.pipelines.find_expired(later, &page).await.unwrap()
                };
                read.extend(answer.items.into_iter().map(|run| run.id.to_string()));
                let Some(next) = answer.next else { break };
                page = PageRequest::after(4, next);
            }
            assert_eq!(read.len(), 20);
            assert_eq!(read.into_iter().collect::<BTreeSet<_>>(), ids);
        }
        runs.end().await;
    });
}

#[test]
fn an_offset_skips_and_the_last_page_has_no_cursor() {
    on_each_database(async |database| {
        let runs = Runs::new(database).await;
        populate(&runs).await;
        let filter = PipelineFilter::default();
        let all = runs
            .pipelines
            .find_many(&filter, &PageRequest::first(500))
            .await
            .unwrap()
            .items;
        for (offset, limit) in [(0_u32, 5_u32), (5, 5), (15, 5), (20, 5), (3, 500)] {
            let page = PageRequest {
                limit,
                offset,
                after: None,
            };
            let answer = runs.pipelines.find_many(&filter, &page).await.unwrap();
            let begin = (offset as usize).min(all.len());
            let end = (begin + limit as usize).min(all.len());
            assert_eq!(answer.items, all[begin..end]);
            assert_eq!(answer.next.is_some(), end < all.len());
        }
        runs.end().await;
    });
}
