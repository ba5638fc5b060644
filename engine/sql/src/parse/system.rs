//! `ALTER SYSTEM` and `KILL`.

use sqlparser::tokenizer::Token;

use crate::{AlterSystem, DrainOrder, HostPort, NodeReference, SqlError, Statement, tokens::Cursor};

pub(super) fn alter_system(cursor: &mut Cursor) -> Result<Statement, SqlError> {
    if cursor.take_all(&["CREATE", "IMAGE"]) {
        return Ok(Statement::AlterSystem(AlterSystem::CreateImage));
    }
    let cancelled = cursor.take("CANCEL");
    if cancelled && !cursor.is_word("DRAIN") {
        return cursor.expected("'DRAIN'");
    }
    if cursor.take("DRAIN") {
        cursor.require("COMPUTE")?;
        cursor.require("NODE")?;
        let nodes = cursor.comma_separated(node_reference)?;
        let order = match cancelled {
            true => DrainOrder::Cancel,
            false if cursor.take("FORCE") => DrainOrder::Force,
            false => DrainOrder::Drain,
        };
        return Ok(Statement::AlterSystem(AlterSystem::DrainComputeNodes { nodes, order }));
    }
    let add = if cursor.take("ADD") {
        true
    } else {
        if cursor.is_word("DECOMMISSION") || cursor.is_word("MODIFY") {
            return cursor.expected("'ADD', 'DRAIN', 'CANCEL DRAIN', 'DROP'");
        }
        cursor.require("DROP")?;
        false
    };
    for other in ["BACKEND", "FOLLOWER", "OBSERVER", "BROKER"] {
        if cursor.is_word(other) {
            let remedy = "nodes of this engine are compute nodes: use COMPUTE NODE";
            return Err(SqlError::unsupported(format!("ALTER SYSTEM … {other}"), remedy));
        }
    }
    cursor.require("COMPUTE")?;
    cursor.require("NODE")?;
    let action = if add {
        AlterSystem::AddComputeNodes {
            nodes: cursor.comma_separated(|cursor| {
                let text = cursor.string()?;
                host_port(&text)
            })?,
            warehouse: warehouse(cursor, "INTO")?,
        }
    } else {
        AlterSystem::DropComputeNodes {
            nodes: cursor.comma_separated(node_reference)?,
            warehouse: warehouse(cursor, "FROM")?,
        }
    };
    Ok(Statement::AlterSystem(action))
}

fn warehouse(cursor: &mut Cursor, preposition: &str) -> Result<Option<String>, SqlError> {
    if !cursor.take(preposition) {
        return Ok(None);
    }
    cursor.require("WAREHOUSE")?;
    let name = cursor.name()?;
    if cursor.take("CNGROUP") {
        return Err(SqlError::unsupported("CNGROUP", "use warehouses"));
    }
    Ok(Some(name))
}

fn node_reference(cursor: &mut Cursor) -> Result<NodeReference, SqlError> {
    if matches!(cursor.peek(), Token::Number(..)) {
        return cursor.integer().map(NodeReference::Id);
    }
    let text = cursor.string()?;
    host_port(&text).map(NodeReference::Address)
}

fn host_port(text: &str) -> Result<HostPort, SqlError> {
    text.trim()
        .rsplit_once(':')
        .filter(|(host, _)| !host.is_empty() && !host.contains(char::is_whitespace))
        .and_then(|(host, port)| {
            let port: u16 = port.parse().ok().filter(|port| *port > 0)?;
            let host = host.to_owned();
            Some(HostPort { host, port })
        })
        .ok_or_else(|| SqlError::invalid(format!("Invalid host port: {text}.")))
}

pub(super) fn kill(cursor: &mut Cursor) -> Result<Statement, SqlError> {
    let query_only = cursor.take("QUERY");
    if !query_only {
        cursor.take("CONNECTION");
    }
    let connection = if cursor.is_string() {
        let text = cursor.string()?;
        text.parse()
            .map_err(|_| SqlError::invalid(format!("Invalid connection id: {text}.")))?
    } else {
        cursor.integer()?
    };
    Ok(Statement::Kill { connection, query_only })
}
