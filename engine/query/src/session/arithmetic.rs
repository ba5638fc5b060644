//! Division as in MySQL: of integers it keeps the fraction, by zero it is `NULL`; `DIV` is the integer division.

use arrow::datatypes::DataType;
use datafusion::{
    common::{DFSchema, Result, ScalarValue},
    functions::core::expr_fn::nullif,
    logical_expr::{
        BinaryExpr, Expr, ExprSchemable, Operator, cast, lit,
        planner::{ExprPlanner, PlannerResult, RawBinaryExpr},
    },
    sql::sqlparser::ast::BinaryOperator,
};

/// Plans `/`, `DIV` and `%`.
#[derive(Debug)]
pub(super) struct MySqlDivision;

impl ExprPlanner for MySqlDivision {
    fn plan_binary_op(&self, expr: RawBinaryExpr, schema: &DFSchema) -> Result<PlannerResult<RawBinaryExpr>> {
        let (op, keeps_fraction) = match expr.op {
            BinaryOperator::Divide => (Operator::Divide, true),
            BinaryOperator::MyIntegerDivide => (Operator::Divide, false),
            BinaryOperator::Modulo => (Operator::Modulo, false),
            _ => return Ok(PlannerResult::Original(expr)),
        };
        let types = (expr.left.get_type(schema)?, expr.right.get_type(schema)?);
        let integers = types.0.is_integer() && types.1.is_integer();
        if !types.0.is_numeric() || !types.1.is_numeric() {
            return Ok(PlannerResult::Original(expr));
        }
        let (mut left, mut right) = (expr.left, never_zero(expr.right));
        if keeps_fraction && integers {
            left = cast(left, DataType::Float64);
            right = cast(right, DataType::Float64);
        }
        let divided = Expr::BinaryExpr(BinaryExpr::new(Box::new(left), op, Box::new(right)));
        let is_div = op == Operator::Divide && !keeps_fraction;
        Ok(PlannerResult::Planned(if is_div && !integers {
            cast(divided, DataType::Int64)
        } else {
            divided
        }))
    }
}

fn never_zero(divisor: Expr) -> Expr {
    match &divisor {
        Expr::Literal(value, _) if !is_zero(value) => divisor,
        _ => nullif(divisor, lit(0_i64)),
    }
}

fn is_zero(value: &ScalarValue) -> bool {
    ScalarValue::new_zero(&value.data_type()).is_ok_and(|zero| zero == *value)
}
