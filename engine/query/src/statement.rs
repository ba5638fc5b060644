//! What is done to a parsed statement before DataFusion plans it: names without regard to case, `FILES(...)` taken out,
//! the result's column names as MySQL gives them.

use std::{collections::BTreeSet, ops::ControlFlow};

use datafusion::sql::sqlparser::ast::{
    BinaryOperator, Expr, FunctionArg, FunctionArgExpr, Ident, ObjectName, ObjectNamePart, Query, Select, SelectItem,
    SelectItemQualifiedWildcardKind, SetExpr, Statement, TableAlias, TableFactor, Value, VisitMut, VisitorMut,
};

use crate::{
    catalog::DEFAULT_CATALOG,
    error::QueryError,
    files::{FilesArguments, arguments::FUNCTION_NAME},
};

#[cfg(test)]
mod tests;

/// The database that `FILES(...)` calls of a statement are moved to.
pub(crate) const FILES_DATABASE: &str = "$files";

/// A table as a statement names it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct NamedTable {
    pub(crate) database: Option<String>,
    pub(crate) table: String,
}

/// A statement ready for planning, and what it needs.
#[derive(Debug)]
pub(crate) struct PreparedStatement {
    pub(crate) statement: Statement,
    /// Tables that must exist, in their original spelling.
    pub(crate) tables: BTreeSet<NamedTable>,
    /// `FILES(...)` calls, by the name they have in [`FILES_DATABASE`].
    pub(crate) files: Vec<(String, FilesArguments)>,
    columns: ColumnNames,
}

/// Rewrites `statement`.
///
/// # Errors
/// When a `FILES(...)` call is malformed, or a name has too many parts.
pub(crate) fn prepare(mut statement: Statement, first_file: usize) -> Result<PreparedStatement, QueryError> {
    let columns = ColumnNames::of(&statement);
    let mut rewriter = Rewriter {
        tables: BTreeSet::new(),
        files: Vec::new(),
        common: BTreeSet::new(),
        first_file,
    };
    if let ControlFlow::Break(error) = statement.visit(&mut rewriter) {
        return Err(error);
    }
    let common = rewriter.common;
    let mut tables = rewriter.tables;
    tables.retain(|named| named.database.is_some() || !common.contains(&named.table.to_lowercase()));
    Ok(PreparedStatement {
        statement,
        tables,
        files: rewriter.files,
        columns,
    })
}

impl PreparedStatement {
    /// Names of the result's columns, given the names that the plan has.
    pub(crate) fn column_names(&self, planned: &[String]) -> Vec<String> {
        self.columns.fill(planned)
    }
}

struct Rewriter {
    tables: BTreeSet<NamedTable>,
    files: Vec<(String, FilesArguments)>,
    /// Names of `WITH` queries, lower-case.
    common: BTreeSet<String>,
    first_file: usize,
}

impl VisitorMut for Rewriter {
    type Break = QueryError;

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<QueryError> {
        if let Some(with) = &mut query.with {
            for table in &mut with.cte_tables {
                self.common.insert(table.alias.name.value.to_lowercase());
                lower_alias(&mut table.alias);
            }
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<QueryError> {
        let mut seen = BTreeSet::new();
        for (position, item) in select.projection.iter_mut().enumerate() {
            // The same expression twice needs two names; the client sees it by its own all the same.
            if let SelectItem::UnnamedExpr(expr) = item
                && !seen.insert(expr.to_string().to_lowercase())
            {
                *item = SelectItem::ExprWithAlias {
                    expr: expr.clone(),
                    alias: Ident::with_quote('`', format!("{expr} #{position}")),
                };
            }
            match item {
                SelectItem::ExprWithAlias { alias, .. } => lower(alias),
                SelectItem::QualifiedWildcard(SelectItemQualifiedWildcardKind::ObjectName(name), _) => {
                    lower_name(name);
                }
                _ => {}
            }
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<QueryError> {
        match factor {
            TableFactor::Table { name, alias, args, .. } => {
                if let Some(alias) = alias {
                    lower_alias(alias);
                }
                if let Some(arguments) = args
                    && is_files(name)
                {
                    let pairs = match named_arguments(&arguments.args) {
                        Ok(pairs) => pairs,
                        Err(error) => return ControlFlow::Break(error),
                    };
                    let call = match FilesArguments::parse(pairs) {
                        Ok(call) => call,
                        Err(error) => return ControlFlow::Break(error),
                    };
                    let table = format!("files_{}", self.first_file + self.files.len());
                    *name = ObjectName(vec![quoted(FILES_DATABASE), quoted(&table)]);
                    *args = None;
                    self.files.push((table, call));
                }
            }
            TableFactor::Derived { alias: Some(alias), .. } | TableFactor::NestedJoin { alias: Some(alias), .. } => {
                lower_alias(alias);
            }
            _ => {}
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_relation(&mut self, name: &mut ObjectName) -> ControlFlow<QueryError> {
        let mut parts: Vec<String> = name.0.iter().map(part_text).collect();
        if parts.len() == 3 && parts[0].eq_ignore_ascii_case(DEFAULT_CATALOG) {
            parts.remove(0);
        }
        let named = match parts.as_slice() {
            [table] => NamedTable {
                database: None,
                table: table.clone(),
            },
            [database, table] => NamedTable {
                database: Some(database.clone()),
                table: table.clone(),
            },
            _ => {
                return ControlFlow::Break(QueryError::Invalid(format!(
                    "'{name}' is no name of a table; write table or database.table"
                )));
            }
        };
        name.0 = parts.iter().map(|part| quoted(&part.to_lowercase())).collect();
        if named.database.as_deref() != Some(FILES_DATABASE) {
            self.tables.insert(named);
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<QueryError> {
        match expr {
            Expr::Identifier(ident) => lower(ident),
            Expr::CompoundIdentifier(parts) => parts.iter_mut().for_each(lower),
            _ => {}
        }
        ControlFlow::Continue(())
    }
}

/// DataFusion lowers what is not quoted; here quotes make no difference.
fn lower(ident: &mut Ident) {
    if ident.quote_style.is_some() {
        ident.value = ident.value.to_lowercase();
    }
}

fn lower_name(name: &mut ObjectName) {
    for part in &mut name.0 {
        if let ObjectNamePart::Identifier(ident) = part {
            lower(ident);
        }
    }
}

fn lower_alias(alias: &mut TableAlias) {
    lower(&mut alias.name);
    for column in &mut alias.columns {
        lower(&mut column.name);
    }
}

fn quoted(text: &str) -> ObjectNamePart {
    ObjectNamePart::Identifier(Ident::with_quote('`', text))
}

fn part_text(part: &ObjectNamePart) -> String {
    match part {
        ObjectNamePart::Identifier(ident) => ident.value.clone(),
        ObjectNamePart::Function(function) => function.to_string(),
    }
}

fn is_files(name: &ObjectName) -> bool {
    matches!(name.0.as_slice(), [part] if part_text(part).eq_ignore_ascii_case(FUNCTION_NAME))
}

/// `FILES` takes `"name" = "value"`, which dialects read as a comparison or as a named argument.
fn named_arguments(args: &[FunctionArg]) -> Result<Vec<(String, String)>, QueryError> {
    args.iter()
        .map(|arg| {
            let pair = match arg {
                FunctionArg::Named { name, arg, .. } => Some((name.value.clone(), argument_text(arg))),
                FunctionArg::ExprNamed { name, arg, .. } => text_of(name).map(|name| (name, argument_text(arg))),
                FunctionArg::Unnamed(FunctionArgExpr::Expr(Expr::BinaryOp {
                    left,
                    op: BinaryOperator::Eq,
                    right,
                })) => text_of(left).map(|name| (name, text_of(right))),
                FunctionArg::Unnamed(_) => None,
            };
            match pair {
                Some((name, Some(value))) => Ok((name.to_lowercase(), value)),
                // The argument is not shown: it may be a secret.
                _ => Err(QueryError::Files(
                    "an argument is not of the form \"name\" = \"value\"".to_owned(),
                )),
            }
        })
        .collect()
}

fn argument_text(arg: &FunctionArgExpr) -> Option<String> {
    match arg {
        FunctionArgExpr::Expr(expr) => text_of(expr),
        _ => None,
    }
}

fn text_of(expr: &Expr) -> Option<String> {
    match expr {
        Expr::Identifier(ident) => Some(ident.value.clone()),
        Expr::CompoundIdentifier(parts) => Some(
            parts
                .iter()
                .map(|part| part.value.as_str())
                .collect::<Vec<_>>()
                .join("."),
        ),
        Expr::Value(value) => match &value.value {
            Value::SingleQuotedString(text) | Value::DoubleQuotedString(text) | Value::Number(text, _) => {
                Some(text.clone())
            }
            Value::Boolean(value) => Some(value.to_string()),
            _ => None,
        },
        _ => None,
    }
}

/// What the outermost `SELECT` calls its columns: aliases and expressions as they were written, `None` for `*`.
#[derive(Debug, Default)]
struct ColumnNames(Vec<Option<String>>);

impl ColumnNames {
    fn of(statement: &Statement) -> Self {
        match statement {
            Statement::Query(query) => Self::of_body(&query.body),
            _ => Self::default(),
        }
    }

    fn of_body(body: &SetExpr) -> Self {
        match body {
            SetExpr::Select(select) => Self(select.projection.iter().map(item_name).collect()),
            SetExpr::Query(query) => Self::of_body(&query.body),
            SetExpr::SetOperation { left, .. } => Self::of_body(left),
            _ => Self::default(),
        }
    }

    fn fill(&self, planned: &[String]) -> Vec<String> {
        let wildcards = self.0.iter().filter(|name| name.is_none()).count();
        let named = self.0.len() - wildcards;
        if self.0.is_empty() || wildcards > 1 || planned.len() < named || (wildcards == 0 && planned.len() != named) {
            return planned.to_vec();
        }
        let expanded = planned.len() - named;
        let mut names = Vec::with_capacity(planned.len());
        for name in &self.0 {
            match name {
                Some(name) => names.push(name.clone()),
                None => names.extend_from_slice(&planned[names.len()..names.len() + expanded]),
            }
        }
        names
    }
}

fn item_name(item: &SelectItem) -> Option<String> {
    match item {
        SelectItem::ExprWithAlias { alias, .. } => Some(alias.value.clone()),
        SelectItem::UnnamedExpr(Expr::Identifier(ident)) => Some(ident.value.clone()),
        SelectItem::UnnamedExpr(Expr::CompoundIdentifier(parts)) => parts.last().map(|part| part.value.clone()),
        SelectItem::UnnamedExpr(expr) => Some(expr.to_string()),
        _ => None,
    }
}
