use serde_json::Value;

use super::*;

/// One recorded answer.
struct Recording {
    sql: String,
    columns: Vec<String>,
    rows: Vec<Vec<Option<String>>>,
    error: Option<String>,
}

fn recordings(text: &str) -> Vec<Recording> {
    let file: Value = serde_json::from_str(text).unwrap();
    let list = |value: &Value| serde_json::from_value(value.clone()).unwrap_or_default();
    file["answers"]
        .as_array()
        .unwrap()
        .iter()
        .map(|answer| Recording {
            sql: answer["sql"].as_str().unwrap().to_owned(),
            columns: serde_json::from_value(answer["columns"].clone()).unwrap_or_default(),
            rows: list(&answer["rows"]),
            error: answer["error"]["message"].as_str().map(str::to_owned),
        })
        .collect()
}

fn nodes(recording: &Recording) -> Vec<(String, String, bool, bool, String)> {
    ComputeNodeRow::parse(&recording.columns, &recording.rows)
        .unwrap()
        .into_iter()
        .map(|row| (row.id, row.host, row.alive, row.draining, row.warehouse))
        .collect()
}

#[test]
fn nodes_that_were_just_added_are_known_and_not_alive() {
    let answers = recordings(include_str!("../../fixtures/starrocks/compute-nodes-alive.json"));
    let node = |id: &str, host: &str, alive| {
        let host = format!("{host}.cn.lake.svc.cluster.local");
        (id.to_owned(), host, alive, false, "default_warehouse".to_owned())
    };
    assert_eq!(
        nodes(&answers[0]),
        [node("10001", "cn-0", false), node("10002", "cn-1", false)]
    );
    assert_eq!(
        nodes(&answers[1]),
        [node("10001", "cn-0", true), node("10002", "cn-1", true)]
    );
}

#[test]
fn a_node_that_died_shows_its_error_and_gets_a_new_id_when_it_is_added_again() {
    let answers = recordings(include_str!("../../fixtures/starrocks/compute-node-death.json"));
    let dead = ComputeNodeRow::parse(&answers[1].columns, &answers[1].rows)
        .unwrap()
        .remove(1);
    assert!(!dead.alive);
    assert_eq!(dead.error, "java.net.ConnectException: Connection refused");
    assert_eq!(dead.heartbeat_port, 9050);
    let again = answers.last().unwrap();
    assert_eq!(nodes(again)[0].0, "10257");
}

#[test]
fn an_answer_without_warehouses_is_read_too() {
    let answers = recordings(include_str!(
        "../../fixtures/starrocks/compute-nodes-shared-nothing.json"
    ));
    assert!(!answers[0].columns.contains(&"WarehouseName".to_owned()));
    assert_eq!(nodes(&answers[0])[0].4, "default_warehouse");
}

#[test]
fn frontends_are_read_with_their_leader() {
    let answers = recordings(include_str!("../../fixtures/starrocks/frontends-fresh.json"));
    let rows = FrontendRow::parse(&answers[0].columns, &answers[0].rows).unwrap();
    assert_eq!(rows.len(), 1);
    assert_eq!(rows[0].host, "fe-0.fe.lake.svc.cluster.local");
    assert!(rows[0].is_leader && rows[0].alive);

    let answers = recordings(include_str!("../../fixtures/starrocks/frontends-several.json"));
    for answer in answers.iter().filter(|answer| answer.error.is_none()) {
        let rows = FrontendRow::parse(&answer.columns, &answer.rows).unwrap();
        assert_eq!(rows.iter().filter(|row| row.is_leader).count(), 1, "{rows:?}");
    }
}

#[test]
fn a_frontend_that_never_started_is_not_alive() {
    let answers = recordings(include_str!("../../fixtures/starrocks/membership-statements.json"));
    let answer = answers.iter().find(|answer| answer.sql == SHOW_FRONTENDS).unwrap();
    let rows = FrontendRow::parse(&answer.columns, &answer.rows).unwrap();
    let seen: Vec<(bool, bool)> = rows.iter().map(|row| (row.alive, row.never_joined)).collect();
    assert_eq!(seen, [(true, false), (false, true)]);
}

#[test]
fn columns_are_found_by_name_wherever_they_stand() {
    let columns = [
        "Alive",
        "New",
        "HeartbeatPort",
        "IP",
        "ComputeNodeId",
        "StatusCode",
        "DrainSeconds",
    ];
    let columns = columns.map(str::to_owned);
    let row = ["true", "x", "9050", "h", "7", "SHUTDOWN", "12"].map(|text| Some(text.to_owned()));
    let rows = ComputeNodeRow::parse(&columns, &[row.to_vec()]).unwrap();
    assert_eq!((rows[0].id.as_str(), rows[0].draining), ("7", true));
    assert_eq!(rows[0].drains_for_seconds, Some(12));
}

#[test]
fn an_answer_that_cannot_be_read_says_which_column() {
    let columns = ["ComputeNodeId", "IP", "Alive"].map(str::to_owned);
    let error = ComputeNodeRow::parse(&columns, &[]).unwrap_err().to_string();
    assert!(
        error.contains("SHOW COMPUTE NODES has no column HeartbeatPort"),
        "{error}"
    );

    let columns = ["ComputeNodeId", "IP", "HeartbeatPort", "Alive"].map(str::to_owned);
    let row = ["7", "h", "many", "true"].map(|text| Some(text.to_owned()));
    let error = ComputeNodeRow::parse(&columns, &[row.to_vec()])
        .unwrap_err()
        .to_string();
    assert!(error.contains("\"many\" in column HeartbeatPort"), "{error}");
}

fn add(host: &str, warehouse: &str) -> AdminStatement {
    AdminStatement::AddComputeNode {
        host: host.to_owned(),
        port: 9050,
        warehouse: warehouse.to_owned(),
    }
}

fn remove(host: &str) -> AdminStatement {
    AdminStatement::DropComputeNodeAt {
        node_id: "10001".to_owned(),
        host: host.to_owned(),
        port: 9050,
        warehouse: "default_warehouse".to_owned(),
    }
}

#[test]
fn statements_are_those_that_starrocks_accepted() {
    let answers = recordings(include_str!("../../fixtures/starrocks/membership-statements.json"));
    let accepted = |statement: &AdminStatement| {
        let text = statement.text().text;
        answers
            .iter()
            .any(|answer| answer.sql == text && answer.error.is_none())
    };
    assert!(accepted(&add("10.244.0.34", "default_warehouse")));
    assert!(accepted(&remove("10.244.0.34")));
    let (host, port) = ("fe-2.fe.lake.svc.cluster.local".to_owned(), 9010);
    assert!(accepted(&AdminStatement::AddFollower {
        host: host.clone(),
        port
    }));
    assert!(accepted(&AdminStatement::DropFollower { host, port }));
}

#[test]
fn the_operators_account_is_made_as_starrocks_accepted_it() {
    let answers = recordings(include_str!("../../fixtures/starrocks/accounts.json"));
    let user = "u2".to_owned();
    let secret = "demo-operator".to_owned();
    for (statement, password) in [
        (
            AdminStatement::CreateOperatorAccount {
                user: user.clone(),
                secret: secret.clone(),
            },
            "'pw2'",
        ),
        (
            AdminStatement::SetOperatorPassword {
                user: "u1".to_owned(),
                secret: secret.clone(),
            },
            "'pw1b'",
        ),
        (AdminStatement::GrantOperatorRoles { user: user.clone() }, ""),
        (AdminStatement::ActivateOperatorRoles { user }, ""),
        (AdminStatement::SetOwnPassword { secret }, "''"),
    ] {
        let text = statement.text().text.replace("{password}", password);
        let accepted = answers
            .iter()
            .any(|answer| answer.sql == text && answer.error.is_none());
        assert!(accepted, "{text}");
    }
}

#[test]
fn a_setting_is_changed_and_read_back_as_starrocks_does() {
    let answers = recordings(include_str!("../../fixtures/starrocks/frontend-config.json"));
    let set = |value: &str| AdminStatement::SetFrontendConfig {
        name: "lake_compaction_max_tasks".to_owned(),
        value: value.to_owned(),
    };
    let recorded = |statement: &AdminStatement| {
        let text = statement.text().text;
        answers.iter().find(|answer| answer.sql == text)
    };
    assert!(recorded(&set("7")).is_some_and(|answer| answer.error.is_none()));
    let refused = recorded(&set("x")).and_then(|answer| answer.error.clone()).unwrap();
    assert!(!set("x").is_done_already(&refused), "{refused}");
    let shown = answers
        .iter()
        .find(|answer| answer.sql.starts_with(SHOW_FRONTEND_CONFIG))
        .unwrap();
    let rows = FrontendConfigRow::parse(&shown.columns, &shown.rows).unwrap();
    let expected = FrontendConfigRow {
        name: "lake_compaction_max_tasks".to_owned(),
        value: "7".to_owned(),
        is_mutable: true,
    };
    assert_eq!(rows, [expected]);
    assert_eq!(
        set("it's \\").text().text,
        "ADMIN SET FRONTEND CONFIG ('lake_compaction_max_tasks'='it''s \\\\')"
    );
    let error = FrontendConfigRow::parse(&["Key".to_owned(), "Value".to_owned()], &[]).unwrap_err();
    assert!(error.to_string().contains("has no column IsMutable"), "{error}");
}

#[test]
fn repeating_a_statement_is_seen_from_the_error() {
    let answers = recordings(include_str!("../../fixtures/starrocks/membership-statements.json"));
    let error = |text: &str| {
        let answer = answers
            .iter()
            .find(|answer| answer.sql.contains(text) && answer.error.is_some());
        answer.unwrap().error.clone().unwrap()
    };
    assert!(add("cn-0", "w").is_done_already(&error("ADD COMPUTE NODE 'cn-0.cn.lake")));
    assert!(remove("cn-9.cn").is_done_already(&error("DROP COMPUTE NODE 'cn-9.cn:9050'")));
    assert!(!add("x", "nosuch").is_done_already(&error("INTO WAREHOUSE nosuch")));
    assert!(!remove("x").is_done_already(&error("INTO WAREHOUSE nosuch")));
}

#[test]
fn names_are_quoted_where_they_must_be() {
    assert_eq!(
        add("o'host", "month-end").text().text,
        "ALTER SYSTEM ADD COMPUTE NODE 'o''host:9050' INTO WAREHOUSE `month-end`"
    );
}

#[test]
fn a_password_is_never_in_the_text() {
    let user = "springtide_operator".to_owned();
    let secret = "demo-operator".to_owned();
    let create = AdminStatement::CreateOperatorAccount {
        user: user.clone(),
        secret: secret.clone(),
    };
    for statement in [
        create.clone(),
        AdminStatement::SetOperatorPassword {
            user,
            secret: secret.clone(),
        },
        AdminStatement::SetOwnPassword { secret },
    ] {
        let text = statement.text();
        assert!(text.text.contains("{password}"), "{}", text.text);
        assert_eq!(text.password_from.as_deref(), Some("demo-operator"));
    }
    let text = create.text();
    assert_eq!(
        text.text,
        "CREATE USER IF NOT EXISTS springtide_operator IDENTIFIED WITH mysql_native_password BY {password}"
    );
}
