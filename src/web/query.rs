//! The part of an address after its `?`, read strictly.

use std::vec;

use axum::{extract::FromRequestParts, http::request::Parts};
use serde::{
    Deserialize, Deserializer, Serialize,
    de::{
        self, DeserializeOwned, IntoDeserializer, Visitor,
        value::{Error as Refusal, MapDeserializer, SeqDeserializer},
    },
};
use utoipa::{IntoParams, ToSchema};

use super::{
    fields::{Given, mistakes, names_of, unknown},
    problem::{FieldProblem, Problem},
};
use crate::{
    domain::NameHasher,
    store::{Cursor, Page, PageRequest},
};

/// What is asked for, in parameters that all may be left out.
pub(super) struct Asked<T>(pub T);

impl<S: Sync, T: DeserializeOwned> FromRequestParts<S> for Asked<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        let mut mistakes = Vec::new();
        let asked = take(Parameters::of(parts), &mut mistakes);
        asked.map(Self).ok_or_else(|| mistakes.into())
    }
}

/// Items on a page of most lists when nobody says how many.
const USUAL_LIMIT: u32 = 100;

/// One page of what matches a filter, of `LIMIT` items when nobody says how many.
pub(super) struct Listing<F, const LIMIT: u32 = USUAL_LIMIT> {
    pub(super) filter: F,
    pub(super) page: PageRequest,
    with_total: bool,
    cursors: Cursors,
}

impl<F, const LIMIT: u32> Listing<F, LIMIT> {
    /// The answer, from the page and, when that is asked for, from how many match.
    pub(super) async fn answer<T, E>(
        &self,
        page: impl Future<Output = Result<Page<T>, E>>,
        count: impl Future<Output = Result<i64, E>>,
    ) -> Result<List<T>, Problem>
    where
        Problem: From<E>,
    {
        let page = page.await?;
        let total = if self.with_total {
            Some(count.await?)
        } else {
            None
        };
        Ok(List {
            items: page.items,
            next_cursor: page.next.map(|cursor| self.cursors.write(&cursor)),
            total,
        })
    }
}

/// One page of a list.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct List<T> {
    /// In order.
    items: Vec<T>,
    /// Where the next page begins, to be given as `cursor`; null at the end.
    next_cursor: Option<String>,
    /// How many match, when `withTotal` asks for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    total: Option<i64>,
}

impl<T> List<T> {
    /// The same of something else.
    pub(super) fn map<U>(self, each: impl FnMut(T) -> U) -> List<U> {
        List {
            items: self.items.into_iter().map(each).collect(),
            next_cursor: self.next_cursor,
            total: self.total,
        }
    }
}

impl<S: Sync, F: DeserializeOwned, const LIMIT: u32> FromRequestParts<S> for Listing<F, LIMIT> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        let mut mistakes = Vec::new();
        let names = names_of::<PageQuery>();
        let (of_page, of_filter): (Vec<_>, Vec<_>) = Parameters::of(parts)
            .0
            .into_iter()
            .partition(|(name, _)| names.contains(&&**name));
        let cursors = Cursors::of(parts.uri.path(), &of_filter);
        let filter = take_beside(Parameters(of_filter), names, &mut mistakes);
        let page: Option<PageQuery> = take(Parameters(of_page), &mut mistakes);
        let with_total = page.as_ref().is_some_and(|page| page.with_total);
        let page = page.map(|page| page.request(LIMIT, &cursors, &mut mistakes));
        let limits = page.iter().flat_map(PageRequest::mistakes);
        mistakes.extend(limits.map(FieldProblem::from));
        match (filter, page) {
            (Some(filter), Some(page)) if mistakes.is_empty() => Ok(Self {
                filter,
                page,
                with_total,
                cursors,
            }),
            _ => Err(mistakes.into()),
        }
    }
}

/// Which page.
#[derive(Default, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub(super) struct PageQuery {
    /// Items on the page: 100 when absent, of runs 50.
    #[param(minimum = 1, maximum = 500)]
    limit: Option<u32>,
    /// Items to skip; further on goes only the cursor. Not with a cursor.
    #[param(maximum = 10_000, default = 0)]
    offset: Option<u32>,
    /// Begin after this: `nextCursor` of the page before, with the same filters.
    #[param(pattern = "^[0-9a-f]{16}_-?[0-9]{1,18}_.+$")]
    cursor: Option<String>,
    /// Count all that match, too.
    with_total: bool,
}

impl PageQuery {
    fn request(
        self,
        usual_limit: u32,
        cursors: &Cursors,
        told: &mut Vec<FieldProblem>,
    ) -> PageRequest {
        let after = self.cursor.and_then(|text| {
            let cursor = cursors.read(&text);
            if cursor.is_none() {
                let advice = "give nextCursor of the page before, with the same filters";
                told.push(FieldProblem::new("cursor", Some(&text), advice));
            }
            cursor
        });
        PageRequest {
            limit: self.limit.unwrap_or(usual_limit),
            offset: self.offset.unwrap_or(0),
            after,
        }
    }
}

/// The cursors of one list under one filter: each begins with a hash of what it leads through, so
/// that one of another list, or one that somebody made up, is not taken for a place in this.
struct Cursors(NameHasher);

impl Cursors {
    fn of(path: &str, filter: &[(String, Texts)]) -> Self {
        let mut filter: Vec<_> = filter.iter().collect();
        filter.sort_by_key(|(name, _)| name);
        let mut list = NameHasher::new("cursor");
        list.field(path.as_bytes());
        for (name, Texts(values)) in filter {
            list.field(name.as_bytes());
            for value in values {
                list.field(value.as_bytes());
            }
        }
        Self(list)
    }

    fn write(&self, cursor: &Cursor) -> String {
        let place = cursor.to_string();
        format!("{}_{place}", self.mark(&place))
    }

    fn read(&self, text: &str) -> Option<Cursor> {
        let (mark, place) = text.split_once('_')?;
        let cursor = place.parse().ok()?;
        (mark == self.mark(place)).then_some(cursor)
    }

    /// 16 hex digits.
    fn mark(&self, place: &str) -> String {
        let mut name = self.0.clone();
        name.field(place.as_bytes());
        format!("{:016x}", name.finish() >> 64)
    }
}

/// All of them are `T`'s.
fn take<T: DeserializeOwned>(given: Parameters, told: &mut Vec<FieldProblem>) -> Option<T> {
    take_beside(given, &[], told)
}

/// Each of them is `T`'s or a mistake; those that somebody else takes are named `others`.
fn take_beside<T: DeserializeOwned>(
    given: Parameters,
    others: &[&str],
    told: &mut Vec<FieldProblem>,
) -> Option<T> {
    let names = names_of::<T>();
    let (known, strange): (Vec<_>, Vec<_>) =
        (given.0.into_iter()).partition(|(name, _)| names.contains(&&**name));
    let all_names = [names, others].concat();
    told.extend(
        strange
            .iter()
            .map(|(name, texts)| unknown(name, &texts.shown(), &all_names)),
    );
    if let Ok(taken) = T::deserialize(MapDeserializer::new(known.clone().into_iter())) {
        return strange.is_empty().then_some(taken);
    }
    told.extend(mistakes::<T, Texts>(known));
    None
}

/// The parameters of an address, each with all its values.
struct Parameters(Vec<(String, Texts)>);

impl Parameters {
    fn of(parts: &Parts) -> Self {
        let query = parts.uri.query().unwrap_or_default();
        let mut parameters: Vec<(String, Texts)> = Vec::new();
        for (name, text) in form_urlencoded::parse(query.as_bytes()) {
            match parameters.iter_mut().find(|(known, _)| *known == name) {
                Some((_, texts)) => texts.0.push(text.into_owned()),
                None => parameters.push((name.into_owned(), Texts(vec![text.into_owned()]))),
            }
        }
        Self(parameters)
    }
}

/// The values of one parameter.
#[derive(Clone)]
struct Texts(Vec<String>);

impl Texts {
    /// The value of a parameter that has one.
    fn one(mut self) -> Result<String, Refusal> {
        match (self.0.pop(), self.0.is_empty()) {
            (Some(text), true) => Ok(text),
            _ => Err(de::Error::custom("give it once")),
        }
    }

    fn parsed<T: std::str::FromStr>(self, expected: &str) -> Result<T, Refusal> {
        let text = self.one()?;
        text.parse()
            .map_err(|_| de::Error::invalid_value(de::Unexpected::Str(&text), &expected))
    }
}

impl Given for Texts {
    type Refusal = Refusal;

    fn shown(&self) -> String {
        self.0.join(", ")
    }
}

impl IntoDeserializer<'_, Refusal> for Texts {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

impl<'de> Deserializer<'de> for Texts {
    type Error = Refusal;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refusal> {
        visitor.visit_string(self.one()?)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refusal> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Refusal> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refusal> {
        visitor.visit_bool(self.parsed("true or false")?)
    }

    fn deserialize_i32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refusal> {
        visitor.visit_i32(self.parsed("a whole number")?)
    }

    fn deserialize_u32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refusal> {
        visitor.visit_u32(self.parsed("a whole number from 0 on")?)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Refusal> {
        visitor.visit_enum(self.one()?.into_deserializer())
    }

    /// Words with commas between them, in one value or in several.
    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refusal> {
        let words: Vec<Texts> = (self.0.iter())
            .flat_map(|text| text.split(','))
            .map(|word| Texts(vec![word.to_owned()]))
            .collect();
        visitor.visit_seq(SeqDeserializer::<vec::IntoIter<Texts>, Refusal>::new(
            words.into_iter(),
        ))
    }

    serde::forward_to_deserialize_any! {
        i8 i16 i64 i128 u8 u16 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct tuple
        tuple_struct map struct identifier ignored_any
    }
}
