//! `redspan demo`: a small shop's traffic, sent by the OpenTelemetry SDK to a running redspan, so that
//! lists, charts and alerts have something to show.

mod send;
mod shop;
mod story;

use std::{
    collections::BTreeMap,
    thread,
    time::{Duration, Instant, SystemTime},
};

use clap::Args;
use serde::Serialize;

use crate::{
    config::{Config, HttpUrl, local_url, parse_duration},
    failure::Failure,
    shutdown::{self, Stop},
};

use super::{
    json,
    screen::{Screen, Style, print},
    table::{Cell, Table, column},
    text::{count, thousands},
};
use send::{Services, Target};
use shop::STORIES;
use story::{Expected, Story};

/// Spans that may wait before they are flushed.
const FLUSH_SPANS: u64 = 4_000;

/// How long a signal to stop may go unheard.
const NAP: Duration = Duration::from_millis(100);

/// Requests an hour of the past, at most: a chart needs no more.
const PAST_REQUESTS_AN_HOUR: f64 = 1_000.0;

/// redspan takes older times for broken clocks.
const OLDEST_PAST: Duration = Duration::from_hours(30 * 24);

/// Send a small shop's traffic.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct Demo {
    /// Where redspan takes OTLP over HTTP [default: the address in the configuration]
    #[arg(long, value_name = "URL")]
    to: Option<HttpUrl>,
    /// Requests a second
    #[arg(long, value_name = "NUMBER", default_value_t = 10.0, value_parser = rate)]
    rate: f64,
    /// For so many seconds
    #[arg(long, value_name = "NUMBER", default_value_t = 30)]
    seconds: u32,
    /// Before that, the traffic of this much of the past: 6h, 2d
    #[arg(long, value_name = "DURATION", value_parser = past)]
    backfill: Option<Duration>,
    /// Print what was sent as JSON
    #[arg(long)]
    json: bool,
}

const EXAMPLES: &str = "\
Examples:
  redspan demo                       30 seconds of a shop's traffic
  redspan demo --backfill 6h         with the last six hours before them
  redspan demo --rate 100 --seconds 600";

fn rate(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(rate) if (0.01..=10_000.0).contains(&rate) => Ok(rate),
        _ => Err("a number from 0.01 to 10000".to_owned()),
    }
}

fn past(text: &str) -> Result<Duration, String> {
    let past = parse_duration(text).ok_or("a duration like 90m, 6h or 2d")?;
    if past > OLDEST_PAST {
        return Err("at most 30d: older times are taken for those of a broken clock".to_owned());
    }
    Ok(past)
}

/// What was sent, and what redspan must have made of it.
#[derive(Serialize, Default, Debug)]
struct Sent {
    requests: u64,
    spans: u64,
    errors: Vec<Counted>,
}

#[derive(Serialize, Debug)]
struct Counted {
    #[serde(flatten)]
    kind: Expected,
    count: u64,
}

/// Sends, and says what it sent. A signal to stop ends the sending, not the saying.
///
/// # Errors
/// Nothing answers there, or it refuses.
pub async fn run(demo: Demo, config: Config, screen: Screen) -> Result<(), Failure> {
    let stop = shutdown::on_signals()?;
    let sending = tokio::task::spawn_blocking(move || {
        let target = target(&demo, &config)?;
        let mut run = Run::new(&target, stop)?;
        eprintln!(
            "sending to {}: {}{} requests a second for {} s; Ctrl-C ends it",
            target.url.as_str(),
            demo.backfill.map_or("", |_| "the past, then "),
            demo.rate,
            demo.seconds
        );
        if let Some(past) = demo.backfill {
            run.past(past, demo.rate)?;
        }
        run.present(&demo)?;
        let sent = run.finish()?;
        if demo.json {
            return print(&json(&sent)?);
        }
        print(&screen.show(&sent.told(&demo, &config, screen)))
    });
    let sent = sending.await;
    sent.unwrap_or_else(|panic| Err(Failure::Internal(panic.to_string())))
}

fn target(demo: &Demo, config: &Config) -> Result<Target, Failure> {
    let url = if let Some(url) = &demo.to {
        url.clone()
    } else {
        let url = local_url(config.otlp.http.listen).parse();
        url.map_err(Failure::Internal)?
    };
    let token = config.auth.ingest_token.first();
    Ok(Target {
        url,
        token: token.map(|token| token.expose().to_owned()),
    })
}

/// A demo on its way.
struct Run<'t> {
    target: &'t Target,
    services: Services,
    stop: Stop,
    random: fastrand::Rng,
    requests: u64,
    spans: u64,
    unflushed: u64,
    errors: BTreeMap<Expected, u64>,
}

impl<'t> Run<'t> {
    fn new(target: &'t Target, stop: Stop) -> Result<Self, Failure> {
        let names = STORIES.iter().flat_map(|story| story.step.services());
        Ok(Self {
            target,
            stop,
            services: Services::new(names, target).map_err(Failure::Usage)?,
            random: fastrand::Rng::new(),
            requests: 0,
            spans: 0,
            unflushed: 0,
            errors: BTreeMap::new(),
        })
    }

    /// Requests at even distances over the past.
    fn past(&mut self, past: Duration, rate: f64) -> Result<(), Failure> {
        let an_hour = (rate * 3_600.0).min(PAST_REQUESTS_AN_HOUR);
        let distance = Duration::from_secs_f64(3_600.0 / an_hour);
        let now = SystemTime::now();
        let mut ago = past;
        while ago > distance && !self.stop.is_given() {
            self.request(now - ago)?;
            ago -= distance;
        }
        self.flush()
    }

    /// Requests as they would come.
    fn present(&mut self, demo: &Demo) -> Result<(), Failure> {
        let began = Instant::now();
        let lasts = Duration::from_secs(u64::from(demo.seconds));
        let distance = Duration::from_secs_f64(1.0 / demo.rate);
        let mut due = Duration::ZERO;
        while due < lasts && !self.stop.is_given() {
            // Short naps: a signal to stop is heard soon.
            let wait = due.saturating_sub(began.elapsed());
            if wait > NAP {
                thread::sleep(NAP);
                continue;
            }
            thread::sleep(wait);
            self.request(SystemTime::now())?;
            due += distance;
        }
        self.flush()
    }

    /// A request that ends about now.
    fn request(&mut self, end: SystemTime) -> Result<(), Failure> {
        let story = self.any_story();
        let number = self.random.u32(10_000..100_000).to_string();
        let customer = self.random.u32(1..200).to_string();
        let fill = |text: &str| {
            if text.contains('{') {
                text.replace("{number}", &number)
                    .replace("{customer}", &customer)
            } else {
                text.to_owned()
            }
        };
        let start = end - story.step.lasts();
        let (spans, _) = self.services.tell(&story.step, start, &fill);
        self.requests += story.step.requests();
        self.spans += spans;
        self.unflushed += spans;
        for error in story.errors {
            *self.errors.entry(*error).or_default() += 1;
        }
        // The first one shows at once whether anybody is there.
        if self.requests == story.step.requests() || self.unflushed >= FLUSH_SPANS {
            self.flush()?;
        }
        Ok(())
    }

    fn any_story(&mut self) -> &'static Story {
        let all: u32 = STORIES.iter().map(|story| story.weight).sum();
        let mut at = self.random.u32(0..all);
        for story in STORIES {
            match at.checked_sub(story.weight) {
                Some(left) => at = left,
                None => return story,
            }
        }
        &STORIES[0]
    }

    fn flush(&mut self) -> Result<(), Failure> {
        self.unflushed = 0;
        let sent = self.services.flush();
        sent.map(drop).map_err(|message| self.unsent(&message))
    }

    fn unsent(&self, message: &str) -> Failure {
        let advice = if message.ends_with("401") {
            "it asks for a token: give this command the configuration of that redspan, or set \
             REDSPAN_AUTH_INGEST_TOKEN"
        } else if message.ends_with("404") {
            "that is no port for OTLP over HTTP, which is 4318 unless otlp.http.listen says otherwise"
        } else if message.ends_with("429") || message.ends_with("503") {
            "it cannot take more just now: look at its log, or lower --rate"
        } else {
            "is redspan running there? start it with `redspan`, or say where it is with --to URL"
        };
        let url = self.target.url.as_str();
        Failure::Unreachable(format!(
            "the spans could not be sent to {url}: {message}\n{advice}"
        ))
    }

    fn finish(self) -> Result<Sent, Failure> {
        let acknowledged = self.services.flush();
        let acknowledged = acknowledged.map_err(|message| self.unsent(&message))?;
        if acknowledged != self.spans {
            return Err(Failure::Internal(format!(
                "{} spans were made and {acknowledged} acknowledged",
                self.spans
            )));
        }
        let errors = self.errors.into_iter();
        Ok(Sent {
            requests: self.requests,
            spans: self.spans,
            errors: errors
                .map(|(kind, count)| Counted { kind, count })
                .collect(),
        })
    }
}

impl Sent {
    fn told(&self, demo: &Demo, config: &Config, screen: Screen) -> String {
        let number = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        let failures: u64 = self.errors.iter().map(|error| error.count).sum();
        let found = if failures == 0 {
            "nothing failed in them".to_owned()
        } else {
            let table = self.table(screen);
            format!("{} in them:\n\n{table}", count(number(failures), "failure"))
        };
        let since = match demo.backfill {
            None => "1h".to_owned(),
            Some(past) => format!("{}h", past.as_secs().div_ceil(3_600) + 1),
        };
        format!(
            "{} acknowledged, {} to the shop's services; {found}\n\
             look at them:\n\
             \u{20} redspan errors list --since {since}\n\
             \u{20} redspan errors stats --since {since}\n\
             \u{20} curl {}/metrics\n",
            count(number(self.spans), "span"),
            count(number(self.requests), "request"),
            local_url(config.http.listen)
        )
    }

    fn table(&self, screen: Screen) -> String {
        let mut table = Table::new(&[
            column("COUNT").number(),
            column("SERVICE").whole(),
            column("ENDPOINT"),
            column("ERROR"),
            column("SEVERITY").whole(),
            column("CATEGORY").for_wide(),
        ]);
        let mut errors: Vec<&Counted> = self.errors.iter().collect();
        errors.sort_by_key(|error| std::cmp::Reverse(error.count));
        for Counted { kind, count } in errors {
            table.row([
                Cell::new(
                    &thousands(i64::try_from(*count).unwrap_or(i64::MAX)),
                    Style::Plain,
                ),
                Cell::new(kind.service, Style::Plain),
                Cell::new(kind.endpoint, Style::Plain),
                Cell::new(kind.error, Style::Bold),
                Cell::new(kind.severity.as_str(), Style::Severity(kind.severity)),
                Cell::new(kind.category.as_str(), Style::Plain),
            ]);
        }
        table.into_text(screen)
    }
}
