use super::{assign, choose_workers};

fn workers(count: usize) -> Vec<String> {
    (0..count)
        .map(|worker| format!("http://10.0.0.{worker}:9060/"))
        .collect()
}

fn loads(pieces: &[(u64, u64)], assigned: &[usize], count: usize) -> Vec<u64> {
    let mut loads = vec![0; count];
    for ((_, bytes), worker) in pieces.iter().zip(assigned) {
        loads[*worker] += bytes;
    }
    loads
}

#[test]
fn no_worker_is_far_above_its_share_and_none_is_idle() {
    for count in 1..8 {
        for pieces in 1..40_u64 {
            let pieces: Vec<(u64, u64)> = (0..pieces).map(|key| (key * 7919, 100)).collect();
            let assigned = assign(&pieces, &workers(count));
            let loads = loads(&pieces, &assigned, count);
            let fair = pieces.len().div_ceil(count) as u64 * 100;
            assert!(
                loads.iter().all(|load| *load <= fair + fair / 4 + 100),
                "{count} workers: {loads:?}"
            );
            if pieces.len() >= count {
                assert!(loads.iter().all(|load| *load > 0), "{count} workers: {loads:?}");
            }
        }
    }
}

#[test]
fn a_new_worker_takes_pieces_but_moves_few_others() {
    let pieces: Vec<(u64, u64)> = (0..200).map(|key| (key * 104_729, 100)).collect();
    let before = assign(&pieces, &workers(4));
    let after = assign(&pieces, &workers(5));
    let moved = before
        .iter()
        .zip(&after)
        .filter(|(before, after)| before != after)
        .count();
    // A fifth has to move; dealing them out anew would move four fifths.
    assert!((20..110).contains(&moved), "{moved} of 200 moved");
    assert_eq!(
        before,
        assign(&pieces, &workers(4)),
        "the same pieces go to the same workers"
    );
}

#[test]
fn one_large_piece_does_not_keep_others_on_its_worker() {
    let mut pieces: Vec<(u64, u64)> = (0..10).map(|key| (key, 10)).collect();
    pieces.push((99, 1000));
    let assigned = assign(&pieces, &workers(2));
    let large = assigned[10];
    assert!(assigned[..10].iter().filter(|worker| **worker == large).count() <= 5);
}

#[test]
fn few_tasks_go_to_workers_that_the_name_picks() {
    let urls: Vec<url::Url> = workers(5).iter().map(|url| url.parse().unwrap()).collect();
    let mut reversed = urls.clone();
    reversed.reverse();
    assert_eq!(
        choose_workers(urls.clone(), 2, "db.t"),
        choose_workers(reversed, 2, "db.t")
    );
    assert_eq!(choose_workers(urls.clone(), 2, "db.t").len(), 2);
    assert_eq!(choose_workers(urls.clone(), 5, "db.t"), urls);
}
