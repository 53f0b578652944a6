//! `redspan errors resolve`, `reopen` and `ignore`: what people say of errors and groups.

use clap::Args;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    cli::{screen::print, text::one_line, through::Ledger},
    domain::{ApiError, ErrorGroup, Fingerprint},
    failure::Failure,
};

use super::{Through, id_range::IdRange, summary};

const RESOLVE_EXAMPLES: &str = "\
Examples:
  redspan errors resolve f9642518 --by ada                    one error
  redspan errors resolve 1:0f3a9c --by ada --version 1.4.3    a group, with the version of the fix
  redspan errors resolve f9642518 --by ada --url http://127.0.0.1:9464";

const REOPEN_EXAMPLES: &str = "\
Examples:
  redspan errors reopen f9642518
  redspan errors reopen 1:0f3a9c --url http://127.0.0.1:9464";

const IGNORE_EXAMPLES: &str = "\
Examples:
  redspan errors ignore 1:0f3a9c     the fingerprint that `errors show` tells";

/// `errors resolve`
#[derive(Args, Debug)]
#[command(after_help = RESOLVE_EXAMPLES)]
pub struct Resolve {
    /// Errors by their ids (their beginnings are enough), or groups by their fingerprints
    #[arg(required = true, value_name = "ID|FINGERPRINT")]
    subjects: Vec<String>,
    /// Who took care of it
    #[arg(long, value_name = "NAME")]
    by: String,
    /// How
    #[arg(long, value_name = "TEXT")]
    resolution: Option<String>,
    /// For groups: the first version with the fix. Errors of older ones do not reopen them
    #[arg(long, value_name = "VERSION")]
    version: Option<String>,
    #[command(flatten)]
    pub(super) through: Through,
}

/// `errors reopen`
#[derive(Args, Debug)]
#[command(after_help = REOPEN_EXAMPLES)]
pub struct Reopen {
    /// Errors by their ids (their beginnings are enough), or groups by their fingerprints
    #[arg(required = true, value_name = "ID|FINGERPRINT")]
    subjects: Vec<String>,
    #[command(flatten)]
    pub(super) through: Through,
}

/// `errors ignore`
#[derive(Args, Debug)]
#[command(after_help = IGNORE_EXAMPLES)]
pub struct Ignore {
    /// Groups by their fingerprints
    #[arg(required = true, value_name = "FINGERPRINT")]
    groups: Vec<String>,
    #[command(flatten)]
    pub(super) through: Through,
}

impl Resolve {
    pub(super) async fn run(&self, ledger: &Ledger) -> Result<(), Failure> {
        let what = What::Resolve(self);
        change_all(&what, &self.subjects, ledger).await
    }
}

impl Reopen {
    pub(super) async fn run(&self, ledger: &Ledger) -> Result<(), Failure> {
        change_all(&What::Reopen, &self.subjects, ledger).await
    }
}

impl Ignore {
    pub(super) async fn run(&self, ledger: &Ledger) -> Result<(), Failure> {
        change_all(&What::Ignore, &self.groups, ledger).await
    }
}

/// What to do.
enum What<'a> {
    Resolve(&'a Resolve),
    Reopen,
    Ignore,
}

/// Changes one after the other and says so, until one cannot be changed.
async fn change_all(what: &What<'_>, subjects: &[String], ledger: &Ledger) -> Result<(), Failure> {
    for subject in subjects {
        let changed = what.change(subject, ledger).await?;
        print(&format!("{} {}\n", what.done(), one_line(&changed)))?;
    }
    Ok(())
}

impl What<'_> {
    const fn verb(&self) -> &'static str {
        match self {
            Self::Resolve(_) => "resolve",
            Self::Reopen => "reopen",
            Self::Ignore => "ignore",
        }
    }

    const fn done(&self) -> &'static str {
        match self {
            Self::Resolve(_) => "resolved",
            Self::Reopen => "reopened",
            Self::Ignore => "ignored",
        }
    }

    /// Changes an error, or else a group; answers what that is.
    async fn change(&self, subject: &str, ledger: &Ledger) -> Result<String, Failure> {
        let ids = IdRange::parse(subject).ok();
        if let Some(ids) = &ids
            && !matches!(self, Self::Ignore)
            && let Some(error) = self.change_error(ids, ledger).await?
        {
            return Ok(error);
        }
        if let Some(group) = self.change_group(subject, ledger).await? {
            return Ok(group);
        }
        let subject = one_line(subject);
        Err(Failure::Usage(match (self, ids) {
            (Self::Ignore, _) => format!(
                "there is no group {subject}: `redspan errors show` tells the fingerprint of an error"
            ),
            (_, Some(ids)) if ids.whole().is_none() && matches!(ledger, Ledger::Server(_)) => {
                format!("there is no group {subject}; an error is named by its whole id with --url")
            }
            _ => format!("there is no error and no group {subject}"),
        }))
    }

    async fn change_error(
        &self,
        ids: &IdRange,
        ledger: &Ledger,
    ) -> Result<Option<String>, Failure> {
        match ledger {
            Ledger::Server(server) => {
                let Some(id) = ids.whole() else {
                    return Ok(None);
                };
                let path = ["errors", &id.to_string(), self.verb()];
                let error = server.post_to(&path, &self.body()).await?;
                Ok(error.map(ChangedError::named))
            }
            Ledger::Database(opened) => {
                let Some(id) = ids.find(&*opened.reader).await? else {
                    return Ok(None);
                };
                let error = match self {
                    Self::Resolve(how) => {
                        let resolution = how.resolution.as_deref();
                        opened.errors.resolve_error(id, &how.by, resolution).await
                    }
                    Self::Reopen | Self::Ignore => opened.errors.reopen_error(id).await,
                };
                Ok(error?.map(|error| of_error(&error)))
            }
        }
    }

    async fn change_group(
        &self,
        fingerprint: &str,
        ledger: &Ledger,
    ) -> Result<Option<String>, Failure> {
        match ledger {
            Ledger::Server(server) => {
                let mut body = self.body();
                if let Self::Resolve(how) = self {
                    body["resolvedVersion"] = json!(how.version);
                }
                let path = ["groups", fingerprint, self.verb()];
                let group = server.post_to(&path, &body).await?;
                Ok(group.map(ChangedGroup::named))
            }
            Ledger::Database(opened) => {
                let errors = &opened.errors;
                let fingerprint = Fingerprint(fingerprint.to_owned());
                let group = match self {
                    Self::Resolve(how) => {
                        let (resolution, version) =
                            (how.resolution.as_deref(), how.version.as_deref());
                        errors
                            .resolve_group(&fingerprint, &how.by, resolution, version)
                            .await
                    }
                    Self::Reopen => errors.reopen_group(&fingerprint).await,
                    Self::Ignore => errors.ignore_group(&fingerprint).await,
                };
                Ok(group?.map(|group| of_group(&group)))
            }
        }
    }

    /// What the API is told.
    fn body(&self) -> Value {
        match self {
            Self::Resolve(how) => json!({"resolvedBy": how.by, "resolution": how.resolution}),
            Self::Reopen | Self::Ignore => json!({}),
        }
    }
}

/// What the API answers of an error.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ChangedError {
    id: String,
    error_code: Option<String>,
    error_message: String,
}

/// The same of a group.
#[derive(Deserialize)]
struct ChangedGroup {
    fingerprint: String,
    title: String,
}

impl ChangedError {
    fn named(self) -> String {
        let what = summary(self.error_code.as_deref(), &self.error_message);
        format!("error {}: {what}", self.id)
    }
}

impl ChangedGroup {
    fn named(self) -> String {
        format!("group {}: {}", self.fingerprint, self.title)
    }
}

fn of_error(error: &ApiError) -> String {
    let what = summary(error.error_code.as_deref(), &error.error_message);
    format!("error {}: {what}", error.id)
}

fn of_group(group: &ErrorGroup) -> String {
    format!("group {}: {}", group.fingerprint, group.title)
}
