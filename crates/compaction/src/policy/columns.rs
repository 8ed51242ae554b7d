//! Columns: a merge of several runs, cut into jobs of a bounded size by key.
//!
//! 1. A column holds, of each run, the first tables up to a common key. Where a run's table lies
//!    across that key, it goes along, and with it what older runs hold up to its end.
//! 2. What lies under a column is rewritten with it and counts. What lies under an uneven edge is
//!    rewritten by two columns: so the cheapest edge is taken of all that make a job of between
//!    half of the limit and the limit.
//! 3. Runs whose tables end at the same keys ([`crate::Span::Columns`]) have even edges.
//!
//! The idea is that of Dayan et al., "Spooky", 2022.

use std::sync::Arc;

use crate::draft::Seed;
use crate::levels::{Run, TableInfo};

/// The tables of one run that a column may take, all or the first of them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Part<'a> {
    pub(crate) level: usize,
    /// Rank of the run in its level.
    pub(crate) run: usize,
    /// Rank of the first of `tables` in the run.
    pub(crate) first: usize,
    pub(crate) tables: &'a [Arc<TableInfo>],
}

/// One way to cut a column: how many tables of each part, and the bytes of them, with and without
/// what lies under them.
#[derive(Clone, Debug, Default)]
struct Edge {
    counts: Vec<usize>,
    job_bytes: u64,
    own_bytes: u64,
}

impl Edge {
    fn cost(&self) -> f64 {
        self.job_bytes as f64 / self.own_bytes.max(1) as f64
    }
}

/// Returns the next column of `parts`, the newest run first, on their way into `under`: at most
/// `max_bytes` with what lies under it, if a column can be that small.
pub(crate) fn column(parts: &[Part<'_>], under: Option<&Run>, max_bytes: u64) -> Vec<Seed> {
    let edges = edges(parts, under, max_bytes);
    let (Some(first), Some(last)) = (edges.first(), edges.last()) else { return Vec::new() };
    let is_whole = parts.iter().zip(&last.counts).all(|(part, count)| part.tables.len() == *count);
    let fitting = || edges.iter().filter(|edge| edge.job_bytes <= max_bytes);
    let large = |edge: &&Edge| edge.job_bytes >= max_bytes / 2;
    let best = if is_whole && last.job_bytes <= max_bytes {
        last
    } else {
        let cheapest = fitting().filter(large).rev().min_by(|a, b| a.cost().total_cmp(&b.cost()));
        cheapest.or_else(|| fitting().next_back()).unwrap_or(first)
    };
    let taken = parts.iter().zip(&best.counts).filter(|(_, count)| **count > 0);
    let seed = |(part, count): (&Part<'_>, &usize)| Seed {
        level: part.level,
        run: part.run,
        tables: part.first..part.first + count,
    };
    taken.map(seed).collect()
}

/// The edges from left to right, up to the first beyond `max_bytes`.
fn edges(parts: &[Part<'_>], under: Option<&Run>, max_bytes: u64) -> Vec<Edge> {
    let mut edges: Vec<Edge> = Vec::new();
    let mut edge = Edge { counts: vec![0; parts.len()], ..Edge::default() };
    let firsts = parts.iter().filter_map(|part| part.tables.first());
    let Some(smallest) = firsts.map(|table| &table.smallest).min() else { return edges };
    let under = under.map_or(&[][..], |run| &run.tables);
    let mut next_under = under.partition_point(|table| table.largest < *smallest);
    let mut under_bytes = 0;
    loop {
        let next = parts.iter().zip(&edge.counts).filter_map(|(part, &at)| part.tables.get(at));
        let Some(mut reach) = next.map(|table| &table.largest).min() else { break };
        for (part, count) in parts.iter().zip(&mut edge.counts) {
            let rest = part.tables[*count..].iter().take_while(|table| table.smallest <= *reach);
            for table in rest {
                edge.own_bytes += table.bytes;
                *count += 1;
            }
            if let Some(last) = count.checked_sub(1).and_then(|at| part.tables.get(at)) {
                reach = reach.max(&last.largest);
            }
        }
        let rest = under[next_under..].iter().take_while(|table| table.smallest <= *reach);
        for table in rest {
            under_bytes += table.bytes;
            next_under += 1;
        }
        edge.job_bytes = edge.own_bytes + under_bytes;
        edges.push(edge.clone());
        if edge.job_bytes > max_bytes {
            break;
        }
    }
    edges
}
