//! Audio tracks that a node takes from the input.

use mps_proto::v1::{AudioTrackSelector, audio_track_selector::Selector};

use crate::faults::{Faults, shown};

const MAX_SELECTORS: usize = 16;
const MAX_INDEX: i32 = 99;

/// Checks a list of selectors.
pub(super) fn check_all(selectors: &[AudioTrackSelector], field: &str, faults: &mut Faults) {
    if selectors.len() > MAX_SELECTORS {
        let count = selectors.len();
        faults.add(field, format!("has {count} selectors; at most {MAX_SELECTORS} are allowed"));
    }
    for (index, selector) in selectors.iter().enumerate().take(MAX_SELECTORS) {
        check(selector, &format!("{field}[{index}]"), faults);
        if selectors.iter().take(index).any(|earlier| earlier == selector) {
            faults.add(format!("{field}[{index}]"), "selects what an earlier one selects");
        }
    }
    let selects_all = selectors.iter().any(|selector| selector.selector == Some(Selector::All(true)));
    if selects_all && selectors.len() > 1 {
        faults.add(field, "has others beside one that selects all tracks");
    }
}

pub(super) fn check(selector: &AudioTrackSelector, field: &str, faults: &mut Faults) {
    match &selector.selector {
        None => faults.add(field, "exactly one of index, language and all must be set"),
        Some(Selector::Index(index)) if !(0..=MAX_INDEX).contains(index) => {
            faults.add(format!("{field}.index"), format!("is {index}; 0 to {MAX_INDEX} is allowed"));
        }
        Some(Selector::Language(language)) if !is_language(language) => {
            faults.add(format!("{field}.language"), not_a_language(language));
        }
        Some(Selector::All(false)) => faults.add(format!("{field}.all"), "must be true"),
        Some(_) => {}
    }
}

/// Whether more than one track may come out.
pub(super) fn may_be_several(selectors: &[AudioTrackSelector]) -> bool {
    match selectors {
        [] => false,
        [one] => !matches!(one.selector, Some(Selector::Index(_))),
        _ => true,
    }
}

/// Shape of an ISO 639 code or BCP 47 tag: letters, then groups of letters and digits.
pub(super) fn is_language(text: &str) -> bool {
    let mut groups = text.split('-');
    let first = groups.next().unwrap_or_default();
    let is_primary = (2..=8).contains(&first.len()) && first.bytes().all(|byte| byte.is_ascii_alphabetic());
    let is_group = |group: &str| (1..=8).contains(&group.len()) && group.bytes().all(|byte| byte.is_ascii_alphanumeric());
    is_primary && text.len() <= 35 && groups.all(is_group)
}

pub(super) fn not_a_language(text: &str) -> String {
    format!("{} is no language tag such as \"en\" or \"pt-BR\"", shown(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn languages_have_the_shape_of_a_tag() {
        for good in ["en", "eng", "pt-BR", "zh-Hant-TW", "de-1996", "und"] {
            assert!(is_language(good), "{good}");
        }
        for bad in ["", "e", "en_US", "-en", "en-", "12", "en--us", "english!", "englishlong"] {
            assert!(!is_language(bad), "{bad}");
        }
    }

    #[test]
    fn selectors_select_something_and_each_once() {
        let by = |selector: Selector| AudioTrackSelector { selector: Some(selector) };
        let language = |text: &str| by(Selector::Language(text.to_owned()));
        for (selectors, fields) in [
            (vec![], vec![]),
            (vec![by(Selector::Index(0)), language("en")], vec![]),
            (vec![AudioTrackSelector { selector: None }], vec!["a[0]"]),
            (vec![by(Selector::Index(-1))], vec!["a[0].index"]),
            (vec![by(Selector::Index(1)), by(Selector::Index(1))], vec!["a[1]"]),
            (vec![language("?")], vec!["a[0].language"]),
            (vec![by(Selector::All(false))], vec!["a[0].all"]),
            (vec![by(Selector::All(true)), language("en")], vec!["a"]),
            ((0..17).map(|index| by(Selector::Index(index))).collect(), vec!["a"]),
        ] {
            let mut faults = Faults::default();
            check_all(&selectors, "a", &mut faults);
            assert_eq!(faults.fields(), fields, "{selectors:?}");
        }
    }
}
