//! sqlparser's MySQL dialect with the precedence of `DIV` put right: there, `7 DIV 2 + 1` is `7 DIV (2 + 1)`.

use std::any::TypeId;

use sqlparser::{
    ast::{BinaryOperator, Expr},
    dialect::{Dialect, MySqlDialect},
    keywords::Keyword,
    parser::{Parser, ParserError},
};

/// The dialect of StarRocks, which is MySQL's.
#[derive(Clone, Copy, Debug, Default)]
pub struct StarRocksDialect;

const MYSQL: MySqlDialect = MySqlDialect {};

macro_rules! as_mysql {
    ($($method:ident),+ $(,)?) => {
        $(fn $method(&self) -> bool {
            MYSQL.$method()
        })+
    };
}

impl Dialect for StarRocksDialect {
    fn dialect(&self) -> TypeId {
        TypeId::of::<MySqlDialect>()
    }

    fn is_identifier_start(&self, ch: char) -> bool {
        MYSQL.is_identifier_start(ch)
    }

    fn is_identifier_part(&self, ch: char) -> bool {
        MYSQL.is_identifier_part(ch)
    }

    fn is_delimited_identifier_start(&self, ch: char) -> bool {
        MYSQL.is_delimited_identifier_start(ch)
    }

    fn identifier_quote_style(&self, identifier: &str) -> Option<char> {
        MYSQL.identifier_quote_style(identifier)
    }

    fn is_table_factor_alias(&self, explicit: bool, keyword: &Keyword, parser: &mut Parser) -> bool {
        MYSQL.is_table_factor_alias(explicit, keyword, parser)
    }

    fn parse_infix(&self, parser: &mut Parser, left: &Expr, precedence: u8) -> Option<Result<Expr, ParserError>> {
        if !parser.parse_keyword(Keyword::DIV) {
            return None;
        }
        Some(parser.parse_subexpr(precedence).map(|right| Expr::BinaryOp {
            left: Box::new(left.clone()),
            op: BinaryOperator::MyIntegerDivide,
            right: Box::new(right),
        }))
    }

    /// `ROLLUP`, `CUBE` and `GROUPING SETS`, as StarRocks has them.
    fn supports_group_by_expr(&self) -> bool {
        true
    }

    /// `GROUP BY … WITH ROLLUP`.
    fn supports_group_by_with_modifier(&self) -> bool {
        true
    }

    as_mysql!(
        supports_string_literal_backslash_escape,
        supports_string_literal_concatenation,
        ignores_wildcard_escapes,
        supports_numeric_prefix,
        supports_bitwise_shift_operators,
        supports_multiline_comment_hints,
        require_interval_qualifier,
        supports_limit_comma,
        supports_table_hints,
        requires_single_line_comment_whitespace,
        supports_match_against,
        supports_select_modifiers,
        supports_data_type_signed_suffix,
        supports_cross_join_constraint,
        supports_double_ampersand_operator,
        supports_binary_kw_as_cast,
        supports_comment_optimizer_hint,
    );
}
