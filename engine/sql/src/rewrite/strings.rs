//! Functions of text that DataFusion has under the same names and that answer otherwise for some arguments: in silence, so
//! that nobody would be told that an answer is wrong.

use sqlparser::ast::{BinaryOperator, CastKind, DataType, Expr, UnaryOperator, Value, ValueWithSpan};

use super::{functions::call, text, value};

/// `CONCAT`, which is `NULL` as soon as one argument is: DataFusion's passes over `NULL`, its operator does not.
pub(super) fn concat(arguments: &[Expr]) -> Option<Expr> {
    arguments
        .iter()
        .map(as_text)
        .reduce(|left, right| Expr::BinaryOp {
            left: Box::new(left),
            op: BinaryOperator::StringConcat,
            right: Box::new(right),
        })
        .map(|joined| Expr::Nested(Box::new(joined)))
}

fn as_text(argument: &Expr) -> Expr {
    match argument {
        Expr::Value(ValueWithSpan {
            value: Value::SingleQuotedString(_) | Value::DoubleQuotedString(_),
            ..
        }) => argument.clone(),
        _ => Expr::Cast {
            kind: CastKind::Cast,
            expr: Box::new(argument.clone()),
            data_type: DataType::Varchar(None),
            array: false,
            format: None,
        },
    }
}

/// `SUBSTRING` from the end, or from 0, where there is nothing; `None` where DataFusion's is the same.
pub(super) fn substring(from: &Expr, position: &Expr, length: Option<&Expr>) -> Option<Expr> {
    let position = constant(position)?;
    if position > 0 {
        return None;
    }
    if position == 0 {
        return Some(text(""));
    }
    let count = value(Value::Number(position.unsigned_abs().to_string(), false));
    let end = call("right", vec![from.clone(), count]);
    Some(match length {
        None => end,
        Some(length) => {
            let first = value(Value::Number("1".to_owned(), false));
            call("substr", vec![end, first, length.clone()])
        }
    })
}

fn constant(expr: &Expr) -> Option<i64> {
    match expr {
        Expr::Nested(inner) => constant(inner),
        Expr::UnaryOp {
            op: UnaryOperator::Minus,
            expr,
        } => constant(expr)?.checked_neg(),
        Expr::Value(ValueWithSpan {
            value: Value::Number(digits, _),
            ..
        }) => digits.parse().ok(),
        _ => None,
    }
}
