//! Functions of MySQL and StarRocks, spelled with DataFusion's.

use std::{collections::HashMap, ops::ControlFlow, sync::LazyLock};

use sqlparser::{
    ast::{
        BinaryOperator, DateTimeField, DuplicateTreatment, Expr, Function, FunctionArg, FunctionArgExpr,
        FunctionArgumentClause, FunctionArgumentList, FunctionArguments, Ident, Interval, ObjectName, Value,
        ValueWithSpan, VisitMut, VisitorMut,
    },
    parser::Parser,
};

use super::{strings, text, unnamed};
use crate::{SqlError, StarRocksDialect};

/// Same arguments, another name.
const RENAMED: &[(&str, &str)] = &[
    ("any_value", "first_value"),
    ("approx_count_distinct", "approx_distinct"),
    ("byte_length", "octet_length"),
    ("ceiling", "ceil"),
    ("ndv", "approx_distinct"),
    ("length", "octet_length"),
    ("lcase", "lower"),
    ("mid", "substr"),
    ("pow", "power"),
    ("rand", "random"),
    ("sign", "signum"),
    ("std", "stddev_pop"),
    ("stddev", "stddev_pop"),
    ("truncate", "trunc"),
    ("ucase", "upper"),
    ("variance", "var_pop"),
    ("var", "var_pop"),
];

/// Name, how many arguments, and what it says with `$1`, `$2` for the arguments.
const TEMPLATES: &[(&str, usize, &str)] = &[
    ("curdate", 0, "current_date()"),
    // To the second, as MySQL gives it.
    ("current_timestamp", 0, "date_trunc('second', now())"),
    ("localtime", 0, "date_trunc('second', now())"),
    ("localtimestamp", 0, "date_trunc('second', now())"),
    ("now", 0, "date_trunc('second', now())"),
    ("sysdate", 0, "date_trunc('second', now())"),
    ("utc_timestamp", 0, "date_trunc('second', now())"),
    ("date", 1, "CAST($1 AS DATE)"),
    (
        "datediff",
        2,
        "CAST(CAST($1 AS DATE) AS INT) - CAST(CAST($2 AS DATE) AS INT)",
    ),
    ("day", 1, "CAST(date_part('day', CAST($1 AS TIMESTAMP)) AS INT)"),
    ("days_diff", 2, "seconds_between($1, $2) DIV 86400"),
    ("dayname", 1, "to_char(CAST($1 AS TIMESTAMP), '%A')"),
    ("dayofmonth", 1, "CAST(date_part('day', CAST($1 AS TIMESTAMP)) AS INT)"),
    (
        "dayofweek",
        1,
        "CAST(date_part('dow', CAST($1 AS TIMESTAMP)) AS INT) + 1",
    ),
    ("dayofyear", 1, "CAST(date_part('doy', CAST($1 AS TIMESTAMP)) AS INT)"),
    ("hour", 1, "CAST(date_part('hour', CAST($1 AS TIMESTAMP)) AS INT)"),
    ("hours_diff", 2, "seconds_between($1, $2) DIV 3600"),
    ("if", 3, "CASE WHEN $1 THEN $2 ELSE $3 END"),
    ("ifnull", 2, "coalesce($1, $2)"),
    ("isnull", 1, "$1 IS NULL"),
    (
        "last_day",
        1,
        "CAST(date_trunc('month', CAST($1 AS TIMESTAMP)) + INTERVAL '1' MONTH - INTERVAL '1' DAY AS DATE)",
    ),
    ("locate", 2, "strpos($2, $1)"),
    ("log", 1, "ln($1)"),
    ("minute", 1, "CAST(date_part('minute', CAST($1 AS TIMESTAMP)) AS INT)"),
    ("minutes_diff", 2, "seconds_between($1, $2) DIV 60"),
    ("mod", 2, "$1 % $2"),
    ("month", 1, "CAST(date_part('month', CAST($1 AS TIMESTAMP)) AS INT)"),
    ("monthname", 1, "to_char(CAST($1 AS TIMESTAMP), '%B')"),
    ("months_diff", 2, "months_between($1, $2)"),
    ("quarter", 1, "CAST(date_part('quarter', CAST($1 AS TIMESTAMP)) AS INT)"),
    ("quarters_diff", 2, "months_between($1, $2) DIV 3"),
    ("second", 1, "CAST(date_part('second', CAST($1 AS TIMESTAMP)) AS INT)"),
    ("seconds_diff", 2, "seconds_between($1, $2)"),
    ("space", 1, "repeat(' ', $1)"),
    (
        "timediff",
        2,
        "concat(CASE WHEN seconds_between($1, $2) < 0 THEN '-' ELSE '' END, \
         CASE WHEN abs(seconds_between($1, $2)) < 36000 THEN '0' ELSE '' END, \
         CAST(abs(seconds_between($1, $2)) DIV 3600 AS VARCHAR), ':', \
         lpad(CAST(abs(seconds_between($1, $2)) DIV 60 % 60 AS VARCHAR), 2, '0'), ':', \
         lpad(CAST(abs(seconds_between($1, $2)) % 60 AS VARCHAR), 2, '0'))",
    ),
    ("truncate", 1, "trunc($1)"),
    ("unix_timestamp", 0, "CAST(to_unixtime(now()) AS BIGINT)"),
    (
        "unix_timestamp",
        1,
        "CAST(to_unixtime(CAST($1 AS TIMESTAMP)) AS BIGINT)",
    ),
    ("weekofyear", 1, "CAST(date_part('week', CAST($1 AS TIMESTAMP)) AS INT)"),
    ("weeks_diff", 2, "seconds_between($1, $2) DIV 604800"),
    ("year", 1, "CAST(date_part('year', CAST($1 AS TIMESTAMP)) AS INT)"),
    ("years_diff", 2, "months_between($1, $2) DIV 12"),
];

/// `$1 - $2` in seconds, where a template says `seconds_between($1, $2)`.
const SECONDS_BETWEEN: &str =
    "(CAST(to_unixtime(CAST($1 AS TIMESTAMP)) AS BIGINT) - CAST(to_unixtime(CAST($2 AS TIMESTAMP)) AS BIGINT))";

/// Whole months from `$2` to `$1`, where a template says `months_between($1, $2)`: those of the calendar, less one that has
/// begun and not ended.
const MONTHS_BETWEEN: &str = "(CAST((date_part('year', CAST($1 AS TIMESTAMP)) - date_part('year', CAST($2 AS TIMESTAMP))) * 12 \
     + date_part('month', CAST($1 AS TIMESTAMP)) - date_part('month', CAST($2 AS TIMESTAMP)) AS BIGINT) \
     - CASE WHEN CAST($1 AS TIMESTAMP) > CAST($2 AS TIMESTAMP) AND of_month($1) < of_month($2) THEN 1 \
            WHEN CAST($1 AS TIMESTAMP) < CAST($2 AS TIMESTAMP) AND of_month($1) > of_month($2) THEN -1 ELSE 0 END)";

/// Seconds of the month at `argument`, where the above says `of_month(argument)`.
fn of_month(argument: &str) -> String {
    format!(
        "(to_unixtime(CAST({argument} AS TIMESTAMP)) - to_unixtime(date_trunc('month', CAST({argument} AS TIMESTAMP))))"
    )
}

static PARSED: LazyLock<HashMap<(&'static str, usize), Expr>> = LazyLock::new(|| {
    TEMPLATES
        .iter()
        .filter_map(|(name, arity, sql)| {
            let sql = sql
                .replace("seconds_between($1, $2)", SECONDS_BETWEEN)
                .replace("months_between($1, $2)", MONTHS_BETWEEN)
                .replace("of_month($1)", &of_month("$1"))
                .replace("of_month($2)", &of_month("$2"));
            let mut parser = Parser::new(&StarRocksDialect).try_with_sql(&sql).ok()?;
            Some(((*name, *arity), parser.parse_expr().ok()?))
        })
        .collect()
});

/// How many templates could be parsed, and how many there are; a test holds them equal.
#[cfg(test)]
pub(super) fn template_counts() -> (usize, usize) {
    (PARSED.len(), TEMPLATES.len())
}

/// `name(arguments)`.
pub(super) fn call(name: &str, arguments: Vec<Expr>) -> Expr {
    Expr::Function(Function {
        name: ObjectName::from(vec![Ident::new(name)]),
        uses_odbc_syntax: false,
        parameters: FunctionArguments::None,
        args: FunctionArguments::List(FunctionArgumentList {
            duplicate_treatment: None,
            args: arguments.into_iter().map(unnamed).collect(),
            clauses: Vec::new(),
        }),
        filter: None,
        null_treatment: None,
        over: None,
        within_group: Vec::new(),
    })
}

/// The template of `name` with `arguments` filled in.
pub(super) fn template(name: &str, arguments: Vec<Expr>) -> Option<Expr> {
    struct Fill(Vec<Expr>);
    impl VisitorMut for Fill {
        type Break = ();
        // After the children, so that nothing that was filled in is visited again.
        fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
            if let Expr::Identifier(name) = expr
                && let Some(argument) = name
                    .value
                    .strip_prefix('$')
                    .and_then(|number| number.parse::<usize>().ok())
                    .and_then(|number| self.0.get(number.wrapping_sub(1)))
            {
                *expr = match argument {
                    Expr::BinaryOp { .. } | Expr::UnaryOp { .. } => Expr::Nested(Box::new(argument.clone())),
                    other => other.clone(),
                };
            }
            ControlFlow::Continue(())
        }
    }
    let mut expr = PARSED
        .iter()
        .find(|((known, arity), _)| *known == name && *arity == arguments.len())
        .map(|(_, expr)| expr.clone())?;
    let _ = expr.visit(&mut Fill(arguments));
    Some(Expr::Nested(Box::new(expr)))
}

pub(super) fn rewritten(name: &str, function: &mut Function) -> Result<Option<Expr>, SqlError> {
    let FunctionArguments::List(list) = &mut function.args else {
        return Ok(None);
    };
    let plain = function.over.is_none() && list.clauses.is_empty() && list.duplicate_treatment.is_none();
    if plain && let Some(arguments) = expressions(&list.args) {
        match (name, arguments.as_slice()) {
            ("date_add" | "adddate" | "days_add", [date, interval]) => {
                return shifted(date, interval, BinaryOperator::Plus).map(Some);
            }
            ("date_sub" | "subdate" | "days_sub", [date, interval]) => {
                return shifted(date, interval, BinaryOperator::Minus).map(Some);
            }
            ("date_format", [date, format]) => return formatted(date, format).map(Some),
            ("timestampdiff", [unit, from, to]) => {
                let unit = unit.to_string().to_ascii_lowercase();
                if let Some(expr) = template(&format!("{unit}s_diff"), vec![to.clone(), from.clone()]) {
                    return Ok(Some(expr));
                }
                return Err(unknown_unit(name, &unit));
            }
            ("timestampadd", [unit, number, date]) => {
                let interval = Expr::Interval(Interval {
                    value: Box::new(number.clone()),
                    leading_field: Some(date_time_field(name, unit)?),
                    leading_precision: None,
                    last_field: None,
                    fractional_seconds_precision: None,
                });
                return shifted(date, &interval, BinaryOperator::Plus).map(Some);
            }
            ("greatest" | "least", arguments @ [_, ..]) => return Ok(Some(null_if_any_is(name, arguments))),
            ("concat", arguments) => return Ok(strings::concat(arguments)),
            ("substr" | "substring" | "mid", [from, position, length @ ..]) if length.len() < 2 => {
                if let Some(expr) = strings::substring(from, position, length.first()) {
                    return Ok(Some(expr));
                }
            }
            // A time of the day is one of a day.
            ("time_format", [time, format]) => {
                let of_a_day = call("concat", vec![text("1970-01-01 "), time.clone()]);
                return formatted(&of_a_day, format).map(Some);
            }
            ("str_to_date", [value, format]) => {
                let format = chrono_format(format)?;
                return Ok(Some(call("to_timestamp", vec![value.clone(), text(&format)])));
            }
            _ => {
                if let Some(expr) = template(name, arguments) {
                    return Ok(Some(expr));
                }
            }
        }
    }
    if name == "group_concat" {
        group_concat(list);
        function.name = ObjectName::from(vec![Ident::new("string_agg")]);
        return Ok(None);
    }
    if name == "count" && list.duplicate_treatment == Some(DuplicateTreatment::Distinct) && list.args.len() > 1 {
        return Err(SqlError::unsupported(
            "COUNT(DISTINCT) of several columns",
            "count the rows of SELECT DISTINCT",
        ));
    }
    if let Some((_, renamed)) = RENAMED.iter().find(|(known, _)| *known == name) {
        function.name = ObjectName::from(vec![Ident::new(*renamed)]);
    }
    Ok(None)
}

fn expressions(args: &[FunctionArg]) -> Option<Vec<Expr>> {
    args.iter()
        .map(|arg| match arg {
            FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => Some(expr.clone()),
            _ => None,
        })
        .collect()
}

fn unknown_unit(name: &str, unit: &str) -> SqlError {
    SqlError::unsupported(
        format!("{} in units of {unit}", name.to_ascii_uppercase()),
        "use SECOND, MINUTE, HOUR, DAY, WEEK, MONTH, QUARTER or YEAR",
    )
}

fn date_time_field(name: &str, unit: &Expr) -> Result<DateTimeField, SqlError> {
    let unit = unit.to_string().to_ascii_lowercase();
    Ok(match unit.as_str() {
        "second" => DateTimeField::Second,
        "minute" => DateTimeField::Minute,
        "hour" => DateTimeField::Hour,
        "day" => DateTimeField::Day,
        "week" => DateTimeField::Week(None),
        "month" => DateTimeField::Month,
        "quarter" => DateTimeField::Quarter,
        "year" => DateTimeField::Year,
        _ => return Err(unknown_unit(name, &unit)),
    })
}

/// DataFusion passes over `NULL`s in these; MySQL and StarRocks answer with `NULL`.
fn null_if_any_is(name: &str, arguments: &[Expr]) -> Expr {
    let called = call(name, arguments.to_vec());
    let is_null = |argument: &Expr| Expr::IsNull(Box::new(Expr::Nested(Box::new(argument.clone()))));
    let any = arguments
        .iter()
        .filter(|argument| !matches!(argument, Expr::Value(value) if value.value != Value::Null))
        .map(is_null)
        .reduce(|left, right| Expr::BinaryOp {
            left: Box::new(left),
            op: BinaryOperator::Or,
            right: Box::new(right),
        });
    let Some(any) = any else { return called };
    template("if", vec![any, super::value(Value::Null), called.clone()]).unwrap_or(called)
}

/// `date ± interval`; a bare number counts days.
fn shifted(date: &Expr, interval: &Expr, op: BinaryOperator) -> Result<Expr, SqlError> {
    let right = match interval {
        Expr::Interval(_) => interval.clone(),
        Expr::Value(ValueWithSpan {
            value: Value::Number(digits, _),
            ..
        }) => Expr::Interval(Interval {
            value: Box::new(text(digits)),
            leading_field: Some(DateTimeField::Day),
            leading_precision: None,
            last_field: None,
            fractional_seconds_precision: None,
        }),
        _ => {
            return Err(SqlError::unsupported(
                "DATE_ADD of an interval that is no constant",
                "write INTERVAL n unit",
            ));
        }
    };
    let left = match date {
        Expr::Value(ValueWithSpan {
            value: Value::SingleQuotedString(_) | Value::DoubleQuotedString(_),
            ..
        }) => template("timestamp", vec![date.clone()]).unwrap_or_else(|| cast_to_timestamp(date)),
        _ => date.clone(),
    };
    Ok(Expr::Nested(Box::new(Expr::BinaryOp {
        left: Box::new(left),
        op,
        right: Box::new(right),
    })))
}

fn cast_to_timestamp(expr: &Expr) -> Expr {
    Expr::Cast {
        kind: sqlparser::ast::CastKind::TryCast,
        expr: Box::new(expr.clone()),
        data_type: sqlparser::ast::DataType::Timestamp(None, sqlparser::ast::TimezoneInfo::None),
        array: false,
        format: None,
    }
}

fn formatted(date: &Expr, format: &Expr) -> Result<Expr, SqlError> {
    let format = chrono_format(format)?;
    Ok(call("to_char", vec![cast_to_timestamp(date), text(&format)]))
}

/// MySQL's format in chrono's letters.
fn chrono_format(format: &Expr) -> Result<String, SqlError> {
    let Expr::Value(ValueWithSpan {
        value: Value::SingleQuotedString(format) | Value::DoubleQuotedString(format),
        ..
    }) = format
    else {
        return Err(SqlError::unsupported(
            "A format that is no constant",
            "write it as a string",
        ));
    };
    let mut chrono = String::with_capacity(format.len());
    let mut letters = format.chars();
    while let Some(letter) = letters.next() {
        if letter != '%' {
            chrono.push(letter);
            continue;
        }
        let translated = match letters.next() {
            Some('i') => "%M",
            Some('s' | 'S') => "%S",
            Some('M') => "%B",
            Some('W') => "%A",
            Some('c') => "%-m",
            Some('e') => "%-d",
            Some('k') => "%-H",
            Some('l') => "%-I",
            Some('h') => "%I",
            Some('f') => "%6f",
            Some('r') => "%I:%M:%S %p",
            Some('T') => "%H:%M:%S",
            Some('u' | 'v') => "%V",
            Some('x') => "%G",
            Some('%') => "%%",
            Some(same @ ('Y' | 'y' | 'm' | 'd' | 'H' | 'I' | 'p' | 'a' | 'b' | 'j' | 'w')) => {
                chrono.push('%');
                chrono.push(same);
                continue;
            }
            other => {
                let other = other.map(String::from).unwrap_or_default();
                return Err(SqlError::unsupported(format!("%{other} in a date format"), ""));
            }
        };
        chrono.push_str(translated);
    }
    Ok(chrono)
}

/// `SEPARATOR` becomes the second argument of `string_agg`.
fn group_concat(list: &mut FunctionArgumentList) {
    let mut separator = text(",");
    list.clauses.retain(|clause| match clause {
        FunctionArgumentClause::Separator(value) => {
            separator = Expr::Value(value.clone());
            false
        }
        _ => true,
    });
    list.args.push(unnamed(separator));
}
