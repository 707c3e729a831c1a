//! Delta debugging: the fewest items of a list that still show something.
//!
//! Zeller and Hildebrandt, "Simplifying and Isolating Failure-Inducing Input", IEEE TSE 28(2), 2002: parts of the
//! list, then what is left without each part, ever finer. The result is 1-minimal: no single item can be left out,
//! though a smaller list may exist where items depend on each other. Who asks is told the candidates of one
//! round at once, and answers with the first that shows it, so that several can be tried side by side.

/// Answers which of the candidates is the first that shows it.
pub type Ask<'a, T> = dyn FnMut(&[Vec<T>]) -> Option<usize> + 'a;

/// The items without which it is not shown. The whole list is taken to show it, and not asked about.
pub fn ddmin<T: Clone>(mut items: Vec<T>, ask: &mut Ask<'_, T>) -> Vec<T> {
    if items.is_empty() || ask(&[Vec::new()]).is_some() {
        return Vec::new();
    }
    let mut parts = 2;
    while items.len() >= 2 {
        let cuts = cuts(items.len(), parts);
        let mut candidates: Vec<Vec<T>> = Vec::new();
        // A part alone says nothing new at the finest: that is the whole without all others.
        if parts < items.len() || parts == 2 {
            candidates.extend(cuts.iter().map(|&(from, to)| items[from..to].to_vec()));
        }
        let alone = candidates.len();
        if parts > 2 {
            let without = |&(from, to): &(usize, usize)| [&items[..from], &items[to..]].concat();
            candidates.extend(cuts.iter().map(without));
        }
        match ask(&candidates) {
            Some(first) => {
                items = candidates.swap_remove(first);
                parts = if first < alone { 2 } else { (parts - 1).max(2) };
            }
            None if parts >= items.len() => break,
            None => parts = (2 * parts).min(items.len()),
        }
    }
    items
}

/// Where a list of so many items is cut into so many parts, each of which has an item at least.
fn cuts(items: usize, parts: usize) -> Vec<(usize, usize)> {
    let parts = parts.min(items);
    (0..parts).map(|part| (part * items / parts, (part + 1) * items / parts)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use elenchus_core::random::Seed;

    fn shrink(count: u32, shows: impl Fn(&[u32]) -> bool) -> (Vec<u32>, usize) {
        let mut asked = 0;
        let least = ddmin((0..count).collect(), &mut |candidates| {
            asked += candidates.len();
            candidates.iter().position(|candidate| shows(candidate))
        });
        (least, asked)
    }

    /// The least lists that show it, of all there are.
    fn brute(count: u32, shows: impl Fn(&[u32]) -> bool) -> usize {
        (0..1u32 << count)
            .map(|bits| (0..count).filter(|i| bits >> i & 1 == 1).collect::<Vec<_>>())
            .filter(|list| shows(list))
            .map(|list| list.len())
            .min()
            .expect("the whole shows it")
    }

    #[test]
    fn what_takes_certain_items_together_is_shrunk_to_exactly_those() {
        let mut rng = Seed(7).rng();
        for count in 1..=12 {
            for _ in 0..40 {
                let needed: Vec<u32> = (0..count).filter(|_| rng.chance(1, 3)).collect();
                let shows = |list: &[u32]| needed.iter().all(|item| list.contains(item));
                assert_eq!(shrink(count, shows).0, needed);
                assert_eq!(brute(count, shows), needed.len());
            }
        }
    }

    #[test]
    fn whatever_shows_it_no_single_item_can_be_left_out_of_the_result() {
        for seed in 0..400 {
            let mut rng = Seed(seed).rng();
            let count = rng.between(1, 10) as u32;
            // A predicate without any rule but that the whole shows it.
            let table: Vec<bool> = (0..1u32 << count).map(|_| rng.chance(1, 4)).collect();
            let bits = |list: &[u32]| list.iter().fold(0, |bits, item| bits | 1usize << item);
            let shows = |list: &[u32]| bits(list) == table.len() - 1 || table[bits(list)];
            let (least, _) = shrink(count, shows);
            assert!(shows(&least));
            assert!(least.len() >= brute(count, shows), "nothing is below the least");
            for left_out in 0..least.len() {
                let mut less = least.clone();
                less.remove(left_out);
                assert!(!shows(&less), "seed {seed}: {least:?} can do without {}", least[left_out]);
            }
        }
    }

    #[test]
    fn of_what_depends_on_each_other_whole_groups_go_at_once() {
        // An item is of use only with its pair; either pair of the first shows it.
        let shows = |list: &[u32]| {
            let paired = |a: u32| list.contains(&a) == list.contains(&(a + 1));
            (0..64).step_by(2).all(paired) && (list.contains(&10) || list.contains(&50))
        };
        assert_eq!(shrink(64, shows).0.len(), 2);
    }

    #[test]
    fn few_of_many_are_found_with_few_questions() {
        let shows = |list: &[u32]| [17, 900, 3_000].iter().all(|item| list.contains(item));
        let (least, asked) = shrink(4_096, shows);
        assert_eq!(least, [17, 900, 3_000]);
        assert!(asked < 500, "{asked} questions");
    }

    #[test]
    fn who_answers_no_more_gets_what_there_is() {
        assert_eq!(ddmin(vec![1, 2, 3], &mut |_| None), [1, 2, 3]);
        assert!(ddmin(Vec::<u32>::new(), &mut |_| panic!("there is nothing to ask")).is_empty());
    }
}
