//! Floor, wanted nodes and ceiling of a stretch of time, as one bar of characters.
//!
//! ```text
//! 0   2   4   6   8
//! ########++++....|       floor 4, wanted 6, ceiling 8
//! ```

/// Columns for the most nodes that are drawn. The mark of a ceiling there takes one more.
pub(super) const WIDTH: u32 = 24;
/// Columns for one node at most, so that a group with one node is not drawn as a full one.
const MOST_COLUMNS_PER_NODE: u32 = 4;
/// Columns between two numbers of the axis, at least.
const TICK_COLUMNS: u32 = 4;

/// What the signs of a bar mean, one line.
pub(super) const LEGEND: &str =
    "# floor  + wanted above it  . free below the ceiling  | ceiling, > beyond the axis  ! look here";

/// Nodes in a stretch of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Nodes {
    /// At least.
    pub(super) floor: Option<u32>,
    /// What the group will have, if nobody changes `replicas`.
    pub(super) wanted: u32,
    /// At most; a floor above it wins.
    pub(super) ceiling: Option<u32>,
}

/// How many columns a node has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Scale {
    /// Nodes at the right end.
    most: u32,
}

impl Scale {
    /// As wide as what is wanted at most needs, and ceilings up to the double of it: a ceiling far away would flatten all the rest.
    pub(super) fn of(all: impl Iterator<Item = Nodes> + Clone) -> Self {
        let wanted = all.clone().map(|nodes| nodes.wanted).max().unwrap_or(0).max(1);
        let near = |ceiling: &u32| *ceiling <= wanted.saturating_mul(2);
        let ceiling = all.filter_map(|nodes| nodes.ceiling).filter(near).max().unwrap_or(0);
        Self {
            most: wanted.max(ceiling),
        }
    }

    /// Columns of so many nodes. Whole ones for each node as long as they fit; after that a share, and one at least.
    fn columns(self, nodes: u32) -> usize {
        let columns = if self.most <= WIDTH {
            nodes.saturating_mul((WIDTH / self.most).min(MOST_COLUMNS_PER_NODE))
        } else {
            let share = u64::from(nodes) * u64::from(WIDTH) / u64::from(self.most);
            u32::try_from(share).unwrap_or(u32::MAX).max(u32::from(nodes > 0))
        };
        columns.min(WIDTH) as usize
    }

    /// Numbers of nodes over the columns at which so many end.
    pub(super) fn axis(self) -> String {
        let steps = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000];
        let step = steps
            .into_iter()
            .find(|step| self.columns(*step) >= TICK_COLUMNS as usize || *step >= self.most)
            .unwrap_or(self.most);
        let mut axis = String::new();
        for nodes in (0..=self.most).step_by(step.max(1) as usize) {
            let column = self.columns(nodes);
            axis.push_str(&" ".repeat(column.saturating_sub(axis.len())));
            axis.push_str(&nodes.to_string());
        }
        axis
    }

    /// The bar; nodes beyond `room` are drawn as `!`.
    pub(super) fn bar(self, nodes: Nodes, room: Option<u32>) -> String {
        let floor = self.columns(nodes.floor.unwrap_or(0).min(nodes.wanted));
        let wanted = self.columns(nodes.wanted);
        let mut cells: Vec<char> = (0..wanted)
            .map(|column| if column < floor { '#' } else { '+' })
            .collect();
        if let Some(room) = room.filter(|room| *room < nodes.wanted) {
            // One too many is seen, also where a node has less than a column.
            let beyond = self.columns(room).min(wanted.saturating_sub(1));
            cells[beyond..].fill('!');
        }
        if let Some(ceiling) = nodes.ceiling {
            let column = self.columns(ceiling);
            if cells.len() < column {
                cells.resize(column, '.');
            }
            let mark = if ceiling > self.most { '>' } else { '|' };
            match cells.get_mut(column) {
                Some(cell) => *cell = mark,
                None => cells.push(mark),
            }
        }
        cells.into_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nodes(floor: Option<u32>, wanted: u32, ceiling: Option<u32>) -> Nodes {
        Nodes { floor, wanted, ceiling }
    }

    #[test]
    fn floor_wanted_and_ceiling_have_signs_of_their_own() {
        let scale = Scale { most: 12 };
        let bar = |floor, wanted, ceiling| scale.bar(nodes(floor, wanted, ceiling), None);
        assert_eq!(scale.axis(), "0   2   4   6   8   10  12");
        assert_eq!(bar(None, 3, None), "++++++");
        assert_eq!(bar(Some(4), 4, None), "########");
        assert_eq!(bar(Some(4), 6, None), "########++++");
        assert_eq!(bar(Some(4), 6, Some(8)), "########++++....|");
        assert_eq!(bar(None, 3, Some(3)), "++++++|");
        assert_eq!(bar(None, 0, Some(0)), "|");
        assert_eq!(bar(None, 0, None), "");
        assert_eq!(bar(Some(12), 12, Some(12)), "########################|");
    }

    #[test]
    fn a_ceiling_below_the_floor_is_seen_inside_it() {
        let scale = Scale { most: 12 };
        assert_eq!(scale.bar(nodes(Some(6), 6, Some(3)), None), "######|#####");
    }

    #[test]
    fn a_ceiling_beyond_the_axis_is_further_right() {
        let far = nodes(None, 3, Some(1000));
        let scale = Scale::of([far].into_iter());
        assert_eq!(scale, Scale { most: 3 });
        assert_eq!(scale.bar(far, None), "++++++++++++............>");
        assert_eq!(Scale::of([nodes(None, 3, Some(6))].into_iter()), Scale { most: 6 });
    }

    #[test]
    fn what_a_quota_has_no_room_for_is_seen() {
        let scale = Scale { most: 8 };
        assert_eq!(scale.bar(nodes(Some(8), 8, None), Some(7)), "#####################!!!");
        assert_eq!(scale.bar(nodes(Some(8), 8, None), Some(8)), "########################");
        assert_eq!(scale.bar(nodes(None, 1, None), Some(0)), "!!!");
        let wide = Scale { most: 1000 };
        assert_eq!(
            wide.bar(nodes(Some(1000), 1000, None), Some(999)),
            "#######################!"
        );
    }

    #[test]
    fn any_number_of_nodes_fits() {
        for most in (1..200).chain([1000, u32::MAX]) {
            let scale = Scale { most };
            assert!(scale.axis().len() <= WIDTH as usize + 10, "{most}: {}", scale.axis());
            for wanted in [0, 1, most / 2, most] {
                for ceiling in [None, Some(0), Some(most), Some(u32::MAX)] {
                    let bar = scale.bar(nodes(Some(wanted), wanted, ceiling), Some(wanted / 2));
                    assert!(bar.len() <= WIDTH as usize + 1, "{most}, {wanted}, {ceiling:?}: {bar}");
                    assert!(wanted == 0 || !bar.is_empty());
                }
            }
        }
    }
}
