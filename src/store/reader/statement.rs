//! A statement in the making. SQL comes in as texts of the program, values come in bound: there is
//! no way to put a value into the SQL.

use std::borrow::Cow;

use sqlx::error::BoxDynError;

use super::dialect::{Dialect, Stored};

/// A statement of the shared dialect with its values.
pub struct Statement<DB: Dialect> {
    sql: String,
    arguments: DB::Arguments,
    bound: usize,
    refused: Option<BoxDynError>,
}

impl<DB: Dialect> Statement<DB> {
    /// Begins with this text.
    pub fn new(sql: &'static str) -> Self {
        Self {
            sql: sql.to_owned(),
            arguments: DB::Arguments::default(),
            bound: 0,
            refused: None,
        }
    }

    /// Adds text.
    pub fn push(&mut self, sql: &'static str) -> &mut Self {
        self.sql.push_str(sql);
        self
    }

    /// Adds a value.
    pub fn bind<T: Stored>(&mut self, value: T) -> &mut Self {
        self.bound += 1;
        self.sql.push('$');
        self.sql.push_str(&self.bound.to_string());
        if let Err(refused) = DB::bind(&mut self.arguments, value) {
            self.refused.get_or_insert(refused);
        }
        self
    }

    /// Adds text with a value after it.
    pub fn with<T: Stored>(&mut self, sql: &'static str, value: T) -> &mut Self {
        self.push(sql).bind(value)
    }

    /// Adds `sql` and the value when there is one.
    pub fn when<T: Stored>(&mut self, sql: &'static str, value: Option<T>) -> &mut Self {
        if let Some(value) = value {
            self.with(sql, value);
        }
        self
    }

    /// The same for text, as it would have been stored.
    pub fn when_text(&mut self, sql: &'static str, value: Option<&str>) -> &mut Self {
        self.when(sql, value.map(|text| as_stored(text).into_owned()))
    }

    /// Adds `sql`, which ends with `IN (`, and the values, unless there are none.
    pub fn when_one_of<T: Stored + Copy>(&mut self, sql: &'static str, values: &[T]) -> &mut Self {
        self.when_one_of_words(sql, ["", ""], values)
    }

    /// The same for words of an enum, each between `before` and `after`.
    pub fn when_one_of_words<T: Stored + Copy>(
        &mut self,
        sql: &'static str,
        [before, after]: [&'static str; 2],
        words: &[T],
    ) -> &mut Self {
        for (index, &word) in words.iter().enumerate() {
            self.push(if index == 0 { sql } else { ", " })
                .with(before, word)
                .push(after);
        }
        if !words.is_empty() {
            self.push(")");
        }
        self
    }

    /// Adds values with commas between them.
    pub fn list<T: Stored>(&mut self, values: impl IntoIterator<Item = T>) -> &mut Self {
        for (index, value) in values.into_iter().enumerate() {
            self.with(if index == 0 { "" } else { ", " }, value);
        }
        self
    }

    /// Every row of the answer, made into something by `read`.
    pub async fn all<T: Send>(
        self,
        connection: &mut DB::Connection,
        read: impl Fn(&DB::Row) -> Result<T, sqlx::Error> + Send + Sync,
    ) -> Result<Vec<T>, sqlx::Error> {
        let mut answer = Vec::new();
        self.for_each(connection, |row| {
            answer.push(read(&row)?);
            Ok(())
        })
        .await?;
        Ok(answer)
    }

    /// Hands each row of the answer over, without keeping any.
    pub async fn for_each(
        self,
        connection: &mut DB::Connection,
        each: impl FnMut(DB::Row) -> Result<(), sqlx::Error> + Send,
    ) -> Result<(), sqlx::Error> {
        if let Some(refused) = self.refused {
            return Err(sqlx::Error::Encode(refused));
        }
        DB::for_each(connection, self.sql, self.arguments, each).await
    }

    /// Runs it; returns how many rows it changed.
    pub async fn execute(self, connection: &mut DB::Connection) -> Result<u64, sqlx::Error> {
        if let Some(refused) = self.refused {
            return Err(sqlx::Error::Encode(refused));
        }
        DB::execute(connection, self.sql, self.arguments).await
    }
}

/// The text as it is when it is stored: PostgreSQL keeps no NUL, so both databases hold U+FFFD.
pub fn as_stored(text: &str) -> Cow<'_, str> {
    if text.contains('\0') {
        Cow::Owned(text.replace('\0', "\u{fffd}"))
    } else {
        Cow::Borrowed(text)
    }
}
