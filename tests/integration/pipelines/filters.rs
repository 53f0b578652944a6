//! Each filter, against a plain loop over the rows.

use redspan::{
    domain::{Pipeline, PipelineStatus},
    store::{NewPipeline, PageRequest, PipelineFilter},
};

use super::{NOON, Runs, id, new_run};
use crate::databases::on_each_database;

/// Runs that differ in everything that can be filtered by.
async fn populate(runs: &Runs) {
    let pick = |list: &[&str], number: usize| {
        Some(list[number % list.len()].to_owned()).filter(|text| !text.is_empty())
    };
    for number in 0..60_usize {
        runs.create(NewPipeline {
            user_id: pick(&["ada", "bob", "", "' OR 1=1 --"], number),
            asset_id: pick(&["", "chair", "table"], number),
            status: Some(PipelineStatus::ALL[number % 5]),
            meshy_task_id: pick(&["m-1", "m-%", "m-2", ""], number / 2),
            name: pick(&["text-to-3d", "image-to-3d"], number / 3),
            ..new_run(&format!("run-{number}"))
        })
        .await;
        if number % 9 == 0 {
            let run = id(&format!("run-{number}"));
            runs.pipelines.delete(&run).await.unwrap();
        }
        if number % 4 == 0 {
            runs.pass(60);
        }
    }
}

/// What a filter means, without SQL.
fn matches(filter: &PipelineFilter, run: &Pipeline) -> bool {
    fn is(wanted: Option<&String>, value: Option<&String>) -> bool {
        wanted.is_none() || wanted == value
    }
    is(filter.user_id.as_ref(), run.user_id.as_ref())
        && is(filter.asset_id.as_ref(), run.asset_id.as_ref())
        && (filter.status.is_empty() || filter.status.contains(&run.status))
        && is(filter.meshy_task_id.as_ref(), run.meshy_task_id.as_ref())
        && is(filter.name.as_ref(), run.name.as_ref())
        && filter.from.is_none_or(|from| run.created_at >= from)
        && filter.to.is_none_or(|to| run.created_at < to)
        && (filter.include_deleted || run.deleted_at.is_none())
}

fn filters() -> Vec<PipelineFilter> {
    let text = |text: &str| Some(text.to_owned());
    let all = PipelineFilter::default;
    vec![
        all(),
        PipelineFilter {
            user_id: text("ada"),
            ..all()
        },
        PipelineFilter {
            user_id: text("' OR 1=1 --"),
            ..all()
        },
        PipelineFilter {
            user_id: text("nobody"),
            ..all()
        },
        PipelineFilter {
            asset_id: text("chair"),
            ..all()
        },
        PipelineFilter {
            status: vec![PipelineStatus::Failed],
            ..all()
        },
        PipelineFilter {
            status: vec![PipelineStatus::Failed, PipelineStatus::Processing],
            ..all()
        },
        PipelineFilter {
            status: PipelineStatus::ALL.to_vec(),
            ..all()
        },
        PipelineFilter {
            meshy_task_id: text("m-%"),
            ..all()
        },
        PipelineFilter {
            name: text("image-to-3d"),
            ..all()
        },
        PipelineFilter {
            from: Some(NOON.plus_seconds(300)),
            ..all()
        },
        PipelineFilter {
            to: Some(NOON.plus_seconds(300)),
            ..all()
        },
        PipelineFilter {
            from: Some(NOON.plus_seconds(120)),
            to: Some(NOON.plus_seconds(600)),
            ..all()
        },
        PipelineFilter {
            include_deleted: true,
            ..all()
        },
        PipelineFilter {
            user_id: text("bob"),
            status: vec![PipelineStatus::Processing, PipelineStatus::Completed],
            from: Some(NOON.plus_seconds(60)),
            include_deleted: true,
            ..all()
        },
    ]
}

#[test]
fn every_filter_finds_and_counts_what_a_plain_loop_does() {
    on_each_database(async |database| {
        let runs = Runs::new(database).await;
        populate(&runs).await;
        let rows: Vec<_> = runs.all().await.into_iter().map(|it| it.pipeline).collect();
        assert_eq!(rows.len(), 60);
        assert!(
            rows.is_sorted_by(|one, next| {
                (one.created_at, &one.id) > (next.created_at, &next.id)
            })
        );
        let page = PageRequest::first(500);
        let mut found_some = 0;
        for filter in filters() {
            let matching = rows.iter().filter(|run| matches(&filter, run));
            let expected: Vec<_> = matching.cloned().collect();
            found_some += usize::from(!expected.is_empty());
            let found = runs.pipelines.find_many(&filter, &page).await.unwrap();
            assert_eq!(found.items, expected, "{filter:?}");
            let count = runs.pipelines.count(&filter).await.unwrap();
            assert_eq!(usize::try_from(count), Ok(expected.len()));
            let figures = runs.pipelines.get_statistics(&filter, runs.now()).await;
            let figures = figures.unwrap().runs;
            assert_eq!(figures.total, count);
            for (status, count) in figures.by_status {
                let counted = expected.iter().filter(|run| run.status == status).count();
                assert_eq!(usize::try_from(count), Ok(counted), "{filter:?}");
            }
        }
        assert_eq!(found_some, filters().len() - 1);
        runs.end().await;
    });
}

#[test]
fn the_short_questions_are_filters_too() {
    on_each_database(async |database| {
        let runs = Runs::new(database).await;
        populate(&runs).await;
        let (repository, page) = (&runs.pipelines, PageRequest::first(500));
        let rows = repository
            .find_many(&PipelineFilter::default(), &page)
            .await;
        let rows = rows.unwrap().items;
        let those = |matches: &dyn Fn(&Pipeline) -> bool| -> Vec<Pipeline> {
            rows.iter().filter(|run| matches(run)).cloned().collect()
        };
        let is_ada = |run: &Pipeline| run.user_id.as_deref() == Some("ada");
        let found = repository.find_by_user_id("ada", &[], &page).await;
        assert_eq!(found.unwrap().items, those(&is_ada));
        let failed = [PipelineStatus::Failed];
        let found = repository.find_by_user_id("ada", &failed, &page).await;
        let expected = those(&|run| is_ada(run) && run.status == failed[0]);
        assert_eq!(found.unwrap().items, expected);
        let found = repository.find_by_status(&failed, &page).await;
        let expected = those(&|run| run.status == failed[0]);
        assert_eq!(found.unwrap().items, expected);
        let found = repository.find_by_status(&[], &page).await;
        assert_eq!(found.unwrap().items, []);
        let found = repository.find_by_meshy_task_id("m-2").await.unwrap();
        let newest = those(&|run| run.meshy_task_id.as_deref() == Some("m-2"));
        assert_eq!(found.as_ref(), newest.first());
        assert!(found.is_some());
        let found = repository.find_by_meshy_task_id("m-").await;
        assert_eq!(found.unwrap(), None);
        runs.end().await;
    });
}
