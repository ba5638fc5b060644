use std::sync::Arc;

use springtide_contract::drain::ORDER_LASTS;
use springtide_model::{ComputeNode, NodeId};
use springtide_sql::DrainOrder::{Cancel, Drain, Force};
use tokio::time::Instant;

use super::{DrainState, State};

fn state() -> State {
    State::new(Arc::new(ComputeNode {
        id: NodeId(7),
        host: "cn-0.cn".into(),
        heartbeat_port: 9050,
        warehouse: "w".into(),
    }))
}

#[test]
fn nodes_of_somebody_who_is_gone_for_good_take_work_again() {
    let (mut state, began) = (state(), Instant::now());
    state.take_order(Drain, began);
    let again = began + ORDER_LASTS / 2;
    state.take_order(Drain, again);
    assert!(!state.lapse(began + ORDER_LASTS), "it was given again meanwhile");
    assert_eq!(state.view().drain, DrainState::Draining);
    assert!(state.lapse(again + ORDER_LASTS));
    assert_eq!((state.view().drain, state.view().order), (DrainState::None, None));
    assert!(state.unrouted_since.is_none(), "the next drain counts anew");
    assert_eq!(state.view().drains_for, None);
    assert!(!state.lapse(again + 2 * ORDER_LASTS), "once");
}

#[test]
fn a_node_that_leaves_by_its_own_word_goes_on_when_an_order_lapses() {
    let (mut state, began) = (state(), Instant::now());
    state.take_order(Force, began);
    state.leaving = true;
    assert!(state.lapse(began + ORDER_LASTS));
    assert_eq!(state.view().drain, DrainState::Leaving);
    assert!(state.unrouted_since.is_some());
}

#[test]
fn a_forced_drain_is_an_order_like_any_other_and_can_be_taken_back() {
    let mut state = state();
    state.take_order(Drain, Instant::now());
    let since = state.unrouted_since;
    state.take_order(Force, Instant::now());
    let order = state.view().order.unwrap();
    assert!(order.forced && order.lasts <= ORDER_LASTS);
    assert!(state.view().drains_for.is_some());
    assert_eq!(state.unrouted_since, since, "it drains all the while");
    state.take_order(Cancel, Instant::now());
    assert_eq!(state.view().drain, DrainState::None);
}
