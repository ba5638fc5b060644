//! From what MySQL means to what DataFusion says: session functions and variables become constants, functions and
//! operators that DataFusion lacks are spelled with those it has.

mod functions;
mod strings;

use std::ops::ControlFlow;

use sqlparser::ast::{
    BinaryOperator, CastKind, DataType, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments, GroupByExpr,
    GroupByWithModifier, Ident, LimitClause, OrderByExpr, OrderByKind, Query, Select, SelectItem, TableFactor,
    TimezoneInfo, UnaryOperator, Value, ValueWithSpan, VisitMut, VisitorMut, WindowType,
};

use crate::SqlError;

/// Up to here a double has every whole number.
const MOST_EXACT: f64 = 9_007_199_254_740_992.0;

/// A constant: the value of a `?`, of a variable or of a session function.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs, reason = "each is named as its type")]
pub enum Parameter {
    Null,
    Boolean(bool),
    Int(i64),
    UnsignedInt(u64),
    Double(f64),
    /// Text, dates and times; also decimals, whose type the text gives.
    Text(String),
    /// An exact number in digits.
    Decimal(String),
    Bytes(Vec<u8>),
}

impl Parameter {
    fn into_expr(self) -> Expr {
        let number = |text: String| match text.strip_prefix('-') {
            Some(digits) => Expr::Nested(Box::new(Expr::UnaryOp {
                op: UnaryOperator::Minus,
                expr: Box::new(value(Value::Number(digits.to_owned(), false))),
            })),
            None => value(Value::Number(text, false)),
        };
        match self {
            Parameter::Null => value(Value::Null),
            Parameter::Boolean(truth) => value(Value::Boolean(truth)),
            Parameter::Int(int) => number(int.to_string()),
            Parameter::UnsignedInt(int) => number(int.to_string()),
            Parameter::Double(double) if double.is_finite() => number(format!("{double:e}")),
            Parameter::Double(_) => value(Value::Null),
            Parameter::Decimal(digits) => number(digits),
            Parameter::Text(text) => value(Value::SingleQuotedString(text)),
            Parameter::Bytes(bytes) => {
                let hex = bytes.iter().map(|byte| format!("{byte:02X}")).collect();
                value(Value::HexStringLiteral(hex))
            }
        }
    }
}

impl Parameter {
    /// A number of rows, where it is one: some clients send every number as a double, others write it as text for that reason.
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "whole, not negative and below 2^53"
    )]
    fn whole(&self) -> Option<Self> {
        match self {
            Parameter::Double(double) if (0.0..=MOST_EXACT).contains(double) && double.fract() == 0.0 => {
                Some(Parameter::UnsignedInt(*double as u64))
            }
            Parameter::Text(digits) => digits.parse().ok().map(Parameter::UnsignedInt),
            _ => None,
        }
    }
}

/// What only the session knows.
pub trait SessionValues {
    /// `@@name`, `@@session.name`, `@@global.name`; `name` is in lower case.
    ///
    /// # Errors
    /// There is no such variable.
    fn variable(&self, global: bool, name: &str) -> Result<Parameter, SqlError>;
    /// `@name`; `name` is in lower case.
    fn user_variable(&self, name: &str) -> Parameter;
    /// A function without arguments such as `DATABASE()`; `name` is in lower case. `None` where it is no function of the
    /// session.
    fn function(&self, name: &str) -> Option<Parameter>;
}

/// Puts `values` in place of the `?`.
///
/// # Errors
/// There are fewer values than `?`.
pub fn bind(query: &mut Query, values: &[Parameter]) -> Result<(), SqlError> {
    let mut binder = Binder { values };
    match query.visit(&mut binder) {
        ControlFlow::Break(error) => Err(error),
        ControlFlow::Continue(()) => Ok(()),
    }
}

struct Binder<'a> {
    values: &'a [Parameter],
}

impl VisitorMut for Binder<'_> {
    type Break = SqlError;

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<SqlError> {
        for count in query.limit_clause.iter_mut().flat_map(counts) {
            let value = placeholder(count).and_then(|number| self.values.get(number.wrapping_sub(1)));
            if let Some(whole) = value.and_then(Parameter::whole) {
                *count = whole.into_expr();
            }
        }
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<SqlError> {
        let Some(number) = placeholder(expr) else {
            return ControlFlow::Continue(());
        };
        match self.values.get(number.wrapping_sub(1)) {
            Some(value) => {
                *expr = value.clone().into_expr();
                ControlFlow::Continue(())
            }
            None => ControlFlow::Break(SqlError::invalid(format!("Parameter {number} has no value."))),
        }
    }
}

/// Which `?` an expression is, from 1.
fn placeholder(expr: &Expr) -> Option<usize> {
    match expr {
        Expr::Value(ValueWithSpan {
            value: Value::Placeholder(name),
            ..
        }) => name.strip_prefix('?')?.parse().ok(),
        _ => None,
    }
}

/// The numbers of rows in `LIMIT` and `OFFSET`.
fn counts(clause: &mut LimitClause) -> Vec<&mut Expr> {
    match clause {
        LimitClause::LimitOffset { limit, offset, .. } => {
            let offset = offset.as_mut().map(|offset| &mut offset.value);
            limit.iter_mut().chain(offset).collect()
        }
        LimitClause::OffsetCommaLimit { offset, limit } => vec![offset, limit],
    }
}

/// Rewrites `query` for DataFusion.
///
/// # Errors
/// An unknown variable, or an argument that has no meaning.
pub fn rewrite(query: &mut Query, session: &dyn SessionValues) -> Result<(), SqlError> {
    let mut rewriter = Rewriter { session };
    match query.visit(&mut rewriter) {
        ControlFlow::Break(error) => Err(error),
        ControlFlow::Continue(()) => Ok(()),
    }
}

struct Rewriter<'a> {
    session: &'a dyn SessionValues,
}

impl VisitorMut for Rewriter<'_> {
    type Break = SqlError;

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<SqlError> {
        if let Some(order_by) = &mut query.order_by
            && let OrderByKind::Expressions(items) = &mut order_by.kind
        {
            items.iter_mut().for_each(null_is_least);
        }
        // Row locks mean nothing here; `FOR UPDATE` is what some clients write by habit.
        query.locks.clear();
        ControlFlow::Continue(())
    }

    fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<SqlError> {
        let is_dual = match select.from.as_slice() {
            [only] if only.joins.is_empty() => {
                matches!(&only.relation, TableFactor::Table { name, .. } if name.to_string().eq_ignore_ascii_case("dual"))
            }
            _ => false,
        };
        if is_dual {
            select.from.clear();
        }
        with_rollup(select);
        select.optimizer_hints.clear();
        select.select_modifiers = None;
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<SqlError> {
        match self.rewritten(expr) {
            Ok(Some(new)) => *expr = new,
            Ok(None) => {}
            Err(error) => return ControlFlow::Break(error),
        }
        ControlFlow::Continue(())
    }
}

impl Rewriter<'_> {
    fn rewritten(&self, expr: &mut Expr) -> Result<Option<Expr>, SqlError> {
        Ok(match expr {
            Expr::Identifier(name) if name.quote_style.is_none() => match name.value.strip_prefix('@') {
                Some(name) => Some(self.variable(name)?),
                // Without parentheses these are functions still.
                None if name.value.eq_ignore_ascii_case("current_user") => {
                    self.session.function("current_user").map(Parameter::into_expr)
                }
                None => None,
            },
            Expr::CompoundIdentifier(parts) => match parts.as_slice() {
                [scope, name] if scope.value.starts_with("@@") => {
                    let global = scope.value.eq_ignore_ascii_case("@@global");
                    let name = name.value.to_ascii_lowercase();
                    Some(self.session.variable(global, &name)?.into_expr())
                }
                _ => None,
            },
            Expr::RLike {
                negated, expr, pattern, ..
            } => Some(Expr::BinaryOp {
                left: expr.clone(),
                op: if *negated {
                    BinaryOperator::PGRegexNotMatch
                } else {
                    BinaryOperator::PGRegexMatch
                },
                right: pattern.clone(),
            }),
            Expr::Cast { data_type, kind, .. } => {
                *data_type = cast_type(data_type);
                if matches!(kind, CastKind::Cast) && !matches!(data_type, DataType::Custom(..)) {
                    // MySQL gives NULL or a truncated value where the standard fails.
                    *kind = CastKind::TryCast;
                }
                None
            }
            Expr::Substring {
                expr,
                substring_from: Some(position),
                substring_for,
                ..
            } => strings::substring(expr, position, substring_for.as_deref()),
            Expr::Function(function) => self.function(function)?,
            _ => None,
        })
    }

    /// `name` has lost one `@`.
    fn variable(&self, name: &str) -> Result<Expr, SqlError> {
        let lower = name.to_ascii_lowercase();
        let value = match lower.strip_prefix('@') {
            Some(name) => self.session.variable(false, name)?,
            None => self.session.user_variable(&lower),
        };
        Ok(value.into_expr())
    }

    fn function(&self, function: &mut Function) -> Result<Option<Expr>, SqlError> {
        if let Some(WindowType::WindowSpec(window)) = &mut function.over {
            window.order_by.iter_mut().for_each(null_is_least);
        }
        let name = function.name.to_string().to_ascii_lowercase();
        let no_arguments = match &function.args {
            FunctionArguments::None => true,
            FunctionArguments::List(list) => list.args.is_empty() && list.clauses.is_empty(),
            FunctionArguments::Subquery(_) => false,
        };
        if no_arguments && let Some(value) = self.session.function(&name) {
            return Ok(Some(value.into_expr()));
        }
        // Some are called without parentheses: CURRENT_TIMESTAMP.
        if matches!(function.args, FunctionArguments::None)
            && let Some(expr) = functions::template(&name, Vec::new())
        {
            return Ok(Some(expr));
        }
        functions::rewritten(&name, function)
    }
}

/// `GROUP BY a, 2 WITH ROLLUP` is `GROUP BY ROLLUP(a, b)`: positions and other names of columns mean nothing within it.
fn with_rollup(select: &mut Select) {
    if let GroupByExpr::Expressions(expressions, modifiers) = &mut select.group_by
        && modifiers.as_slice() == [GroupByWithModifier::Rollup]
    {
        modifiers.clear();
        let meant = |expression: Expr| vec![column_meant(&select.projection, &expression).unwrap_or(expression)];
        let sets = expressions.drain(..).map(meant).collect();
        expressions.push(Expr::Rollup(sets));
    }
}

/// The column of the result that a position or another name stands for.
fn column_meant(projection: &[SelectItem], expression: &Expr) -> Option<Expr> {
    match expression {
        Expr::Value(ValueWithSpan {
            value: Value::Number(position, _),
            ..
        }) => match projection.get(position.parse::<usize>().ok()?.checked_sub(1)?)? {
            SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } => Some(expr.clone()),
            _ => None,
        },
        Expr::Identifier(name) => projection.iter().find_map(|item| match item {
            SelectItem::ExprWithAlias { expr, alias } if alias.value.eq_ignore_ascii_case(&name.value) => {
                Some(expr.clone())
            }
            _ => None,
        }),
        _ => None,
    }
}

/// MySQL sorts `NULL` before everything else.
fn null_is_least(item: &mut OrderByExpr) {
    if item.options.nulls_first.is_none() {
        item.options.nulls_first = Some(item.options.asc.unwrap_or(true));
    }
}

fn cast_type(data_type: &DataType) -> DataType {
    match data_type {
        DataType::Signed | DataType::SignedInteger => DataType::BigInt(None),
        DataType::Unsigned | DataType::UnsignedInteger => DataType::BigIntUnsigned(None),
        DataType::Datetime(_) => DataType::Timestamp(None, TimezoneInfo::None),
        DataType::JSON => DataType::Varchar(None),
        DataType::Char(_) | DataType::Character(_) => DataType::Varchar(None),
        DataType::Custom(name, _) if name.to_string().eq_ignore_ascii_case("largeint") => {
            DataType::Decimal(sqlparser::ast::ExactNumberInfo::PrecisionAndScale(38, 0))
        }
        other => other.clone(),
    }
}

fn value(value: Value) -> Expr {
    Expr::Value(value.with_empty_span())
}

fn text(text: &str) -> Expr {
    value(Value::SingleQuotedString(text.to_owned()))
}

fn unnamed(expr: Expr) -> FunctionArg {
    FunctionArg::Unnamed(FunctionArgExpr::Expr(expr))
}

pub(crate) fn quoted_identifier(name: impl Into<String>) -> Ident {
    Ident::with_quote('`', name)
}

#[cfg(test)]
mod tests;
