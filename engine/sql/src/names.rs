//! Names of a query: what its result's columns are called, and which tables it reads.

use std::{collections::HashSet, ops::ControlFlow};

use sqlparser::ast::{
    Expr, Ident, ObjectName, ObjectNamePart, Query, Select, SelectItem, SetExpr, TableFactor, Visit, Visitor,
};

use crate::{TableName, rewrite::quoted_identifier};

/// Comes between the name and a number where two columns of a result have the same name, which DataFusion refuses: what
/// follows it is not to be shown.
pub const OUTPUT_SUFFIX: char = '\u{1}';

/// The catalog that tables may be qualified with.
const DEFAULT_CATALOG: &str = "default_catalog";

/// Gives every column of the result a name of its own and returns the names that the client is to see: the text of an
/// expression without alias, as MySQL has it. `None` where the columns are not known yet (`SELECT *`).
pub fn output_names(query: &mut Query) -> Option<Vec<String>> {
    let names = name_body(&mut query.body);
    names.into_iter().collect()
}

fn name_body(body: &mut SetExpr) -> Vec<Option<String>> {
    match body {
        SetExpr::Select(select) => name_select(select),
        SetExpr::Query(query) => name_body(&mut query.body),
        SetExpr::SetOperation { left, right, .. } => {
            name_body(right);
            name_body(left)
        }
        _ => vec![None],
    }
}

fn name_select(select: &mut Select) -> Vec<Option<String>> {
    let mut used = HashSet::new();
    let mut names = Vec::with_capacity(select.projection.len());
    for (position, item) in select.projection.iter_mut().enumerate() {
        let (expr, name, alias) = match item {
            SelectItem::UnnamedExpr(expr) => (expr.clone(), expression_name(expr), None),
            SelectItem::ExprWithAlias { expr, alias } => (expr.clone(), alias.value.clone(), Some(alias.clone())),
            _ => {
                names.push(None);
                continue;
            }
        };
        let is_new = used.insert(name.to_lowercase());
        let is_column = matches!(expr, Expr::Identifier(_) | Expr::CompoundIdentifier(_));
        if !is_new {
            let alias = quoted_identifier(format!("{name}{OUTPUT_SUFFIX}{position}"));
            *item = SelectItem::ExprWithAlias { expr, alias };
        } else if alias.is_none() && !is_column {
            let alias = quoted_identifier(name.clone());
            *item = SelectItem::ExprWithAlias { expr, alias };
        }
        names.push(Some(name));
    }
    names
}

fn expression_name(expr: &Expr) -> String {
    match expr {
        Expr::Identifier(name) => name.value.clone(),
        Expr::CompoundIdentifier(parts) => match parts.as_slice() {
            [scope, ..] if scope.value.starts_with("@@") => expr.to_string(),
            [.., last] => last.value.clone(),
            [] => expr.to_string(),
        },
        Expr::Value(value) => match &value.value {
            sqlparser::ast::Value::SingleQuotedString(text) | sqlparser::ast::Value::DoubleQuotedString(text) => {
                text.clone()
            }
            _ => expr.to_string(),
        },
        _ => expr.to_string(),
    }
}

/// The tables that a query reads, each once; common table expressions and table functions are none.
#[must_use]
pub fn referenced_tables(query: &Query) -> Vec<TableName> {
    let mut collector = TableCollector::default();
    let _ = query.visit(&mut collector);
    let expressions = collector.expressions;
    let mut seen = HashSet::new();
    collector
        .tables
        .into_iter()
        .filter(|table| table.database.is_some() || !expressions.contains(&table.table.to_lowercase()))
        .filter(|table| seen.insert((table.database.clone(), table.table.clone())))
        .collect()
}

/// Whether a query reads what nodes have to read: a table function, such as `FILES`.
#[must_use]
pub fn calls_table_function(query: &Query) -> bool {
    struct Finder(bool);
    impl Visitor for Finder {
        type Break = ();

        fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> ControlFlow<()> {
            let is_function = matches!(
                factor,
                TableFactor::Table { args: Some(_), .. }
                    | TableFactor::Function { .. }
                    | TableFactor::TableFunction { .. }
            );
            self.0 |= is_function;
            ControlFlow::Continue(())
        }
    }
    let mut finder = Finder(false);
    let _ = query.visit(&mut finder);
    finder.0
}

#[derive(Default)]
struct TableCollector {
    tables: Vec<TableName>,
    expressions: HashSet<String>,
}

impl Visitor for TableCollector {
    type Break = ();

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
        for expression in query.with.iter().flat_map(|with| &with.cte_tables) {
            self.expressions.insert(expression.alias.name.value.to_lowercase());
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> ControlFlow<()> {
        if let TableFactor::Table { name, args: None, .. } = factor {
            let mut parts: Vec<String> = identifiers(name).map(|ident| ident.value.clone()).collect();
            if parts.len() == 3 && parts[0] == DEFAULT_CATALOG {
                parts.remove(0);
            }
            let table = parts.pop().unwrap_or_default();
            self.tables.push(TableName {
                database: parts.pop(),
                table,
            });
        }
        ControlFlow::Continue(())
    }
}

fn identifiers(name: &ObjectName) -> impl Iterator<Item = &Ident> {
    name.0.iter().filter_map(ObjectNamePart::as_ident)
}

#[cfg(test)]
mod tests;
