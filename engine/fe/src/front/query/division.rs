//! `/` of integers is exact division in MySQL, and the whole part of it in DataFusion.

use datafusion::{
    common::{DFSchema, Result, tree_node::{Transformed, TreeNode}},
    logical_expr::{BinaryExpr, Expr, ExprSchemable, LogicalPlan, Operator, expr::Cast, expr_rewriter::NamePreserver, utils::merge_schema},
};

/// Divides integers as doubles, wherever `plan` divides integers.
pub(super) fn exact(plan: LogicalPlan) -> Result<LogicalPlan> {
    let rewritten = plan.transform_up_with_subqueries(|node| {
        let schema = merge_schema(&node.inputs());
        let names = NamePreserver::new(&node);
        let node = node.map_expressions(|expr| {
            let name = names.save(&expr);
            let expr = expr.transform_up(|expr| Ok(divided(expr, &schema)))?;
            Ok(expr.update_data(|expr| name.restore(expr)))
        })?;
        if node.transformed {
            node.map_data(LogicalPlan::recompute_schema)
        } else {
            Ok(node)
        }
    })?;
    // What reads a column whose type has changed has to know its new type.
    if rewritten.transformed {
        return rewritten
            .data
            .transform_up_with_subqueries(|node| Ok(Transformed::yes(node.recompute_schema()?)))
            .map(|plan| plan.data);
    }
    Ok(rewritten.data)
}

fn divided(expr: Expr, schema: &DFSchema) -> Transformed<Expr> {
    let Expr::BinaryExpr(BinaryExpr {
        left,
        op: Operator::Divide,
        right,
    }) = &expr
    else {
        return Transformed::no(expr);
    };
    let is_integer = |side: &Expr| side.get_type(schema).is_ok_and(|data_type| data_type.is_integer());
    if !is_integer(left) || !is_integer(right) {
        return Transformed::no(expr);
    }
    let left = Expr::Cast(Cast::new(left.clone(), arrow::datatypes::DataType::Float64));
    Transformed::yes(Expr::BinaryExpr(BinaryExpr::new(
        Box::new(left),
        Operator::Divide,
        right.clone(),
    )))
}
