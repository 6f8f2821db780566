//! What the tests of all kinds share.

use super::*;

pub(crate) const SCOPE: Scope = Scope {
    project: "p",
    templates: &[],
};

/// The draft of an operation at the path `n`, and the fields of its violations.
pub(crate) fn planned(operation: &Operation) -> (Option<Draft>, Vec<String>) {
    let mut faults = Faults::default();
    let draft = of_operation(operation).and_then(|kind| kind.draft(operation, "n", &SCOPE, &mut faults));
    (draft, faults.fields().into_iter().map(str::to_owned).collect())
}

/// The draft of a right operation.
pub(crate) fn good(operation: &Operation) -> Draft {
    let (draft, fields) = planned(operation);
    assert_eq!(fields, Vec::<String>::new());
    draft.expect("a draft was made")
}
