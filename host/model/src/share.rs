//! How takers share a pool that has less than all of them want.

/// Returns whether a taker that holds `held` of a pool may take `wanted` more while `free` is left.
///
/// One taker holds at most half of what is free to it: what it holds and what nobody holds. So a taker alone gets half of
/// a pool, the next one half of the rest, and there is always something left for a newcomer. A half is rounded up: the last
/// place of a pool goes to a taker that has none.
///
/// ```
/// use flowhost_model::is_fair_share;
///
/// assert!(is_fair_share(4, 1, 6));
/// assert!(!is_fair_share(5, 1, 5));
/// ```
pub fn is_fair_share(held: u64, wanted: u64, free: u64) -> bool {
    held.saturating_add(wanted.saturating_mul(2)) <= free.saturating_add(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many places each of so many greedy takers gets of a pool, one after the other.
    fn shares(size: u64, takers: usize) -> Vec<u64> {
        let mut free = size;
        let take = |_| {
            let mut held = 0;
            while is_fair_share(held, 1, free) {
                (held, free) = (held + 1, free - 1);
            }
            held
        };
        (0..takers).map(take).collect()
    }

    #[test]
    fn greedy_taker_gets_half_of_what_the_others_left() {
        assert_eq!(shares(10_000, 4), [5_000, 2_500, 1_250, 625]);
        assert_eq!(shares(200, 8), [100, 50, 25, 13, 6, 3, 2, 1]);
    }

    #[test]
    fn smallest_pools_serve_one_taker_at_a_time() {
        assert_eq!(shares(0, 1), [0]);
        assert_eq!(shares(1, 2), [1, 0]);
        assert_eq!(shares(2, 3), [1, 1, 0]);
        assert_eq!(shares(4, 3), [2, 1, 1]);
    }

    #[test]
    fn greedy_takers_at_once_get_equal_shares_and_leave_one() {
        let (mut free, mut held) = (300, [0, 0]);
        while let Some(taker) = (0..2).filter(|taker| is_fair_share(held[*taker], 1, free)).min_by_key(|one| held[*one])
        {
            held[taker] += 1;
            free -= 1;
        }
        assert_eq!((held, free), ([100, 100], 100));
    }

    #[test]
    fn bytes_are_shared_like_places() {
        assert!(is_fair_share(0, 50, 100));
        assert!(!is_fair_share(0, 51, 100));
        assert!(!is_fair_share(40, 20, 60));
        assert!(!is_fair_share(u64::MAX, u64::MAX, 100));
    }
}
