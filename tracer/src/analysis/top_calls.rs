//! The largest single calls by some amount: a heap of so many.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::Visit;

/// A call and its amount, the latest of equal ones smallest.
#[derive(Debug)]
struct Entry {
    amount: u64,
    number: Reverse<u64>,
    visit: Visit,
}

/// The largest calls.
#[derive(Debug)]
pub struct TopCalls {
    most: usize,
    heap: BinaryHeap<Reverse<Entry>>,
    seen: u64,
}

impl TopCalls {
    /// Will keep so many.
    pub fn new(most: usize) -> Self {
        Self { most, heap: BinaryHeap::new(), seen: 0 }
    }

    /// Takes in a call, if its amount is not 0.
    pub fn add(&mut self, visit: &Visit, amount: u64) {
        let is_larger = self.heap.len() < self.most
            || self.heap.peek().is_some_and(|Reverse(smallest)| amount > smallest.amount);
        if amount == 0 || !is_larger {
            return;
        }
        self.seen += 1;
        self.heap.push(Reverse(Entry { amount, number: Reverse(self.seen), visit: *visit }));
        if self.heap.len() > self.most {
            self.heap.pop();
        }
    }

    /// The calls, the largest first.
    pub fn finish(self) -> Vec<Visit> {
        self.heap.into_sorted_vec().into_iter().map(|Reverse(entry)| entry.visit).collect()
    }
}

impl Entry {
    fn key(&self) -> (u64, Reverse<u64>) {
        (self.amount, self.number)
    }
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl Eq for Entry {}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Entry {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.key().cmp(&other.key())
    }
}
