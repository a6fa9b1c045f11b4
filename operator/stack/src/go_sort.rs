//! An unstable sort that leaves equal items where Go's `sort.Slice` leaves them.
//!
//! The order of equal ports reaches the engine, and services that were deployed by the docker CLI carry the order Go
//! gave them. Any other order would restart their tasks for nothing, so the same pattern-defeating quicksort is done
//! here step by step. Up to twelve items it is a plain insertion sort, thus stable.

/// Sorts by `less`, a strict order.
pub(crate) fn sort_by<T>(items: &mut [T], less: impl Fn(&T, &T) -> bool) {
    let len = items.len();
    let limit = usize::BITS - len.leading_zeros();
    Sort { items, less }.range(0, len, limit);
}

const MAX_INSERTION: usize = 12;
const MIN_NINTHER: usize = 50;
const MIN_SHIFTING: usize = 50;
const MAX_STEPS: usize = 5;
/// Swaps a pivot search makes on a falling sequence.
const MAX_SWAPS: usize = 12;

#[derive(PartialEq, Eq)]
enum Looks {
    Rising,
    Falling,
    Mixed,
}

struct Sort<'items, T, L> {
    items: &'items mut [T],
    less: L,
}

impl<T, L: Fn(&T, &T) -> bool> Sort<'_, T, L> {
    fn less(&self, a: usize, b: usize) -> bool {
        (self.less)(&self.items[a], &self.items[b])
    }

    fn range(&mut self, mut start: usize, mut end: usize, mut limit: u32) {
        let (mut balanced, mut partitioned) = (true, true);
        loop {
            let len = end - start;
            if len <= MAX_INSERTION {
                return self.insertion(start, end);
            }
            if limit == 0 {
                return self.heap(start, end);
            }
            if !balanced {
                self.scatter(start, end);
                limit -= 1;
            }
            let (mut pivot, mut looks) = self.pivot(start, end);
            if looks == Looks::Falling {
                self.items[start..end].reverse();
                pivot = (end - 1) - (pivot - start);
                looks = Looks::Rising;
            }
            if balanced && partitioned && looks == Looks::Rising && self.nearly_sorted(start, end) {
                return;
            }
            if start > 0 && !self.less(start - 1, pivot) {
                start = self.split_equal(start, end, pivot);
                continue;
            }
            let (middle, already) = self.split(start, end, pivot);
            partitioned = already;
            let (left, right) = (middle - start, end - middle);
            balanced = left.min(right) >= len / 8;
            if left < right {
                self.range(start, middle, limit);
                start = middle + 1;
            } else {
                self.range(middle + 1, end, limit);
                end = middle;
            }
        }
    }

    fn insertion(&mut self, start: usize, end: usize) {
        for index in start + 1..end {
            let mut at = index;
            while at > start && self.less(at, at - 1) {
                self.items.swap(at, at - 1);
                at -= 1;
            }
        }
    }

    fn heap(&mut self, start: usize, end: usize) {
        let len = end - start;
        for root in (0..len / 2).rev() {
            self.sift(start, root, len);
        }
        for last in (0..len).rev() {
            self.items.swap(start, start + last);
            self.sift(start, 0, last);
        }
    }

    fn sift(&mut self, start: usize, mut root: usize, len: usize) {
        loop {
            let mut child = 2 * root + 1;
            if child >= len {
                return;
            }
            if child + 1 < len && self.less(start + child, start + child + 1) {
                child += 1;
            }
            if !self.less(start + root, start + child) {
                return;
            }
            self.items.swap(start + root, start + child);
            root = child;
        }
    }

    /// Moves three items about, by a generator seeded with the length, so that the next split is less lopsided.
    fn scatter(&mut self, start: usize, end: usize) {
        let len = end - start;
        let mut random = len as u64;
        let mask = (1_u64 << (usize::BITS - len.leading_zeros())) - 1;
        let centre = start + len / 4 * 2;
        for index in centre - 1..=centre + 1 {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            let other = usize::try_from(random & mask).unwrap_or(0);
            let other = if other >= len { other - len } else { other };
            self.items.swap(index, start + other);
        }
    }

    fn pivot(&self, start: usize, end: usize) -> (usize, Looks) {
        let len = end - start;
        let quarter = |quarters: usize| start + len / 4 * quarters;
        let (mut low, mut middle, mut high) = (quarter(1), quarter(2), quarter(3));
        let mut swaps = 0;
        if len >= MIN_NINTHER {
            low = self.median(low - 1, low, low + 1, &mut swaps);
            middle = self.median(middle - 1, middle, middle + 1, &mut swaps);
            high = self.median(high - 1, high, high + 1, &mut swaps);
        }
        let pivot = self.median(low, middle, high, &mut swaps);
        let looks = match swaps {
            0 => Looks::Rising,
            MAX_SWAPS => Looks::Falling,
            _ => Looks::Mixed,
        };
        (pivot, looks)
    }

    fn median(&self, a: usize, b: usize, c: usize, swaps: &mut usize) -> usize {
        let mut order = |low: usize, high: usize| {
            if self.less(high, low) {
                *swaps += 1;
                (high, low)
            } else {
                (low, high)
            }
        };
        let (a, b) = order(a, b);
        let (b, _) = order(b, c);
        let (_, b) = order(a, b);
        b
    }

    /// Whether the range is sorted after at most a few repairs. Short ranges are not repaired.
    fn nearly_sorted(&mut self, start: usize, end: usize) -> bool {
        let mut index = start + 1;
        for _ in 0..MAX_STEPS {
            while index < end && !self.less(index, index - 1) {
                index += 1;
            }
            if index == end {
                return true;
            }
            if end - start < MIN_SHIFTING {
                return false;
            }
            self.items.swap(index, index - 1);
            if index - start >= 2 {
                let mut at = index - 1;
                while at >= 1 && self.less(at, at - 1) {
                    self.items.swap(at, at - 1);
                    at -= 1;
                }
            }
            if end - index >= 2 {
                let mut at = index + 1;
                while at < end && self.less(at, at - 1) {
                    self.items.swap(at, at - 1);
                    at += 1;
                }
            }
        }
        false
    }

    /// Items smaller than the pivot go left of it. Also says whether they already were there.
    fn split(&mut self, start: usize, end: usize, pivot: usize) -> (usize, bool) {
        self.items.swap(start, pivot);
        let (mut low, mut high) = (start + 1, end - 1);
        let mut already = true;
        loop {
            while low <= high && self.less(low, start) {
                low += 1;
            }
            while low <= high && !self.less(high, start) {
                high -= 1;
            }
            if low > high {
                break;
            }
            already = false;
            self.items.swap(low, high);
            low += 1;
            high -= 1;
        }
        self.items.swap(high, start);
        (high, already)
    }

    /// Items equal to the pivot go left; nothing in the range is smaller.
    fn split_equal(&mut self, start: usize, end: usize, pivot: usize) -> usize {
        self.items.swap(start, pivot);
        let (mut low, mut high) = (start + 1, end - 1);
        loop {
            while low <= high && !self.less(start, low) {
                low += 1;
            }
            while low <= high && self.less(start, high) {
                high -= 1;
            }
            if low > high {
                return low;
            }
            self.items.swap(low, high);
            low += 1;
            high -= 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The order `sort.Slice` of Go leaves (recorded): length, pattern of the keys, FNV-1a of where each item came from.
    #[test]
    fn sort_by_should_leave_equal_items_where_go_leaves_them() {
        let recorded: &[(usize, usize, u64)] = &[
            (13, 0, 0xb961_37ea_2d10_008f),
            (13, 1, 0x2b82_b4fa_14bb_d7bf),
            (13, 2, 0x1d2f_a564_5d0d_ec3f),
            (13, 3, 0xb961_37ea_2d10_008f),
            (13, 4, 0xa269_83cb_064b_5547),
            (17, 0, 0x1ada_3547_1726_c09f),
            (17, 1, 0xabf4_d9c7_44c4_a3a1),
            (17, 2, 0x1159_7f9b_8d62_4b3f),
            (17, 3, 0x1ada_3547_1726_c09f),
            (17, 4, 0x9a05_25ba_4dda_81cf),
            (20, 0, 0xcc92_7f6e_e23a_0f61),
            (20, 1, 0x5eaa_2adf_6c46_0f47),
            (20, 2, 0xd589_877c_c436_ed39),
            (20, 3, 0xcc92_7f6e_e23a_0f61),
            (20, 4, 0x6ff7_b0bd_e5da_200f),
            (33, 0, 0x4013_a150_50e8_031f),
            (33, 1, 0xd560_0f80_a3d4_6273),
            (33, 2, 0xf707_92b1_d4e7_985f),
            (33, 3, 0x4013_a150_50e8_031f),
            (33, 4, 0x2d27_83be_0bc3_7897),
            (51, 0, 0xa2ae_78d0_3883_5e08),
            (51, 1, 0xc5b5_f36b_b4f2_68dc),
            (51, 2, 0xd968_d6e9_d87f_7db4),
            (51, 3, 0xa2ae_78d0_3883_5e08),
            (51, 4, 0x3be9_d9e8_94ea_6fe6),
            (64, 0, 0x8368_214f_7799_5ee5),
            (64, 1, 0xf08f_9b17_f0ec_0f5f),
            (64, 2, 0x1d7f_25a0_4930_80a5),
            (64, 3, 0x8368_214f_7799_5ee5),
            (64, 4, 0x04c6_34fa_acfb_8c4b),
            (100, 0, 0xfb5c_8cec_60d8_3ab1),
            (100, 1, 0x7ca1_f871_943c_0821),
            (100, 2, 0x6449_3148_4736_d1d9),
            (100, 3, 0xfb5c_8cec_60d8_3ab1),
            (100, 4, 0x6327_3976_efcc_c0ff),
            (200, 0, 0x43cf_a802_3695_d3bd),
            (200, 1, 0xf596_34a1_2302_01f3),
            (200, 2, 0x816c_8d99_fa87_6835),
            (200, 3, 0x43cf_a802_3695_d3bd),
            (200, 4, 0xb0ca_147c_eeec_61eb),
        ];
        let mut seed = 1_u32;
        for (len, pattern, fingerprint) in recorded {
            let mut items = Vec::new();
            for index in 0..*len {
                seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                let random = (seed >> 16) as usize;
                let key = match pattern {
                    0 => 0,
                    1 => random % 3,
                    2 => len - index,
                    3 => index / 4,
                    _ if index % 2 == 0 => index,
                    _ => random % len,
                };
                items.push((key, index));
            }
            sort_by(&mut items, |a, b| a.0 < b.0);
            assert!(items.is_sorted_by_key(|item| item.0));
            let hash = items
                .iter()
                .fold(14_695_981_039_346_656_037_u64, |hash, item| {
                    (hash ^ item.1 as u64).wrapping_mul(1_099_511_628_211)
                });
            assert_eq!(hash, *fingerprint, "{len} items of pattern {pattern}");
        }
    }
}
