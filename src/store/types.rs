//! How the vocabulary is bound and read: the same Rust type is INTEGER or TEXT on SQLite and
//! `timestamptz`, `uuid` or a native enum on PostgreSQL.

use std::str::FromStr;

use chrono::{DateTime, Utc};
use sqlx::{
    Database, Decode, Encode, Postgres, Sqlite, Type,
    encode::IsNull,
    error::BoxDynError,
    postgres::{PgArgumentBuffer, PgHasArrayType, PgTypeInfo, PgValueRef},
    sqlite::{SqliteArgumentsBuffer, SqliteTypeInfo, SqliteValueRef},
};
use uuid::Uuid;

use crate::domain::{
    AggregationId, AuditId, Category, ErrorId, Fingerprint, GroupStatus, Hour, ImportKey,
    PipelineId, PipelineStatus, RequestDigest, RequestTotalsId, Severity, SpanId, StageStatus,
    StatusBy, Timestamp, TraceId, TraceKey, UserKey,
};

/// Implements both databases' traits for `$name` by way of the plain types that the drivers know.
macro_rules! stored_as {
    ($name:ty, sqlite $lite:ty, postgres $pg:ty,
     |$value:ident| $to_lite:expr, $to_pg:expr,
     |$lite_value:ident| $from_lite:expr, |$pg_value:ident| $from_pg:expr $(,)?) => {
        impl Type<Sqlite> for $name {
            fn type_info() -> SqliteTypeInfo {
                <$lite as Type<Sqlite>>::type_info()
            }

            fn compatible(ty: &SqliteTypeInfo) -> bool {
                <$lite as Type<Sqlite>>::compatible(ty)
            }
        }

        impl Encode<'_, Sqlite> for $name {
            fn encode_by_ref(
                &self,
                buffer: &mut SqliteArgumentsBuffer,
            ) -> Result<IsNull, BoxDynError> {
                let $value = self;
                let stored: $lite = $to_lite;
                Encode::<Sqlite>::encode(stored, buffer)
            }
        }

        impl<'r> Decode<'r, Sqlite> for $name {
            fn decode(value: SqliteValueRef<'r>) -> Result<Self, BoxDynError> {
                let $lite_value = <$lite as Decode<Sqlite>>::decode(value)?;
                $from_lite
            }
        }

        impl Type<Postgres> for $name {
            fn type_info() -> PgTypeInfo {
                <$pg as Type<Postgres>>::type_info()
            }

            fn compatible(ty: &PgTypeInfo) -> bool {
                <$pg as Type<Postgres>>::compatible(ty)
            }
        }

        impl PgHasArrayType for $name {
            fn array_type_info() -> PgTypeInfo {
                <$pg as PgHasArrayType>::array_type_info()
            }
        }

        impl Encode<'_, Postgres> for $name {
            fn encode_by_ref(&self, buffer: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
                let $value = self;
                let stored: $pg = $to_pg;
                Encode::<Postgres>::encode(stored, buffer)
            }
        }

        impl<'r> Decode<'r, Postgres> for $name {
            fn decode(value: PgValueRef<'r>) -> Result<Self, BoxDynError> {
                let $pg_value = <$pg as Decode<Postgres>>::decode(value)?;
                $from_pg
            }
        }
    };
}

stored_as!(
    Timestamp, sqlite i64, postgres DateTime<Utc>,
    |at| at.as_micros(), at.to_datetime(),
    |micros| Ok(Self::from_micros(micros)), |at| Ok(at.into()),
);

stored_as!(
    Hour, sqlite i64, postgres DateTime<Utc>,
    |hour| hour.start().as_micros(), hour.start().to_datetime(),
    |micros| Ok(Self::containing(Timestamp::from_micros(micros))),
    |at| Ok(Self::containing(at.into())),
);

macro_rules! stored_as_uuid {
    ($($name:ident),+) => {$(
        stored_as!(
            $name, sqlite String, postgres Uuid,
            |id| id.0.to_string(), id.0,
            |text| Ok(Self(Uuid::try_parse(&text)?)), |id| Ok(Self(id)),
        );
    )+};
}

stored_as_uuid!(ErrorId, AggregationId, TraceKey, AuditId, RequestTotalsId);

macro_rules! stored_as_hex {
    ($($name:ident),+) => {$(
        stored_as!(
            $name, sqlite String, postgres String,
            |id| id.to_string(), id.to_string(),
            |text| Self::from_hex(text.as_bytes()).ok_or_else(|| unknown(stringify!($name), &text)),
            |text| Self::from_hex(text.as_bytes()).ok_or_else(|| unknown(stringify!($name), &text)),
        );
    )+};
}

stored_as_hex!(TraceId, SpanId);

stored_as!(
    Fingerprint, sqlite String, postgres String,
    |fingerprint| fingerprint.0.clone(), fingerprint.0.clone(),
    |text| Ok(Self(text)), |text| Ok(Self(text)),
);

stored_as!(
    PipelineId, sqlite String, postgres String,
    |id| id.as_str().to_owned(), id.as_str().to_owned(),
    |text| Ok(Self::try_from(text)?), |text| Ok(Self::try_from(text)?),
);

stored_as!(
    UserKey, sqlite i64, postgres i64,
    |key| key.0, key.0,
    |key| Ok(Self(key)), |key| Ok(Self(key)),
);

stored_as!(
    RequestDigest, sqlite Vec<u8>, postgres Vec<u8>,
    |digest| digest.0.to_vec(), digest.0.to_vec(),
    |bytes| Ok(Self(bytes.as_slice().try_into()?)), |bytes| Ok(Self(bytes.as_slice().try_into()?)),
);

stored_as!(
    ImportKey, sqlite Vec<u8>, postgres Vec<u8>,
    |key| key.0.to_vec(), key.0.to_vec(),
    |bytes| Ok(Self(bytes.as_slice().try_into()?)), |bytes| Ok(Self(bytes.as_slice().try_into()?)),
);

stored_as!(
    GroupStatus, sqlite String, postgres String,
    |status| status.as_str().to_owned(), status.as_str().to_owned(),
    |text| group_status(&text), |text| group_status(&text),
);

stored_as!(
    StatusBy, sqlite String, postgres String,
    |by| by.as_str().to_owned(), by.as_str().to_owned(),
    |text| Ok(text.parse()?), |text| Ok(text.parse()?),
);

fn group_status(text: &str) -> Result<GroupStatus, BoxDynError> {
    [
        GroupStatus::Open,
        GroupStatus::Resolved,
        GroupStatus::Ignored,
    ]
    .into_iter()
    .find(|status| status.as_str() == text)
    .ok_or_else(|| unknown("group status", text))
}

fn unknown(what: &str, text: &str) -> BoxDynError {
    format!("{text:?} is no {what}").into()
}

/// Native enums on PostgreSQL, looked up by name once on each connection, before a statement that
/// binds one is prepared. Read them as text (`CAST(severity AS TEXT)`): the driver would look the
/// type of a column up after it has prepared the statement, and lose one that has no name.
macro_rules! stored_as_enum {
    ($($name:ident $sql:literal,)+) => {$(
        impl Type<Sqlite> for $name {
            fn type_info() -> SqliteTypeInfo {
                <str as Type<Sqlite>>::type_info()
            }

            fn compatible(ty: &SqliteTypeInfo) -> bool {
                <str as Type<Sqlite>>::compatible(ty)
            }
        }

        impl Encode<'_, Sqlite> for $name {
            fn encode_by_ref(
                &self,
                buffer: &mut SqliteArgumentsBuffer,
            ) -> Result<IsNull, BoxDynError> {
                Encode::<Sqlite>::encode(self.as_str(), buffer)
            }
        }

        impl Type<Postgres> for $name {
            fn type_info() -> PgTypeInfo {
                PgTypeInfo::with_name($sql)
            }

            fn compatible(ty: &PgTypeInfo) -> bool {
                sqlx::TypeInfo::name(ty) == $sql || <str as Type<Postgres>>::compatible(ty)
            }
        }

        impl Encode<'_, Postgres> for $name {
            fn encode_by_ref(&self, buffer: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
                Encode::<Postgres>::encode(self.as_str(), buffer)
            }
        }

        impl<'r, DB> Decode<'r, DB> for $name
        where
            DB: Database,
            &'r str: Decode<'r, DB>,
        {
            fn decode(value: DB::ValueRef<'r>) -> Result<Self, BoxDynError> {
                Ok(Self::from_str(<&'r str as Decode<'r, DB>>::decode(value)?)?)
            }
        }
    )+};
}

stored_as_enum! {
    Severity "error_severity",
    Category "error_category",
    PipelineStatus "pipeline_status",
    StageStatus "stage_status",
}
