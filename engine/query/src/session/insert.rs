//! The columns of an insert.

use datafusion::{
    common::{Column, ScalarValue},
    logical_expr::{Expr, LogicalPlanBuilder},
};
use springtide_model::TableSchema;
use springtide_tablet::{arrow_type, scalar_of_literal};

use crate::{QueryPlan, error::QueryError};

#[cfg(test)]
mod tests;

pub(super) fn arrange(plan: QueryPlan, table: &TableSchema, columns: &[String]) -> Result<QueryPlan, QueryError> {
    let sources = sources(&plan, table, columns)?;
    let fields: Vec<Expr> = plan
        .logical
        .schema()
        .iter()
        .map(|(qualifier, field)| Expr::Column(Column::new(qualifier.cloned(), field.name())))
        .collect();
    let mut expressions = Vec::with_capacity(table.columns.len());
    for (column, source) in table.columns.iter().zip(sources) {
        let value = match (source, &column.default) {
            (Some(index), _) => fields[index].clone(),
            (None, Some(default)) => {
                let value = scalar_of_literal(default, &column.data_type).ok_or_else(|| {
                    QueryError::Internal(format!("the default of column `{}` is no value of it", column.name))
                })?;
                Expr::Literal(value, None)
            }
            (None, None) if column.nullable => {
                Expr::Literal(ScalarValue::try_from(&arrow_type(&column.data_type))?, None)
            }
            (None, None) => {
                return Err(QueryError::Rows(format!(
                    "column `{}` has no default and is NOT NULL; give it a value",
                    column.name
                )));
            }
        };
        expressions.push(value.alias(column.name.to_lowercase()));
    }
    let logical = LogicalPlanBuilder::from(plan.logical).project(expressions)?.build()?;
    Ok(QueryPlan {
        logical,
        column_names: table.columns.iter().map(|column| column.name.clone()).collect(),
    })
}

/// For each column of the table, which of the plan's it takes.
fn sources(plan: &QueryPlan, table: &TableSchema, columns: &[String]) -> Result<Vec<Option<usize>>, QueryError> {
    let given = plan.logical.schema().fields().len();
    let expected = if columns.is_empty() {
        table.columns.len()
    } else {
        columns.len()
    };
    if given != expected {
        return Err(QueryError::Invalid(format!(
            "{expected} columns to insert into, but {given} values per row"
        )));
    }
    let mut sources = vec![None; table.columns.len()];
    if columns.is_empty() {
        return Ok((0..given).map(Some).collect());
    }
    for (position, name) in columns.iter().enumerate() {
        let index = table.column_index(name).ok_or_else(|| QueryError::UnknownColumn {
            column: name.clone(),
            hint: String::new(),
        })?;
        if sources[index].replace(position).is_some() {
            return Err(QueryError::Invalid(format!("column `{name}` is named twice")));
        }
    }
    Ok(sources)
}
