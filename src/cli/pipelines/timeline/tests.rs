use serde_json::json;
use unicode_width::UnicodeWidthStr as _;

use super::*;

const NOON: Timestamp = Timestamp::from_micros(1_789_992_000_000_000);

#[expect(
    clippy::unnecessary_wraps,
    reason = "what is told of a time may be nothing"
)]
fn at(seconds: i64) -> Option<Timestamp> {
    Some(NOON.plus_seconds(seconds))
}

fn run(
    status: PipelineStatus,
    begun: Option<Timestamp>,
    ended: Option<Timestamp>,
) -> Line<'static> {
    let is_over = matches!(status, PipelineStatus::Completed | PipelineStatus::Failed);
    Line {
        name: "(run)",
        name_style: Style::Dim,
        status: status.as_str(),
        style: style(status),
        state: if is_over { State::Ended } else { State::AtWork },
        progress: 0,
        begun,
        ended,
        millis: None,
        error: None,
        error_id: None,
    }
}

fn stage(
    name: &str,
    status: StageStatus,
    begun: Option<Timestamp>,
    ended: Option<Timestamp>,
) -> Line<'_> {
    Line {
        name,
        name_style: Style::Bold,
        status: status.as_str(),
        style: stage_style(status),
        state: match status {
            StageStatus::Pending => State::Waiting,
            StageStatus::Processing => State::AtWork,
            StageStatus::Completed | StageStatus::Failed => State::Ended,
            StageStatus::Skipped => State::LeftOut,
        },
        progress: if status == StageStatus::Completed {
            100
        } else {
            0
        },
        begun,
        ended,
        millis: None,
        error: None,
        error_id: None,
    }
}

/// Everything from `completed` to `pending`, two of it at once.
fn at_work() -> (Line<'static>, Vec<Line<'static>>) {
    let error_id = error_id(Some(
        &json!({"errorId": "7a51b2c3-d4e5-8f60-9123-456789abcdef"}),
    ));
    let stages = vec![
        stage("mesh", StageStatus::Completed, at(0), at(83)),
        stage("texture", StageStatus::Completed, at(83), at(131)),
        Line {
            progress: 10,
            error: Some(
                "no bones were found in the mesh: give a model that stands upright\nor none",
            ),
            error_id,
            ..stage("rig", StageStatus::Failed, at(83), at(95))
        },
        Line {
            progress: 40,
            ..stage("preview", StageStatus::Processing, at(131), None)
        },
        stage("animate", StageStatus::Skipped, None, None),
        stage("publish", StageStatus::Pending, None, None),
    ];
    let run = Line {
        progress: 60,
        ..run(PipelineStatus::Processing, at(0), None)
    };
    (run, stages)
}

/// Clocks that differ, and times that nobody told.
fn contradictory() -> (Line<'static>, Vec<Line<'static>>) {
    let (completed, failed) = (StageStatus::Completed, StageStatus::Failed);
    let stages = vec![
        stage("early", completed, at(-20), at(30)),
        stage("backwards", failed, at(60), at(-3_600)),
        stage("no-start", completed, None, at(90)),
        stage("no-end", completed, at(90), None),
        stage("never", failed, None, None),
        stage("lost", StageStatus::Processing, at(40), None),
        Line {
            millis: Some(12_345),
            ..stage("duration", completed, None, None)
        },
    ];
    (run(PipelineStatus::Failed, at(0), at(100)), stages)
}

fn hostile() -> (Line<'static>, Vec<Line<'static>>) {
    const LONG: &str = "a name of a hundred characters, which is as long as the name of a stage can \
                        ever be, says 100 of them";
    let stages = vec![
        stage("\u{1b}[2J\u{202e}", StageStatus::Completed, at(0), at(3)),
        stage("支払いを確認する", StageStatus::Completed, at(3), at(6)),
        Line {
            error: Some("\u{9b}31m\r\n\u{7}失敗"),
            error_id: error_id(Some(&json!({"errorId": "$(reboot)"}))),
            ..stage(LONG, StageStatus::Failed, at(6), at(9))
        },
    ];
    (run(PipelineStatus::Failed, at(0), at(9)), stages)
}

fn screen(width: Option<u16>) -> Screen {
    Screen {
        width,
        colour: false,
    }
}

fn drawn((run, stages): &(Line<'_>, Vec<Line<'_>>), width: Option<u16>) -> String {
    draw(run, stages, NOON.plus_seconds(140), screen(width))
}

fn plain(of: &(Line<'_>, Vec<Line<'_>>), width: Option<u16>) -> String {
    screen(width).show(&drawn(of, width)).into_owned()
}

#[test]
fn stages_are_drawn_on_one_scale_as_wide_as_the_terminal() {
    for (name, story) in [
        ("at_work", at_work()),
        ("contradictory", contradictory()),
        ("hostile", hostile()),
    ] {
        for width in [40, 80, 140] {
            insta::assert_snapshot!(format!("{name}_{width}"), plain(&story, Some(width)));
        }
        insta::assert_snapshot!(format!("{name}_piped"), plain(&story, None));
        for width in [80, 140] {
            let coloured = drawn(&story, Some(width)).replace('\u{1b}', "␛");
            insta::assert_snapshot!(format!("{name}_{width}_coloured"), coloured);
        }
    }
}

/// From which column to which the bars stand, line by line.
fn bars(of: &(Line<'_>, Vec<Line<'_>>), width: u16) -> Vec<(usize, usize)> {
    let is_bar = |it: char| "█▒▏".contains(it);
    let text = plain(of, Some(width));
    let bar = |line: &str| -> Option<(usize, usize)> {
        let first = line.find(is_bar)?;
        let bar = line.chars().filter(|it| is_bar(*it)).count();
        let begins = line[..first].width();
        Some((begins, begins + bar))
    };
    text.lines().filter_map(bar).collect()
}

#[test]
fn any_number_of_stages_of_any_length_follow_each_other_without_gap_or_overlap() {
    const DAYS: i64 = 86_400 * 1_000_000;
    for micros in [1, 999, 1_500_000, 87_000_000, 30 * DAYS, 9_000 * 365 * DAYS] {
        for count in [1_u16, 4, 200] {
            let instant = |part: u16| {
                let micros = micros / i64::from(count) * i64::from(part);
                Some(Timestamp::from_micros(micros - 62_000_000_000_000_000))
            };
            let name = "支払い-0123456789";
            let completed = StageStatus::Completed;
            let stages: Vec<_> = (0..count)
                .map(|number| stage(name, completed, instant(number), instant(number + 1)))
                .collect();
            let story = (
                run(PipelineStatus::Completed, instant(0), instant(count)),
                stages,
            );
            for width in [40, 80, 140] {
                let text = plain(&story, Some(width));
                // The length, the headings and the run.
                assert_eq!(text.lines().count(), usize::from(count) + 3);
                for line in text.lines() {
                    assert!(line.width() <= width.into(), "{width}: {line}");
                }
                let bars = bars(&story, width);
                let (run, stages) = bars.split_first().unwrap();
                assert_eq!(stages.len(), usize::from(count));
                assert_eq!(stages[0].0, run.0);
                assert!(stages.iter().all(|bar| bar.1 <= run.1));
                for pair in stages.windows(2) {
                    let is_stroke = pair[0].1 - pair[0].0 == 1;
                    assert!(pair[0].1 == pair[1].0 || is_stroke, "{text}");
                    assert!(pair[0].0 <= pair[1].0, "{text}");
                }
            }
        }
    }
}

#[test]
fn what_took_a_microsecond_and_what_took_a_month_say_so() {
    let micro = Some(Timestamp::from_micros(NOON.as_micros() + 1));
    let completed = StageStatus::Completed;
    for (end, first_line, took) in [
        (micro, "1µs from 2026-09-21 12:00:00 UTC", "1µs"),
        (
            at(30 * 86_400),
            "30d 00h from 2026-09-21 12:00:00 UTC",
            "30d 00h",
        ),
        (at(0), "0ms from 2026-09-21 12:00:00 UTC", "0ms"),
    ] {
        let stages = vec![stage("mesh", completed, at(0), end)];
        let story = (run(PipelineStatus::Completed, at(0), end), stages);
        let text = plain(&story, Some(80));
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines[0], first_line);
        assert!(
            lines[3].starts_with("mesh") && lines[3].ends_with(took),
            "{text}"
        );
        let (begins, ends) = bars(&story, 80)[1];
        assert!(ends - begins == 1 || end != at(0), "{text}");
    }
}

#[test]
fn a_run_that_nobody_began_has_stages_and_no_scale() {
    let stages = vec![
        stage("mesh", StageStatus::Pending, None, None),
        stage("rig", StageStatus::Pending, None, None),
    ];
    let waiting = Line {
        state: State::Waiting,
        ..run(PipelineStatus::Initializing, None, None)
    };
    assert_eq!(
        plain(&(waiting, stages), Some(80)),
        "STAGE  STATUS          TOOK\n\
         (run)  initializing       -\n\
         mesh   pending            -\n\
         rig    pending            -\n"
    );
}

#[test]
fn a_clock_that_is_ahead_does_not_make_a_stage_end_before_it_began() {
    let stages = vec![stage("mesh", StageStatus::Processing, at(600), None)];
    let story = (run(PipelineStatus::Processing, at(0), None), stages);
    let text = plain(&story, Some(80));
    assert!(text.starts_with("10m 00s from"), "{text}");
    assert!(text.ends_with(" 0ms\n"), "{text}");
    let [run, stage] = bars(&story, 80)[..] else {
        panic!("{text}");
    };
    assert!(run.1 < stage.0, "{text}");
}

#[test]
fn only_an_id_becomes_part_of_a_command() {
    for details in [
        json!({"errorId": "7a51b2c3; reboot"}),
        json!({"errorId": 7}),
        json!(["errorId"]),
        json!(null),
    ] {
        assert_eq!(error_id(Some(&details)), None);
    }
    let of = |id: &str| {
        let failed = Line {
            error_id: error_id(Some(&json!({"errorId": id}))),
            ..stage("rig", StageStatus::Failed, at(0), at(1))
        };
        plain(
            &(run(PipelineStatus::Failed, at(0), at(1)), vec![failed]),
            Some(40),
        )
    };
    // A hash by its beginning, any other whole: it begins with a time that others have.
    let hash = of("7a51b2c3-d4e5-8f60-9123-456789abcdef");
    assert!(
        hash.ends_with("\n  redspan errors show 7a51b2c3\n"),
        "{hash}"
    );
    let made = of("018f0a3b-5c6d-7e8f-9012-3456789abcde");
    let whole = "\n  redspan errors show 018f0a3b-5c6d-7e8f-9012-3456789abcde\n";
    assert!(made.ends_with(whole), "{made}");
}
