//! Values as text, as MySQL writes them: in `CAST(x AS CHAR)`, and wherever an expression takes a value as text. Arrow writes
//! a `T` between date and time, `true` and `false`, and `.0` after a whole floating-point number.

use arrow::datatypes::DataType;
use datafusion::{
    common::{
        DFSchema, Result,
        config::ConfigOptions,
        tree_node::{Transformed, TreeNode},
    },
    functions::{regex::expr_fn::regexp_replace, string::expr_fn::replace},
    logical_expr::{
        Cast, Expr, ExprSchemable, LogicalPlan, TryCast, cast, expr_rewriter::NamePreserver, lit, utils::merge_schema,
    },
    optimizer::AnalyzerRule,
};

/// Rewrites casts to text. Runs after type coercion, which makes the casts that nobody wrote.
#[derive(Debug)]
pub(super) struct MySqlText;

impl AnalyzerRule for MySqlText {
    fn name(&self) -> &'static str {
        "mysql_text"
    }

    fn analyze(&self, plan: LogicalPlan, _config: &ConfigOptions) -> Result<LogicalPlan> {
        plan.transform_up_with_subqueries(|plan| {
            let schema = if plan.inputs().is_empty() {
                plan.schema().as_ref().clone()
            } else {
                merge_schema(&plan.inputs())
            };
            let names = NamePreserver::new(&plan);
            plan.map_expressions(|expr| {
                let name = names.save(&expr);
                let rewritten = expr.transform_up(|expr| written_as_mysql(expr, &schema))?;
                Ok(rewritten.update_data(|expr| name.restore(expr)))
            })
        })
        .map(|rewritten| rewritten.data)
    }
}

fn written_as_mysql(expr: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
    let (value, to) = match &expr {
        Expr::Cast(Cast { expr, field }) | Expr::TryCast(TryCast { expr, field }) => (expr.as_ref(), field.data_type()),
        _ => return Ok(Transformed::no(expr)),
    };
    if !to.is_string() {
        return Ok(Transformed::no(expr));
    }
    let text = match value.get_type(schema)? {
        DataType::Timestamp(unit, _) => {
            // Every session's zone is UTC.
            let local = cast(value.clone(), DataType::Timestamp(unit, None));
            replace(cast(local, DataType::Utf8), lit("T"), lit(" "))
        }
        DataType::Boolean => cast(value.clone(), DataType::Int8),
        DataType::Float32 | DataType::Float64 => {
            regexp_replace(cast(value.clone(), DataType::Utf8), lit(r"\.0$"), lit(""), None)
        }
        _ => return Ok(Transformed::no(expr)),
    };
    Ok(Transformed::yes(cast(text, to.clone())))
}
