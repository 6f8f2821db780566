//! Which nodes run in one pass over the input.

use super::Ready;

/// Groups of nodes that run in one pass each, in order of their first nodes.
pub(super) fn split(nodes: Vec<Ready>) -> Vec<Vec<Ready>> {
    vec![nodes]
}
