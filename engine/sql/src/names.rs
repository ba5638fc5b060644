//! Names: MySQL's columns do not care about case, DataFusion's do. Every name of a query is put into the one spelling
//! that its table, alias or common table expression gave it, and quoted; names of databases and tables stay as written.

use std::{
    collections::{HashMap, HashSet},
    ops::ControlFlow,
};

use sqlparser::ast::{
    Expr, FunctionArguments, Ident, JoinConstraint, JoinOperator, ObjectName, ObjectNamePart, Query, Select, SelectItem,
    SelectItemQualifiedWildcardKind, SetExpr, TableAlias, TableFactor, Visit, VisitMut, Visitor, VisitorMut,
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
            sqlparser::ast::Value::SingleQuotedString(text) | sqlparser::ast::Value::DoubleQuotedString(text) => text.clone(),
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

/// Puts every name of `query` into its one spelling. `columns` are those of the tables that it reads (see
/// [`referenced_tables`]). Names that are none of these are left alone: DataFusion takes them for lower case.
pub fn resolve_names<'a>(query: &mut Query, columns: impl IntoIterator<Item = &'a str>) {
    let mut spellings = Spellings::default();
    for column in columns {
        spellings.columns.entry(column.to_lowercase()).or_insert_with(|| column.to_owned());
    }
    let _ = Visit::visit(query, &mut Collect(&mut spellings));
    let _ = VisitMut::visit(query, &mut Apply(&spellings));
}

/// From lower case to the spelling that counts.
#[derive(Default)]
struct Spellings {
    columns: HashMap<String, String>,
    relations: HashMap<String, String>,
    expressions: HashMap<String, String>,
}

impl Spellings {
    fn column(&self, ident: &mut Ident) {
        if let Some(spelling) = self.columns.get(&ident.value.to_lowercase()) {
            *ident = quoted_identifier(spelling.clone());
        }
    }

    fn relation(&self, ident: &mut Ident) {
        let spelling = self.relations.get(&ident.value.to_lowercase()).unwrap_or(&ident.value);
        *ident = quoted_identifier(spelling.clone());
    }
}

struct Collect<'a>(&'a mut Spellings);

impl Collect<'_> {
    fn column(&mut self, name: &str) {
        self.0.columns.entry(name.to_lowercase()).or_insert_with(|| name.to_owned());
    }

    fn relation(&mut self, name: &str) {
        self.0.relations.entry(name.to_lowercase()).or_insert_with(|| name.to_owned());
    }

    fn alias(&mut self, alias: Option<&TableAlias>) {
        if let Some(alias) = alias {
            self.relation(&alias.name.value);
            for column in &alias.columns {
                self.column(&column.name.value);
            }
        }
    }
}

impl Visitor for Collect<'_> {
    type Break = ();

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
        for expression in query.with.iter().flat_map(|with| &with.cte_tables) {
            let name = &expression.alias.name.value;
            self.0.expressions.entry(name.to_lowercase()).or_insert_with(|| name.clone());
            self.alias(Some(&expression.alias));
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_select(&mut self, select: &Select) -> ControlFlow<()> {
        for item in &select.projection {
            if let SelectItem::ExprWithAlias { alias, .. } = item {
                self.column(&alias.value);
            }
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> ControlFlow<()> {
        match factor {
            TableFactor::Table { name, alias, .. } => {
                if let Some(last) = identifiers(name).last() {
                    self.relation(&last.value);
                }
                self.alias(alias.as_ref());
            }
            TableFactor::Derived { alias, .. } | TableFactor::NestedJoin { alias, .. } => self.alias(alias.as_ref()),
            _ => {}
        }
        ControlFlow::Continue(())
    }
}

struct Apply<'a>(&'a Spellings);

impl Apply<'_> {
    fn alias(&self, alias: Option<&mut TableAlias>) {
        if let Some(alias) = alias {
            self.0.relation(&mut alias.name);
            for column in &mut alias.columns {
                self.0.column(&mut column.name);
            }
        }
    }

    fn table(&self, name: &mut ObjectName) {
        let mut parts: Vec<Ident> = identifiers(name).cloned().collect();
        if parts.len() == 3 && parts[0].value == DEFAULT_CATALOG {
            parts.remove(0);
        }
        if let [only] = parts.as_mut_slice()
            && let Some(spelling) = self.0.expressions.get(&only.value.to_lowercase())
        {
            only.value.clone_from(spelling);
        }
        *name = ObjectName::from(
            parts
                .into_iter()
                .map(|part| quoted_identifier(part.value))
                .collect::<Vec<_>>(),
        );
    }
}

impl VisitorMut for Apply<'_> {
    type Break = ();

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<()> {
        for expression in query.with.iter_mut().flat_map(|with| &mut with.cte_tables) {
            self.alias(Some(&mut expression.alias));
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<()> {
        for item in &mut select.projection {
            match item {
                SelectItem::ExprWithAlias { alias, .. } => self.0.column(alias),
                SelectItem::QualifiedWildcard(SelectItemQualifiedWildcardKind::ObjectName(name), _) => {
                    for part in &mut name.0 {
                        if let ObjectNamePart::Identifier(ident) = part {
                            self.0.relation(ident);
                        }
                    }
                }
                _ => {}
            }
        }
        for join in select.from.iter_mut().flat_map(|from| &mut from.joins) {
            if let Some(JoinConstraint::Using(columns)) = constraint(&mut join.join_operator) {
                for part in columns.iter_mut().flat_map(|column| &mut column.0) {
                    if let ObjectNamePart::Identifier(ident) = part {
                        self.0.column(ident);
                    }
                }
            }
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<()> {
        match factor {
            TableFactor::Table { name, alias, args, .. } => {
                if args.is_none() {
                    self.table(name);
                }
                self.alias(alias.as_mut());
            }
            TableFactor::Derived { alias, .. } | TableFactor::NestedJoin { alias, .. } => self.alias(alias.as_mut()),
            _ => {}
        }
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        match expr {
            Expr::Identifier(ident) => self.0.column(ident),
            Expr::CompoundIdentifier(parts) => {
                if let Some((column, qualifiers)) = parts.split_last_mut() {
                    self.0.column(column);
                    qualifiers.iter_mut().for_each(|part| self.0.relation(part));
                }
                if parts.len() == 4 && parts[0].value == DEFAULT_CATALOG {
                    parts.remove(0);
                }
            }
            Expr::Function(function) => {
                // Keywords without parentheses such as CURRENT_DATE are functions to DataFusion only with them.
                if matches!(function.args, FunctionArguments::None) {
                    function.args = FunctionArguments::List(sqlparser::ast::FunctionArgumentList {
                        duplicate_treatment: None,
                        args: Vec::new(),
                        clauses: Vec::new(),
                    });
                }
            }
            _ => {}
        }
        ControlFlow::Continue(())
    }
}

fn constraint(operator: &mut JoinOperator) -> Option<&mut JoinConstraint> {
    match operator {
        JoinOperator::Join(constraint)
        | JoinOperator::Inner(constraint)
        | JoinOperator::Left(constraint)
        | JoinOperator::LeftOuter(constraint)
        | JoinOperator::Right(constraint)
        | JoinOperator::RightOuter(constraint)
        | JoinOperator::FullOuter(constraint)
        | JoinOperator::CrossJoin(constraint) => Some(constraint),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
