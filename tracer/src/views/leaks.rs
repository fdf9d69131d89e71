//! By call path: memory that was added and stayed, against memory that was given back.

use anyhow::Result;
use serde::Serialize;

use super::drawing::{Drawn, draw};
use super::tree::{Tree, TreeNode, hidden_line, link, shape, tree};
use super::{Body, ViewOptions, title, whole};
use crate::analysis::Source;
use crate::analysis::measure::Measure;
use crate::analysis::outline::{Outliner, Weight};
use crate::analysis::source::Summary;
use crate::report::Report;
use crate::units::{count, signed_bytes, size};

/// Call trees, sorted by what stayed.
#[derive(Serialize)]
struct Leaks {
    trees: Vec<Tree>,
}

pub(super) fn show(source: &mut Source, options: &ViewOptions) -> Result<String> {
    let mut ended_larger: Vec<u32> = Vec::new();
    let Summary { report, tree: sums } = source.summary(|visit, _| {
        if visit.call.total.rss_bytes > 0 {
            let path = visit.path as usize;
            if path >= ended_larger.len() {
                ended_larger.resize(path + 1, 0);
            }
            ended_larger[path] = ended_larger[path].saturating_add(1);
        }
    });
    let maker = Outliner::new(&sums, source.names(), shape(options));
    let outlines = maker.inward(|path| Measure::RssGrew.of(path), &ended_larger);
    let keep = |weight: &Weight, whole: &Weight| {
        let stayed = weight.stayed_bytes().unsigned_abs();
        stayed > 0 && stayed as f64 >= options.min_share * whole.grew_bytes as f64
    };
    let order = |weight: &Weight| i128::from(weight.stayed_bytes());
    let trees = outlines.iter().map(|outline| tree(outline, &maker, source, keep, order)).collect();
    whole(&Leaks { trees }, &report, options)
}

impl Body for Leaks {
    fn text(&self, report: &Report, options: &ViewOptions) -> String {
        let is_sampled = report.account.sampling.is_some();
        let header: &[&str] = if is_sampled {
            &["stayed", "grew", "gave back", "function"]
        } else {
            &["stayed", "grew", "gave back", "grew in", "function"]
        };
        let mut out = String::new();
        let shown = options.table.shown(self.trees.len());
        for tree in &self.trees[..shown] {
            out += &title(report, tree.process, options);
            if tree.nodes.is_empty() {
                out += "no call path kept memory\n\n";
                continue;
            }
            let mut nodes: Vec<Drawn> =
                tree.nodes.iter().map(|node| node.drawn(cells(node, is_sampled))).collect();
            let tops = link(&mut nodes, &tree.nodes);
            out += &draw(header, &nodes, &tops, &options.table);
            out += &hidden_line(tree.hidden, options);
            out.push('\n');
        }
        out + &crate::report::lines::not_listed(self.trees.len() - shown)
            + &options.table.folded(&format!(
                "stayed: memory added less memory given back, with all that was called; what another call path gives \
                 back later is negative there{}\n\n",
                if is_sampled { "" } else { "; grew in: calls that ended with more memory than they began with" }
            ))
    }
}

/// Samples don't tell which calls memory grew in.
fn cells(node: &TreeNode, is_sampled: bool) -> Vec<String> {
    let memory = [signed_bytes(node.stayed_bytes), size(node.grew_bytes), size(node.shrank_bytes)];
    let calls = (!is_sampled).then(|| format!("{} of {}", count(node.ended_larger), count(node.calls)));
    memory.into_iter().chain(calls).collect()
}
