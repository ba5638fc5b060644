use super::*;

#[test]
fn ready_only_while_the_api_server_answers() {
    let health = Health::default();
    assert!(!health.is_ready(Instant::now()));
    health.api_answered();
    assert!(health.is_ready(Instant::now()));
    assert!(!health.is_ready(Instant::now() + READY_WITHIN * 2));
}

#[test]
fn an_unreachable_api_server_is_no_reason_to_restart_but_a_hang_is() {
    let health = Health::default();
    health.turned();
    assert!(health.is_alive(Instant::now() + READY_WITHIN * 2));
    assert!(!health.is_alive(Instant::now() + ALIVE_WITHIN * 2));
}
