use super::*;

const MOMENT: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);

type Foreseen = &'static str;

/// Everything that can be taken at `now`, each look ending at once.
fn taken(agenda: &mut Agenda<&'static str, Foreseen>, now: Instant) -> Vec<&'static str> {
    std::iter::from_fn(|| {
        let Look { key, .. } = agenda.take(now)?;
        agenda.done(&key);
        Some(key)
    })
    .collect()
}

/// A look at an object at no edge.
fn look(key: &'static str, cause: Option<&str>) -> Look<&'static str> {
    Look {
        key,
        cause: cause.map(str::to_owned),
        at_edge: false,
    }
}

#[test]
fn a_burst_about_one_object_is_looked_at_once_and_nobody_is_left_out() {
    let now = Instant::now();
    let mut agenda = Agenda::new(now);
    for (number, key) in ["etl", "etl", "bi", "etl", "bi"].into_iter().enumerate() {
        agenda.changed(key, "a pod".to_owned(), now + MOMENT * u32::try_from(number).unwrap());
    }
    assert_eq!(agenda.next_look_at(), Some(now + GATHERING));
    assert_eq!(taken(&mut agenda, now), [] as [&str; 0]);
    assert_eq!(taken(&mut agenda, now + SECOND), ["etl", "bi"]);
    assert_eq!(
        (taken(&mut agenda, now + SECOND), agenda.next_look_at()),
        (vec![], None)
    );
}

#[test]
fn an_object_to_which_something_happens_all_the_time_is_looked_at_nevertheless() {
    let begun = Instant::now();
    let mut agenda = Agenda::new(begun);
    let mut looks = 0;
    for tick in 0..1000 {
        let now = begun + MOMENT * tick;
        agenda.changed("etl", "a pod".to_owned(), now);
        looks += taken(&mut agenda, now).len();
    }
    // One in 150 ms.
    assert_eq!(looks, 6);
}

#[test]
fn edges_go_before_what_has_waited_longer() {
    let now = Instant::now();
    let mut agenda = Agenda::new(now);
    agenda.changed("follows", "a pod".to_owned(), now);
    agenda.look_after("starts", Duration::ZERO, now);
    agenda.plan_edge("opens", Some(now + SECOND), None);
    agenda.plan_edge("closes", Some(now + SECOND * 2), None);
    assert_eq!(agenda.take(now), Some(look("starts", None)));
    assert_eq!(taken(&mut agenda, now + SECOND * 2), ["opens", "closes", "follows"]);
}

#[test]
fn an_edge_that_passes_while_its_object_waits_for_another_look_puts_it_in_front() {
    let now = Instant::now();
    let mut agenda = Agenda::new(now);
    agenda.look_after("busy", Duration::ZERO, now);
    agenda.look_after("opens", MOMENT, now);
    agenda.plan_edge("opens", Some(now + SECOND), None);
    assert_eq!(taken(&mut agenda, now + SECOND), ["opens", "busy"]);
}

#[test]
fn an_object_is_not_looked_at_twice_at_once_and_what_is_asked_meanwhile_is_not_lost() {
    let now = Instant::now();
    let mut agenda = Agenda::<_, Foreseen>::new(now);
    agenda.look_after("etl", Duration::ZERO, now);
    assert_eq!((agenda.take(now), agenda.under_way()), (Some(look("etl", None)), 1));
    agenda.changed("etl", "a pod".to_owned(), now);
    agenda.plan_edge("etl", Some(now), None);
    let later = now + SECOND;
    assert_eq!((agenda.take(later), agenda.next_look_at()), (None, None));
    agenda.done(&"etl");
    assert_eq!(agenda.next_look_at(), Some(now));
    let at_edge = Look {
        at_edge: true,
        ..look("etl", Some("a pod"))
    };
    assert_eq!((agenda.take(later), agenda.under_way()), (Some(at_edge), 1));
    agenda.done(&"etl");
    assert_eq!((agenda.take(later), agenda.under_way()), (None, 0));
}

#[test]
fn the_earliest_time_that_was_asked_for_counts() {
    let now = Instant::now();
    let mut agenda = Agenda::<_, Foreseen>::new(now);
    agenda.look_after("etl", SECOND * 60, now);
    agenda.changed("etl", "a pod".to_owned(), now);
    agenda.look_after("etl", SECOND, now);
    assert_eq!(agenda.next_look_at(), Some(now + GATHERING));
}

#[test]
fn many_objects_that_start_are_looked_at_less_often_but_each_once_a_minute() {
    let now = Instant::now();
    let mut agenda = Agenda::<_, Foreseen>::new(now);
    for group in 0..100 {
        agenda.look_after(group, SECOND, now);
    }
    assert_eq!(agenda.looks.until(now + SECOND), 1);
    agenda.look_after(100, SECOND, now);
    assert_eq!(agenda.looks.times[&100], now + SECOND + FOR_EACH);
    agenda.look_after(101, SECOND * 2, now);
    let times = &agenda.looks.times;
    assert!(times[&101] > now + SECOND * 2 && times[&101] <= now + SECOND * 5);
    agenda.look_after(102, LONGEST_WAIT, now);
    assert_eq!(agenda.looks.times[&102], now + LONGEST_WAIT);
}

#[test]
fn an_edge_stays_when_the_object_is_looked_at_before_it_and_goes_when_it_is_planned_anew() {
    let now = Instant::now();
    let mut agenda = Agenda::new(now);
    agenda.plan_edge("opens", Some(now + SECOND), None);
    agenda.look_after("opens", Duration::ZERO, now);
    assert_eq!(taken(&mut agenda, now), ["opens"]);
    assert_eq!(taken(&mut agenda, now + SECOND), ["opens"]);
    assert_eq!(taken(&mut agenda, now + SECOND * 9), [] as [&str; 0]);
    agenda.plan_edge("opens", Some(now + SECOND), None);
    agenda.plan_edge("opens", Some(now + SECOND * 5), None);
    assert_eq!(agenda.next_look_at(), Some(now + SECOND * 5));
    agenda.plan_edge("opens", None, None);
    assert_eq!(agenda.next_look_at(), None);
}

#[test]
fn windows_of_one_moment_open_cluster_by_cluster() {
    let now = Instant::now();
    let mut agenda = Agenda::new(now);
    // Counted at different times, the same moment comes out a little different.
    for (key, jitter) in [
        ("retail/bi", 0),
        ("finance/bi", 1),
        ("retail/etl", 2),
        ("finance/etl", 3),
    ] {
        agenda.plan_edge(key, Some(now + SECOND - MOMENT * jitter), None);
    }
    agenda.plan_edge("before", Some(now + SECOND - ONE_MOMENT * 2), None);
    assert_eq!(agenda.next_look_at(), Some(now + SECOND - ONE_MOMENT * 2));
    let in_order = ["before", "finance/bi", "finance/etl", "retail/bi", "retail/etl"];
    assert_eq!(taken(&mut agenda, now + SECOND), in_order);
    // Never before its moment, and hardly after it.
    agenda.plan_edge("opens", Some(now + SECOND + MOMENT), None);
    assert_eq!(taken(&mut agenda, now + SECOND + MOMENT), [] as [&str; 0]);
    assert_eq!(agenda.next_look_at(), Some(now + SECOND + ONE_MOMENT));
}

/// A group of which its edge has been foreseen.
fn foreseen(key: &'static str, edge: Instant, now: Instant) -> Agenda<&'static str, Foreseen> {
    let mut agenda = Agenda::new(now);
    agenda.plan_edge(key, Some(edge), Some("grow"));
    agenda
}

/// The object at whose edge there is a look in full.
fn full_look(agenda: &mut Agenda<&'static str, Foreseen>, now: Instant) -> Option<&'static str> {
    agenda.take(now).filter(|look| look.at_edge).map(|look| look.key)
}

#[test]
fn what_was_foreseen_is_done_at_its_edge_in_place_of_a_look() {
    let now = Instant::now();
    let edge = now + SECOND;
    let mut agenda = foreseen("etl", edge, now);
    assert_eq!((agenda.next_act_at(), agenda.next_look_at()), (Some(edge), None));
    assert_eq!(agenda.take_foreseen(now), None);
    assert_eq!(agenda.take_foreseen(edge), Some(("etl", "grow")));
    assert_eq!((agenda.acting(), agenda.take_foreseen(edge)), (1, None));
    assert_eq!(agenda.take(edge), None, "nothing is left of the edge");
    // The look that sees what came of it waits for the end.
    agenda.look_after("etl", Duration::ZERO, edge);
    assert_eq!((agenda.take(edge), agenda.next_look_at()), (None, None));
    agenda.acted(&"etl");
    assert_eq!((agenda.acting(), agenda.take(edge)), (0, Some(look("etl", None))));
}

#[test]
fn after_a_change_the_edge_is_looked_at_in_full() {
    let now = Instant::now();
    let edge = now + SECOND;
    let mut agenda = foreseen("etl", edge, now);
    agenda.changed("etl", "somebody wrote to it".to_owned(), edge - MOMENT);
    assert_eq!((agenda.take_foreseen(edge), agenda.next_act_at()), (None, None));
    assert_eq!(full_look(&mut agenda, edge), Some("etl"));
    // The look that sees the change foresees the edge anew.
    agenda.done(&"etl");
    agenda.plan_edge("etl", Some(edge), Some("grow more"));
    assert_eq!(agenda.take_foreseen(edge), Some(("etl", "grow more")));
}

#[test]
fn what_was_foreseen_by_a_look_during_which_something_changed_is_not_done() {
    let now = Instant::now();
    let mut agenda = Agenda::new(now);
    agenda.look_after("etl", Duration::ZERO, now);
    assert_eq!(agenda.take(now), Some(look("etl", None)));
    agenda.changed("etl", "somebody wrote to it".to_owned(), now);
    agenda.done(&"etl");
    agenda.plan_edge("etl", Some(now + SECOND), Some("grow"));
    assert_eq!(agenda.take_foreseen(now + SECOND), None);
    assert_eq!(full_look(&mut agenda, now + SECOND), Some("etl"));
}

#[test]
fn a_look_that_takes_long_does_not_keep_from_what_was_foreseen() {
    let now = Instant::now();
    let edge = now + SECOND;
    let mut agenda = foreseen("etl", edge, now);
    agenda.look_after("etl", Duration::ZERO, now);
    assert_eq!(agenda.take(now), Some(look("etl", None)));
    assert_eq!(agenda.take_foreseen(edge), Some(("etl", "grow")));
    agenda.acted(&"etl");
    agenda.done(&"etl");
    assert_eq!((agenda.under_way(), agenda.acting()), (0, 0));
}

#[test]
fn each_look_foresees_anew_and_the_last_one_counts() {
    let now = Instant::now();
    let edge = now + SECOND;
    let mut agenda = foreseen("etl", edge, now);
    agenda.plan_edge("etl", Some(edge), Some("grow more"));
    assert_eq!(agenda.take_foreseen(edge), Some(("etl", "grow more")));
    agenda.acted(&"etl");
    let mut agenda = foreseen("etl", edge, now);
    agenda.plan_edge("etl", Some(edge), None);
    assert_eq!(
        (agenda.take_foreseen(edge), full_look(&mut agenda, edge)),
        (None, Some("etl"))
    );
    let mut agenda = foreseen("etl", edge, now);
    agenda.plan_edge("etl", None, None);
    assert_eq!((agenda.next_act_at(), agenda.next_look_at()), (None, None));
}

#[test]
fn what_was_foreseen_goes_before_all_looks() {
    let now = Instant::now();
    let edge = now + SECOND;
    let mut agenda = foreseen("opens", edge, now);
    agenda.plan_edge("closes", Some(edge), None);
    agenda.changed("follows", "a pod".to_owned(), now);
    assert_eq!((agenda.take(edge), agenda.acts_wait(edge)), (None, true));
    assert_eq!(agenda.take_foreseen(edge), Some(("opens", "grow")));
    assert!(!agenda.acts_wait(edge));
    assert_eq!(taken(&mut agenda, edge), ["closes", "follows"]);
}
