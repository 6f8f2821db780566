//! Cover nodes.

use mps_proto::v1::CoverNode;

use super::*;
use crate::kinds::testing::{good, planned};

#[test]
fn a_cover_is_one_picture_of_a_snapshot_template() {
    let node = CoverNode {
        source: Some(cover_node::Source::Template("10".into())),
        ..Default::default()
    };
    let draft = good(&Operation::Cover(node));
    assert_eq!(draft.template.id, "preset-snapshot-jpeg", "numbers are looked up by kind");
    assert!(matches!(draft.outputs, Outputs::Files { count: 1, .. }));
    assert!(matches!(draft.settings.settings, Some(Settings::Cover(_))));
    let wrong = CoverNode {
        source: Some(cover_node::Source::Template("preset-remux".into())),
        ..Default::default()
    };
    assert_eq!(planned(&Operation::Cover(wrong)).1, ["n.template"]);
}
