//! The closed sets of words that columns, labels and JSON share.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A word that is none of a closed set's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{value:?} is no {set}; it is one of {allowed}")]
pub struct UnknownName {
    /// The set, as its column is called: `severity`, `category`, …
    pub set: &'static str,
    /// What was given.
    pub value: String,
    /// The words of the set, separated by commas.
    pub allowed: String,
}

macro_rules! names {
    ($(#[$meta:meta])* $name:ident $set:literal { $($(#[$doc:meta])* $variant:ident = $text:literal,)+ }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize, ToSchema)]
        #[serde(rename_all = "snake_case")]
        pub enum $name { $($(#[$doc])* $variant,)+ }

        impl $name {
            /// Every value, in the order of their declaration.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The word used in SQL, JSON, labels and on the command line.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)+ }
            }
        }

        impl FromStr for $name {
            type Err = UnknownName;

            fn from_str(text: &str) -> Result<Self, UnknownName> {
                match text {
                    $($text => Ok(Self::$variant),)+
                    _ => Err(UnknownName {
                        set: $set,
                        value: text.to_owned(),
                        allowed: [$($text),+].join(", "),
                    }),
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}

names! {
    /// How bad an error is (`error_severity`).
    Severity "severity" {
        /// Kept by a rule of the user only.
        Debug = "debug",
        /// Kept by a rule of the user only.
        Info = "info",
        /// Handled, contained, or the client's own mistake.
        Warning = "warning",
        /// A failure.
        Error = "error",
        /// The process cannot go on: out of memory, stack overflow, a FATAL log record.
        Critical = "critical",
    }
}

names! {
    /// What kind of thing went wrong (`error_category`).
    Category "category" {
        /// The input was refused.
        Validation = "validation",
        /// Who is it?
        Authentication = "authentication",
        /// May they?
        Authorization = "authorization",
        /// A service that was called failed.
        ExternalApi = "external_api",
        /// A database that was called failed.
        Database = "database",
        /// A file or folder.
        FileSystem = "file_system",
        /// Connection, name resolution, TLS or time-out.
        Network = "network",
        /// Any other exception of the application.
        Application = "application",
        /// Nothing says.
        Unknown = "unknown",
    }
}

names! {
    /// Where a generation pipeline stands (`pipeline_status`).
    PipelineStatus "pipeline status" {
        /// Created, not started.
        Initializing = "initializing",
        /// At work.
        Processing = "processing",
        /// Finished well.
        Completed = "completed",
        /// Finished with an error.
        Failed = "failed",
        /// Stopped on purpose.
        Cancelled = "cancelled",
    }
}

names! {
    /// Where one stage of a pipeline stands (`stage_status`).
    StageStatus "stage status" {
        /// Not started.
        Pending = "pending",
        /// At work.
        Processing = "processing",
        /// Finished well.
        Completed = "completed",
        /// Finished with an error.
        Failed = "failed",
        /// Left out on purpose.
        Skipped = "skipped",
    }
}

names! {
    /// Who said where a run, or a stage, stands.
    StatusBy "status source" {
        /// Application code, through the API or the repository. An outcome that it wrote stays.
        Api = "api",
        /// Spans: later ones may change it.
        Spans = "spans",
    }
}
