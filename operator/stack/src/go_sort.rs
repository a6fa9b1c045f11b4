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
