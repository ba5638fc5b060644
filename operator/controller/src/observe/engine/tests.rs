use std::{
    future::ready,
    sync::atomic::{AtomicU32, Ordering},
};

use serde_json::json;

use super::*;

fn answer(number: u32) -> SqlAnswer {
    SqlAnswer::LoginRefused {
        message: number.to_string(),
    }
}

#[tokio::test]
async fn groups_of_a_cluster_that_are_looked_at_in_the_same_moment_share_an_answer() {
    let (answers, asked) = (MemberAnswers::default(), AtomicU32::new(0));
    let ask = async || {
        let slow = async {
            tokio::time::sleep(Duration::from_millis(20)).await;
            answer(asked.fetch_add(1, Ordering::Relaxed))
        };
        answers.or_ask("retail/lake", slow).await
    };
    let got = futures::future::join_all((0..4).map(|_| ask())).await;
    assert_eq!(got, vec![answer(0); 4]);
    assert_eq!(answers.or_ask("finance/lake", ready(answer(7))).await, answer(7));
    tokio::time::sleep(GOOD_FOR).await;
    assert_eq!(ask().await, answer(1));
}

#[tokio::test]
async fn what_was_said_before_a_statement_is_not_believed_after_it() {
    let answers = MemberAnswers::default();
    assert_eq!(answers.or_ask("retail/lake", ready(answer(1))).await, answer(1));
    answers.changed("retail/lake");
    assert_eq!(answers.or_ask("retail/lake", ready(answer(2))).await, answer(2));
    // Asked before the statement and answered after it.
    answers.changed("retail/lake");
    let overtaken = async {
        answers.changed("retail/lake");
        answer(3)
    };
    assert_eq!(answers.or_ask("retail/lake", overtaken).await, answer(3));
    assert_eq!(answers.or_ask("retail/lake", ready(answer(4))).await, answer(4));
}

#[tokio::test]
async fn that_nobody_could_be_asked_yet_is_not_remembered() {
    let answers = MemberAnswers::default();
    assert_eq!(
        answers.or_ask("retail/lake", ready(SqlAnswer::NotAsked)).await,
        SqlAnswer::NotAsked
    );
    assert_eq!(answers.or_ask("retail/lake", ready(answer(1))).await, answer(1));
}

#[tokio::test]
async fn a_frontend_that_hangs_is_waited_for_once_by_all_groups_that_come_meanwhile() {
    let (answers, asked) = (MemberAnswers::default(), AtomicU32::new(0));
    let ask = async || {
        let hangs = async {
            asked.fetch_add(1, Ordering::Relaxed);
            tokio::time::sleep(GOOD_FOR * 2).await;
            SqlAnswer::Unreachable {
                message: "no answer in time".to_owned(),
            }
        };
        answers.or_ask("retail/lake", hangs).await
    };
    futures::future::join_all((0..4).map(|_| ask())).await;
    assert_eq!(asked.load(Ordering::Relaxed), 1);
}

#[test]
fn frontends_that_are_told_to_stop_are_asked_last_and_only_while_they_are_ready() {
    let pod = |number: u8, leaves: bool, ready: bool| -> Arc<Pod> {
        let deleted = leaves.then_some("2026-11-23T12:00:00Z");
        let pod = json!({
            "metadata": {"name": format!("lake-fe-{number}"), "deletionTimestamp": deleted},
            "status": {
                "phase": "Running",
                "podIP": format!("10.0.0.{number}"),
                "conditions": [{"type": "Ready", "status": if ready { "True" } else { "False" }}],
            },
        });
        Arc::new(serde_json::from_value(pod).unwrap())
    };
    let pods = [
        pod(0, true, true),
        pod(1, false, false),
        pod(2, false, true),
        pod(3, true, false),
    ];
    let asked = |leader: &str| -> Vec<String> {
        let addresses = addresses(leader, &pods);
        addresses.iter().map(|(_, address)| address.to_string()).collect()
    };
    // One that starts is asked: it may be the only one.
    assert_eq!(asked("lake-fe-2.lake-fe"), ["10.0.0.2", "10.0.0.1", "10.0.0.0"]);
    assert_eq!(asked("lake-fe-0.lake-fe"), ["10.0.0.1", "10.0.0.2", "10.0.0.0"]);
}
