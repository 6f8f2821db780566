//! Standstills that a child does not tell of itself: it hangs, or what it works on goes round in circles.

use std::collections::BTreeMap;

use mps_media::failure;
use mps_proto::v1::{ErrorReason, NodeProgress};

use super::unit_run::Unfinished;

/// How much of its work the node has done that came furthest, in percent.
pub fn furthest(nodes: &BTreeMap<String, NodeProgress>) -> Option<f64> {
    let shares = nodes.values().filter_map(|node| node.fraction);
    shares.max_by(f64::total_cmp).map(|share| share * 100.0)
}

/// A standstill that the child did not tell of. Where it is known how far the work was, a standstill at the same place is known again.
pub fn stalled(message: String, done: Option<f64>) -> Unfinished {
    const HINT: &str = "the input may be one that decoders hang on";
    let failure = match done {
        Some(percent) => {
            let message = format!("{message}, with {percent:.0} % of the work done");
            let failure = failure::node(ErrorReason::Stalled, message, HINT);
            failure::with(failure, &[("stream", "all"), ("position", &format!("{percent:.2}"))])
        }
        None => failure::node(ErrorReason::Stalled, message, HINT),
    };
    Unfinished { failure, split: true }
}

#[cfg(test)]
mod tests {
    use mps_proto::rpc;
    use prost::Message;

    use super::*;

    #[test]
    fn a_standstill_says_how_far_the_work_was() {
        let node = |fraction| NodeProgress {
            fraction,
            ..NodeProgress::default()
        };
        let nodes = [("a", Some(0.25)), ("b", Some(0.5)), ("c", None)];
        let nodes: BTreeMap<String, NodeProgress> = nodes.map(|(key, share)| (key.to_owned(), node(share))).into();
        let status = stalled("nothing moved".to_owned(), furthest(&nodes)).failure.status.unwrap();
        assert!(status.message.contains("50 % of the work done"), "{}", status.message);
        // By these the server knows the same place again.
        let info = rpc::ErrorInfo::decode(status.details[0].value.as_slice()).unwrap();
        let told = ["stream", "position"].map(|name| info.metadata.get(name).map(String::as_str));
        assert_eq!(told, [Some("all"), Some("50.00")]);
        let nowhere = stalled("nothing moved".to_owned(), furthest(&BTreeMap::new()))
            .failure
            .status
            .unwrap();
        let info = rpc::ErrorInfo::decode(nowhere.details[0].value.as_slice()).unwrap();
        assert!(!info.metadata.contains_key("position"));
    }
}
