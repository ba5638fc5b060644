use super::*;

fn peer() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 4_000))
}

#[test]
fn ids_skip_zero_and_those_in_use() {
    let registry = ConnectionRegistry::starting_at(u32::MAX);
    let last = registry.enter(peer(), 9).expect("room");
    let wrapped = registry.enter(peer(), 9).expect("room");
    assert_eq!((last.connection_id, wrapped.connection_id), (u32::MAX, 1));
    registry.shared.next_id.store(1, Ordering::Relaxed);
    assert_eq!(registry.enter(peer(), 9).expect("room").connection_id, 2);
}

#[test]
fn the_limit_holds_until_one_leaves() {
    let registry = ConnectionRegistry::default();
    let only = registry.enter(peer(), 1).expect("room");
    assert!(registry.enter(peer(), 1).is_none());
    drop(only);
    assert!(registry.is_empty());
    assert!(registry.enter(peer(), 1).is_some());
}

#[test]
fn killing_a_query_leaves_the_connection_and_later_statements_alone() {
    let registry = ConnectionRegistry::default();
    let connection = registry.enter(peer(), 9).expect("room");
    let first = connection.begin_statement();
    assert!(registry.kill_query(connection.connection_id));
    connection.end_statement();
    assert!(first.is_cancelled());
    assert!(registry.kill_query(connection.connection_id), "idle: nothing to kill");
    assert!(!connection.begin_statement().is_cancelled());
    assert!(!connection.killed.is_cancelled());
}

#[test]
fn killing_a_connection_cancels_its_statement() {
    let registry = ConnectionRegistry::default();
    let connection = registry.enter(peer(), 9).expect("room");
    let statement = connection.begin_statement();
    assert!(registry.list()[0].busy);
    assert!(registry.kill_connection(connection.connection_id));
    assert!(statement.is_cancelled());
    assert!(!registry.kill_connection(connection.connection_id + 1));
}
