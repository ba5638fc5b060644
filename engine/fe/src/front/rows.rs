//! Results that the frontend writes itself, all text, as StarRocks' `SHOW` statements have them.

use std::borrow::Cow;

use springtide_mysql::{Column, MysqlError, ResultWriter, Value};
use springtide_sql::{ColumnFilter, ShowFilter};

/// A small result.
#[derive(Debug, Default)]
pub(crate) struct Rows {
    pub(crate) columns: Vec<Cow<'static, str>>,
    pub(crate) rows: Vec<Vec<Option<String>>>,
}

impl Rows {
    pub(crate) fn new(columns: &[&'static str]) -> Self {
        Self {
            columns: columns.iter().map(|name| Cow::Borrowed(*name)).collect(),
            rows: Vec::new(),
        }
    }

    pub(crate) fn push(&mut self, row: Vec<Option<String>>) {
        debug_assert_eq!(row.len(), self.columns.len());
        self.rows.push(row);
    }

    /// A row without `NULL`.
    pub(crate) fn push_text<const N: usize>(&mut self, row: [String; N]) {
        self.push(row.into_iter().map(Some).collect());
    }

    /// Keeps the rows that `filter` wants.
    pub(crate) fn filter(&mut self, filter: Option<&ShowFilter>) {
        let columns = &self.columns;
        match filter {
            None => {}
            Some(ShowFilter::Like(pattern)) => {
                self.rows.retain(|row| {
                    row.first()
                        .and_then(Option::as_deref)
                        .is_some_and(|text| like(pattern, text))
                });
            }
            Some(ShowFilter::AnyOf(filters)) => {
                let wanted = |row: &[Option<String>], filter: &ColumnFilter| {
                    let index = columns
                        .iter()
                        .position(|name| name.eq_ignore_ascii_case(&filter.column));
                    let Some(text) = index.and_then(|index| row.get(index)).and_then(Option::as_deref) else {
                        return false;
                    };
                    if filter.like {
                        like(&filter.pattern, text)
                    } else {
                        text.eq_ignore_ascii_case(&filter.pattern)
                    }
                };
                self.rows.retain(|row| filters.iter().any(|filter| wanted(row, filter)));
            }
        }
    }

    pub(crate) async fn write(&self, out: &mut ResultWriter) -> Result<(), MysqlError> {
        let columns: Vec<Column> = self.columns.iter().map(|name| Column::text(name.clone())).collect();
        out.result_set(&columns).await?;
        for row in &self.rows {
            let values: Vec<Value<'_>> = row
                .iter()
                .map(|value| value.as_ref().map_or(Value::Null, Value::bytes))
                .collect();
            out.row(&values).await?;
        }
        Ok(out.finish().await?)
    }
}

/// MySQL's `LIKE` without regard to case: `%` any run, `_` any one character, `\` takes the next as it is.
pub(crate) fn like(pattern: &str, text: &str) -> bool {
    #[derive(PartialEq)]
    enum Piece {
        Run,
        One,
        Letter(char),
    }
    let mut pieces = Vec::new();
    let mut letters = pattern.chars().flat_map(char::to_lowercase);
    while let Some(letter) = letters.next() {
        pieces.push(match letter {
            '%' => Piece::Run,
            '_' => Piece::One,
            '\\' => Piece::Letter(letters.next().unwrap_or('\\')),
            other => Piece::Letter(other),
        });
    }
    let text: Vec<char> = text.chars().flat_map(char::to_lowercase).collect();
    // Greedy with one point to come back to: linear in most cases, never exponential.
    let (mut piece, mut at) = (0, 0);
    let mut back: Option<(usize, usize)> = None;
    while at < text.len() {
        let matches = match pieces.get(piece) {
            Some(Piece::Run) => {
                back = Some((piece, at));
                piece += 1;
                continue;
            }
            Some(Piece::One) => true,
            Some(Piece::Letter(letter)) => *letter == text[at],
            None => false,
        };
        if matches {
            piece += 1;
            at += 1;
        } else if let Some((run, start)) = back {
            piece = run + 1;
            at = start + 1;
            back = Some((run, at));
        } else {
            return false;
        }
    }
    pieces[piece..].iter().all(|rest| *rest == Piece::Run)
}

#[cfg(test)]
mod tests;
